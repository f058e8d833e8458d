"""Who may come in, how much they are told, and when they are forgotten: real sockets throughout.

127.0.0.2 and its neighbours are this machine too, but a server that listens on
all addresses takes only 127.0.0.1 for it, so they do for foreign machines.
"""

import http.client
import random
import re
import socket
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from gansynth_server.errors import UserError
from gansynth_server.net.access import Access
from gansynth_server.net.sessions import FACTOR, Peers
from gansynth_server.net.sessions import Peer as Known
from gansynth_server.osc.codec import encode
from gansynth_server.osc.table import TABLE
from gansynth_server.render.jobs import Job, Ticket
from gansynth_server.render.queue import TicketQueue
from gansynth_server.spectral.inverse import Spectrum
from tests.server_fixture import Peer, ServerProcess

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs 127.0.0.2")
PASSWORD = "correct horse battery"


class Foreigner(Peer):
    """A peer at another address of this machine, which counts the bytes of both ways."""

    def __init__(self, port: int, host: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.connect(("127.0.0.1", port))

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


# access, without a server


def test_an_open_port_needs_a_bolt():
    for bound in ("0.0.0.0", "::", "192.168.1.5"):
        with pytest.raises(UserError, match=r"--allow.*--password"):
            Access(bound)
        assert Access(bound, password=PASSWORD).remark.startswith("warning")
    for bound in ("127.0.0.1", "127.0.0.9", "::1"):
        assert Access(bound).remark is None
    with pytest.raises(UserError, match="--allow"):
        Access("0.0.0.0", ["house"])
    with pytest.raises(UserError, match="8 characters"):
        Access("0.0.0.0", password="short")


def test_networks():
    access = Access("::", ["10.1.2.0/24", "192.168.0.7", "fe80::/10"])
    for host in ("10.1.2.3", "::ffff:10.1.2.3", "192.168.0.7", "127.0.0.1", "::1", "fe80::1%eth0"):
        assert access.allows(host), host
    for host in ("10.1.3.3", "192.168.0.8", "127.0.0.2", "::2", "::ffff:10.1.3.3"):
        assert not access.allows(host), host
    assert access.local("127.0.0.1") and access.local("::ffff:127.0.0.1")
    assert not access.local("10.1.2.3") and not access.local("127.0.0.2")
    inside = Access("127.0.0.1", ["10.0.0.1"])
    assert inside.local("127.0.0.2") and inside.allows("127.0.0.2")


def test_wrong_passwords_wait_twice_as_long_each_time():
    access = Access("0.0.0.0", password=PASSWORD)
    now = 100.0
    for wait in (0.5, 1, 2, 4, 8, 16, 32, 60, 60):
        with pytest.raises(UserError, match="wrong"):
            access.check("10.0.0.1", "guess", now)
        with pytest.raises(UserError, match="wait"):  # the right one too
            access.check("10.0.0.1", PASSWORD, now + wait - 0.01)
        now += wait
    access.check("10.0.0.1", PASSWORD, now)
    access.check("10.0.0.2", PASSWORD, now)
    with pytest.raises(UserError, match="wrong"):  # forgiven
        access.check("10.0.0.1", "guess", now + 1)
    access.check("10.0.0.1", PASSWORD, now + 1.5)


def test_everybody_together_has_few_guesses():
    access = Access("0.0.0.0", password=PASSWORD)
    looked_at = 0
    for n in range(1000):
        with pytest.raises(UserError) as error:
            access.check(f"10.0.{n // 250}.{n % 250}", "guess", 5.0)
        looked_at += str(error.value) == "wrong password"
    assert looked_at == 20


# peers, without a server


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Silent:
    number, notes = 0, ()


def peers_of(most, clock, busy=lambda peer: False):
    left = []
    return Peers(most, lambda number: Silent(), busy, left.append, 60.0, clock), left


def test_silent_ones_are_forgotten_and_busy_ones_are_not():
    clock, busy = Clock(), set()
    peers, left = peers_of(8, clock, lambda peer: peer in busy)
    first, second = peers.at(("a", 1)), peers.at(("a", 2))
    busy.add(second)
    clock.now = 59
    peers.sweep()
    assert not left
    clock.now = 60
    peers.sweep()
    assert left == [first] and peers.get(("a", 2)) is second and len(peers) == 1
    busy.clear()
    second.heard(8, clock.now)
    clock.now = 119
    peers.sweep()
    assert len(peers) == 1
    clock.now = 120
    peers.sweep()
    assert left == [first, second] and not len(peers)


def test_room_is_made_by_who_is_silent_and_by_strangers_first():
    clock, busy = Clock(), set()
    peers, left = peers_of(3, clock, lambda peer: peer in busy)
    known = [peers.at(("a", n)) for n in range(3)]
    with pytest.raises(UserError, match="--max-clients"):
        peers.at(("b", 0))
    clock.now = 10
    known[0].heard(4, 10)
    busy.add(known[1])
    stranger = peers.at(("b", 0), proven=False)
    assert left == [known[2]]
    friend = peers.at(("c", 0))
    assert left == [known[2], stranger]
    with pytest.raises(UserError, match="--max-clients"):
        peers.at(("d", 0))
    assert friend is peers.at(("c", 0))


def test_a_stranger_is_sent_three_times_what_it_sent():
    peer = Known(("a", 1), Silent(), 0.0, proven=False)
    assert not peer.affords(1)
    peer.heard(20, 0.0)
    assert peer.affords(40) and not peer.affords(21) and peer.affords(20) and not peer.affords(1)
    peer.heard(10**6, 0.0)
    assert peer.affords(4096) and not peer.affords(1)
    token = peer.token
    for _ in range(7):
        assert not peer.prove(False)
    assert peer.token == token
    assert not peer.prove(False) and peer.token != token
    assert peer.prove(True) and peer.affords(10**9)


# the real server


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
    here = Peer(guarded.port)
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
        here = Peer(process.port)
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


class Six(Peer):
    """A peer that speaks IPv6."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.connect(("::1", port))


@pytest.mark.parametrize("bind", ["::1", "::"])
def test_ipv6(bind):
    guard = () if bind == "::1" else ("--allow", "fd00::/8")
    with ServerProcess("--output", "none", "--bind", bind, *guard) as process:
        peer = Six(process.port)
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
    from tests.test_server import run

    done = run("--port", "0", "--bind", "0.0.0.0")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "--allow" in done.stderr and "--password" in done.stderr


def test_a_silent_client_goes_with_its_stream_and_a_sounding_one_stays():
    with ServerProcess("--output", "none", "--client-timeout", "1.5") as process:
        watcher, holder, streamer, reader = (Peer(process.port) for _ in range(4))
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
        watcher = Peer(process.port)
        for _ in range(3):
            player = Peer(process.port)  # another port each time, as a restarted Pd has
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


# one client's notes do not wait for another's


class Part:
    window, batch = (0, 8), 1


class Next:
    window, batch = (8, 16), 1


def ticket(number, *owners, asked=0.0, begun=True):
    waits = (lambda spectrum: None) if begun else None
    jobs = [Job("net", np.float32([number]), 0, print, print, waits, owner=o) for o in owners]
    return Ticket(("net", bytes([number]), 0), np.float32([number]), (Part,), asked, None, jobs)


def order(queue):
    numbers = []
    while queue.top() is not None:
        (taken,) = queue.take()
        queue.close(taken)
        numbers.append(int(taken.z[0]))
    return numbers


def test_renders_take_turns_between_clients_and_keep_each_ones_order():
    queue = TicketQueue()
    for n in range(6):
        queue.open(ticket(n, "a", asked=-n))  # the later, the sooner due
    for n in range(10, 12):
        queue.open(ticket(n, "b", asked=n))
    queue.open(ticket(20, "c"))
    assert order(queue) == [5, 10, 20, 4, 11, 3, 2, 1, 0]


def test_heads_of_new_notes_come_before_the_turns_of_others():
    queue = TicketQueue()
    queue.open(ticket(1, "a", begun=False))
    queue.open(ticket(2, "b", begun=False))
    queue.open(ticket(3, "a"))
    queue.open(ticket(4))  # a wish of nobody
    assert order(queue) == [3, 1, 2, 4]


def test_a_note_of_two_clients_comes_with_the_first_of_them_and_once():
    queue = TicketQueue()
    for n in range(4):
        queue.open(ticket(n, "a"))
    queue.open(ticket(9, "a", "b", asked=5.0))
    assert order(queue) == [0, 9, 1, 2, 3]


def test_a_ticket_that_was_closed_or_pushed_again_counts_once():
    queue = TicketQueue()
    first, second = ticket(1, "a"), ticket(2, "a")
    queue.open(first)
    queue.open(second)
    queue.push(first)
    queue.close(second)
    assert order(queue) == [1]


def test_rests_that_nobody_wants_do_not_pile_up_behind_new_heads():
    queue = TicketQueue()
    wanted = {1: False, 2: True, 3: False}
    for n in wanted:
        made = ticket(n, n)
        made.jobs = [replace(job, wanted=lambda n=n: wanted[n]) for job in made.jobs]
        made.spectrum = Spectrum.begin()
        made.spectrum.ready = 8
        made.slices = (Part, Next)
        queue.open(made)
    queue.open(ticket(9, "new"))
    assert [int(found.z[0]) for found in queue.stale()] == [1, 3]
    assert not queue.stale()
    assert order(queue) == [9, 2]


def test_wishes_that_were_taken_back_do_not_pile_up():
    queue = TicketQueue()
    queue.open(ticket(0, "a"))  # is never done
    for n in range(1, 201):
        wish = ticket(n)
        queue.open(wish)
        queue.close(wish)
    assert sum(len(heap) for rank in queue._ranks.values() for heap in rank.values()) < 80
    assert order(queue) == [0]
