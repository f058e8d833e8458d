"""Tunings over OSC."""

import numpy as np
import pytest

from tests.support.client import Client
from tests.support.puller import Puller
from tests.support.scales import ALPHA, MAJOR


def test_the_messages(peer, server):
    assert peer.ask("/tuning") == ("/tuning.reply", "12tet", 12, 440.0)
    assert peer.ask("/tuning", "a4", 442) == ("/tuning.reply", "12tet", 12, 442.0)
    assert peer.ask("/tuning", "scl", ALPHA)[1:3] == ("Wendy Carlos' Alpha scale", 1)
    assert peer.ask("/tuning", "file", "pyth.scl")[1] == "12-tone Pythagorean scale"
    assert peer.ask("/tuning", "file", "latin.scl")[1:3] == ("für Elise", 1)
    other = Client(server.port)
    assert other.ask("/tuning", "info")[1] == "12tet"  # each client has its own
    other.close()
    assert peer.ask("/tuning", "12tet") == ("/tuning.reply", "12tet", 12, 440.0)


def test_a_silent_key_fails_once_and_the_others_play(peer):
    peer.ask("/notify", 1)
    assert peer.ask("/tuning", "scl", MAJOR)[1] == "major"
    assert peer.ask("/tuning", "file", "white.KBM")[1] == "major"
    fail = peer.ask("/note", 61, 100)
    assert fail[:2] == ("/fail", "/note") and "key 61 is silent" in fail[2]
    peer.send("/note", 62, 100)
    assert peer.until("/note/start") == ("/note/start", 62)  # its id is the key
    peer.send("/note", 61, 0)  # releases nothing, and needs no pitch to do so
    peer.send("/note", 62, 0)
    assert peer.receive() == ("/note/end", 62)


@pytest.mark.parametrize(
    "args",
    [
        ("loud",),
        ("12tet", 3),
        ("a4",),
        ("a4", "high"),
        ("a4", 20),
        ("scl",),
        ("scl", 12),
        ("scl", "nonsense"),
        ("kbm", "nonsense"),
        ("file", "missing.scl"),
        ("file", "../pyth.scl"),
        ("file", "notes.txt"),
        ("file",),
    ],
)
def test_what_cannot_be_fails_and_changes_nothing(peer, args):
    before = peer.ask("/tuning")
    assert peer.ask("/tuning", *args)[:2] == ("/fail", "/tuning")
    assert peer.ask("/tuning") == before


def test_a_tuned_key_sounds_as_its_frequency_does(server):
    def sound(tuning, *message):
        with Puller(server.port) as puller:
            assert puller.ask("/tuning", *tuning)[0] == "/tuning.reply"
            puller.send("/z/random", "z", 7)
            puller.send(*message)
            puller.sync()
            return puller.listen(40)

    tuned = sound(("file", "pyth.scl"), "/note", 64, 100)
    named = sound(("file", "pyth.scl"), "/note/hz", 261.6255653 * 81 / 64, 100)
    plain = sound(("12tet",), "/note", 64, 100)
    assert np.abs(plain).max() > 0.01
    assert tuned == pytest.approx(named, abs=2e-3)
    assert np.abs(tuned - plain).max() > 0.01
