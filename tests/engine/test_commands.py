"""The tables of commands and events: plain records that can be sent to another process."""

import dataclasses
import pickle
from types import ModuleType
from typing import get_args

import numpy as np
import pytest

from gansynth_server.engine import commands, events
from gansynth_server.synth.note import Note, Overlay

SOURCE = ("127.0.0.1", 9001)
OVERLAY = Overlay(4, np.float32([[1, 2]]), np.float32([[3, 4]]))
COMMANDS = [
    commands.OpenBus(1, 44100, 2, 64, 0.5),
    commands.CloseBus(1),
    commands.NewNote(1, Note(3, 7, 60.5, 100.0, 60, 1.5, choke="hat", pan=-0.5)),
    commands.Start(7, 12),
    commands.Release(7, 2.5),
    commands.Change(7, 0.1, {"bend": 2.0, "overlay": OVERLAY}),
    commands.Seek(7, 40.5),
    commands.Look(7, 1.25),
    commands.Settle(7, 13, 2),
    commands.Cut(1, 3, 2.0, frozenset([7, 8])),
    commands.Frames(12, 64, (30.0, 61.0)),
    commands.Fade(),
    commands.OpenTap(1, 2),
    commands.CloseTap(2),
    commands.OpenStream(12345, SOURCE, SOURCE, 1, 512, 4),
    commands.Took(3),
    commands.CloseStream(12345),
    commands.Pull(12345, 6),
    commands.Go(0),
    commands.Quit(),
]
EVENTS = [
    events.Started(7),
    events.Ended(7, 3),
    events.Late(7, 0.5),
    events.Freed(12),
    events.Looked(7, 1.25, (40.5, 1.0)),
    events.Tapped(2, 1600, 0.1),
    events.Untapped(2, 512),
    events.Ran(2, 5, 1600, True, 7),
    events.Heard([(b"/note\0\0\0,\0\0\0", SOURCE)]),
    events.Lost(SOURCE, 3),
    events.Pulled(12345),
    events.Block(12345, b"/b\0\0"),
    events.Opened("none", 48000, 2, 0.005, ["a line"]),
    events.Refused("there is no such device"),
]


def records(module: ModuleType) -> set[type]:
    """The records that a module defines."""
    return {
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__
    }


def test_every_record_is_in_the_union_of_its_module() -> None:
    assert records(commands) - {commands.Timed} == set(get_args(commands.Command))
    assert records(events) == set(get_args(events.Event))


def test_there_is_an_example_of_each_here() -> None:
    assert {type(example) for example in COMMANDS} == set(get_args(commands.Command))
    assert {type(example) for example in EVENTS} == set(get_args(events.Event))


@pytest.mark.parametrize("record", [*COMMANDS, *EVENTS], ids=lambda record: type(record).__name__)
def test_a_record_is_frozen_and_survives_pickling(record) -> None:
    kind = type(record)
    assert dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(")
    for field in dataclasses.fields(kind):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field.name, None)
    same = pickle.loads(pickle.dumps(record))
    assert type(same) is kind and repr(same) == repr(record)  # a note is equal to itself alone


def test_a_timed_command_survives_pickling() -> None:
    timed = commands.Timed(commands.Release(7, 2.5), 1.5, 9, True)
    assert pickle.loads(pickle.dumps(timed)) == timed


def test_a_command_comes_of_the_message_that_is_handled() -> None:
    assert commands.Timed(commands.Fade()).cause == 0
    token = commands.CAUSE.set(5)
    try:
        assert commands.Timed(commands.Fade()).cause == 5
        assert commands.Timed(commands.Fade(), cause=0).cause == 0
    finally:
        commands.CAUSE.reset(token)
