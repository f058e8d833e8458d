"""The cost of many listeners: streams pulled in real time, each with some held voices."""

from __future__ import annotations

import os
import selectors
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gansynth_server.bench.process import ServerProcess, children, name
from gansynth_server.client import Client
from gansynth_server.util.threads import ENGINE

STREAMS = ((1, 2), (8, 2), (30, 2), (64, 1), (1, 60))
"""Streams, and voices of each."""
RATE, BLOCK, AHEAD = 48000, 512, 4
PERIOD = BLOCK / RATE
REPLY_TIMEOUT_S = 10.0
SETTLE = 2.0
"""Time (s) before anything is measured."""
PULL = b"/stream/pull\0\0\0\0,ff\0"


class Listener:
    """A client with a stream that is pulled without waiting, block by block.

    Args:
        start: time (s, ``time.monotonic``) at which the first block is played.
    """

    def __init__(self, port: int, voices: int, number: int, start: float) -> None:
        self.client = Client(port=port)
        self._id = self.client.ask("/stream/open", RATE, BLOCK, AHEAD).args[1]
        # a stream that is not pulled yet has few notes
        self.client.send_datagram(PULL + struct.pack(">ff", 0, self._id))
        self.client.receive_datagram(REPLY_TIMEOUT_S)
        self.client.send("/hold", 1)
        for voice in range(voices):
            self.client.note(36 + (5 * number + 7 * voice) % 48, id=f"v{voice}")
        self.client.sync()
        self._start = start
        self._asked = 0
        self.received = self.late = 0

    def fileno(self) -> int:
        return self.client.fileno()

    def pull(self, now: float) -> None:
        """Ask for the blocks that are due, each ``AHEAD`` blocks before it is played."""
        while self._start + (self._asked - AHEAD) * PERIOD <= now:
            self.client.send_datagram(PULL + struct.pack(">ff", self._asked, self._id))
            self._asked += 1

    def listen(self) -> None:
        """Take in what has come, and count the blocks that came after their time."""
        while (datagram := self.client.receive_datagram()) is not None:
            if datagram.startswith(b"/b\0"):
                number = struct.unpack_from(">f", datagram, len(datagram) - 4 * BLOCK - 8)[0]
                self.received += 1
                self.late += time.monotonic() > self._start + number * PERIOD
                self.on_block(datagram)
            else:
                self.on_message(datagram)

    def on_block(self, datagram: bytes) -> None:
        """Take a block of sound."""

    def on_message(self, datagram: bytes) -> None:
        """Take any other datagram."""

    def close(self) -> None:
        self.client.send("/allsoundoff")
        self.client.close()


def measure(flags: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    """Return a row per number of streams and voices.

    Args:
        flags: of the server.
        seconds: that are measured of each.
    """
    rows = []
    for streams, voices in STREAMS:
        server = ServerProcess([*flags, "--max-clients", "128"])
        try:
            rows.append(_row(server, streams, voices, seconds))
        finally:
            server.stop()
    return rows


def _row(server: ServerProcess, streams: int, voices: int, seconds: float) -> dict[str, Any]:
    start = time.monotonic() + 0.1 * streams
    listeners = [
        Listener(server.port, voices, n, start + n * PERIOD / streams) for n in range(streams)
    ]
    run(listeners, max(time.monotonic(), start) + SETTLE)
    before = [(listener.received, listener.late) for listener in listeners]
    begun, before_work = time.monotonic(), worked(server)
    run(listeners, begun + seconds)
    passed = time.monotonic() - begun
    shares = {of: 100 * (s - before_work[of]) / passed for of, s in worked(server).items()}
    status = Client(port=server.port).status()
    received = sum(n.received - b[0] for n, b in zip(listeners, before, strict=True))
    late = sum(n.late - b[1] for n, b in zip(listeners, before, strict=True))
    for listener in listeners:
        listener.close()
    wanted = streams * passed / PERIOD
    return {
        "streams": streams,
        "voices of each": voices,
        "sounding": status.voices,
        "engine, % of a core": shares.get(ENGINE, 0.0),
        "all processes, % of a core": sum(shares.values()),
        "blocks a second": received / passed,
        "dropped %": max(0.0, 100 * (1 - (received - late) / wanted)),
    }


def run(listeners: Sequence[Listener], until: float) -> None:
    with selectors.DefaultSelector() as selector:
        for listener in listeners:
            selector.register(listener, selectors.EVENT_READ)
        while (now := time.monotonic()) < until:
            for listener in listeners:
                listener.pull(now)
            for key, _ in selector.select(PERIOD / 10):
                key.fileobj.listen()  # type: ignore[union-attr]


def worked(server: ServerProcess) -> dict[str, float]:
    """Processor time (s) of the server's processes, by their names; several of one name added."""
    total: dict[str, float] = {"server": _processor_seconds(server.pid)}
    for child in children(server.pid):
        total[name(child)] = total.get(name(child), 0.0) + _processor_seconds(child)
    return total


def _processor_seconds(process: int) -> float:
    """Processor time (s) of a process, without that of its children; 0 where it is not told."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
