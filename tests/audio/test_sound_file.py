"""The one writer of sound files."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gansynth_server.audio import sound_file
from gansynth_server.audio.sound_file import FORMATS, SoundWriter
from gansynth_server.errors import UserError


def tone(channels, frames):
    wave = 0.5 * np.sin(0.05 * np.arange(frames, dtype=np.float32))
    return np.stack([wave * (1 - 0.5 * n) for n in range(channels)])


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_each_format_holds_the_sound(tmp_path, suffix, channels):
    path, sound = tmp_path / f"a{suffix.upper()}", tone(channels, 5000)
    sound_file.save(path, sound, 44100)
    info = soundfile.info(path)
    assert (info.format, info.subtype) == FORMATS[suffix]
    read, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == 44100 and read.T.shape == sound.shape
    tolerance = {".wav": 0, ".flac": 2**-23, ".ogg": 0.05}[suffix]
    assert np.abs(read.T - sound).max() <= tolerance


def test_blocks_come_one_after_the_other(tmp_path):
    sound = tone(2, 3000)
    blocks = (sound[:, at : at + 700] for at in range(0, 3000, 700))
    assert sound_file.save_blocks(tmp_path / "a.wav", blocks, 16000) == 3000
    assert np.array_equal(soundfile.read(tmp_path / "a.wav", dtype="float32")[0].T, sound)
    assert sound_file.save_blocks(tmp_path / "none.wav", [], 16000) == 0
    assert soundfile.info(tmp_path / "none.wav").frames == 0


def test_a_long_block_of_vorbis_is_written_in_parts(tmp_path):
    sound_file.save(tmp_path / "long.ogg", tone(1, 2_500_000), 48000)
    assert soundfile.info(tmp_path / "long.ogg").frames == 2_500_000


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_open_file_can_be_written_to(suffix):
    file = io.BytesIO()
    writer = SoundWriter(Path(f"no/such/folder/a{suffix}"), 16000, 1, file)
    writer.write(tone(1, 100))
    writer.close()
    assert writer.closed and soundfile.info(io.BytesIO(file.getvalue())).frames == 100


def broken(at):
    for n in range(3):
        if n == at:
            raise UserError("no further")
        yield tone(1, 10)


@pytest.mark.parametrize("at", [0, 2])
def test_a_sound_that_breaks_off_leaves_no_file(tmp_path, at):
    with pytest.raises(UserError, match="no further"):
        sound_file.save_blocks(tmp_path / "a.wav", broken(at), 16000)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "rate", "why"),
    [
        ("a.xyz", 16000, r"cannot write .*a\.xyz: \.xyz is no format; use \.wav, \.flac or \.ogg"),
        ("a", 16000, r"cannot write .*a: no suffix is no format; use"),
        ("none/a.wav", 16000, r"cannot write .*a\.wav: there is no folder .*none"),
        ("folder.wav", 16000, r"cannot write .*folder\.wav at 16000 Hz: Is a directory"),
        ("a.ogg", -1, r"cannot write .*a\.ogg at -1 Hz: .*; use \.wav, \.flac or \.ogg"),
    ],
)
def test_what_cannot_be_written_says_why(tmp_path, name, rate, why):
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(UserError, match=why):
        sound_file.save(tmp_path / name, tone(1, 10), rate)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_says_so(tmp_path):
    (tmp_path / "a.wav").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"cannot write .*a\.wav at 16000 Hz"):
        sound_file.save(tmp_path / "a.wav", tone(1, 1 << 20), 16000)
