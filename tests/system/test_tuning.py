"""Tunings over OSC."""

import pytest

from tests.support.server import Peer, ServerProcess

PYTHAGOREAN = """! pyth_12.scl
!
12-tone Pythagorean scale
 12
!
 2187/2048
 9/8
 32/27
 81/64
 4/3
 729/512
 3/2
 6561/4096
 27/16
 16/9
 243/128
 2/1
"""
ALPHA = "! carlos_alpha.scl\n!\nWendy Carlos' Alpha scale\n1\n 77.965\n"
WHITE_KEYS = """! white keys from b3, A = 440
! Size of map. The pattern repeats every so many keys:
12
! First MIDI note number to retune:
0
! Last MIDI note number to retune:
127
! Middle note where the first entry of the mapping is mapped to:
59
! Reference note for which frequency is given:
69
! Frequency to tune the above note to
440.0
! Scale degree to consider as formal octave
7
! Mapping.
0
1
x
2
x
3
4
x
5
x
6
x
"""
MAJOR = "major\n7\n9/8\n5/4\n4/3\n3/2\n5/3\n15/8\n2/1\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    (folder / "pyth.scl").write_text(PYTHAGOREAN)
    (folder / "white.KBM").write_text(WHITE_KEYS)
    (folder / "latin.scl").write_bytes("für Elise\n1\n3/1\n".encode("latin-1"))
    (folder / "notes.txt").write_text("hello")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with ServerProcess("--output", "none", "--root", str(folder)) as process:
        yield process
        assert process.process.poll() is None, process.errors


@pytest.fixture
def peer(server):
    peer = Peer(server.port)
    yield peer
    peer.send("/allsoundoff")
    peer.close()


def test_the_messages(peer, server):
    assert peer.ask("/tuning") == ("/tuning.reply", "12tet", 12, 440.0)
    assert peer.ask("/tuning", "a4", 442) == ("/tuning.reply", "12tet", 12, 442.0)
    assert peer.ask("/tuning", "scl", ALPHA)[1:3] == ("Wendy Carlos' Alpha scale", 1)
    assert peer.ask("/tuning", "file", "pyth.scl")[1] == "12-tone Pythagorean scale"
    assert peer.ask("/tuning", "file", "latin.scl")[1:3] == ("für Elise", 1)
    other = Peer(server.port)
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


def stream_of(peer, *message):
    """The sound of a message in a stream of its own."""
    id = peer.ask("/stream/open", 48000, 512, 4)[2]
    peer.send("/z/random", "z", 7)
    peer.send(*message)
    peer.send("/sync", 1)
    peer.until("/synced")
    blocks = [peer.ask("/stream/pull", k, id)[3:] for k in range(40)]
    peer.ask("/stream/close")
    return [sample for block in blocks for sample in block]


def test_a_tuned_key_sounds_as_its_frequency_does(peer):
    peer.ask("/tuning", "file", "pyth.scl")
    tuned = stream_of(peer, "/note", 64, 100)
    named = stream_of(peer, "/note/hz", 261.6255653 * 81 / 64, 100)
    peer.ask("/tuning", "12tet")
    plain = stream_of(peer, "/note", 64, 100)
    assert max(map(abs, plain)) > 0.01
    assert tuned == pytest.approx(named, abs=2e-3)
    assert max(abs(a - b) for a, b in zip(tuned, plain, strict=True)) > 0.01
