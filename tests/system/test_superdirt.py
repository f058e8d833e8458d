"""Notes as pairs, by real senders of them."""

import shutil
import subprocess
import time

import numpy as np
import pytest
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

import gansynth_server as gs
from tests.support.client import Client
from tests.support.packages import missing
from tests.support.puller import Puller
from tests.support.server import ServerProcess


@pytest.fixture
def peer(peer):
    peer.ask("/notify", 1)
    return peer


def bundle(*pairs, when=IMMEDIATELY):
    """/dirt/play in a bundle, as python-osc makes it: int → i, float → f, str → s."""
    message = OscMessageBuilder("/dirt/play")
    for value in pairs:
        message.add_arg(value)
    around = OscBundleBuilder(when)
    around.add_content(message.build())
    return around.build().dgram


# as the sources and logs of the three show them
TIDAL = ("cps", 0.5625, "cycle", 503.5, "delta", 0.3, "orbit", 0, "s", "violin", "speed", 1.0)
TIDAL_OLD = ("_id_", "1", *TIDAL)
SARDINE = ("cps", 0.1, "cycle", 12, "legato", 0.3, "delta", 1.0, "orbit", 0, "sound", "violin")
STRUDEL = (
    *("cps", 0.5, "cycle", 3, "delta", 0.3, "note", "c3", "s", "violin"),
    *("clip", 1, "midinote", 48),
)


@pytest.mark.parametrize("pairs", [TIDAL, TIDAL_OLD, SARDINE, STRUDEL])
@pytest.mark.parametrize("ahead", [None, 0.1])
def test_a_note_begins_and_ends_by_itself(peer, pairs, ahead):
    when = IMMEDIATELY if ahead is None else time.time() + ahead
    peer.socket.send(bundle(*pairs, when=when))
    address, id = peer.receive()
    assert address == "/note/start" and str(id).startswith("play ")
    assert peer.receive() == ("/note/end", id)


def test_notes_of_a_pattern_do_not_end_each_other(peer):
    for _ in range(3):
        peer.socket.send(bundle(*TIDAL))
    replies = [peer.receive() for _ in range(6)]
    started = {id for address, id in replies if address == "/note/start"}
    assert len(started) == 3
    assert {id for address, id in replies if address == "/note/end"} == started


def test_an_id_of_ones_own_and_no_end(peer):
    peer.send("/play", "s", "drawbar_organ", "note", 0, "id", 5)
    assert peer.receive() == ("/note/start", 5)
    peer.send("/note/off", 5)
    assert peer.receive() == ("/note/end", 5)


def test_a_note_can_be_ended_before_its_time(peer):
    peer.send("/play", "s", "drawbar_organ", "id", 6, "sustain", 60)
    assert peer.receive() == ("/note/start", 6)
    peer.send("/note/gain", 6, 0.5)  # it is there for all messages about notes
    peer.send("/note/off", 6)
    assert peer.receive() == ("/note/end", 6)


def test_the_pedal_does_not_hold_what_ends_by_itself(peer):
    peer.send("/pedal", 1)
    peer.socket.send(bundle(*TIDAL))
    assert peer.receive()[0] == "/note/start"
    assert peer.receive()[0] == "/note/end"


def test_a_note_cuts_the_one_before_it(peer):
    for orbit, id in ((0, 1), (1, 2), (0, 3)):
        peer.send("/play", "s", "drawbar_organ", "id", id, "cut", 1, "orbit", orbit, "sustain", 60)
        assert peer.until("/note/start") == ("/note/start", id)
    assert peer.receive() == ("/note/end", 1)  # of the same orbit, and 2 sounds on
    peer.send("/allsoundoff")
    assert {peer.receive(), peer.receive()} == {("/note/end", 2), ("/note/end", 3)}


def test_a_bad_event_fails_once(peer):
    for pairs, word in (
        (("s", "bd"), "bd"),
        (("s", "violin", "pan", "far"), "pan"),
        (("s",), "pairs"),
    ):
        peer.socket.send(bundle(*pairs))
        fail = peer.receive()
        assert fail[:2] == ("/fail", "/dirt/play") and word in fail[2]
    assert peer.ask("/version")[0] == "/version.reply"


