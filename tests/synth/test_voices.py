"""The voice bank: streamed equals offline, alone equals together, and nothing bad gets out."""

import numpy as np
import pytest
import torch

from gansynth_server.spectral import transform
from gansynth_server.spectral.constants import SAMPLES
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.bus import EXACT, GRAIN, PART, Bus
from gansynth_server.synth.envelope import Envelopes
from gansynth_server.synth.limiter import CEILING, Limiter
from gansynth_server.synth.note import Note
from gansynth_server.synth.voices import Voices
from tests.support.sounds import pitch_of


def tone(hertz: float, seconds: float = 4.0, rate: int = 16000) -> np.ndarray:
    t = np.arange(int(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hertz * t) * np.minimum(1, t / 0.02)).astype(np.float32)


def spectrum(wave: np.ndarray) -> Spectrum:
    linear = transform.specgram(transform.stft(torch.from_numpy(wave)[None]))[0].numpy()
    return Spectrum(np.exp(linear[..., 0]), linear[..., 1] * np.float32(np.pi))


def offline(s: Spectrum) -> np.ndarray:
    magnitude, increment = (torch.from_numpy(x)[None] for x in (s.magnitude, s.increment))
    return transform.waves(magnitude, increment)[0].numpy()


def note(s: Spectrum, pitch: float = 69, rendered: int = 69, **kw) -> Note:
    return Note(
        owner=0, id=int(pitch), pitch=pitch, velocity=127, rendered=rendered, spectrum=s, **kw
    )


@pytest.fixture
def flat(monkeypatch):
    """A flat envelope."""
    monkeypatch.setattr(Envelopes, "moving", lambda self, rows, size: np.zeros(len(rows), bool))


@pytest.fixture(scope="module")
def sounds() -> list[Spectrum]:
    rng = np.random.default_rng(0)
    waves = [tone(440), tone(97.3), (0.1 * rng.standard_normal(SAMPLES)).astype(np.float32)]
    return [spectrum(wave) for wave in waves]


