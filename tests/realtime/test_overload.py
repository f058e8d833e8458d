"""More voices than can be mixed in time."""

import time

import numpy as np
import pytest

from gansynth_server.engine.overload import Overload
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


def play(bus, blocks):
    """Render so many blocks in real time, as the engine does: who takes too much sheds voices."""
    overload, due, sounds = Overload(), time.monotonic(), []
    for _ in range(blocks):
        overload.begin()
        sounds.append(bus.render(BLOCK)[0])
        overload.end([bus])
        if overload.culprit() is bus:
            bus.shed()
        due = max(due + BLOCK / RATE, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
    return np.concatenate(sounds)


@pytest.mark.real_time
def test_more_voices_than_there_is_time_for_are_ended_the_costly_ones_first(caplog):
    bus = burdened(Bus(RATE, 32), 0.1, work)
    ended = []
    bus._on_end = lambda n: ended.append(n.id)
    for n in range(12):
        bus.start(note(spectrum(), n))
    fast = {100, 101}
    for n in fast:
        bus.start(note(spectrum(), n, bend=30.0))
    sound = play(bus, 200)
    assert set(ended[:2]) == fast
    assert 2 < bus.voices.sheds == len(ended) and 6 <= bus.voices.sounding <= 9
    assert "a lower --max-voices" in caplog.text
    whole = Bus(RATE, 32)
    for n in range(12):
        whole.start(note(spectrum(), n))
    alone = np.concatenate([whole.render(BLOCK) for _ in range(200)], axis=1)[0]
    assert roughness(sound[BLOCK:]) < 2 * roughness(alone[BLOCK:]) + 1e-3  # no click


@pytest.mark.real_time
@pytest.mark.parametrize(("share", "wait"), [(0.1, time.sleep), (0.04, work)])
def test_who_stands_still_or_has_time_ends_no_voice(share, wait):
    bus = burdened(Bus(RATE, 32), share, wait)
    for n in range(14):
        bus.start(note(spectrum(), n))
    play(bus, 60)
    assert bus.voices.sounding == 14 and bus.voices.sheds == 0
