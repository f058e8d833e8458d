"""Who may come in, how much they are told, and when they are forgotten: real sockets throughout.

127.0.0.2 and its neighbours are this machine too, but a server that listens on
all addresses takes only 127.0.0.1 for it, so they do for foreign machines.
"""

import http.client
import random
import re
import sys
import time

import numpy as np
import pytest

from gansynth_server.net.sessions import FACTOR
from gansynth_server.osc.codec import encode
from gansynth_server.osc.table import TABLE
from tests.support.client import Client
from tests.support.server import ServerProcess, run_server

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs 127.0.0.2")
PASSWORD = "correct horse battery"


class Foreigner(Client):
    """A peer at another address of this machine, which counts the bytes of both ways."""

    def __init__(self, port: int, source: str) -> None:
        super().__init__(port, source=source)

    def exchange(self, datagram: bytes, seconds: float = 0.05) -> int:
        """Sends a datagram and returns the bytes of all that comes back within a time."""
        self.socket.send(datagram)
        return self.drain(seconds)

    def drain(self, seconds: float = 0.3) -> int:
        self.socket.settimeout(seconds)
        size = 0
        try:
            while True:
                size += len(self.socket.recv(65536))
        except TimeoutError:
            return size


@pytest.fixture(scope="module")
def guarded():
    with ServerProcess("--output", "none", "--bind", "0.0.0.0", "--allow", "127.0.0.2") as process:
        yield process
        assert process.process.poll() is None, process.errors


@linux
def test_the_start_warns(guarded):
    assert any(line.startswith("warning") and "127.0.0.2" in line for line in guarded.lines)


@linux
def test_strangers_get_nothing_and_this_machine_all(guarded):
    outside = Foreigner(guarded.port, "127.0.0.3")
    for row in TABLE:
        outside.socket.send(encode(row.address, *row.example))
    assert outside.drain() == 0
    here = Client(guarded.port)
    assert here.ask("/status")[0] == "/status.reply"
    assert len(here.ask("/help", "/z/*")) > 5
    outside.close()
    here.close()


@linux
def test_no_address_is_sent_more_than_three_times_what_it_sent(guarded):
    victim = Foreigner(guarded.port, "127.0.0.2")
    random.seed(1)
    sent = received = 0
    rows = [row for row in TABLE if row.address != "/quit"]
    for row in random.choices(rows, k=150):
        datagram = encode(row.address, *row.example)
        sent += len(datagram)
        received += victim.exchange(datagram, 0.01)
        assert received <= FACTOR * sent, row.address
    received += victim.drain(1.0)
    assert 0 < received <= FACTOR * sent
    victim.send("/quit")
    reply = victim.until("/fail")
    assert "/login" in str(reply[2])
    victim.close()


@linux
def test_what_proves_an_address(guarded):
    player = Foreigner(guarded.port, "127.0.0.2")
    asked = encode("/checkpoint/info")
    assert player.exchange(asked, 0.3) == 0  # 2 kB for 20 bytes
    token = player.ask("/login")[1]
    assert player.ask("/login", token - 1)[0] == "/login.reply"
    assert player.ask("/login", float(token)) == ("/done", "/login")  # as Pd sends it
    assert player.exchange(asked, 0.3) > FACTOR * len(asked)
    player.close()


@linux
def test_a_stream_is_a_proof_and_needs_its_number(guarded):
    """What [gansynth~] sends from another machine, as it is."""
    pd, thief = (Foreigner(guarded.port, "127.0.0.2") for _ in range(2))
    id = pd.ask("/stream/open", 48000.0, 512.0, 4.0)[2]
    for wrong in (id + 1, 123456):
        assert thief.ask("/stream/pull", 0.0, float(wrong))[0] == "/fail"
    block = pd.ask("/stream/pull", 0.0, float(id))
    assert block[0] == "/b" and len(block) == 3 + 512
    pd.send("/note", 60.0, 100.0)
    heard = [np.abs(pd.ask("/stream/pull", float(k), float(id))[3:]).max() for k in range(1, 40)]
    assert len(heard) == 39
    pd.close()
    thief.close()


@linux
def test_guessing_a_stream_closes_it(guarded):
    guesser = Foreigner(guarded.port, "127.0.0.2")
    id = guesser.ask("/stream/open", 48000, 64, 4)[2]
    for n in range(8):
        guesser.send("/stream/pull", 0, 1000 + n)
    guesser.drain()
    guesser.send("/stream/pull", 0, id)
    assert guesser.drain() < 256  # no block, at most a /fail
    guesser.close()


