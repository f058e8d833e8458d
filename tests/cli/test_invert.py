"""``gansynth invert``, wrongly asked."""

import io

import numpy as np
import pytest
import soundfile

from gansynth_server import cli


def file_of(wave, rate=16000, format="WAV"):
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format=format, subtype="PCM_16")
    return buffer.getvalue()


def tone(pitch, seconds=2.0, rate=16000, partials=6):
    at = np.arange(round(seconds * rate)) / rate
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    wave = sum(np.sin(2 * np.pi * hertz * k * at) / k for k in range(1, partials + 1))
    return (0.3 * wave * np.minimum(1, at / 0.01) * np.exp(-at)).astype(np.float32)


@pytest.mark.parametrize("said", ["cannot be read", "24 to 84"])
def test_the_command_says_what_is_wrong(tmp_path, said):
    path = tmp_path / "note.wav"
    if said != "cannot be read":
        path.write_bytes(file_of(tone(60)))
    with pytest.raises(SystemExit, match=said):
        cli.main(["invert", str(path), "--pitch", "99"])
