"""Sound files as recorders and editors leave them."""

import io
import struct

import numpy as np
import pytest
import soundfile

from gansynth_server import UserError
from gansynth_server.analysis import recorded_note, segmentation, sound_reader
from gansynth_server.training.sources import folder

RATE = 16000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)
LENGTH_BYTES = {0: bytes(8), -1: b"\xff" * 8}


def made(format: str, subtype: str = "PCM_16", sound: np.ndarray = TONE) -> bytearray:
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format=format, subtype=subtype)
    return bytearray(file.getvalue())


def unfinished(format: str, subtype: str, length: int) -> bytes:
    """A file whose lengths were never written."""
    data, empty = made(format, subtype), LENGTH_BYTES[length]
    at = data.find(b"data")
    if format == "WAV":
        data[4:8] = data[at + 4 : at + 8] = empty[:4]
    elif format == "RF64":
        sizes = data.find(b"ds64")
        data[sizes + 8 : sizes + 24] = empty * 2
    elif format == "AU":
        data[8:12] = empty[:4]
    elif format == "AIFF":
        sound, common = data.find(b"SSND"), data.find(b"COMM")
        data[4:8] = data[sound + 4 : sound + 8] = data[common + 10 : common + 14] = empty[:4]
    elif format == "CAF":
        data[at + 4 : at + 12] = empty
    elif format == "W64":
        data[16:24] = data[at + 16 : at + 24] = empty
    elif format == "FLAC":
        data[21] &= 0xF0
        data[22:26] = bytes(4)
    return bytes(data)


@pytest.mark.parametrize("length", [0, -1])
@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        *(("WAV", subtype) for subtype in ("PCM_16", "PCM_24", "FLOAT", "PCM_U8")),
        *((format, "PCM_16") for format in ("RF64", "AU", "AIFF", "CAF", "W64", "FLAC")),
    ],
)
def test_headers_that_were_never_finished(format, subtype, length):
    sound, rate = sound_reader.read(io.BytesIO(unfinished(format, subtype, length)))
    assert rate == RATE and len(sound) == RATE
    assert np.abs(sound - TONE).max() < (0.01 if subtype == "PCM_U8" else 1e-4)


def test_the_files_length_decides_where_the_header_is_behind():
    """Some recorders write a length now and then: the last is too short."""
    data = made("WAV")
    at = data.find(b"data")
    data[at + 4 : at + 8] = struct.pack("<I", 1000)
    assert len(sound_reader.read(io.BytesIO(data))[0]) == RATE
    more = data[: at + 8 + 1000] + b"LIST\4\0\0\0INFO"  # nothing is lost here
    assert len(sound_reader.read(io.BytesIO(more))[0]) == 500
    empty = data[: at + 4] + bytes(4) + b"LIST\4\0\0\0INFO"
    assert len(sound_reader.read(io.BytesIO(empty))[0]) == 0
    assert len(sound_reader.read(io.BytesIO(made("WAV")[:5000]))[0]) == pytest.approx(2478, abs=20)


def test_a_finished_file_is_read_as_it_is(tmp_path):
    for format in ("WAV", "AIFF", "FLAC", "CAF", "AU", "W64", "RF64"):
        sound, _ = sound_reader.read(io.BytesIO(made(format)))
        assert len(sound) == RATE and np.abs(sound - TONE).max() < 1e-4
    path = tmp_path / "a.wav"
    path.write_bytes(made("WAV"))
    assert len(sound_reader.read(path, 0.25)[0]) == 4000


@pytest.mark.parametrize("wrong", [1e30, -1e30, 100.0, np.inf, np.nan])
@pytest.mark.parametrize("places", [[8000], [0], [RATE - 1], [100, 101, 102, 9000]])
def test_single_mad_samples_are_mended(wrong, places):
    sound = TONE.copy()
    sound[places] = wrong
    found, _ = sound_reader.read(io.BytesIO(made("WAV", "FLOAT", sound)))
    assert np.abs(found - TONE).max() < 0.35 and np.isfinite(found).all()
    others = np.setdiff1d(np.arange(RATE), places)
    assert np.array_equal(found[others], TONE[others])
    assert np.abs(segmentation.load(io.BytesIO(made("WAV", "FLOAT", sound)))).max() < 0.6


