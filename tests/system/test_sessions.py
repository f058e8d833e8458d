"""Sessions at the real server: kept, begun with, and time in beats."""

import json
import time

import pytest

from tests.support.client import Client
from tests.support.server import ServerProcess


def test_a_session_is_kept_and_begun_with(tmp_path):
    flags = ("--output", "none", "--root", str(tmp_path))
    with ServerProcess(*flags) as server, Client(server.port) as client:
        client.send("/checkpoint/load", "acoustic_only")
        assert client.until("/done")[1] == "/checkpoint/load"
        client.send("/z/preset", "z", "flute")
        client.send("/z/random", "pad", 5)
        client.send("/tempo", 90)
        client.send("/stream/open", 48000, 512, 4)
        client.until("/done")
        client.send("/session/save", "mine.json")
        assert client.until("/done") == ("/done", "/session/save", "mine.json", 2)
        latent = client.ask("/z/get", "pad")
        client.send("/session/load", "mine.json")
        assert client.until("/done") == ("/done", "/session/load", "mine.json", 2)
        assert client.until("/session/stream") == ("/session/stream", 48000, 512, 4, 1)
        client.send("/z/random", "pad", 6)
        assert client.ask("/undo") == ("/done", "/undo", "pad")
        assert client.ask("/z/get", "pad") == latent
        assert client.ask("/redo") == ("/done", "/redo", "pad")
        assert client.ask("/z/get", "pad") != latent
    assert json.loads((tmp_path / "mine.json").read_text())["checkpoint"] == "acoustic_only"
    with ServerProcess(*flags, "--session", str(tmp_path / "mine.json")) as server:
        assert "checkpoint acoustic_only" in server.lines[-1]
        for _ in range(2):  # each client begins so
            with Client(server.port) as client:
                assert client.ask("/z/get", "pad") == latent
                assert client.ask("/tempo")[1] == 90
                assert "preset flute" in client.ask("/z/list")
                assert client.ask("/undo")[0] == "/fail"


@pytest.mark.parametrize("beats", [1, 2])
def test_a_message_at_a_beat(server, beats):
    with Client(server.port) as client:
        client.ask("/notify", 1)
        client.send("/tempo", 120, 0)
        client.until("/tempo.reply")
        begun = time.monotonic()
        client.send("/at", beats, "/note", 60, 100)
        client.until("/note/start")
        assert time.monotonic() - begun == pytest.approx(beats / 2, abs=0.25)
        client.send("/at", 1000, "/note", 62, 100)
        assert "s ahead" in client.until("/fail")[2]


def test_a_controller_is_learned_only_for_targets_that_there_are(server):
    with Client(server.port) as client:
        assert "one of gain" in client.ask("/midi/learn", "louder")[2]
        client.send("/midi/learn", "brightness", 6)
        assert client.ask("/midi/learn", "none") == ("/done", "/midi/learn", -1, "none")