@pytest.mark.parametrize("block", [64, 100, 512, 5000])
def test_streamed_equals_offline(flat, sounds, block):
    for s in sounds:
        bank = Voices(16000, 2)
        bank.start(note(s))
        streamed = np.concatenate([bank.render(block)[0] for _ in range(SAMPLES // block + 1)])
        assert np.abs(streamed[:SAMPLES] - offline(s)).max() < 1e-5
        assert bank.sounding == 0 and not streamed[SAMPLES:].any()


def test_larger_inverse_is_exact_resampling(flat, sounds):
    for s in sounds:
        bank = Voices(48000, 1)
        bank.start(note(s))
        streamed = bank.render(3 * SAMPLES)[0]
        assert np.abs(streamed[::3] - offline(s)).max() < 1e-5
        band = np.abs(np.fft.rfft(streamed[48000:96000] * np.hanning(48000)))
        assert band[8100:].max() < 1e-4 * band.max()  # nothing above 8 kHz


def test_together_equals_alone(flat, sounds):
    bank = Voices(16000, 8)
    together = np.zeros(SAMPLES + 4096, np.float32)
    expected = np.zeros_like(together)
    for i, s in enumerate(sounds):
        bank.start(note(s))
        expected[i * 1000 : i * 1000 + SAMPLES] += offline(s)
        together[i * 1000 : (i + 1) * 1000] = bank.render(1000)[0]
    together[3000:] = bank.render(len(together) - 3000)[0]
    assert np.abs(together - expected).max() < 2e-5


def test_envelope_is_ten_milliseconds_and_three_hundred(sounds):
    bank = Voices(16000, 1)
    n = note(sounds[0])
    bank.start(n)
    sound = bank.render(16000)[0]
    bank.release(n)
    sound = np.concatenate([sound, bank.render(16000)[0]])
    expected = offline(sounds[0])[:32000]
    expected[:160] *= np.linspace(0, 1, 160)
    expected[16000:20800] *= np.linspace(1, 0, 4800)
    expected[20800:] = 0
    assert np.abs(sound - expected).max() < 1e-5
    assert [n] == bank.take_started() == bank.take_ended()


def test_commands_to_the_sample_and_a_crowd_of_them_nearly(monkeypatch):
    bus, heard, sizes = Bus(48000, 4, live=True), [], []
    render = bus.voices.render
    monkeypatch.setattr(bus.voices, "render", lambda n: [sizes.append(n), render(n)][1])
    for n in range(PART):  # each at a sample of its own
        bus.post(lambda voices, n=n: heard.append((n, bus.time)), when=n / 48000)
    bus.render(PART)
    bus.render(PART)
    assert [n for n, _ in heard] == list(range(PART))
    assert all(at == n for n, at in heard[:EXACT])
    assert all(0 <= at - n <= GRAIN for n, at in heard)
    assert sum(sizes) == 2 * PART and len(sizes) <= EXACT + PART // GRAIN + 2


def test_note_released_before_it_was_rendered_keeps_its_length(sounds):
    bank = Voices(16000, 1)
    bank.start(note(sounds[0], on=10.0, off=10.5))
    sound = bank.render(16000)[0]
    assert np.abs(sound[:8000]).max() > 0.2
    assert np.abs(sound[12000:12800]).max() < 0.1 and not sound[12800:].any()


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 88200, 96000])
def test_every_rate_is_in_tune_and_clean(sounds, rate):
    bus = Bus(rate, 4, gain=1.0)
    bus.start(note(sounds[0]))
    sound = np.concatenate([bus.render(512)[0] for _ in range(2 * rate // 512)])[rate // 2 : rate]
    assert abs(1200 * np.log2(pitch_of(sound, rate) / 440)) < 1
    t = np.arange(len(sound)) / rate
    basis = np.stack([np.sin(2 * np.pi * 440 * t), np.cos(2 * np.pi * 440 * t)])
    residue = sound - np.linalg.lstsq(basis.T, sound, rcond=None)[0] @ basis
    assert residue.std() < 3e-3 * sound.std()
    assert bus.delay <= 0.002


def test_fractional_pitch(sounds):
    bank = Voices(48000, 2)
    bank.start(note(sounds[0], pitch=69.5, rendered=69))
    sound = bank.render(48000)[0][24000:]
    assert abs(1200 * np.log2(pitch_of(sound, 48000) / 440) - 50) < 1


def test_a_voice_used_again_has_its_whole_band(sounds):
    bank = Voices(16000, 1)
    plain = []
    for pitch in (69, 81.5, 69):
        bank.start(note(sounds[2], pitch))
        plain.append(bank.render(SAMPLES + 4000)[0])
    assert np.array_equal(plain[0], plain[2])


def test_held_note_lasts_until_released_and_stays_in_tune(sounds):
    bank = Voices(16000, 2)
    n = note(sounds[0], hold=True)
    bank.start(n)
    sound = bank.render(16000 * 12)[0]
    assert bank.sounding == 1
    level = np.sqrt((sound.reshape(-1, 16000) ** 2).mean(axis=1))
    assert np.allclose(level[1:], level[1], rtol=0.02)
    for second in range(1, 12):
        part = sound[16000 * second : 16000 * (second + 1)]
        assert abs(1200 * np.log2(pitch_of(part, 16000) / 440)) < 2
    steps = np.abs(np.diff(sound[16000:], 2))  # a click would stand out among them
    assert steps.max() < 1.1 * steps[:16000].max()
    bank.release(n)
    assert not bank.render(16000)[0][4800:].any()
    assert bank.take_ended() == [n]


def test_more_notes_than_voices_all_sound(sounds):
    bank = Voices(16000, 4)
    notes = [note(sounds[0], pitch=60 + i / 8) for i in range(20)]
    for n in notes:
        bank.start(n)
    sound = np.concatenate([bank.render(64)[0] for _ in range(400)])
    assert bank.take_started() == notes
    assert bank.sounding == 4 and len(bank.take_ended()) == 16
    assert np.isfinite(sound).all()


def test_notes_read_many_times_as_fast_count_as_many(sounds):
    bank = Voices(16000, 8)
    low = [note(sounds[0], hold=True) for _ in range(3)]
    high = [note(sounds[1], pitch=69 + 36, hold=True) for _ in range(4)]  # 8 frames a hop
    for n in (*low, *high[:1]):
        bank.start(n)
    bank.render(4096)
    assert bank.sounding == 4
    for n in high[1:]:
        bank.start(n)
    sound = np.concatenate([bank.render(256)[0] for _ in range(16)])
    assert set(bank.take_ended()) <= set(high) and bank.sounding == 4
    assert sum(n in bank.notes for n in high) == 1 and all(n in bank.notes for n in low)
    assert np.isfinite(sound).all()


def test_a_voice_that_is_not_finite_ends_alone(sounds):
    magnitude = sounds[0].magnitude.copy()
    magnitude[20:, 100] = np.nan
    bank = Voices(16000, 2)
    bank.start(note(Spectrum(magnitude, sounds[0].increment)))
    bank.start(note(sounds[1]))
    with np.errstate(invalid="ignore"):
        sound = np.concatenate([bank.render(256)[0] for _ in range(100)])
    assert np.isfinite(sound).all()
    assert bank.non_finite == 1 and bank.sounding == 1
    assert np.abs(sound[-2000:]).max() > 0.1


def test_silence_now_fades_within_ten_milliseconds_without_a_click(sounds):
    bus = Bus(16000, 4, gain=1.0)
    bus.start(note(sounds[0]))
    before = bus.render(8000)[0]
    assert not bus.cut(lambda note: True)
    after = bus.render(800)[0]
    assert not after[160:].any()
    joined = np.concatenate([before[-400:], after])
    assert np.abs(np.diff(joined, 2)).max() < 2 * np.abs(np.diff(before[-400:], 2)).max()


@pytest.mark.parametrize("block", [1, 7, 64, 512])
def test_limiter_keeps_the_ceiling_and_leaves_soft_sound_alone(block):
    rng = np.random.default_rng(1)
    loud = (rng.standard_normal(4096) * np.repeat([0.05, 3, 0.05, 10], 1024)).astype(np.float32)
    limiter = Limiter(48000)
    out = np.concatenate(
        [limiter(loud[None, i : i + block])[0] for i in range(0, len(loud), block)]
    )
    assert np.abs(out).max() <= CEILING
    d = limiter.delay
    assert np.array_equal(out[d : 1024 - d], loud[: 1024 - 2 * d])
    whole = Limiter(48000)(loud[None])[0]
    assert np.abs(whole - out).max() < 1e-6  # blocks do not matter


def test_a_crowd_stays_within_the_ceiling(sounds):
    bus = Bus(48000, 64)
    for i in range(64):
        bus.start(note(sounds[i % 2], pitch=69 + i / 1000))
    sound = np.concatenate([bus.render(512)[0] for _ in range(100)])
    assert np.isfinite(sound).all() and np.abs(sound).max() <= CEILING
    assert np.abs(sound).max() > 0.5
