"""What people's programs send, at the real server: what is right is played, what fails is seen."""

from __future__ import annotations

import contextlib
import socket
import struct
import time

import pytest

from gansynth_server.net.osc_framing import SizeFraming, SlipFraming
from gansynth_server.osc.codec import decode as decoded
from gansynth_server.osc.codec import encode, encode_bundle
from tests.support.client import Client, bundle, time_tag
from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def server():
    with ServerProcess("--output", "none", "--tcp", "0") as process:
        yield process
        assert process.process.poll() is None, process.errors
        assert not any("Traceback" in line for line in process.errors), process.errors


@pytest.fixture
def client(server):
    with Client(server.port) as client:
        client.ask("/notify", 1)
        yield client
        client.send("/allsoundoff")


def status(client: Client) -> tuple:
    client.sync()
    return client.status()


def starts(client: Client, *words: object) -> object:
    """The id of the note that a message begins."""
    client.send(*words)
    return started(client)


def started(client: Client) -> object:
    while True:
        address, *args = client.receive(5)
        if address == "/note/start":
            return args[0]
        assert address != "/fail", args


def seen(server: ServerProcess, words: str, seconds: float = 3.0) -> list[str]:
    """The lines on the terminal that have some words."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := [line for line in server.errors if words in line]:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{words!r} is not among {server.errors}")


def test_the_ready_line_names_addresses_and_rate(server):
    ready = server.lines[-1]
    assert f"port {server.port} on 127.0.0.1" in ready
    assert "TCP port " in ready and "rate 48000 Hz" in ready


def test_a_failure_is_seen_on_the_terminal(server, client):
    for pitch in (200, 201, 202):
        assert client.ask("/note", pitch, 100)[0] == "/fail"
    (line,) = seen(server, "pitch must be 0 to 127, not 200")
    port = client.socket.getsockname()[1]
    assert f"127.0.0.1:{port} /note: " in line
    with Client(server.port) as other:
        other.ask("/note", 200, 100)
        time.sleep(0.3)
    assert len(seen(server, "pitch must be 0 to 127")) == 2


def test_failures_are_counted(client):
    before = dict(zip(*[iter(client.ask("/metrics")[1:])] * 2, strict=True))
    failures = client.ask("/status")[9]
    for _ in range(5):
        client.ask("/nowhere")
    after = dict(zip(*[iter(client.ask("/metrics")[1:])] * 2, strict=True))
    assert after["failed_total"] - before["failed_total"] == 5
    assert client.ask("/status")[9] - failures == 5


def test_a_button_that_silences(client):
    starts(client, "/note", 60, 100)
    client.send("/allsoundoff", 0.0)  # it is let go first
    assert status(client)[1] >= 1
    client.send("/allsoundoff", 1.0)
    while client.receive(5) != ("/note/end", 60):
        pass
    client.send("/allsoundoff", 0.0)
    assert client.ask("/sync", 7) == ("/synced", 7)


def test_ids_as_words_end_notes(client):
    assert starts(client, "/note", 60, 100) == 60
    client.send("/note/off", "60")
    while client.receive(5) != ("/note/end", 60):
        pass


def test_random_by_a_button_fills_z(client):
    before = client.ask("/z/get", "z")
    client.send("/z/random", 0.0)
    assert client.ask("/z/get", "z") == before
    client.send("/z/random", 1.0)
    assert client.ask("/z/get", "z") != before
    assert client.ask("/z/get", "1")[0] == "/fail"


def test_one_bad_message_in_a_bundle(client):
    bad = b"/b\0\0,x\0\0" + bytes(4)
    client.socket.send(encode_bundle(None, encode("/note", 62, 100), bad, encode("/sync", 3)))
    replies = [client.receive(5) for _ in range(3)]
    assert ("/synced", 3) in replies and ("/note/start", 62) in replies
    ((_, address, why),) = [reply for reply in replies if reply[0] == "/fail"]
    assert address == "/b" and "'x' is not supported" in why


def test_zeros_behind_the_end(client):
    client.socket.send(encode("/sync", 5) + bytes(8))
    assert client.receive(5) == ("/synced", 5)


def test_values_in_the_address(server, client):
    reply = client.ask("/note 60 100")
    assert reply[0] == "/fail" and "values go behind the address" in reply[2]
    assert "did you mean /note?" in client.ask("/Note", 60, 100)[2]
    seen(server, "did you mean /note?")


@pytest.mark.parametrize(
    "pairs",
    [
        *[("gain", -0.5), ("velocity", 130), ("midinote", 140), ("note", 130), ("octave", 12)],
        *[("speed", 100), ("cut", 0.5), ("orbit", -1), ("pan", 1.5), ("pan", -3.0)],
    ],
)
def test_a_patterns_values_out_of_range_are_played(server, client, pairs):
    def warnings() -> list[str]:
        """What is said before the note begins."""
        client.send("/play2", "s", "violin", "sustain", 0.1, *pairs)
        said = []
        while (reply := client.receive(5))[0] != "/note/start":
            assert reply[0] in ("/warning", "/note/end"), reply
            said += [reply[2] for reply in [reply] if reply[0] == "/warning"]
        return said

    told = f"{pairs[0]} {pairs[1]} is out of range"
    assert sum(told in said for said in warnings()) == (pairs != ("octave", 12))
    if pairs != ("octave", 12):
        seen(server, f"/dirt/play: {told}")
    assert not any(told in said for said in warnings())  # it is said once


def test_a_negative_sustain_is_a_short_note(client):
    starts(client, "/dirt/play", "s", "violin", "sustain", -1.0)
    assert client.receive(5)[0] in ("/note/end", "/warning")


def test_a_clock_that_is_ahead_is_told(server, client):
    client.socket.send(bundle(time_tag(time.time() + 30), ("/note", 60, 100), ("/note", 64, 100)))
    address, seconds, word = client.receive(5)
    assert (address, word) == ("/late", "ahead") and seconds == pytest.approx(30, abs=1)
    seen(server, "s ahead, until then it waits")
    assert status(client)[1] == 0
    client.send("/clearSched")
    client.socket.send(bundle(time_tag(time.time() + 1), ("/note", 65, 100)))  # is no such clock
    assert started(client) == 65


@pytest.mark.parametrize("count", [1000, 5000])
def test_a_burst_of_small_messages(server, count):
    """All are taken, or the client is told how many were not."""
    with Client(server.port) as client:
        client.ask("/version")
        time.sleep(0.2)  # until what other clients sent as they left is handled
        before = dict(zip(*[iter(client.ask("/metrics")[1:])] * 2, strict=True))
        for _ in range(count):
            client.socket.send(encode("/hold", 0))
        lost = 0
        with contextlib.suppress(TimeoutError):
            while (reply := client.receive(1.0))[0] == "/fail":
                assert "messages were lost" in reply[2]
                lost += int(reply[2].split()[0])
        after = dict(zip(*[iter(client.ask("/metrics")[1:])] * 2, strict=True))
        handled = after["handled_total"] - before["handled_total"] - 1
        print(f"{handled:g} of {count} handled, {lost} told as lost")
        assert handled + lost == count


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        return True
    return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_localhost_may_be_ipv6(server):
    assert "on 127.0.0.1 and ::1" in server.lines[-1]
    with Client(server.port, "::1") as client:
        assert client.ask("/notify", 1)[0] == "/done"
        assert starts(client, "/note", 60, 100) == 60
        client.send("/allsoundoff")


def test_replies_to_another_port(server, client):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(5)
        port = listening.getsockname()[1]
        client.send("/reply/to", port)
        ((_, message),) = decoded(listening.recv(4096))
        assert (message.address, message.args) == ("/done", ("/reply/to", port))
        client.send("/note", 67, 100)
        ((_, message),) = decoded(listening.recv(4096))
        assert (message.address, message.args) == ("/note/start", (67,))
        client.send("/reply/to", 0)
        assert client.receive(5)[:2] == ("/done", "/reply/to")
    assert client.ask("/reply/to", 70000)[0] == "/fail"


@pytest.mark.parametrize("kind", [SizeFraming, SlipFraming])
def test_osc_over_tcp(server, kind):
    port = int(server.lines[-1].partition("TCP port ")[2].split(",")[0])
    framing = kind()

    def replies(sock: socket.socket, count: int) -> list[tuple]:
        found: list[tuple] = []
        while len(found) < count:
            for packet in framing.feed(sock.recv(65536)):
                found += [(m.address, *m.args) for _, m in decoded(packet)]
        return found

    with Client(server.port) as watcher:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(kind().frame(encode("/notify", 1)) + kind().frame(encode("/note", 60, 99)))
            assert [reply[0] for reply in replies(sock, 2)] == ["/done", "/note/start"]
            sock.sendall(kind().frame(encode("/z/random", "big")) * 1)
            sock.sendall(kind().frame(encode("/z/get", "big")))
            ((address, slot, *latent),) = replies(sock, 1)
            assert (address, slot, len(latent)) == ("/z", "big", 256)
            sock.sendall(kind().frame(encode("/reply/to", 9)))
            assert replies(sock, 1)[0][0] == "/fail"
            assert watcher.ask("/status")[1] >= 1
        end = time.monotonic() + 5
        while watcher.ask("/status")[1] and time.monotonic() < end:
            time.sleep(0.05)
        assert watcher.ask("/status")[1] == 0  # what it played ended with it


def test_true_false_and_nothing_by_the_wire(client):
    client.socket.send(b"/hold\0\0\0,T\0\0")
    client.socket.send(b"/note\0\0\0,ffN\0\0\0\0" + struct.pack(">ff", 64, 100))
    assert started(client) == 64
    client.socket.send(b"/hold\0\0\0,F\0\0")
    client.socket.send(b"/status\0,I\0\0")
    while client.receive(5)[0] != "/status.reply":
        pass
