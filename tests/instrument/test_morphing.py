"""Notes whose timbre changes while they sound, through the bundled network."""

import threading
import time

import numpy as np
import pytest

from gansynth_server import api
from gansynth_server.instrument.morphing import DELAY, LENGTH, SETTLE, TICK, Morpher, _window
from gansynth_server.latent.paths import Walk
from gansynth_server.latent.prior import Prior
from gansynth_server.latent.vectors import slerp
from gansynth_server.render.backends.base import WHOLE
from gansynth_server.render.offline import BatchRenderer
from tests.support.stage import Stage

RATE = 16000


@pytest.fixture(scope="module")
def model():
    return api.load("all_instruments")


@pytest.fixture
def stage(model):
    made = Stage(model, RATE, gain=1.0)
    yield made
    made.close()


def centroid(sound):
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    return (power * np.fft.rfftfreq(len(sound), 1 / RATE)).sum() / power.sum()


def roughest(sound):
    return np.abs(np.diff(sound, 2)).max()


def test_morph_moves_the_timbre_and_ends_at_the_target(stage, model):
    instrument, client = stage.instrument, stage.client
    instrument.preset(client, "z", "whistle")
    instrument.preset(client, "reed", "trumpet")
    client.set_style(hold=True)
    instrument.play(client, 55, 100, 1, "z")
    dull = centroid(stage.run(4.0)[-8000:])
    (played,) = instrument.played(client, 1)
    instrument.morph(played, client, "reed", 1.0)
    way = [centroid(part) for part in stage.run(1.5).reshape(5, -1)]
    stage.run(TICK * 3 + SETTLE)
    bright = centroid(stage.run(0.5))
    assert bright > 1.5 * dull
    assert dull * 0.9 < way[0] < way[2] < way[4] < bright * 1.1
    target = model.backend.frames(model.preset("trumpet")[None], np.array([31]), WHOLE)
    assert stage.notes[1].overlay is None
    assert np.allclose(stage.notes[1].spectrum.magnitude, target[0][0], rtol=1e-4, atol=1e-5)
    assert not instrument.morpher._followers and not stage.told


def test_ten_changes_a_second_under_a_chord_of_four_make_no_click(stage, model):
    instrument, client = stage.instrument, stage.client
    ends = model.preset("whistle"), model.preset("trumpet")
    instrument.set_latent(client, "z", ends[0])
    client.set_style(hold=True)
    instrument.follow(client, "z", True)
    for pitch in (48, 55, 60, 64):
        instrument.play(client, pitch, 100, pitch, "z")
    still = [stage.run(2.5)[RATE:]]
    instrument.set_latent(client, "z", ends[1])
    still.append(stage.run(2.0)[RATE:])  # the rougher of the two timbres, at rest
    sound = []
    for k in range(30):
        instrument.set_latent(client, "z", slerp(*ends, 0.5 + 0.5 * np.cos(k * 2 * np.pi / 15)))
        sound.append(stage.run(0.1))
    assert 9 <= instrument.morpher.rate <= 1 / TICK
    assert roughest(np.concatenate(sound)) < 1.2 * max(map(roughest, still))
    stage.run(2 * TICK + DELAY)
    instrument.release_all(client)
    stage.run(1.0)
    assert not instrument.morpher._followers  # those that are over are looked at no more


def test_a_slot_that_is_followed_no_more_leaves_its_notes_as_they_are(stage, model):
    instrument, client = stage.instrument, stage.client
    instrument.preset(client, "z", "whistle")
    client.set_style(hold=True)
    instrument.follow(client, "z", True)
    instrument.play(client, 55, 100, 1, "z")
    dull = centroid(stage.run(4.0)[-8000:])
    instrument.follow(client, "z", False)
    stage.run(3 * TICK)
    assert not instrument.morpher._followers
    instrument.preset(client, "z", "trumpet")
    assert abs(centroid(stage.run(1.0)[-8000:]) - dull) < 0.05 * dull


