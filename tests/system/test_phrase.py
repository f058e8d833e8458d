"""What a new user hears first."""

import subprocess
import sys

import numpy as np
import soundfile

from gansynth_server.cli.play import BEAT, PHRASE


def peaks(sound: np.ndarray, rate: int) -> np.ndarray:
    """The strongest frequency of each 0.2 s that sounds, in fractional MIDI pitches."""
    size = rate // 5
    blocks = sound[: len(sound) // size * size].reshape(-1, size)
    blocks = blocks[np.sqrt((blocks**2).mean(axis=1)) > 0.1 * np.sqrt((sound**2).mean())]
    spectra = np.abs(np.fft.rfft(blocks * np.hanning(size), 16 * size))
    lowest = 60 * 16 * size // rate
    hertz = (spectra[:, lowest:].argmax(axis=1) + lowest) * rate / (16 * size)
    return 69 + 12 * np.log2(hertz / 440)


def test_play_leaves_a_phrase_that_is_in_tune(tmp_path):
    out = tmp_path / "phrase.wav"
    code = "from gansynth_server.cli import main; main()"
    command = [sys.executable, "-c", code, "play", "--output", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "gansynth-server ready" in done.stdout
    assert str(out) in done.stdout  # no sound card here: it names the file
    sound, rate = soundfile.read(out)
    beats = sum(len(chords) for _, chords in PHRASE)
    assert len(sound) / rate > beats * BEAT
    heard = peaks(sound, rate)
    assert len(heard) > beats
    off = np.abs(heard - np.round(heard))
    assert np.median(off) < 0.1
    played = {pitch for _, chords in PHRASE for chord in chords for pitch in chord}
    partials = {pitch + harmonic for pitch in played for harmonic in (0, 12, 19, 24, 28)}
    assert np.mean([round(pitch) in partials for pitch in heard]) > 0.9
