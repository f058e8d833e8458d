"""What a server listens on: both addresses of this machine, and TCP."""

from __future__ import annotations

import contextlib
import select
import socket
import time

import pytest

from gansynth_server.engine.udp import UdpSockets
from gansynth_server.errors import UserError
from gansynth_server.net.listener import MAX_PACKETS, Listener
from gansynth_server.net.osc_framing import SizeFraming, SlipFraming
from gansynth_server.net.tcp import GONE, MAX_CONNECTIONS, TcpSource
from gansynth_server.osc.codec import encode

NOTE = encode("/note", 60, 100)


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        return True
    return False


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def received(listener: Listener, count: int = 1, seconds: float = 5.0) -> list:
    """What comes: datagrams as the engine reads them, packets as the server does."""
    found, end = [], time.monotonic() + seconds
    udp = UdpSockets(listener.udp)
    while len(found) < count and time.monotonic() < end:
        for ready in select.select([listener, *listener.udp], [], [], 0.1)[0]:
            if ready is listener:
                found += listener.receive()
            else:
                with contextlib.suppress(BlockingIOError):
                    found.append(udp.receive(ready)[:2])
    return found


@pytest.fixture
def listener():
    with Listener("127.0.0.1", 0, tcp=0) as listener:
        yield listener


def udp(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.connect((host, port))
    return sock


def tcp(listener: Listener, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((host, listener.tcp_port), timeout=5)


@ipv6
@pytest.mark.parametrize("bound", ["127.0.0.1", "::1", "localhost"])
def test_both_addresses_of_this_machine(bound):
    with Listener(bound, 0) as listener:
        assert set(listener.hosts) == {"127.0.0.1", "::1"}
        assert " and ".join(listener.hosts) in listener.remark
        for host in ("127.0.0.1", "::1"):
            with udp(host, listener.port) as sock:
                sock.send(NOTE)
                ((packet, source),) = received(listener)
                assert packet == NOTE and source[:2] == sock.getsockname()[:2]
                listener.sendto(b"reply", source)
                assert sock.recv(100) == b"reply"


@ipv6
def test_all_addresses_of_both_kinds():
    with Listener("::", 0, tcp=0) as listener:
        assert listener.hosts == ("::",)
        for host in ("127.0.0.1", "::1"):
            with udp(host, listener.port) as sock:
                sock.send(NOTE)
                ((packet, source),) = received(listener)
                assert packet == NOTE and source[0] in ("::1", "::ffff:127.0.0.1")
                listener.sendto(b"reply", source)
                assert sock.recv(100) == b"reply"
            with tcp(listener, host) as sock:
                sock.sendall(SizeFraming().frame(NOTE))
                assert received(listener)[0][0] == NOTE
            assert received(listener)[0][0] == GONE


@ipv6
def test_another_program_on_the_other_address():
    """The one that was asked for is enough; a free port is free on both."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.bind(("::1", 0))
        with Listener("127.0.0.1", other.getsockname()[1]) as listener:
            assert listener.hosts == ("127.0.0.1",)


def test_ports_that_cannot_be_had():
    with Listener("127.0.0.1", 0, tcp=0) as listener:
        with pytest.raises(UserError, match=f"UDP port {listener.port} on 127.0.0.1 cannot"):
            Listener("127.0.0.1", listener.port)
        with pytest.raises(UserError, match=f"TCP port {listener.tcp_port} .* another --tcp"):
            Listener("127.0.0.1", 0, tcp=listener.tcp_port)
    for port in (-1, 70000):
        with pytest.raises(UserError, match="--port must be 0 to 65535"):
            Listener("127.0.0.1", port)
    with pytest.raises(UserError, match=r"192\.0\.2\.1"):
        Listener("192.0.2.1", 0)


def test_nothing_waits():
    with Listener("127.0.0.1", 0) as listener:
        assert listener.receive() == []
        with pytest.raises(BlockingIOError):
            UdpSockets(listener.udp).receive(listener.udp[0])


def test_what_found_no_room_is_counted(listener):
    hears = UdpSockets(listener.udp)
    with udp("127.0.0.1", listener.port) as sock:
        for _ in range(200_000):
            sock.send(NOTE)
        kept, lost = drained(hears, listener.udp[0])
        sock.send(NOTE)
        one, more = drained(hears, listener.udp[0])
    lost += more
    if lost:  # where the system tells
        assert kept + lost == 200_000 and one == 1


def drained(hears: UdpSockets, sock: socket.socket) -> tuple[int, int]:
    """How many datagrams there are, and how many found no room before them."""
    kept = lost = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            lost += hears.receive(sock)[2]
            kept += 1
    return kept, lost


# TCP


@pytest.mark.parametrize("kind", [SizeFraming, SlipFraming])
def test_a_connection_is_a_source(listener, kind):
    framing = kind()
    with tcp(listener) as sock:
        stream = framing.frame(NOTE) * 3
        sock.sendall(stream[:5])
        time.sleep(0.05)
        sock.sendall(stream[5:])
        packets = received(listener, 3)
        assert [packet for packet, _ in packets] == [NOTE] * 3
        (source,) = {source for _, source in packets}
        assert source[:2] == sock.getsockname() and source != tuple(source)
        reply = encode("/status.reply", "\xc0\xdb", b"\xc0\xdb\xc0")
        listener.sendto(reply, source)
        assert list(framing.feed(sock.recv(4096))) == [reply]
    # once it is gone its notes end
    assert received(listener) == [(GONE, source)]
    listener.sendto(reply, source)  # no one is there


def test_sources_of_both_kinds_are_told_apart():
    tcp_source, udp_source = TcpSource(("127.0.0.1", 5)), ("127.0.0.1", 5)
    assert tcp_source != udp_source and udp_source != tcp_source
    assert tcp_source == TcpSource(("127.0.0.1", 5))
    assert len({tcp_source, udp_source, TcpSource(("127.0.0.1", 5))}) == 2
    assert "%s:%s" % tcp_source[:2] == "127.0.0.1:5"  # noqa: UP031


def test_another_protocol_is_shown_the_door(listener):
    with tcp(listener) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(100) == b""
    with tcp(listener) as sock:
        sock.sendall(SizeFraming().frame(NOTE) + b"\x7f\xff\xff\xff")
        assert sock.recv(100) == b""
    assert [packet for packet, _ in received(listener, 2)] == [NOTE, GONE]


def test_one_that_sends_faster_than_is_handled_waits(listener):
    """It loses nothing, and holds up no one else."""
    count = 4 * MAX_PACKETS
    with tcp(listener) as fast, tcp(listener) as other:
        fast.sendall(SizeFraming().frame(NOTE) * count)
        time.sleep(0.2)
        other.sendall(SlipFraming().frame(encode("/status")))
        packets = [packet for packet, _ in received(listener, count + 1)]
    assert packets.count(NOTE) == count and packets.count(encode("/status")) == 1


def test_one_that_reads_nothing_is_let_go(listener):
    with tcp(listener) as sock:
        sock.sendall(SizeFraming().frame(NOTE))
        ((_, source),) = received(listener)
        begun = time.monotonic()
        for _ in range(2000):
            listener.sendto(bytes(60_000), source)
        assert time.monotonic() - begun < 5
        assert received(listener)[0] == (GONE, source)


def test_no_more_connections_than_so_many(listener):
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            sock = stack.enter_context(tcp(listener))
            sock.sendall(SizeFraming().frame(NOTE))
        assert len(received(listener, MAX_CONNECTIONS)) == MAX_CONNECTIONS
        with tcp(listener) as sock:
            assert sock.recv(100) == b""
