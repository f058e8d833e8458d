"""Recorded notes become timbres, by the command and by a server."""

import shutil

import pytest
import soundfile

from gansynth_server import cli
from tests.support.client import Client
from tests.support.server import ServerProcess
from tests.support.sounds import file_of, harmonic_tone


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


def test_the_command_keeps_a_preset(tmp_path, capsys):
    (tmp_path / "my horn.wav").write_bytes(file_of(harmonic_tone(60)))
    picture, wave = tmp_path / "a.png", tmp_path / "a.wav"
    cli.main(
        [
            *("invert", str(tmp_path / "my horn.wav"), "--seconds", "2", "--pitch", "60"),
            *("--picture", str(picture), "--wave", str(wave)),
        ]
    )
    told = capsys.readouterr().out
    assert told.startswith("my_horn: ") and "pitch 60 (given)" in told
    assert picture.stat().st_size > 10000 and soundfile.info(wave).frames > 60000
    cli.main(["presets"])
    assert capsys.readouterr().out.split()[-1] == "my_horn"
    with ServerProcess("--output", "none") as server:
        peer = Client(server.port)
        peer.send("/z/preset", "a", "my_horn")
        assert peer.ask("/z/get", "a")[0] == "/z"
        answer = peer.ask("/z/nearest", "a", 2)
        nearest = dict(zip(answer[2::2], answer[3::2], strict=True))
        assert nearest["my_horn"] == pytest.approx(0, abs=0.1)
        peer.close()


def test_a_server_inverts_a_file_in_its_root(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "horn.wav").write_bytes(file_of(harmonic_tone(60)))
    shutil.copy(root / "horn.wav", tmp_path / "outside.wav")
    with ServerProcess("--output", "none", "--root", str(root)) as server:
        peer = Client(server.port)
        for file in ("../outside.wav", "missing.wav"):
            assert peer.ask("/z/invert", "a", file)[:2] == ("/fail", "/z/invert")
        peer.send("/z/invert", "a", "horn.wav", 60, 2.0)
        peer.send("/note", 60, 100)  # goes on meanwhile
        done = peer.until("/done", 60)
        assert done[1:5] == ("/z/invert", "a", "horn.wav", 60) and 0 < done[5] < 60
        assert len(peer.ask("/z/get", "a")) == 2 + 256
        for _ in range(8):
            peer.send("/z/invert", "b", "horn.wav", 60, 1.0)
        assert "wait already" in str(peer.until("/fail")[2])
        peer.close()
