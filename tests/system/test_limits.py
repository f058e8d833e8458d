"""Every bound of the wire, at the real server."""

import struct
import time

import numpy as np
import pytest

from gansynth_server.instrument.instrument import MAX_UNHEARD
from gansynth_server.osc.codec import encode, encode_bundle
from gansynth_server.server.receiver import MAX_UNPULLED
from tests.support.client import Client
from tests.support.hostile import WORST, message
from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def server():
    with ServerProcess("--output", "none", "--rate-limit", "2000") as process:
        yield process
        assert process.process.poll() is None, process.errors


def metrics(peer):
    reply = peer.ask("/metrics")
    assert reply[0] == "/metrics.reply"
    return dict(zip(reply[1::2], reply[2::2], strict=True))


def settle(peer, name="datagrams_total"):
    """Metrics once nothing more is taken in."""
    before = metrics(peer)
    while True:
        time.sleep(0.2)
        after = metrics(peer)
        if after[name] - before[name] <= 1:
            return after
        before = after


def test_ten_thousand_bad_datagrams_are_a_handful_of_lines_and_a_count(server):
    flooder, watcher = Client(server.port), Client(server.port)
    before, lines, begun = metrics(watcher), len(server.errors), time.monotonic()
    for n in range(10_000):
        flooder.socket.send(b"/bad" + struct.pack(">I", n)[:3])
        if n % 50 == 0:
            assert watcher.ask("/status")[0] == "/status.reply"
    after = settle(watcher)
    seconds = time.monotonic() - begun
    counted = sum(after[k] - before[k] for k in ("bad_total", "limited_total", "lost_total"))
    assert counted > 5000  # the rest never reached the socket
    assert after["bad_total"] > before["bad_total"]
    replies = 0
    try:
        while flooder.receive(0.3)[0] == "/fail":
            replies += 1
    except TimeoutError:
        pass
    assert 1 <= replies <= seconds + 2
    assert len(server.errors) - lines <= 5 * (seconds + 1)
    flooder.close()
    watcher.close()


def test_one_who_sends_too_much_is_limited_and_the_others_are_not(server):
    flooder, other = Client(server.port), Client(server.port)
    asked = encode("/z/get", "z")
    for n in range(12_000):
        flooder.socket.send(asked)  # well over 2000 a second, on slow machines too
        if n % 100 == 0:
            assert other.ask("/version")[1] == "gansynth-server"
    assert metrics(other)["limited_total"] > 0
    fails = set()
    try:
        while True:
            reply = flooder.receive(0.3)
            if reply[0] == "/fail":
                fails.add(str(reply[2]))
    except TimeoutError:
        pass
    assert fails and all("--rate-limit" in why for why in fails)
    flooder.close()
    other.close()


NAN = float("nan")
NEXT = [
    *WORST.values(),
    message(b"/" + b"*" * 42 + b"x", b""),
    message(b"/" + b"{a,*}*" * 40 + b"x", b""),
    message(b"/*/*", b""),
    encode_bundle(None, *[message(b"/" + b"*?" * 20 + b"%d" % n, b"") for n in range(900)]),
    encode("/note", NAN, 100.0),
    encode("/z/set", "z", np.full(256, np.inf, np.float32)),
    encode_bundle(2_085_000_000, encode("/note", 60, 100)),
    encode_bundle(-(2**30), encode("/note", 60, 0)),
    encode("/z/set", "z", bytes(64000)),
    encode("/z/set", *["x" * 64000]),
    encode("/tuning", "scl", "x" * 32768),
    encode("/fail", "/fail", "from another server"),
    b"",
    b"\0" * 65000,
]


@pytest.mark.parametrize("number", range(len(NEXT)))
def test_whatever_comes_the_next_status_is_answered(server, number):
    sender, other = Client(server.port), Client(server.port)
    other.ask("/status")
    sender.socket.send(NEXT[number])
    begun = time.perf_counter()
    reply = other.ask("/status")
    assert reply[0] == "/status.reply", (reply, server.errors[-5:])
    print(f"/status after {NEXT[number][:24]!r}: {1000 * (time.perf_counter() - begun):.1f} ms")
    sender.send("/allsoundoff")
    sender.close()
    other.close()


def test_two_servers_do_not_answer_each_others_failures_for_ever(server):
    peer = Client(server.port)
    for _ in range(5):
        peer.send("/fail", "/note", "no such slot")
    assert peer.ask("/version")[0] == "/version.reply"
    peer.close()


def test_notes_that_nobody_pulls_are_bounded():
    with ServerProcess("--output", "none", "--max-voices", "2") as process:
        peer = Client(process.port)
        peer.ask("/stream/open", 48000, 512, 4)
        for n in range(9):
            peer.send("/note", 60, 100, n)
        assert "DSP" in str(peer.until("/fail")[2])  # the ninth
        peer.send("/allsoundoff")
        peer.ask("/stream/close")
        peer.send("/note", 60, 100, 9)  # is heard on the server's output
        peer.send("/sync", 1)
        assert peer.until("/synced") == ("/synced", 1)
        peer.close()


def test_commands_that_nobody_pulls_are_bounded():
    with ServerProcess("--output", "none", "--rate-limit", "0") as process:
        peer = Client(process.port)
        peer.ask("/stream/open", 48000, 512, 4)
        for n in range(MAX_UNHEARD):
            peer.send("/note", 60, 100, n)
        posted, refused = 0, False
        while not refused and posted < 2 * MAX_UNPULLED:
            for n in range(20):
                peer.send("/note/bend", "all", n % 2)
            posted += 20 * MAX_UNHEARD
            peer.send("/sync", posted)
            while (reply := peer.receive())[0] != "/synced" and not refused:
                refused = "nobody pulls" in str(reply)
        assert refused and posted > 0.9 * MAX_UNPULLED
        peer.send("/stream/close")
        assert peer.until("/done") == ("/done", "/stream/close")
        peer.send("/sync", -1)
        while peer.until("/synced") != ("/synced", -1):
            pass
        peer.close()
