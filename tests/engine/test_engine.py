"""Every command of the table, in this process; slots that are lent, and the ends of notes."""

from __future__ import annotations

import logging
from collections import Counter

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gansynth_server.audio.shared_ring import SharedRing
from gansynth_server.engine.commands import (
    Change,
    CloseBus,
    CloseTap,
    Command,
    Cut,
    Fade,
    Frames,
    Look,
    NewNote,
    OpenBus,
    OpenTap,
    Release,
    Seek,
    Settle,
    Start,
    Timed,
)
from gansynth_server.engine.engine import Engine
from gansynth_server.engine.events import (
    Ended,
    Event,
    Freed,
    Late,
    Looked,
    Ran,
    Started,
    Tapped,
    Untapped,
)
from gansynth_server.spectral.arena import Arena, LocalSpectra
from gansynth_server.spectral.constants import FRAMES
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.note import Note
from tests.support import notes

RATE, BLOCK = 16000, 160
ME, OTHER = 1, 2


def sounds(arena: Arena, increment: float, ready: int = FRAMES) -> Spectrum:
    """A spectrum in a place of its own, of which so many frames are there."""
    spectrum, made = arena.take(), notes.spectrum(increment=increment)
    assert spectrum is not None
    spectrum.extend(made.magnitude[:ready], made.increment[:ready])
    return spectrum