def test_many_mad_samples_are_refused_with_the_reason():
    for wrong, words in ((np.nan, "no numbers"), (np.inf, "no numbers")):
        sound = TONE.copy()
        sound[:100] = wrong
        with pytest.raises(ValueError, match=words):
            sound_reader.read(io.BytesIO(made("WAV", "FLOAT", sound)))
    click = np.zeros(RATE, np.float32)
    click[5] = 1e30
    with pytest.raises(ValueError, match="1e\\+30 stands in silence"):
        sound_reader.read(io.BytesIO(made("WAV", "FLOAT", click)))


def test_what_is_loud_as_a_whole_stays():
    loud = 30 * TONE  # some programs write 16-bit numbers as floats
    found, _ = sound_reader.read(io.BytesIO(made("WAV", "FLOAT", loud)))
    assert np.array_equal(found, loud)
    attack = TONE.copy()
    attack[40] = 1.0
    found, _ = sound_reader.read(io.BytesIO(made("WAV", "FLOAT", attack)))
    assert np.array_equal(found, attack)


def test_channels_that_cancel_each_other():
    other = np.roll(TONE, 100)
    cases = {
        "antiphase": (TONE, -TONE),
        "nearly": (TONE, -0.9 * TONE),
        "three": (TONE, -TONE, np.zeros_like(TONE)),
    }
    for name, channels in cases.items():
        found, _ = sound_reader.read(io.BytesIO(made("WAV", "FLOAT", np.stack(channels, axis=1))))
        assert np.array_equal(found, TONE), name
    for channels in ((TONE, TONE), (TONE, other), (TONE, 0 * TONE), (TONE, 0.5 * TONE)):
        sound = np.stack(channels, axis=1)
        found, _ = sound_reader.read(io.BytesIO(made("WAV", "FLOAT", sound)))
        assert np.array_equal(found, sound.mean(axis=1))


@pytest.mark.parametrize(
    ("suffix", "format"),
    [
        *((".wave", "WAV"), (".aifc", "AIFF"), (".snd", "AU"), (".rf64", "RF64"), (".WAV", "WAV")),
        *((".bwf", "WAV"), (".ogx", "OGG"), (".oga", "OGG"), (".caf", "CAF"), (".voc", "VOC")),
    ],
)
def test_suffixes_of_libsndfile(tmp_path, suffix, format):
    subtype = "VORBIS" if format == "OGG" else "PCM_16"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / f"horn_A4{suffix}").write_bytes(made(format, subtype))
    assert len(folder.collect(tmp_path / "in", tmp_path / "out").notes) == 1


def test_each_file_left_out_is_named_with_its_reason(tmp_path, capsys):
    root = tmp_path / "in"
    root.mkdir()
    (root / "horn_A4.wav").write_bytes(made("WAV"))
    (root / "torn_A4.wav").write_bytes(b"RIFF of no use")
    (root / "song_A4.m4a").write_bytes(b"ftyp")
    (root / "silent_A4.wav").write_bytes(made("WAV", sound=0 * TONE))
    (root / "nan_A4.wav").write_bytes(made("WAV", "FLOAT", np.full(RATE, np.nan, np.float32)))
    data = folder.collect(root, tmp_path / "out")
    told = capsys.readouterr().err.splitlines()
    assert sorted(line.partition(":")[2].strip().partition(":")[0] for line in told) == [
        *("nan_A4.wav", "silent_A4.wav", "song_A4.m4a", "torn_A4.wav")
    ]
    assert any("ffmpeg -i FILE.m4a" in line for line in told)
    assert any("16000 of its samples are no numbers" in line for line in told)
    assert any("torn_A4.wav: file is damaged: " in line for line in told)
    assert data.left_out == {"file is damaged": 2, "silent": 1}


def test_only_unreadable_files_say_the_way_out(tmp_path):
    (tmp_path / "a.m4a").write_bytes(b"ftyp")
    with pytest.raises(UserError, match=r"no sound files .*\.m4a cannot be read: make a \.wav"):
        folder.collect(tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="ffmpeg"):
        recorded_note.read(b"ftyp", "a.m4a", (60,))


def test_a_note_of_an_unfinished_file_in_antiphase():
    data = made("WAV", "FLOAT", np.stack([TONE, -TONE], axis=1))
    at = data.find(b"data")
    data[4:8] = data[at + 4 : at + 8] = bytes(4)
    found = recorded_note.read(bytes(data), "horn_A4.wav", tuple(range(24, 85)))
    assert found.pitch == 69 and np.abs(found.wave).max() == pytest.approx(0.5)
