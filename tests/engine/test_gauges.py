"""Rows of numbers in shared memory: one writes, others read, and no row is torn."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event

import pytest

from gansynth_server.engine.engine import BusState
from gansynth_server.engine.gauges import FIELDS, Gauges, Totals
from gansynth_server.synth.link import LinkState

SECONDS, TIMEOUT_S = 0.5, 20.0


def state(number: float) -> BusState:
    """A state all of whose numbers are equal."""
    link = LinkState(*[number] * len(LinkState._fields))
    return BusState(link, *[number] * (len(BusState._fields) - 1))


def write(gauges: Gauges, over: Event | threading.Event, begun: Event | threading.Event) -> None:
    number = 0.0
    while not over.is_set():
        number += 1
        gauges.set_bus(0, state(number))
        gauges.set_bus(1, state(-number))
        gauges.set_totals(Totals(*[number] * len(Totals._fields)))
        begun.set()


@contextmanager
def writing(gauges: Gauges, kind: str) -> Iterator[None]:
    """Write into rows, by another thread or process, while the context lasts."""
    context = multiprocessing.get_context("spawn")
    events = threading.Event if kind == "thread" else context.Event
    over, begun = events(), events()
    make = threading.Thread if kind == "thread" else context.Process
    writer = make(target=write, args=(gauges, over, begun))
    writer.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        over.set()
        writer.join()


def test_rows_have_room_for_all_numbers() -> None:
    numbers = len(LinkState._fields) + len(BusState._fields) - 1
    assert max(numbers, len(Totals._fields)) < FIELDS


def test_what_is_written_is_read() -> None:
    gauges = Gauges(3)
    for bus in range(3):
        gauges.set_bus(bus, state(bus + 1))
    gauges.set_totals(Totals(1, 2, 3, 4, 5.5))
    assert [gauges.bus(bus) for bus in range(3)] == [state(1), state(2), state(3)]
    assert gauges.totals() == Totals(1, 2, 3, 4, 5.5)
    gauges.clear()
    assert gauges.totals() == Totals() and gauges.bus(2) == BusState()


def test_a_bus_that_never_sounded_is_idle() -> None:
    gauges = Gauges(1)
    assert gauges.bus(0) == BusState() and gauges.totals() == Totals()
    assert gauges.bus(0).link.idle(time.monotonic())


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_no_row_is_torn(kind: str) -> None:
    gauges = Gauges(2)
    seen: set[float] = set()
    with writing(gauges, kind):
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < SECONDS or len(seen) <= 10:
            assert passed < TIMEOUT_S
            for bus, sign in ((0, 1), (1, -1)):
                found = gauges.bus(bus)
                (number,) = {*found.link, *found[1:]}
                assert number * sign > 0
            (number,) = set(gauges.totals())
            seen.add(number)
    assert len(seen) > 10


def test_a_row_whose_writer_was_ended_in_the_middle_is_read_nevertheless() -> None:
    gauges = Gauges(1)
    gauges.set_bus(0, state(3))
    gauges._rows[1, -1] += 1  # as before a change
    assert gauges.bus(0) == state(3)
    gauges.clear()
    assert gauges.bus(0) == BusState()
