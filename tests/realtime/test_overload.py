"""More voices than can be mixed in time."""

import time

import numpy as np
import pytest
from gansynth_server.synth.render_lock import RenderLock

from gansynth_server.synth.bus import Bus
from tests.support.notes import note, spectrum
from tests.support.puller import BLOCK
from tests.support.sounds import roughness

RATE = 48000


def burdened(bus, share, wait):
    """A bus whose voices take ``share`` of a block's time each."""
    render = bus.voices.render

    def slowly(frames):
        wait(bus.voices.sounding * share * frames / RATE)
        return render(frames)

    bus.voices.render = slowly
    return bus


def work(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@pytest.mark.real_time
def test_more_voices_than_there_is_time_for_are_ended_the_costly_ones_first(caplog):
    bus = burdened(Bus(RATE, 32, render_lock=RenderLock()), 0.1, work)
    ended = []
    bus._on_end = lambda n: ended.append(n.id)
    assert bus._render_lock is not None
    for n in range(12):
        bus.start(note(spectrum(), n))
    for n in range(2):
        bus.start(note(spectrum(), f"fast {n}", bend=30.0))
    sound = np.concatenate([bus.render(BLOCK) for _ in range(200)], axis=1)[0]
    assert ended[:2] == ["fast 1", "fast 0"] or ended[:2] == ["fast 0", "fast 1"]
    assert 2 < bus.voices.sheds == len(ended) and 6 <= bus.voices.sounding <= 9
    assert "a lower --max-voices" in caplog.text
    whole = Bus(RATE, 32)
    for n in range(12):
        whole.start(note(spectrum(), n))
    alone = np.concatenate([whole.render(BLOCK) for _ in range(200)], axis=1)[0]
    assert roughness(sound[BLOCK:]) < 2 * roughness(alone[BLOCK:]) + 1e-3  # no click


@pytest.mark.parametrize(("desk", "wait"), [(RenderLock(), time.sleep), (None, work)])
def test_who_stands_still_or_has_time_ends_no_voice(desk, wait):
    bus = burdened(Bus(RATE, 32, render_lock=desk), 0.1, wait)
    for n in range(14):
        bus.start(note(spectrum(), n))
    for _ in range(40):
        bus.render(BLOCK)
    assert bus.voices.sounding == 14 and bus.voices.sheds == 0
