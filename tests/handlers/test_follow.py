"""A line that is followed: its frames become notes that are bent, faded and ended by them."""

from __future__ import annotations

import math

import pytest

import gansynth_server as gs
from gansynth_server.analysis.follower import FollowOptions
from gansynth_server.errors import UserError
from gansynth_server.handlers import follow as module
from gansynth_server.handlers.follow import FollowMessages, Line
from gansynth_server.handlers.request import Request
from gansynth_server.net.sessions import Session
from gansynth_server.synth.note import Note
from tests.support.stage import Stage

STEP_S = 0.01


@pytest.fixture(scope="module")
def model():
    return gs.load("all_instruments")


class Singer:
    """Tells frames, one every 10 ms of the stage's own time."""

    def __init__(self, model) -> None:
        self.stage = Stage(model, batch=True)
        self.line = Line(
            *(self.stage.instrument, self.stage.client, "z", FollowOptions(), 0.0), live=False
        )

    def sing(self, pitch: float | None, level: float, seconds: float) -> None:
        """Hold a MIDI pitch, or none, at a level (dB)."""
        hertz = 0.0 if pitch is None else 440 * 2 ** ((pitch - 69) / 12)
        for _ in range(round(seconds / STEP_S)):
            self.line.feed(hertz, level, 1.0)
            self.stage.render(round(STEP_S * self.stage.rate))

    @property
    def notes(self) -> list[Note]:
        """Notes that sound and are not released."""
        return [note for note in self.stage.notes.values() if note.off is None]


def test_a_note_begins_and_is_bent_faded_and_ended(model):
    singer = Singer(model)
    singer.sing(60.0, -20, 0.3)
    (note,) = singer.notes
    assert note.pitch == pytest.approx(60, abs=0.01) and note.hold
    assert note.gain == pytest.approx(1.0) and note.bend == pytest.approx(0, abs=0.01)
    singer.sing(60.5, -26, 0.2)  # a slide, and softer
    (same,) = singer.notes
    assert same is note and note.bend == pytest.approx(0.5, abs=0.05)
    assert note.gain == pytest.approx(10 ** (-6 / 20), rel=0.05)
    singer.sing(None, -90, 0.2)
    assert not singer.notes


def test_a_step_is_a_new_note_and_a_slip_is_none(model):
    singer = Singer(model)
    singer.sing(60.0, -20, 0.3)
    (first,) = singer.notes
    singer.sing(72.0, -20, 0.03)  # the tracker's octave
    singer.sing(60.0, -20, 0.2)
    assert singer.notes == [first]
    singer.sing(67.0, -20, 0.3)
    (second,) = singer.notes
    assert second is not first and second.pitch == pytest.approx(67, abs=0.05)


def test_a_sender_that_is_gone_is_noticed(model, monkeypatch):
    monkeypatch.setattr(module, "SILENCE_S", 0.1)
    stage = Stage(model, batch=True)
    line = Line(stage.instrument, stage.client, "z", FollowOptions(), 0.0, live=True)
    for _ in range(20):
        line.feed(261.6, -20, 1.0)
        stage.render(480)
    assert len(stage.notes) == 1
    stage.time += 1.0
    timer = line._timer
    assert timer is not None
    timer.join(5)
    stage.render(480)
    assert all(note.off is not None for note in stage.notes.values())


def test_nothing_follows_before_it_is_opened(model):
    stage = Stage(model, batch=True)

    class Host:
        instrument = stage.instrument

    replies = []
    request = Request(
        Session(("x", 1), stage.client, 0.0), lambda source, datagram: replies.append(datagram)
    )
    messages = FollowMessages(Host())  # type: ignore[arg-type]
    with pytest.raises(UserError, match="/follow/open"):
        messages.follow_pitch(request, 440.0, -20.0, 1.0)
    with pytest.raises(UserError, match="nowhere"):
        messages.follow_open(request, "nowhere", -50.0, 0.0)
    messages.follow_open(request, "z", -50.0, 6.0)
    messages.follow_pitch(request, 440.0, -20.0, 1.0)
    messages.follow_close(request)
    assert len(replies) == 2 and math.isfinite(stage.time)
