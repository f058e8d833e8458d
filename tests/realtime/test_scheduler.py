"""Time tags: messages take effect at their time, late ones are told, and nothing is held up."""

import time

import numpy as np
import pytest

import gansynth_server as gs
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.note import Note
from tests.support.bundled import draw
from tests.support.client import Client, bundle
from tests.support.puller import RATE, Puller
from tests.support.server import ServerProcess
from tests.support.sounds import onsets


def a_note(pitch: int, seed: int, held: float, frames: int) -> np.ndarray:
    model = gs.load("all_instruments")
    bus = Bus(RATE, 1)
    spectrum = model.backend.render(draw(seed)[None], np.array([pitch - model.pitches[0]]))[0]
    note = Note(None, 0, pitch, 100, pitch, spectrum=spectrum)
    bus.start(note, 0.0)
    bus.release(note, held)
    return bus.render(frames)[0]


@pytest.mark.real_time
def test_notes_land_on_their_samples(server, peer):
    with Puller(server.port) as listener, listener.in_real_time():
        assert peer.ask("/stream/join", listener.stream) == (
            "/done",
            "/stream/join",
            listener.stream,
        )
        peer.ask("/notify", 1)
        peer.send("/z/random", "z", 5)
        peer.send("/synthesize", "warm", 60)
        peer.until("/synthesized")
        time.sleep(2)  # the link is found
        begin, step = time.time() + 0.4, 0.11
        order = np.random.default_rng(1).permutation(40)  # as they come, not as they sound
        for n in order:
            when = begin + n * step
            peer.send_at(when, ("/note", 60, 100, int(n)))
            peer.send_at(when + 0.05, ("/note/off", int(n)))
        ended = set()
        while len(ended) < 40:
            reply = peer.receive()
            assert reply[0] != "/late", reply
            if reply[0] == "/note/end":
                ended.add(reply[1])
        time.sleep(0.2)
        sound = listener.sound
    note = a_note(60, 5, 0.05, 20000)
    # the first is found by its first sound, the others at their distances from it
    first, begins = (int(np.flatnonzero(np.abs(part) > 1e-7)[0]) for part in (sound, note))
    first -= begins
    expected = first + np.round(np.arange(40) * step * RATE).astype(int)
    found = onsets(sound, note, expected)
    assert np.abs(found - found[0] - np.arange(40) * step * RATE).max() <= 1


@pytest.mark.real_time
def test_silence_comes_at_its_time_and_spares_what_comes_later(server, peer):
    with Puller(server.port) as listener, listener.in_real_time():
        peer.ask("/stream/join", listener.stream)
        peer.send("/z/random", "z", 5)
        peer.send("/synthesize", "warm", 60)
        peer.until("/synthesized")
        time.sleep(1.5)
        begin = time.time() + 0.5
        peer.send_at(begin + 0.2, ("/note", 60, 100, "later"))
        peer.send_at(begin + 0.1, ("/allsoundoff",))
        peer.send_at(begin, ("/note", 60, 100, "first"))
        time.sleep(1.2)
        sound = listener.sound
    start = int(np.flatnonzero(np.abs(sound) > 1e-7)[0])
    note = a_note(60, 5, 9.0, RATE)
    begins = start - int(np.flatnonzero(np.abs(note) > 1e-7)[0])
    first = sound[begins:][:4800]
    assert np.abs(first - note[:4800]).max() < 1e-5  # as loud as ever until 0.1 s
    gap = sound[begins + 4800 + 320 + 72 : begins + 9600]
    assert not gap.any()  # 5 ms later, and the limiter's delay
    later = sound[begins + 9600 :][: RATE // 4]
    assert np.abs(later - note[: RATE // 4]).max() < 1e-5


def test_late_is_told_to_who_wants_to_know(server, peer):
    quiet = Client(server.port)
    quiet.send_at(time.time() - 3, ("/note", 60, 100), ("/sync", 1))
    assert quiet.receive() == ("/synced", 1)
    peer.ask("/notify", 1)
    peer.send_at(time.time() - 3, ("/note", 60, 100), ("/note", 64, 100), ("/sync", 2))
    replies = [peer.receive() for _ in range(4)]
    late = [reply for reply in replies if reply[0] == "/late"]
    assert len(late) == 1 and 2.9 < late[0][1] < 4
    assert {("/note/start", 60), ("/note/start", 64), ("/synced", 2)} < set(replies)
    peer.send("/allsoundoff")
    quiet.close()


def test_late_is_told_where_it_was_too_soon_for_the_network(peer):
    peer.ask("/notify", 1)
    peer.send("/z/random", "z", 99)
    peer.send("/sync", 3)
    peer.until("/synced")
    for pitch in range(30, 45):
        # a block of this output takes 21 ms: somewhere in it every third one comes too soon
        peer.send_at(time.time() + 0.002, ("/note", pitch, 100))
        time.sleep(0.007)
    assert peer.until("/late")[1] < 2


def test_now_is_not_late(peer):
    peer.ask("/notify", 1)
    peer.socket.send(bundle(0, ("/sync", 4)))
    peer.socket.send(bundle(1, ("/sync", 5)))
    assert [peer.receive(), peer.receive()] == [("/synced", 4), ("/synced", 5)]


def test_clear_sched(peer):
    peer.ask("/notify", 1)
    begin = time.time()
    peer.send_at(begin + 1.0, ("/sync", 6))
    peer.send_at(begin + 0.5, ("/clearSched",))
    peer.send_at(begin + 0.9, ("/sync", 7))
    with pytest.raises(TimeoutError):
        peer.receive(1.5)


def test_too_far_and_too_many(server, peer):
    peer.send_at(time.time() + 100, ("/note", 60, 100), ("/note", 61, 100))
    fail = peer.receive()
    assert fail[:2] == ("/fail", "/note") and "60 s" in fail[2]
    with pytest.raises(TimeoutError):
        peer.receive(0.3)  # one for the whole packet


def test_a_flood_holds_nobody_up(server):
    flooder, other = Client(server.port), Client(server.port)
    id = other.ask("/stream/open", 48000, 64, 4)[2]
    soon, later = time.time() + 0.3, time.time() + 30
    for n in range(10):
        flooder.send_at(soon, *[("/z/random", "a", k) for k in range(1000)])
        flooder.socket.send(bundle(1, *[("/z/random", "b", k) for k in range(1000)]))
        flooder.send_at(later, *[("/note", 60, 100)] * 1000)
        other.send("/stream/pull", float(n), float(id))
    waits = []
    for n in range(10, 200):
        begun = time.monotonic()
        assert other.ask("/stream/pull", float(n), float(id))[0] in ("/b",)
        waits.append(time.monotonic() - begun)
    print(f"pull: median {np.median(waits) * 1e3:.1f}, worst {max(waits) * 1e3:.1f} ms")
    assert other.until("/b")[0] == "/b"
    fails = set()
    try:
        while True:
            reply = flooder.receive(0.5)
            fails.add(reply[2])
    except TimeoutError:
        pass
    assert fails and all("too many messages" in why for why in fails)
    flooder.send("/clearSched")
    flooder.send("/sync", 8)
    assert flooder.until("/synced") == ("/synced", 8)
    flooder.close()
    other.close()


def test_discard_late():
    with ServerProcess("--output", "none", "--discard-late") as process:
        peer = Client(process.port)
        peer.ask("/notify", 1)
        peer.send_at(time.time() - 1, ("/sync", 1), ("/note", 60, 100))
        assert peer.receive()[0] == "/late"
        peer.send("/sync", 2)
        assert peer.receive() == ("/synced", 2)
        peer.close()
