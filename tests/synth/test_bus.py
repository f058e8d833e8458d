"""Whatever is wrong with a voice or a command, what leaves is finite, quiet enough, and goes on."""

import numpy as np
import pytest

from gansynth_server.synth.bus import Bus
from gansynth_server.synth.limiter import CEILING
from tests.support.notes import note, spectrum
from tests.support.sounds import roughness

RATE = 48000


def spoil(what):
    non_finite = spectrum()
    if what == "nan magnitude":
        non_finite.magnitude[40, 30] = np.nan
    elif what == "infinite magnitude":
        non_finite.magnitude[40] = np.inf
    elif what == "nan phase":
        non_finite.increment[40, 27] = np.nan
    elif what == "huge":  # finite, but the sum of some is not
        non_finite.magnitude[40:] = 1e37
    elif what == "deafening":
        non_finite.magnitude[40:] *= 1e6
    return non_finite


@pytest.mark.parametrize("rate", [48000, 44100])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "what", ["nan magnitude", "infinite magnitude", "nan phase", "huge", "deafening"]
)
def test_a_broken_voice_is_ended_and_the_others_sound_as_if_alone(what, channels, rate):
    buses = [Bus(rate, 8, channels=channels) for _ in range(2)]
    ended = []
    buses[0]._on_end = lambda n: ended.append(n.id)
    for bus in buses:
        bus.start(note(spectrum(), 100, pan=0.3))
    for n in range(3):
        buses[0].start(note(spoil(what), n))
    sound, alone = (np.concatenate([b.render(256) for _ in range(700)], axis=1) for b in buses)
    assert np.isfinite(sound).all() and np.abs(sound).max() <= CEILING
    assert sorted(n for n in ended if n < 100) == [0, 1, 2]
    assert buses[0].voices.non_finite == 3
    # neither the limiter nor the resampler remembers them
    tail = slice(3 * rate, None)
    assert np.abs(alone[:, tail]).max() > 1e-3
    assert np.abs(sound[:, tail] - alone[:, tail]).max() <= 1e-5


def test_a_command_that_fails_takes_nothing_with_it(caplog):
    bus = Bus(RATE, 4)
    bus.post(lambda voices: 1 / 0)
    bus.start(note(spectrum()))
    sound = np.concatenate([bus.render(256)[0] for _ in range(200)])
    assert np.abs(sound).max() > 1e-3
    assert [r.message for r in caplog.records] == ["a command for the voices failed"]


def test_voices_that_fail_are_ended_and_the_next_note_sounds(monkeypatch, caplog):
    bus = Bus(RATE, 4, on_end=lambda n: ended.append(n.id))
    ended = []
    bus.start(note(spectrum(), 1))
    bus.render(256)
    with monkeypatch.context() as broken:
        broken.setattr(bus.voices.bank, "_mix", lambda *_: 1 / 0)
        assert not bus.render(8 * 256)[:, 256:].any()
    assert ended == [1] and len(caplog.records) == 1
    bus.start(note(spectrum(), 2))
    assert np.abs(np.concatenate([bus.render(256)[0] for _ in range(200)])).max() > 1e-3


def test_there_is_no_direct_current():
    """The network has no bin for it, and the voices add none."""
    bus = Bus(RATE, 4, gain=1.0)
    bus.start(note(spectrum(0.02)))
    sound = np.concatenate([bus.render(512)[0] for _ in range(300)])
    blocks = sound[RATE // 2 : 2 * RATE].reshape(-1, RATE // 2)
    assert np.abs(blocks).max() > 0.02
    assert np.abs(np.average(blocks, axis=1, weights=np.hanning(RATE // 2))).max() < 1e-5


def test_the_end_is_a_ramp_and_then_silence():
    bus = Bus(RATE, 4)
    bus.start(note(spectrum(0.05)))
    before = np.concatenate([bus.render(256)[0] for _ in range(200)])
    assert not bus.over
    bus.end()
    after = np.concatenate([bus.render(64)[0] for _ in range(40)])
    assert bus.over and not after[480:].any()
    assert np.abs(after[:240]).max() > 1e-3
    both = np.concatenate([before[-2048:], after])
    assert roughness(both) < 2 * roughness(before[-8192:]) + 1e-4
