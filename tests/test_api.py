"""The Python calls and the command line."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

import gansynth_server as gs
from gansynth_server import cli
from gansynth_server.latent.vectors import draw, slerp


@pytest.fixture(scope="module")
def model():
    return gs.load("all_instruments")


def cents(sound: np.ndarray, rate: int, hertz: float) -> float:
    """Distance of the strongest partial near a frequency, in cents."""
    part = sound[rate // 4 : rate // 4 + 2 * rate]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 16 * len(part)))
    axis = np.fft.rfftfreq(16 * len(part), 1 / rate)
    near = (axis > hertz * 0.92) & (axis < hertz * 1.08)
    return float(1200 * np.log2(axis[near][spectrum[near].argmax()] / hertz))


def test_generate(model, tmp_path):
    note = model.generate(pitch=69, seed=3)
    assert note.audio.dtype == np.float32 and note.audio.shape == (64000,)
    assert note.sample_rate == 16000
    assert 0.05 < np.abs(note.audio).max() <= 1
    assert abs(cents(note.audio, 16000, 440)) < 50
    assert np.array_equal(note.audio, model.generate(pitch=69, seed=3).audio)
    assert not np.array_equal(note.audio, model.generate(pitch=69, seed=4).audio)
    note.save(tmp_path / "a.wav")
    back, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == 16000 and np.array_equal(back, note.audio)
    for name in ("a.flac", "a.ogg"):
        note.save(tmp_path / name)
        assert soundfile.info(tmp_path / name).frames == 64000
    with pytest.raises(gs.UserError):
        note.save(tmp_path / "a.xyz")


def test_duration_velocity_and_rate(model):
    note = model.generate(pitch=60, seed=0, duration=1.5, velocity=50, sample_rate=48000)
    assert len(note.audio) == 72000 and np.abs(note.audio[-24:]).max() < 1e-3
    loud = model.generate(pitch=60, seed=0, duration=1.5, velocity=100, sample_rate=48000)
    assert np.allclose(loud.audio, 2 * note.audio, atol=1e-5)


def test_generate_is_the_enveloped_wave_of_generate_batch(model):
    z = draw(256, 5)
    wave = model.generate_batch(z[None], [62])[0]
    note = model.generate(pitch=62, z=z, velocity=127)
    assert wave.shape == (64000,)
    assert np.abs(note.audio[160:] - wave[160:]).max() < 1e-5
    assert np.allclose(note.audio[:160], wave[:160] * np.linspace(0, 1, 160), atol=1e-5)


def test_generate_by_instrument(tmp_path):
    note = gs.generate(note_number=60, instrument="acoustic_grand_piano", duration=4.0)
    note.save(tmp_path / "piano_c4.wav")
    assert abs(cents(note.audio, 16000, 261.63)) < 50


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"pitch": -1}, "0 to 127"),
        ({"pitch": 128}, "0 to 127"),
        ({"pitch": float("nan")}, "0 to 127"),
        ({"duration": 5}, "4 s"),
        ({"duration": 0}, "4 s"),
        ({"velocity": 128}, "0 to 127"),
        ({"sample_rate": 7000}, "16000"),
        ({"z": np.zeros(3)}, "256"),
        ({"z": np.full(256, np.nan)}, "finite"),
    ],
)
def test_what_cannot_be_says_so(model, arguments, words):
    with pytest.raises(gs.UserError, match=words):
        model.generate(**arguments)


def test_unknown_preset_names_similar_ones(model):
    with pytest.raises(gs.UserError, match="violin"):
        model.preset("violine")


def test_slerp_is_safe_and_keeps_the_norm():
    a, b = draw(256, 1), draw(256, 2)
    assert np.allclose(slerp(a, b, 0), a, atol=1e-6)
    assert np.allclose(slerp(a, b, 1), b, atol=1e-6)
    middle = slerp(a, b, 0.5)
    assert abs(np.linalg.norm(middle) - 16) < 2
    for odd in (slerp(a, a, 0.5), slerp(a, -a, 0.3), slerp(a, 0 * a, 0.5)):
        assert np.isfinite(odd).all()


def test_note_command(tmp_path, capsys):
    out = tmp_path / "c4.wav"
    cli.main(["note", "60", "--preset", "violin", "-o", str(out), "--rate", "48000"])
    assert soundfile.info(out).samplerate == 48000
    with pytest.raises(SystemExit) as exit_:
        cli.main(["note", "60", "--preset", "kazoo", "-o", str(out)])
    assert "kazoo" in str(exit_.value.code)


def test_nothing_heavy_is_imported_early():
    heavy = ("torch", "scipy.signal", "sounddevice", "soundfile", "librosa")
    code = "import sys, gansynth_server, gansynth_server.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert not {*heavy} & {*loaded.split()}
    from importlib.metadata import version

    assert version("gansynth-server") == gs.__version__
