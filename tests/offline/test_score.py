"""Scores: what is written is what is heard; files, their bounds and errors."""

import struct

import numpy as np
import pytest
import soundfile

import gansynth_server as gs
from gansynth_server import cli, handlers
from gansynth_server.errors import UserError
from gansynth_server.instrument import offline_player
from gansynth_server.offline import score as play
from gansynth_server.offline.score_file import read
from gansynth_server.osc.table import TABLE
from gansynth_server.render.models import Models
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.note import Note
from tests.support.client import bundle
from tests.support.puller import RATE
from tests.support.scores import sound, write


@pytest.fixture(scope="module")
def models():
    return Models()


SOME = [
    (0, ("/z/random", "z", 5)),
    (0.25, ("/note", 60, 100)),
    (0.5, ("/note", 64.5, 90, "a")),
    (0.75, ("/note/off", "a")),
    (1.0, ("/note/bend", 60, 2, 300)),
    (1.5, ("/note", 60, 0)),
]


def test_a_score_is_what_the_voices_play(tmp_path, models):
    path = write(tmp_path / "a.jsonl", *SOME[:2], (0.75, ("/note", 60, 0)))
    heard = sound(path, models, channels=1)
    model = gs.load("all_instruments")
    spectrum = model.backend.render(model.draw(5)[None], np.array([60 - model.pitches[0]]))[0]
    bus = Bus(RATE, 1)
    note = Note(0, 60, 60, 100, 60, spectrum=spectrum)
    bus.start(note, 0.25)
    bus.release(note, 0.75)
    expected = bus.render(heard.shape[1])
    assert np.abs(expected).max() > 0.01
    assert np.abs(heard - expected).max() < 1e-6
    end = np.flatnonzero(heard[0])[-1] / RATE
    assert 1.0 < end < heard.shape[1] / RATE < 1.1  # 0.3 s of release, and no more


def test_order_of_lines_and_other_keys_do_not_matter(tmp_path, models):
    path = write(tmp_path / "a.jsonl", *SOME)
    lines = path.read_text().splitlines()
    other = tmp_path / "b.jsonl"
    other.write_text("\n\n" + "\n".join(lines[::-1]).replace('"time"', '"who": [1], "time"'))
    assert np.array_equal(sound(path, models), sound(other, models))


def test_osc_is_jsonl(tmp_path, models):
    packets = [bundle(round(seconds * 2**32), words) for seconds, words in SOME]
    packets.append(bundle(3 << 32, ("/c_set", 0, 0)))
    path = tmp_path / "a.osc"
    path.write_bytes(b"".join(struct.pack(">i", len(p)) + p for p in packets))
    same = write(tmp_path / "a.jsonl", *SOME)
    assert np.array_equal(sound(path, models), sound(same, models))


@pytest.mark.parametrize("block", [77, 512, 48000])
def test_block_size_does_not_matter(tmp_path, models, monkeypatch, block):
    path = write(tmp_path / "a.jsonl", *SOME)
    whole = sound(path, models, 2.0)
    monkeypatch.setattr(offline_player, "BLOCK", block)
    assert np.abs(sound(path, models, 2.0) - whole).max() < 1e-6


def test_length_and_setting(tmp_path, models):
    setting = {"rate": 16000, "channels": 1, "max_voices": 1}
    path = write(tmp_path / "a.jsonl", *SOME, setting=setting)
    heard = sound(path, models, 1.25)
    assert heard.shape == (1, 20000)
    assert sound(path, models, 1.25, max_voices=8).shape == heard.shape
    assert np.abs(sound(path, models, 1.25, max_voices=8) - heard).max() > 0.01


def test_a_note_that_never_ends_is_ended(tmp_path, models, monkeypatch):
    monkeypatch.setattr(play, "TAIL", 6.0)
    path = write(tmp_path / "a.jsonl", (0, ("/hold", 1)), (0, ("/note", 60, 100)))
    heard = sound(path, models)
    assert 6 * RATE < heard.shape[1] < 7 * RATE
    assert np.abs(heard[:, 5 * RATE : 6 * RATE]).max() > 0.01


def test_what_a_server_alone_can_do_means_nothing(tmp_path, models):
    path = write(tmp_path / "a.jsonl", *SOME)
    rows = [row for row in TABLE if row.method not in PLAYED and (row.example or not row.args)]
    more = [(0.6, (row.address, *row.example)) for row in rows]
    assert ("/quit",) in [words for _, words in more]
    other = write(tmp_path / "b.jsonl", *SOME, *more)
    assert np.array_equal(sound(path, models), sound(other, models))


BAD = [
    ('{"time": 0}', "line 1: write"),
    ("[1]", "line 1: write"),
    ('\n{"time": 0, "message": ["/note", 60, 100]', "line 2: this is no JSON"),
    ('{"time": -1, "message": ["/note"]}', "line 1: a time is 0 to 3600"),
    ('{"time": NaN, "message": ["/note"]}', "line 1: a time is 0 to 3600"),
    ('{"time": true, "message": ["/note"]}', "line 1: a time is 0 to 3600"),
    ('{"time": 0, "message": ["note", 60]}', "line 1: a message is a list"),
    ('{"time": 0, "message": ["/note", [60]]}', "line 1: a message is a list"),
    ('{"time": 0, "message": []}', "line 1: a message is a list"),
    ('{"setting": {"rate": "fast"}}', "line 1: there is no setting rate"),
    ('{"setting": {"tempo": 1}}', "line 1: there is no setting tempo"),
    ("", "holds no messages"),
    ("\xff\n", "no text"),
    ('{"time": 0, "message": ["/note", 60]}', "line 1: /note: velocity is missing"),
    ('\n{"time": 5, "message": ["/nope"]}', "line 2: /nope: no such message"),
    ('{"time": 0, "message": ["/z/preset", "z", "kazoo"]}', "line 1: /z/preset: no preset"),
]


@pytest.mark.parametrize(("text", "why"), BAD)
def test_what_is_wrong_is_one_error_with_its_line(tmp_path, models, text, why):
    path = tmp_path / "a.jsonl"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as caught:
        sound(path, models)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\0\0\0\x10#bundle\0", "packet 1: 16 bytes are announced and 8 are there"),
        (b"\xff\xff\xff\xff", "packet 1: -1 bytes"),
        (b"\0\0\0\4abcd", "packet 1: string without"),
        (b"", "holds no messages"),
    ],
)
def test_what_is_wrong_with_osc(tmp_path, data, why):
    path = tmp_path / "a.osc"
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read(path)
    assert why in str(caught.value)


def test_command(tmp_path, capsys, models):
    path = write(tmp_path / "a.jsonl", *SOME)
    cli.main(["render", str(path), "-o", str(tmp_path / "a.wav"), "--rate", "16000"])
    heard, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == 16000 and np.array_equal(heard.T, sound(path, models, rate=16000))
    assert "real time" in capsys.readouterr().out
    bad = write(tmp_path / "bad.jsonl", (1, ("/note", 300, 100)))
    for argv in (["render", str(bad)], ["render", str(path), "--drums"]):
        with pytest.raises(SystemExit) as ended:
            cli.main([*argv, "-o", str(tmp_path / "b.wav")])
        assert "\n" not in str(ended.value) and not (tmp_path / "b.wav").exists()


PLAYED = {row.method for row in TABLE for room in handlers.PLAYING if hasattr(room, row.method)}
