"""MIDI files and Magenta's way with them, against Magenta's own code (golden data)."""

import mido
import numpy as np
import pytest
import soundfile

from gansynth_server import UserError, cli
from gansynth_server.offline import magenta
from gansynth_server.offline.midi_file import MidiNote, read
from tests.support.golden_rule import FOLDER
from tests.support.midi_song import seconds, write


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(FOLDER / "util.npz"))


def note(start: float, end: float, pitch: int = 60, velocity: int = 100) -> MidiNote:
    return MidiNote(0, 0, 0, pitch, velocity, start, end)


def test_notes_and_their_order(golden):
    played = magenta.select(read(FOLDER / "util.mid", magenta=True).notes)
    assert [n.pitch for n in played] == golden["midi_pitches"].tolist()
    assert [n.velocity for n in played] == golden["midi_velocities"].tolist()
    assert np.allclose([n.start for n in played], golden["midi_start_times"], rtol=0, atol=1e-12)
    assert np.allclose([n.end for n in played], golden["midi_end_times"], rtol=0, atol=1e-12)
    assert [n.drum for n in played] == [False] * 6 + [True]


def test_slerp_and_latents_over_time(golden):
    z, t = golden["z_instruments"], golden["t_instruments"]
    assert np.allclose(magenta.slerp(z[0], z[1], 0.3), golden["slerp_03"], rtol=0, atol=1e-12)
    ours = magenta.latents_at(golden["start_times"], z, t)
    assert np.allclose(ours, golden["z_notes"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "duration"), [("05", 0.5), ("long", 5.0), ("tiny", 0.004)])
def test_envelope(golden, name, duration):
    assert np.array_equal(magenta.envelope(duration), golden[f"envelope_{name}"])


def test_mixdown(golden):
    notes = [
        note(start, end, velocity=int(velocity))
        for start, end, velocity in zip(
            golden["start_times"], golden["end_times"], golden["velocities"], strict=True
        )
    ]
    clip = magenta.mixdown(golden["audio_notes"], notes)
    assert len(clip) == 160000
    assert np.allclose(clip[::8], golden["clip_every_8th"], rtol=0, atol=1e-15)


def test_random_instruments(golden):
    z, t = magenta.random_instruments(32, 21.3, 6.0, np.random.RandomState(11))
    assert np.array_equal(z, golden["random_instruments_seed11_z"])
    assert np.array_equal(t, golden["random_instruments_seed11_t"])


@pytest.mark.parametrize("total", [0.5, 5.9, 11.9])
def test_too_short_for_two_instruments_says_what_to_do(total):
    with pytest.raises(UserError, match="secs-per-instrument"):
        magenta.random_instruments(32, total, 6.0, np.random.RandomState(0))


def test_magenta_mode_from_the_command_line(tmp_path):
    song = write(
        tmp_path / "a.mid", [(0, [(0, 1, 60, 100), (4, 1, 35, 100)]), (9, [(0, 4, 38, 9)])]
    )
    out = tmp_path / "a.wav"
    cli.main(["render", str(song), "-o", str(out), "--magenta", "--secs-per-instrument", "1"])
    sound, rate = soundfile.read(out)
    assert rate == 16000 and len(sound) == 5 * 16000  # the pitch 35 at 2 s is not played
    assert sound.max() == pytest.approx(0.5, abs=1e-6)
    assert np.abs(sound[round(2.3 * 16000) :]).max() == 0


def test_tempo_change_retrigger_and_hanging_note(tmp_path):
    song = write(tmp_path / "t.mid", [(0, [(8, 4, 60, 100)])])
    (only,) = read(song).notes
    assert (only.start, only.end) == pytest.approx((seconds(8), seconds(12)), abs=1e-12)
    file = mido.MidiFile(ticks_per_beat=100)
    on, off = (lambda time, v=9: mido.Message("note_on", note=60, velocity=v, time=time)), 0
    # struck twice, both end at tick 200, where it is struck again; and never released
    messages = [on(0), on(100), on(100), on(0, off), on(100, 0), on(50)]
    file.tracks.append(mido.MidiTrack([*messages, mido.MetaMessage("end_of_track", time=150)]))
    file.save(tmp_path / "r.mid")
    times = [(n.start, n.end, n.hanging) for n in read(tmp_path / "r.mid", magenta=True).notes]
    assert times == [
        (0.0, 1.0, False),
        (0.5, 1.0, False),
        (1.0, 1.5, False),
        (1.75, 2.5, True),
    ]


def test_smpte_time(tmp_path):
    path = write(tmp_path / "s.mid", [(0, [(0, 1, 60, 100)])], tempo_change=False)
    raw = bytearray(path.read_bytes())
    raw[12:14] = bytes([256 - 25, 40])  # 25 frames of 40 ticks: milliseconds
    path.write_bytes(raw)
    assert read(path).notes[0].end == pytest.approx(0.480)


def broken(tmp_path, name):
    path = tmp_path / f"{name}.mid"
    whole = (FOLDER / "util.mid").read_bytes()
    if name == "no_notes":
        write(path, [(0, [])])
    elif name != "missing":
        path.write_bytes({"empty": b"", "text": b"not a song", "short": whole[:20]}[name])
    return path


@pytest.mark.parametrize("name", ["missing", "empty", "text", "short", "no_notes"])
def test_broken_files_give_one_line(tmp_path, name):
    song = broken(tmp_path, name)
    with pytest.raises(SystemExit) as exit_:
        cli.main(["render", str(song), "-o", str(tmp_path / "a.wav")])
    message = str(exit_.value.code)
    assert song.name in message and "\n" not in message
    assert not (tmp_path / "a.wav").exists()