@linux
def test_password():
    with ServerProcess("--output", "none", "--bind", "0.0.0.0", "--password", PASSWORD) as process:
        player = Foreigner(process.port, "127.0.0.2")
        player.send("/note", 60, 100)
        assert player.drain(0.5) <= FACTOR * len(encode("/note", 60, 100))
        here = Client(process.port)
        here.send("/dump", 2)
        assert here.ask("/status")[1:4] == (0, 0, 1)  # no client was made, no note played
        player.send("/login", "wrong password")
        player.drain(0.1)
        player.send("/login", PASSWORD)
        assert player.drain(0.2) < 100  # too early
        time.sleep(0.6)
        assert player.ask("/login", PASSWORD) == ("/done", "/login")
        assert player.ask("/checkpoint/info")[1] == "all_instruments"
        other = Foreigner(process.port, "127.0.0.2")  # of the same machine, but another program
        other.send("/checkpoint/info")
        assert other.drain() <= FACTOR * len(encode("/checkpoint/info"))
        for one in (player, here, other):
            one.close()
        assert process.stop() == 0
        written = "".join([*process.lines, *process.errors])
        assert "/checkpoint/info" in written  # the dump was on
        for part in (PASSWORD, "horse", PASSWORD.encode()[8:13].hex(" "), b"horse".hex()):
            assert part not in written


def get(port, path, source, host="127.0.0.1"):
    """Status of an HTTP request from one address of this machine; None if it is not answered."""
    connection = http.client.HTTPConnection(host, port, timeout=5, source_address=(source, 0))
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (http.client.RemoteDisconnected, ConnectionResetError):
        return None
    finally:
        connection.close()


@linux
@pytest.mark.parametrize(
    ("how", "answered"),
    [
        (("--allow", "127.0.0.2"), {"127.0.0.1", "127.0.0.2"}),
        (("--password", PASSWORD), {"127.0.0.1"}),
    ],
)
def test_metrics_are_for_who_is_allowed_and_with_a_password_for_this_machine(how, answered):
    pytest.importorskip("prometheus_client")
    flags = "--output", "none", "--bind", "0.0.0.0", "--metrics", "0", "--oscquery", "0"
    with ServerProcess(*flags, *how) as process:
        ports = {
            name: int(re.search(rf"{name}: http://[^:]+:(\d+)", "\n".join(process.lines))[1])
            for name in ("metrics", "OSCQuery")
        }
        everybody = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
        found = {source: get(ports["metrics"], "/metrics", source) for source in everybody}
        assert found == {source: 200 if source in answered else None for source in everybody}
        # the table of messages is no secret: it is in the README
        assert {get(ports["OSCQuery"], "/", source) for source in everybody} == {200}


@pytest.mark.parametrize("bind", ["::1", "::"])
def test_ipv6(bind):
    guard = () if bind == "::1" else ("--allow", "fd00::/8")
    with ServerProcess("--output", "none", "--bind", bind, *guard) as process:
        peer = Client(process.port, "::1")
        assert peer.ask("/version")[0] == "/version.reply"
        id = peer.ask("/stream/open", 48000, 512, 4)[2]
        peer.send("/note", 60, 100)
        loudest = 0.0
        for number in range(60):
            block = peer.ask("/stream/pull", number, id)[3:]
            loudest = max(loudest, np.abs(block).max())
            time.sleep(0.01)
        assert loudest > 1e-3
        peer.close()
        assert process.stop() == 0


def test_starting_without_a_bolt_is_one_line_that_says_how():
    done = run_server("--port", "0", "--bind", "0.0.0.0")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "--allow" in done.stderr and "--password" in done.stderr


def test_a_silent_client_goes_with_its_stream_and_a_sounding_one_stays():
    with ServerProcess("--output", "none", "--client-timeout", "1.5") as process:
        watcher, holder, streamer, reader = (Client(process.port) for _ in range(4))
        holder.send("/hold", 1)
        holder.send("/note", 60, 100)  # sounds on the server's own output
        holder.send("/z/random", "mine", 5)
        holder.ask("/sync", 1)
        id = streamer.ask("/stream/open", 48000, 512, 4)[2]
        streamer.send("/hold", 1)
        streamer.send("/note", 60, 100)  # waits for a stream that nobody pulls any more
        streamer.ask("/sync", 1)
        reader.ask("/stream/join", id)
        begun = time.monotonic()
        while watcher.ask("/status")[3] > 2:
            assert time.monotonic() - begun < 30
            time.sleep(0.1)
        assert holder.ask("/z/get", "mine")[0] == "/z"  # is still the same client
        assert streamer.ask("/stream/pull", 0, id)[0] == "/fail"  # as Pd hears it, and opens again
        assert watcher.ask("/metrics")[0] == "/metrics.reply"
        holder.send("/allsoundoff")
        for one in (watcher, holder, streamer, reader):
            one.close()


def test_a_restarted_player_takes_the_place_of_the_one_before():
    with ServerProcess(
        "--output", "none", "--max-clients", "2", "--client-timeout", "1"
    ) as process:
        watcher = Client(process.port)
        for _ in range(3):
            player = Client(process.port)  # another port each time, as a restarted Pd has
            for _ in range(100):
                player.send("/stream/open", 48000, 512, 4)
                watcher.send("/status")  # is not silent
                try:
                    if player.receive(0.3)[0] == "/done":
                        break
                except TimeoutError:
                    continue
            else:
                raise AssertionError("there was never room")
            player.send("/note", 60, 100)
            player.close()
        watcher.close()