def test_a_timed_change_is_heard_at_its_time(stage):
    instrument, client = stage.instrument, stage.client
    instrument.preset(client, "z", "whistle")
    client.set_style(hold=True)
    instrument.follow(client, "z", True)
    instrument.play(client, 55, 100, 1, "z", 0.0)
    instrument.preset(client, "z", "trumpet", 4.5)
    sound = stage.run(5.5)
    before, after = centroid(sound[4 * RATE : int(4.5 * RATE)]), centroid(sound[-8000:])
    assert after > 1.5 * before
    again = [centroid(part) for part in sound[int(3.9 * RATE) : int(4.5 * RATE)].reshape(3, -1)]
    assert np.ptp(again) < 0.1 * before


@pytest.fixture
def looks(stage, monkeypatch):
    """Times of the looks at notes that follow."""
    times, tend = [], stage.instrument.morpher._tend

    def counted(follower, when, next_frame):
        times.append(when)
        tend(follower, when, next_frame)

    monkeypatch.setattr(stage.instrument.morpher, "_tend", counted)
    return times


def test_a_resting_note_is_looked_at_only_once_its_slot_is_filled(stage, looks):
    instrument, client = stage.instrument, stage.client
    instrument.preset(client, "z", "whistle")
    client.set_style(hold=True)
    instrument.follow(client, "z", True)
    instrument.play(client, 55, 100, 1, "z")
    dull = centroid(stage.run(4.0)[-8000:])
    instrument.preset(client, "other", "trumpet")
    stage.run(0.5)
    assert not looks
    filled = stage.time
    instrument.preset(client, "z", "trumpet")
    stage.run(4 * TICK + SETTLE)
    assert centroid(stage.run(0.5)) > 1.5 * dull
    assert len(looks) == 2  # one that finds it moved, one that finds it at rest
    assert filled <= looks[0] < filled + TICK and looks[1] == looks[0] + TICK
    assert looks[0] / TICK == pytest.approx(round(looks[0] / TICK))  # ticks go on meanwhile
    instrument.release_all(client)
    stage.run(1.0)
    assert len(looks) == 2 and not instrument.morpher._followers


def test_what_is_filled_ahead_or_moves_has_its_looks(stage, looks):
    instrument, client = stage.instrument, stage.client
    instrument.preset(client, "z", "whistle")
    client.set_style(hold=True)
    instrument.follow(client, "z", True)
    instrument.play(client, 55, 100, 1, "z", 0.0)
    instrument.preset(client, "z", "trumpet", 2.0)
    stage.run(1.0)
    instrument.preset(client, "z", "rock_organ", 1.5)  # in place of what was to come
    stage.run(1.5)
    assert 1.5 <= looks[0] < 1.5 + TICK and 2 <= len(looks) <= 3
    looks.clear()
    instrument.set_path(client, "z", Walk(Prior(client.latents.size), 1, 0.5, 1.0, stage.time))
    stage.run(1.0)
    assert len(looks) >= 14
    instrument.set_latent(client, "z", instrument.latent(client, "z"))
    stage.run(3 * TICK)
    looks.clear()
    stage.run(1.0)
    assert not looks


def test_notes_that_never_sound_are_forgotten(stage):
    instrument, client = stage.instrument, stage.client
    instrument.follow(client, "z", True)
    for n in range(5):
        instrument.play(client, 60, 100, n, "z")
        instrument.silence(client)
    stage.run(0.2)
    instrument.play(client, 60, 100, "last", "z")
    assert len(instrument.morpher._followers) == 1


@pytest.mark.parametrize(
    ("place", "step", "covers"),
    [(40.0, 1.0, 44), (40.0, 0.0, 40), (40.0, -1.0, 37), (127.0, 1.0, 127), (3.0, 1.0, 3)],
)
def test_windows_hold_the_frames_that_come_next(place, step, covers):
    first, end = _window(place, step)
    assert end - first == LENGTH and first >= 0 and end <= 128
    assert first <= place < end or place >= end - 1
    assert first <= covers < end


def test_the_end_waits_for_no_looks(monkeypatch):
    morpher = Morpher(BatchRenderer(), time.monotonic, lambda spectrum: None)
    tended, begun, go_on = [], threading.Event(), threading.Event()

    def slow(*look):
        tended.append(look)
        begun.set()
        assert go_on.wait(10)

    monkeypatch.setattr(morpher, "_tend", slow)
    for n in range(100):
        morpher._looks.put((n, 0.0, None))
    morpher.start()
    assert begun.wait(10)
    threading.Timer(0.1, go_on.set).start()
    morpher.stop()
    assert len(tended) == 1
