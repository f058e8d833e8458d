"""Frames of a line become notes; what trackers get wrong does not."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from gansynth_server.analysis.follower import (
    Bend,
    End,
    Event,
    Fade,
    Follower,
    Frame,
    Start,
    follow,
    latest,
)
from gansynth_server.util.midi_pitch import midi_to_hz

STEP = 0.01


def frames(*parts: tuple[float | None, float, float], confidence: float = 1.0) -> list[Frame]:
    """Frames every 10 ms of parts: MIDI pitch or None, level (dB), seconds."""
    made: list[Frame] = []
    for pitch, level, seconds in parts:
        hertz = 0.0 if pitch is None else midi_to_hz(pitch)
        for _ in range(round(seconds / STEP)):
            made.append(Frame(len(made) * STEP, hertz, level, confidence))
    return made


def starts(events: list[Event]) -> list[Start]:
    return [event for event in events if isinstance(event, Start)]


def ends(events: list[Event]) -> list[End]:
    return [event for event in events if isinstance(event, End)]


def test_a_note_begins_bends_fades_and_ends() -> None:
    events = follow(
        frames(
            *[(None, -90, 0.1), (60, -20, 0.3), (60.5, -20, 0.1), (60.5, -26, 0.1)],
            (None, -90, 0.2),
        )
    )
    (start,), (end,) = starts(events), ends(events)
    assert (start.seconds, start.pitch) == (pytest.approx(0.1), pytest.approx(60))
    assert start.level == -20
    assert end.seconds == pytest.approx(0.59)
    bends = [event for event in events if isinstance(event, Bend)]
    assert [(b.seconds, b.semitones) for b in bends] == [
        (pytest.approx(0.1), pytest.approx(0)),
        (pytest.approx(0.4), pytest.approx(0.5)),
    ]
    fades = [event for event in events if isinstance(event, Fade)]
    assert [(f.seconds, f.level) for f in fades] == [(pytest.approx(0.5), -26)]
    assert {event.note for event in events} == {1}


def test_what_is_quiet_or_unsure_begins_nothing() -> None:
    assert not follow(frames((60, -55, 0.5)))
    assert not follow(frames((60, -20, 0.5), confidence=0.6))
    assert not follow(frames((60, -20, 0.01)))
    assert not follow(frames((None, -10, 0.5)))


def test_a_sounding_note_may_be_quieter_and_less_sure_than_it_began() -> None:
    loud, quiet = frames((60, -20, 0.2)), frames((60, -55, 0.3), confidence=0.5)
    later = [Frame(f.seconds + 0.2, f.hertz, f.level, f.confidence) for f in quiet]
    (end,) = ends(follow([*loud, *later]))
    assert end.seconds == pytest.approx(0.49)


@pytest.mark.parametrize("slip", [-12.0, 12.0, 19.0, -24.0])
@pytest.mark.parametrize("seconds", [0.01, 0.03, 0.05])
def test_octave_slips_change_nothing(slip: float, seconds: float) -> None:
    events = follow(frames((60, -20, 0.3), (60 + slip, -20, seconds), (60, -20, 0.3)))
    assert len(starts(events)) == len(ends(events)) == 1
    assert all(abs(e.semitones) < 0.01 for e in events if isinstance(e, Bend))


@pytest.mark.parametrize("level", [-28.0, -12.0])
def test_a_consonant_does_not_strike_again(level: float) -> None:
    events = follow(frames((60, -20, 0.3), (None, level, 0.04), (60, -20, 0.3)))
    assert len(starts(events)) == len(ends(events)) == 1
    assert all(event.level <= -20 for event in events if isinstance(event, Fade))


def test_a_rest_is_one() -> None:
    events = follow(frames((60, -20, 0.3), (None, -90, 0.1), (60, -20, 0.3)))
    assert len(starts(events)) == len(ends(events)) == 2
    assert not any(start.slurred for start in starts(events))


def test_a_real_octave_is_one_at_its_own_time() -> None:
    events = follow(frames((60, -20, 0.3), (72, -20, 0.3)))
    _, second = starts(events)
    assert second.slurred
    assert second.seconds == pytest.approx(0.3)
    assert second.pitch == pytest.approx(72)
    assert len(ends(events)) == 1, "the first goes on into the second"


def test_a_small_slur_is_a_bend() -> None:
    events = follow(frames((60, -20, 0.3), (62, -20, 0.3)))
    assert len(starts(events)) == 1
    bend = [event for event in events if isinstance(event, Bend)][-1]
    assert (bend.seconds, bend.semitones) == (pytest.approx(0.3), pytest.approx(2))


def test_a_slide_is_bent_and_then_taken_over() -> None:
    slide = [(60 + n * 12 / 40, -20.0, STEP) for n in range(40)]
    events = follow(frames((60, -20, 0.2), *slide, (72, -20, 0.4)))
    first, second = starts(events)
    assert second.slurred
    assert second.pitch == pytest.approx(72, abs=0.6)
    bends = [e.semitones for e in events if isinstance(e, Bend) and e.note == first.note]
    assert len(bends) > 30
    assert max(b - a for a, b in pairwise(bends)) < 0.5


def test_vibrato_is_one_note() -> None:
    shaken = [(60 + math.sin(2 * math.pi * 6 * n * STEP), -20.0, STEP) for n in range(200)]
    events = follow(frames(*shaken))
    assert len(starts(events)) == 1
    pitches = [starts(events)[0].pitch + e.semitones for e in events if isinstance(e, Bend)]
    assert max(pitches) == pytest.approx(61, abs=0.05)
    assert min(pitches) == pytest.approx(59, abs=0.05)


def test_a_note_struck_again_is_another() -> None:
    events = follow(frames((60, -20, 0.3), (60, -34, 0.03), (60, -20, 0.3)))
    assert len(starts(events)) == 2
    assert not starts(events)[1].slurred
    assert starts(events)[1].seconds == pytest.approx(0.31, abs=0.02)


def test_tremolo_and_swells_strike_nothing() -> None:
    beats = [(60, -20 + 4 * math.sin(2 * math.pi * 6 * n * STEP), STEP) for n in range(200)]
    assert len(starts(follow(frames(*beats)))) == 1
    swell = [(60, -45 + 0.25 * abs(n - 100), STEP) for n in range(200)]
    assert len(starts(follow(frames(*swell)))) == 1


def test_a_tongued_step_is_struck_and_a_slurred_one_is_not() -> None:
    tongued = follow(frames((60, -20, 0.3), (60, -28, 0.03), (62, -20, 0.3)))
    assert [start.slurred for start in starts(tongued)] == [False, False]
    slurred = follow(frames((60, -20, 0.3), (60, -22, 0.03), (62, -20, 0.3)))
    assert len(starts(slurred)) == 1


def test_live_it_is_told_within_three_frames() -> None:
    follower, told = Follower(), []
    for frame in frames((None, -90, 0.1), (60, -20, 0.2), (64, -20, 0.2), (None, -90, 0.2)):
        told += [(frame.seconds, event) for event in follower.feed(frame)]
    late = {
        (type(event), event.note): at - event.seconds
        for at, event in told
        if isinstance(event, (Start, End))
    }
    assert late[Start, 1] <= 0.021
    assert late[Start, 2] <= 0.021
    assert late[End, 2] <= 0.071, "it might have been a consonant"
    assert not follower.end(1.0)


def test_only_the_latest_news_is_left() -> None:
    events: list[Event] = [
        *[Start(0.0, 1, 60, -20), Bend(0.0, 1, 0.1), Fade(0.0, 1, -21)],
        *[Bend(0.01, 1, 0.2), Fade(0.01, 1, -22), Bend(0.02, 1, 0.3)],
    ]
    assert latest(events) == [events[0], events[4], events[5]]


def test_the_events_stand_in_the_order_of_time() -> None:
    events = follow(
        frames((60, -20, 0.3), (60, -34, 0.03), (60, -20, 0.3), (67, -20, 0.2), (None, -90, 0.2))
    )
    times = [event.seconds for event in events]
    assert times == sorted(times)
    for before, after in pairwise(starts(events)):
        last = max(event.seconds for event in events if event.note == before.note)
        assert last <= after.seconds + 1e-9
