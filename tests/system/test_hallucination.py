"""Hallucinations over OSC: heard, stopped, saved and played again."""

import json
import time

import numpy as np
import pytest

import gansynth_server as gs
from gansynth_server.instrument.hallucination import SLOT
from gansynth_server.latent import sequence as sequences
from tests.support.bundled import prior

pytestmark = pytest.mark.usefixtures("no_complaints")


@pytest.fixture
def peer(peer):
    assert peer.ask("/notify", 1)[:2] == ("/done", "/notify")
    return peer


def heard(peer):
    """Numbers of the notes that began and ended until the hallucination is over."""
    told = {"/note/start": [], "/note/end": [], "/late": [], "/done": []}  # late where others work
    while not told["/done"] or len(told["/note/end"]) < len(told["/note/start"]):
        address, what = peer.receive()[:2]
        told[address].append(what)
    assert told["/done"] == ["/hallucinate"]
    return [[int(id.split()[-1]) for id in told[a]] for a in ("/note/start", "/note/end")]


def test_it_sounds_while_it_is_rendered_and_tells_when_it_is_over(peer):
    begun = time.monotonic()
    reply = peer.ask("/hallucinate", 3, 2, 0.25, 0, 0.05, 0.1, 0.1, 7)
    assert reply[:2] == ("/hallucinate.reply", 7) and np.isclose(reply[2], 6 * 0.25 + 0.25)
    started, ended = heard(peer)
    assert started == sorted(ended) == list(range(7))
    assert time.monotonic() - begun >= 6 * 0.25
    keys = sequences.random_keys(3, prior(), 7)
    peer.send("/z/get", SLOT)
    assert np.array_equal(np.float32(peer.until("/z")[2:]), keys[-1])


@pytest.mark.parametrize(
    "by", ["/hallucinate/stop", "/allsoundoff", "/allnotesoff", "/hallucinate"]
)
def test_it_can_be_stopped(peer, by):
    peer.ask("/hallucinate", 64, 64, 0.2, 0, 0.1, 1.0, 0.2)
    for number in range(3):
        assert peer.until("/note/start")[1].endswith(f" {number}")
    peer.send(by, *([1, 0, 1, 0, 0.1, 0.1, 0.1] if by == "/hallucinate" else []))
    peer.until("/done")
    while True:  # all is silent
        peer.send("/status")
        if peer.until("/status.reply")[1:3] == (0, 0):
            break
        time.sleep(0.05)


def test_a_sequence_is_saved_edited_and_played_along_a_melody(peer, root):
    assert peer.ask("/hallucinate/play")[0] == "/fail"
    peer.send("/hallucinate/melody", 60, 67.5)
    peer.send("/hallucinate", 2, 1, 0.1, 0, 0.05, 0.05, 0.05, 7)
    assert heard_after(peer) == 3
    assert peer.ask("/hallucinate/save", "h.json") == ("/done", "/hallucinate/save", "h.json")
    content = json.loads((root / "h.json").read_text())
    assert content["pitches"] == [60, 67.5] and content["steps"] == 1
    content["keys"].append({"preset": "violin"})
    (root / "h.json").write_text(json.dumps(content))
    reply = peer.ask("/hallucinate/load", "h.json")
    assert reply[:4] == ("/done", "/hallucinate/load", "h.json", 5)
    peer.send("/hallucinate/play")
    assert heard_after(peer) == 5
    violin = gs.load("all_instruments").preset("violin")
    peer.send("/z/get", SLOT)
    assert np.allclose(np.float32(peer.until("/z")[2:]), violin)


def heard_after(peer):
    """How many notes were announced, once they have been heard."""
    announced = peer.until("/hallucinate.reply")[1]
    started, _ = heard(peer)
    assert started == list(range(announced))
    return announced


def test_what_cannot_be_is_refused(peer):
    for address, *args in (
        ("/hallucinate", 65),
        ("/hallucinate", 5, 5, 0.01),
        ("/hallucinate", 5, 5, 1, 1, 1, 2, 1),
        ("/hallucinate", 5, 5, 1, 0, 0, 0, 0),
        ("/hallucinate/melody", 60, 128),
        ("/hallucinate/save", "../h.json"),
        ("/hallucinate/save", "h.wav"),
        ("/hallucinate/load", "missing.json"),
    ):
        assert peer.ask(address, *args)[:2] == ("/fail", address), (address, args)
    assert peer.ask("/hallucinate/stop") == ("/done", "/hallucinate/stop")
