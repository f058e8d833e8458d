"""Whether one client waits for another: from ``/note`` to ``/note/start``, for one and for many."""

from __future__ import annotations

import heapq
import select
import socket
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from gansynth_server.bench.live import Process
from gansynth_server.osc.codec import decode, encode

CLIENTS = (1, 16)
RATE = 25.0
"""Notes a second of each client."""
HELD = 0.05
SECONDS = 8.0
KEYS = (48, 52, 55, 57, 60, 64, 67, 69)
VOICES = 1024
"""Of the server: enough for all, lest some be cut before they are heard."""
LONG = 10.0
"""Seconds after which a note counts as lost."""


class _Client:
    """Plays its keys again and again, and notes when each has begun."""

    def __init__(self, port: int, number: int, fresh: bool) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.waits: list[float] = []
        self.played = self.refused = 0
        self.synced = False
        self._fresh, self._seed = fresh, 100_000 * (number + 1)
        self._begun: dict[float, float] = {}
        self.send("/notify", 1)
        self.send("/z/random", "z", self._seed)

    def send(self, address: str, *args: Any) -> None:
        self.socket.send(encode(address, *args))

    def play(self) -> int:
        """Begins a note; returns its id."""
        self.played += 1
        if self._fresh:  # not to be found in the cache
            self.send("/z/random", "z", self._seed + self.played)
        key = KEYS[self.played % len(KEYS)]
        self._begun[self.played] = time.perf_counter()
        self.send("/note", key, 100, self.played)
        return self.played

    def receive(self) -> None:
        now = time.perf_counter()
        message = decode(self.socket.recv(65536))[0][1]
        self.synced |= message.address == "/synced"
        self.refused += message.address == "/fail"
        if message.address == "/note/start" and message.args[0] in self._begun:
            self.waits.append(now - self._begun.pop(message.args[0]))


def measure(flags: Sequence[str]) -> list[dict[str, Any]]:
    """A row per number of clients, for notes rendered before and for new ones.

    Args:
        flags: of the server.
    """
    server = Process([*flags, "--max-voices", str(VOICES)])
    try:
        return [_measure(server.port, count, fresh) for fresh in (False, True) for count in CLIENTS]
    finally:
        server.stop()


def _measure(port: int, count: int, fresh: bool) -> dict[str, Any]:
    clients = [_Client(port, number, fresh) for number in range(count)]
    if not fresh:
        for client in clients:  # all their notes, once
            for _ in KEYS:
                client.play()
            client.send("/sync", 1)
            while not client.synced:
                _listen(clients, time.perf_counter() + 0.1)
        _listen(clients, time.perf_counter() + 2.0)
    for client in clients:
        client.waits.clear()
        client.played = 0
    start = time.perf_counter()
    due = [(start + (n / count + k) / RATE, 0, n) for n in range(count) for k in range(200)]
    todo = [entry for entry in due if entry[0] < start + SECONDS]
    heapq.heapify(todo)
    while todo:
        when, id, n = heapq.heappop(todo)
        _listen(clients, when)
        if id:
            clients[n].send("/note/off", id)
        else:
            heapq.heappush(todo, (when + HELD, clients[n].play(), n))
    end = time.perf_counter() + LONG
    while time.perf_counter() < end and any(len(c.waits) < c.played for c in clients):
        _listen(clients, time.perf_counter() + 0.1)
    medians = [1000 * float(np.median(c.waits)) if c.waits else LONG * 1000 for c in clients]
    for client in clients:
        client.send("/allsoundoff")
        client.socket.close()
    return {
        "clients": count,
        "rendered before": "no" if fresh else "yes",
        "notes a second": sum(len(c.waits) for c in clients) / SECONDS,
        "best median ms": min(medians),
        "worst median ms": max(medians),
        "p99 ms": 1000 * float(np.percentile([w for c in clients for w in c.waits], 99)),
        "never begun": sum(c.played - len(c.waits) for c in clients),
        "of these refused": sum(c.refused for c in clients),
        "fewest begun": min(len(c.waits) for c in clients),
    }


def _listen(clients: Sequence[_Client], until: float) -> None:
    sockets = {client.socket: client for client in clients}
    while (left := until - time.perf_counter()) > 0:
        for ready in select.select(list(sockets), [], [], left)[0]:
            sockets[ready].receive()