class Playing:
    """An engine with one bus, and two spectra that are used by nothing else."""

    def __init__(self, voices: int = 4, channels: int = 1) -> None:
        self.arena = Arena(LocalSpectra())
        self.events: list[Event] = []
        self.rings: dict[int, SharedRing] = {}
        self.engine = Engine(self.arena.get, self._tell, ring=self._ring)
        self.first, self.second = sounds(self.arena, 0.5), sounds(self.arena, 1.5)
        self.post(OpenBus(0, RATE, channels, voices, 1.0))

    def _tell(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Freed):  # fails for a slot that was not lent
            self.arena.drop(self.arena.get(event.slot))

    def _ring(self, number: int, channels: int) -> SharedRing:
        buffer = np.zeros(SharedRing.size(channels, RATE), np.float32)
        return self.rings.setdefault(number, SharedRing(buffer, channels))

    def post(self, command: Command, when: float | None = None, cause: int = 0) -> None:
        self.engine.post(Timed(command, when, cause))

    def new(self, number: int, owner: int = ME, bus: int = 0, **attributes: object) -> Note:
        note = Note(owner, number, 60, 127, 60, **attributes)  # type: ignore[arg-type]
        self.post(NewNote(bus, note))
        return note

    def start(
        self, number: int, when: float | None = None, spectrum: Spectrum | None = None
    ) -> None:
        spectrum = spectrum or self.first
        self.arena.use(spectrum)
        self.post(Start(number, spectrum.slot), when)

    def settle(self, number: int, settling: int, when: float | None = None) -> None:
        self.arena.use(self.second)
        self.post(Settle(number, self.second.slot, settling), when)

    def render(self, seconds: float, bus: int = 0) -> np.ndarray:
        blocks = [
            self.engine.render([(self.engine.buses[bus], BLOCK)])[0]
            for _ in range(round(seconds * RATE / BLOCK))
        ]
        return np.concatenate(blocks, axis=1)

    @property
    def lent(self) -> tuple[int, int]:
        """How often the two spectra are lent."""
        return self.arena.uses(self.first) - 1, self.arena.uses(self.second) - 1

    def told(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def ended(self) -> list[int]:
        return [event.note for event in self.events if isinstance(event, Ended)]


@pytest.fixture
def playing() -> Playing:
    return Playing()


def length(sound: np.ndarray) -> float:
    """Time (s) from the first sample that is heard to the last."""
    heard = np.flatnonzero(np.abs(sound[0]) > 1e-5)
    return float(heard[-1] - heard[0]) / RATE


# notes


def test_a_note_sounds_to_its_end(playing):
    playing.new(1)
    playing.start(1, 0.1)
    sound = playing.render(0.5)
    assert playing.events == [Started(1)] and playing.lent == (1, 0)
    onset = np.flatnonzero(sound[0])[0] / RATE
    assert 0.1 < onset < 0.103  # the limiter's latency, and the envelope's first sample
    playing.render(4.0)
    assert playing.events[1:] == [Freed(playing.first.slot), Ended(1, 0)]
    assert playing.lent == (0, 0)


def test_a_note_sounds_as_the_bus_alone_plays_it(playing):
    note = playing.new(1)
    playing.start(1, 0.1)
    playing.post(Change(1, 0.2, {"bend": 2.0}), 0.3)
    playing.post(Seek(1, 40.0), 0.5)
    playing.post(Release(1, 0.7), 0.7)
    bus, same = Bus(RATE, 4, gain=1.0), Note(ME, 1, 60, 127, 60, spectrum=notes.spectrum())
    bus.start(same, 0.1)
    bus.post(lambda voices: voices.change(same, 0.2, bend=2.0), 0.3, same)
    bus.post(lambda voices: voices.seek(same, 40.0), 0.5, same)
    bus.release(same, 0.7)
    sound = playing.render(1.2)
    expected = [bus.render(BLOCK) for _ in range(sound.shape[1] // BLOCK)]
    assert np.array_equal(sound, np.concatenate(expected, axis=1)) and np.abs(sound).max() > 0.01
    assert note.off == 0.7 and playing.ended == [1] and playing.lent == (0, 0)


def test_a_released_note_ends(playing):
    playing.new(1, hold=True)
    playing.start(1)
    playing.render(0.2)
    playing.post(Release(1, 0.2))
    playing.render(0.5)
    assert playing.ended == [1] and playing.lent == (0, 0)


def test_a_note_that_was_released_before_it_starts_sounds_as_long_as_it_was_held(playing):
    note = playing.new(1, on=0.0)
    playing.post(Release(1, 0.25), 0.25)
    playing.render(0.5)
    assert note.off == 0.25 and not playing.events
    playing.start(1)
    assert length(playing.render(1.0)) == pytest.approx(0.25 + 0.3, abs=0.02)
    assert playing.ended == [1] and playing.lent == (0, 0)


def test_the_earliest_end_that_was_meant_counts(playing):
    note = playing.new(1, on=0.0, off=0.4)
    playing.post(Release(1, 0.25))
    playing.post(Release(1, 0.6))
    playing.render(0.1)
    assert note.off == 0.25


def test_changes_before_the_start_count(playing):
    playing.new(1)
    playing.post(Change(1, 0.0, {"gain": 0.5, "bend": 3.0}))
    playing.render(0.1)
    playing.start(1)
    sound = playing.render(0.5)
    other = Playing()
    other.new(1, gain=0.5, bend=3.0)
    other.render(0.1)
    other.start(1)
    assert np.array_equal(sound, other.render(0.5)) and np.abs(sound).max() > 0.01


def test_more_notes_than_voices_are_stolen_and_each_ends_once():
    playing = Playing(voices=2)
    for number in range(5):
        playing.new(number, hold=True)
        playing.start(number)
        playing.render(0.05)
    assert playing.ended == [0, 1, 2] and playing.lent == (2, 0)
    assert playing.told(Started) == [Started(number) for number in range(5)]


def test_a_choked_note_ends(playing):
    for number, owner in ((1, ME), (2, OTHER), (3, ME)):
        playing.new(number, owner, choke="hat", hold=True)
        playing.start(number)
        playing.render(0.1)
    assert playing.ended == [1] and playing.lent == (2, 0)


def test_a_note_on_a_bus_that_is_not_there_ends_at_once(playing):
    playing.new(1, bus=7)
    playing.start(1)
    assert playing.events == [Ended(1, 0), Freed(playing.first.slot)]
    assert playing.lent == (0, 0)


def test_a_second_start_does_nothing(playing):
    playing.new(1)
    playing.start(1)
    playing.render(0.1)
    playing.start(1, spectrum=playing.second)
    assert playing.lent == (1, 0)
    playing.render(5.0)
    assert playing.ended == [1] and playing.lent == (0, 0)


def test_commands_about_notes_that_are_over_do_nothing(playing):
    playing.new(1)
    playing.start(1)
    playing.render(0.1)
    playing.post(Cut(0, notes=frozenset([1])))
    playing.render(0.1)
    assert playing.ended == [1]
    playing.events.clear()
    waiting = playing.engine.state(0).commands
    for command in (Release(1, 0.3), Change(1, 0.0, {"bend": 1.0}), Seek(1, 3.0), Look(1, 0.3)):
        playing.post(command)
    playing.start(1)
    playing.settle(1, 0)
    assert playing.engine.state(0).commands == waiting
    assert not playing.render(0.2).any() and playing.lent == (0, 0)
    assert playing.events == [Freed(playing.first.slot), Freed(playing.second.slot)]


def test_frames_that_were_not_there_are_counted(playing):
    some = sounds(playing.arena, 0.5, ready=16)
    playing.new(1)
    playing.start(1, spectrum=some)
    playing.render(1.0)
    playing.post(Cut(0, notes=frozenset([1])))
    playing.render(0.1)
    (ended,) = playing.told(Ended)
    assert isinstance(ended, Ended) and 10 < ended.late <= 1.1 * RATE / 512


def test_a_note_that_comes_too_late_says_so(playing):
    playing.new(1)
    playing.render(0.5)
    playing.start(1, 0.3)
    playing.render(0.1)
    (late,) = playing.told(Late)
    assert isinstance(late, Late) and late.seconds == pytest.approx(0.2)


def test_a_look_tells_the_next_frame(playing):
    playing.new(1)
    playing.post(Look(1, 0.0))
    playing.render(0.1)
    assert playing.events == [Looked(1, 0.0, None)]  # it is silent
    playing.start(1)
    playing.render(0.5)
    playing.post(Look(1, 0.6))
    playing.render(0.1)
    looked = playing.events[-1]
    assert isinstance(looked, Looked) and (looked.note, looked.when) == (1, 0.6)
    assert looked.next_frame is not None and looked.next_frame[1] == 1
    assert looked.next_frame[0] == pytest.approx(0.5 * RATE / 512 + 6, abs=3)


# other spectra


def test_a_note_settles_in_another_spectrum(playing):
    note = playing.new(1, hold=True)
    playing.start(1)
    playing.render(0.2)
    playing.post(Change(1, 0.0, {"settling": 3}))
    playing.settle(1, 3, 0.3)
    assert playing.lent == (1, 1)
    playing.render(0.2)
    assert playing.lent == (0, 1) and note.spectrum is playing.second and note.overlay is None
    playing.post(Release(1, 0.4))
    playing.render(0.5)
    assert playing.lent == (0, 0) and playing.ended == [1]


def test_a_settle_that_counts_no_more_is_given_back(playing):
    note = playing.new(1, hold=True)
    playing.start(1)
    playing.settle(1, 0, 0.3)
    playing.render(0.1)
    playing.post(Change(1, 0.0, {"settling": 1}))
    playing.render(0.3)
    assert playing.lent == (1, 0) and note.spectrum is playing.first and not playing.ended


@pytest.mark.parametrize("how", ["end", "cut", "close"])
def test_a_settle_of_a_note_that_is_over_before_is_given_back(playing, how):
    playing.new(1)
    playing.start(1)
    playing.render(0.1)
    playing.settle(1, 0, 6.0)
    command = {
        "end": Release(1, 0.1),
        "cut": Cut(0, notes=frozenset([1])),
        "close": CloseBus(0),
    }[how]
    playing.post(command)
    if how != "close":
        playing.render(0.5)
        assert playing.lent == (0, 1 if how == "end" else 0)
        playing.render(6.0)
    assert playing.lent == (0, 0) and playing.ended == [1]


def test_a_settle_of_a_note_that_has_not_begun_is_given_back(playing):
    playing.new(1)
    playing.settle(1, 0)
    playing.render(0.1)
    assert playing.lent == (0, 0) and not playing.ended


def test_frames_that_come_are_played_and_where_a_note_is_held():
    # as between processes: the engine has spectra of its own over the same memory
    arena, events = Arena(LocalSpectra()), list[Event]()
    there = sounds(arena, 0.5, ready=16)
    mine = arena.spectra.spectrum(there.slot)
    engine = Engine(lambda slot: mine, events.append)
    for command in (
        OpenBus(0, RATE, 1, 4, 1.0),
        NewNote(0, Note(ME, 1, 60, 127, 60, hold=True)),
        Frames(there.slot, 16),
        Start(1, there.slot),
    ):
        engine.post(Timed(command))
    bus = engine.buses[0]
    for _ in range(20):
        engine.render([(bus, BLOCK)])
    whole = notes.spectrum()
    there.extend(whole.magnitude[16:], whole.increment[16:])
    engine.post(Timed(Frames(there.slot, FRAMES, (30.0, 40.0))))
    assert (mine.ready, mine.region) == (FRAMES, (30.0, 40.0))
    places = []
    for _ in range(300):
        engine.render([(bus, BLOCK)])
        engine.post(Timed(Look(1, 0.0)))
    places = [
        event.next_frame[0] for event in events if isinstance(event, Looked) and event.next_frame
    ]
    assert events[0] == Started(1) and max(places[:50]) < 40
    assert all(29 <= place <= 41 for place in places[150:])
    engine.post(Timed(CloseBus(0)))
    assert events[-1] == Ended(1, 0)


# cuts


def test_a_cut_ends_notes_by_their_owner_time_and_number(playing):
    for number, owner, on in ((1, ME, 0.0), (2, ME, 0.5), (3, OTHER, 0.0), (4, OTHER, 0.5)):
        playing.new(number, owner, on=on, hold=True)
        playing.start(number, on or None)
    playing.new(5, ME, on=0.1)  # one that is still rendered
    playing.new(6, ME, on=0.9)
    playing.render(0.2)
    playing.post(Cut(0, ME, 0.3, frozenset([4])))
    playing.render(0.1)
    assert sorted(playing.ended) == [1, 4, 5] and playing.lent == (2, 0)
    playing.start(5)  # it comes too late
    assert playing.lent == (2, 0)
    playing.start(6, 0.9)
    playing.render(0.8)
    assert sorted(playing.ended) == [1, 4, 5]
    assert [event.note for event in playing.events if isinstance(event, Started)] == [1, 3, 2, 6]


def test_a_cut_fades_within_5_ms_and_drops_what_was_to_happen(playing):
    playing.new(1, hold=True)
    playing.start(1)
    playing.post(Change(1, 0.0, {"gain": 9.0}), 0.6)
    playing.render(0.2)
    assert playing.engine.state(0).commands == 1
    playing.post(Cut(0, notes=frozenset([1])), 0.25)
    sound = playing.render(0.2)[0]
    last = np.flatnonzero(sound)[-1] / RATE
    assert 0.05 < last <= 0.05 + 0.005 + 0.001 + 1 / RATE
    assert playing.engine.state(0).commands == 0


def test_a_cut_on_a_bus_that_is_not_there_does_nothing(playing):
    playing.post(Cut(5, ME, 1.0))
    assert not playing.events


# buses


def test_a_closed_bus_ends_its_notes_and_no_others(playing):
    playing.post(OpenBus(1, RATE, 1, 1, 1.0))
    for number, bus in ((1, 1), (2, 1), (3, 1), (4, 1), (5, 0)):
        playing.new(number, bus=bus, hold=True)
    playing.start(1)
    playing.start(3, 5.0)
    playing.start(5)
    playing.render(0.1, 1)
    playing.render(0.1, 0)
    playing.start(2)
    playing.engine.render([(playing.engine.buses[1], 16)])
    assert playing.lent == (4, 0) and playing.engine.state(1).waiting == 1
    playing.post(CloseBus(1))
    assert sorted(playing.ended) == [1, 2, 3, 4] and playing.lent == (1, 0)
    assert list(playing.engine.buses) == [0]
    playing.post(CloseBus(1))  # a second time does nothing
    playing.render(0.1)
    assert sorted(playing.ended) == [1, 2, 3, 4]
    playing.post(OpenBus(1, RATE, 1, 1, 1.0))
    assert not playing.render(0.1, 1).any()


def test_a_fade_is_10_ms_and_for_good(playing):
    playing.new(1, hold=True)
    playing.start(1)
    playing.render(0.3)
    assert not playing.engine.state(0).over
    playing.post(Fade())
    sound = playing.render(0.1)[0]
    assert np.abs(sound[:80]).max() > 1e-3 and not sound[160:].any()
    assert playing.engine.state(0).over


def test_the_state_of_a_bus_is_told_in_numbers(playing):
    for number in range(6):
        playing.new(number, hold=True)
        playing.start(number)
    playing.start(9)
    playing.new(10)
    playing.start(10, 5.0)
    assert playing.engine.state(0).commands == 7
    playing.engine.render([(playing.engine.buses[0], 16)])
    state = playing.engine.state(0)
    assert (state.sounding, state.waiting, state.commands) == (4, 2, 1)
    assert state.load > 0 and state.link.seconds(RATE) == 1.0


# taps


@pytest.mark.parametrize("channels", [1, 2])
def test_a_tap_hears_the_sound_and_what_was_run(channels):
    playing = Playing(channels=channels)
    playing.render(0.1)
    playing.new(1)
    playing.post(OpenTap(0, 3))
    playing.start(1)
    playing.post(Change(1, 0.0, {"bend": 1.0}), 0.1505, cause=8)
    playing.post(Release(1, 0.2), 0.2, cause=9)
    sound = playing.render(0.2)
    playing.post(CloseTap(3))
    playing.render(0.1)
    assert np.array_equal(playing.rings[3].read(), sound)
    assert playing.told(Tapped) == [Tapped(3, 1600, 0.1)]
    assert playing.told(Ran) == [Ran(3, 8, 2408, False, None), Ran(3, 9, 3200, False, 1)]
    assert playing.told(Untapped) == [Untapped(3, 0)]


def test_a_closed_bus_ends_its_taps(playing):
    playing.post(OpenTap(0, 3))
    playing.post(CloseBus(0))
    assert playing.told(Untapped) == [Untapped(3, 0)]
    playing.post(CloseTap(3))
    assert len(playing.told(Untapped)) == 1


# all at random

NUMBERS = st.integers(0, 3)
BUSES = st.sampled_from([0, 0, 0, 1, 2])
TIMES = st.none() | st.floats(0, 0.5)


class Logged(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class AnyCommands(RuleBasedStateMachine):
    """Whatever comes in whatever order, each note ends once and each slot comes back."""

    @initialize()
    def begin(self) -> None:
        self.playing = Playing(voices=3)
        self.made: list[int] = []
        self.log = Logged()
        logging.getLogger("gansynth_server").addHandler(self.log)

    def note(self, number: int) -> int:
        """One of the last notes, over or not; 0, which is none, before there is any."""
        return self.made[-1 - number % min(len(self.made), 4)] if self.made else 0

    @rule(bus=st.integers(0, 2), voices=st.integers(1, 4), rate=st.sampled_from([16000, 44100]))
    def open(self, bus: int, voices: int, rate: int) -> None:
        if bus not in self.playing.engine.buses:
            self.playing.post(OpenBus(bus, rate, 1 + bus % 2, voices, 0.5))

    @rule(bus=st.integers(0, 2), sure=st.integers(0, 3))
    def close(self, bus: int, sure: int) -> None:
        if sure == 3:  # not so often that hardly anything sounds
            self.playing.post(CloseBus(bus))

    @rule(
        bus=BUSES,
        owner=st.integers(1, 2),
        choke=st.sampled_from([None, None, "hat"]),
        hold=st.booleans(),
        on=st.floats(0, 0.5),
        starts=st.booleans(),
        when=TIMES,
    )
    def new(
        self,
        bus: int,
        owner: int,
        choke: str | None,
        hold: bool,
        on: float,
        starts: bool,
        when: float | None,
    ) -> None:
        self.made.append(len(self.made) + 1)
        self.playing.new(self.made[-1], owner, bus, choke=choke, hold=hold, on=on)
        if starts:
            self.playing.start(self.made[-1], when)

    @rule(number=NUMBERS, when=TIMES, second=st.booleans())
    def start(self, number: int, when: float | None, second: bool) -> None:
        spectrum = self.playing.second if second else self.playing.first
        self.playing.start(self.note(number), when, spectrum)

    @rule(number=NUMBERS, when=TIMES, off=st.floats(0, 2))
    def release(self, number: int, when: float | None, off: float) -> None:
        self.playing.post(Release(self.note(number), off), when)

    @rule(number=NUMBERS, when=TIMES, settling=st.integers(0, 2))
    def change(self, number: int, when: float | None, settling: int) -> None:
        changes = {"bend": 1.0, "settling": settling}
        self.playing.post(Change(self.note(number), 0.1, changes), when)

    @rule(number=NUMBERS, when=TIMES, settling=st.integers(0, 2))
    def settle(self, number: int, when: float | None, settling: int) -> None:
        self.playing.settle(self.note(number), settling, when)

    @rule(number=NUMBERS, when=TIMES)
    def seek_and_look(self, number: int, when: float | None) -> None:
        self.playing.post(Seek(self.note(number), 50.0), when)
        self.playing.post(Look(self.note(number), 0.0), when)

    @rule(
        bus=BUSES,
        owner=st.integers(1, 3),
        before=st.floats(0, 2),
        numbers=st.frozensets(NUMBERS, max_size=2),
        when=TIMES,
    )
    def cut(
        self, bus: int, owner: int, before: float, numbers: frozenset[int], when: float | None
    ) -> None:
        single = frozenset(self.note(number) for number in numbers)
        self.playing.post(Cut(bus, owner, before, single), when)

    @rule(bus=BUSES, ring=st.integers(0, 1), opens=st.booleans())
    def tap(self, bus: int, ring: int, opens: bool) -> None:
        self.playing.post(CloseTap(ring))
        self.playing.rings.pop(ring, None)
        if opens:
            self.playing.post(OpenTap(bus, ring))

    @rule(frames=st.sampled_from([16, 160, 1600, 8000]), count=st.integers(1, 3))
    def render(self, frames: int, count: int) -> None:
        due = [(bus, frames) for bus in list(self.playing.engine.buses.values())[:count]]
        if due:
            for sound in self.playing.engine.render(due):
                assert np.isfinite(sound).all()

    @invariant()
    def each_note_ends_at_most_once(self) -> None:
        assert not self.made or max(Counter(self.playing.ended).values(), default=1) == 1

    @invariant()
    def nothing_fails(self) -> None:
        assert not self.log.lines

    def teardown(self) -> None:
        logging.getLogger("gansynth_server").removeHandler(self.log)
        for bus in list(self.playing.engine.buses):
            self.playing.post(CloseBus(bus))
        assert sorted(self.playing.ended) == self.made
        assert self.playing.lent == (0, 0)


TestAnyCommands = AnyCommands.TestCase
TestAnyCommands.settings = settings(max_examples=100, stateful_step_count=50)