def test_the_sound_of_an_event_is_that_of_its_preset(server):
    def sound(*messages):
        with Puller(server.port) as puller:
            for message in messages:
                puller.send(*message)
            puller.sync()
            return puller.listen(30)

    by_event = sound(("/play", "note", 4, "s", "violin"))
    by_hand = sound(("/z/preset", "z", "violin"), ("/note", 64, 100))
    assert np.abs(by_hand).max() > 0.01
    assert np.array_equal(by_event, by_hand)
    assert not np.array_equal(sound(("/play", "note", 4, "s", "violin", "n", 1)), by_hand)


def test_a_sounds_slot_holds_it_whatever_was_there(peer):
    violin = gs.load("all_instruments").preset("violin")
    for prepared in (False, True):
        if prepared:
            peer.send("/z/random", "violin:0", 3)
        peer.send("/play", "s", "violin", "sustain", 0.1)
        assert peer.until("/note/end")
        assert np.allclose(peer.ask("/z/get", "violin:0")[2:], violin)


def test_panic(peer):
    peer.send("/play", "s", "drawbar_organ", "id", 1)
    assert peer.receive() == ("/note/start", 1)
    peer.socket.send(bundle("sound", "superpanic"))
    assert peer.receive() == ("/note/end", 1)


def test_tidals_handshake(peer, server):
    reply = peer.ask("/dirt/handshake")
    assert reply[0] == "/dirt/handshake/reply"
    assert reply[1:5] == ("&serverHostname", "127.0.0.1", "&serverPort", server.port)
    # Tidal takes the whole numbers after this word, and asks again until there are some
    assert reply[5] == "&controlBusIndices"
    assert len(reply) > 6 and all(isinstance(number, int) for number in reply[6:])


def test_liblo_plays_it():
    oscsend = shutil.which("oscsend")
    if oscsend is None:
        missing("oscsend", "liblo-tools")
    # one of its own, where nobody else's notes are counted
    with ServerProcess("--output", "none") as server:
        peer = Client(server.port)

        def send(*args):
            subprocess.run([oscsend, "localhost", str(server.port), *args], check=True, timeout=20)

        send("/play", "sssfsf", "s", "drawbar_organ", "note", "4", "sustain", "30")
        send("/note", "ff", "55", "100")
        for _ in range(200):
            if peer.ask("/status")[1] == 2:
                break
            time.sleep(0.01)
        assert peer.ask("/status")[1] == 2
        peer.close()


def test_sclang_plays_it(server, tmp_path):
    sclang = shutil.which("sclang")
    if sclang is None:
        pytest.skip("needs sclang (Debian: apt install supercollider-language)")
    script = tmp_path / "play.scd"
    script.write_text(
        f"""
        var server = NetAddr("127.0.0.1", {server.port}), ended = {{ |why| why.postln; 0.exit }};
        OSCFunc({{ |msg| "started %".format(msg[1]).postln }}, "/note/start");
        OSCFunc({{ |msg| ended.("ended %".format(msg[1])) }}, "/note/end");
        OSCFunc({{ |msg| ended.("failed %".format(msg)) }}, "/fail");
        server.sendMsg("/notify", 1);
        server.sendBundle(0.1, ["/dirt/play", \\s, \\violin, \\note, 4, \\sustain, 0.2, \\id, 7]);
        SystemClock.sched(30, {{ ended.("nothing") }});
        """
    )
    settings = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "QT_QPA_PLATFORM": "offscreen",
        "QTWEBENGINE_DISABLE_SANDBOX": "1",  # it refuses to run as root otherwise
    }
    done = subprocess.run(
        [sclang, str(script)], env=settings, capture_output=True, text=True, timeout=120
    )
    assert "started 7" in done.stdout and "ended 7" in done.stdout, done.stdout
