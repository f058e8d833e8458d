"""Time from ``/note`` to ``/note/start`` for one client and for many: does one delay another?"""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from gansynth_server.bench.process import ServerProcess
from gansynth_server.client import Client

CLIENTS = (1, 16)
RATE = 25.0
"""Notes a second of each client."""
HELD = 0.05
SECONDS = 8.0
KEYS = (48, 52, 55, 57, 60, 64, 67, 69)
VOICES = 1024
"""Voices of the server: enough for all, so that none is cut before it is heard."""
LONG = 10.0
"""Time (s) after which a note counts as lost."""


class _Player(Client):
    """A client that plays its keys again and again, and measures when each has begun."""

    def __init__(self, port: int, number: int, fresh: bool) -> None:
        super().__init__(port=port, timeout=LONG)
        self.waits: list[float] = []
        self.played = 0
        self._fresh, self._seed = fresh, 100_000 * (number + 1)
        self._begun: dict[float, float] = {}
        self.notify()
        self.random("z", self._seed)

    def play(self) -> int:
        """Begin a note; return its id."""
        self.played += 1
        if self._fresh:  # not to be found in the cache
            self.random("z", self._seed + self.played)
        self._begun[self.played] = time.perf_counter()
        self.note(KEYS[self.played % len(KEYS)], id=self.played)
        return self.played

    def listen(self) -> None:
        """Take in the events that have come."""
        while (event := self.receive()) is not None:
            if event.address == "/note/start" and event.args[0] in self._begun:
                self.waits.append(time.perf_counter() - self._begun.pop(event.args[0]))


def measure(flags: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per number of clients, for notes rendered before and for new ones.

    Args:
        flags: of the server.
    """
    server = ServerProcess([*flags, "--max-voices", str(VOICES)])
    try:
        return [_measure(server.port, count, fresh) for fresh in (False, True) for count in CLIENTS]
    finally:
        server.stop()


def _measure(port: int, count: int, fresh: bool) -> dict[str, Any]:
    players = [_Player(port, number, fresh) for number in range(count)]
    if not fresh:
        for player in players:  # all their notes, once
            for _ in KEYS:
                player.play()
            player.ask("/sync", 1)
        _listen(players, time.perf_counter() + 2.0)
    for player in players:
        player.listen()
        player.waits.clear()
        player.played = 0
    start = time.perf_counter()
    due = [(start + (n / count + k) / RATE, 0, n) for n in range(count) for k in range(200)]
    todo = [entry for entry in due if entry[0] < start + SECONDS]
    heapq.heapify(todo)
    while todo:
        when, id, n = heapq.heappop(todo)
        _listen(players, when)
        if id:
            players[n].release(id)
        else:
            heapq.heappush(todo, (when + HELD, players[n].play(), n))
    end = time.perf_counter() + LONG
    while time.perf_counter() < end and any(len(p.waits) < p.played for p in players):
        _listen(players, time.perf_counter() + 0.1)
    medians = [1000 * float(np.median(p.waits)) if p.waits else LONG * 1000 for p in players]
    for player in players:
        player.send("/allsoundoff")
        player.close()
    return {
        "clients": count,
        "rendered before": "no" if fresh else "yes",
        "notes a second": sum(len(p.waits) for p in players) / SECONDS,
        "best median ms": min(medians),
        "worst median ms": max(medians),
        "p99 ms": 1000 * float(np.percentile([w for p in players for w in p.waits], 99)),
        "never begun": sum(p.played - len(p.waits) for p in players),
        "of these refused": sum(len(p.failures) for p in players),
        "fewest begun": min(len(p.waits) for p in players),
    }


def _listen(players: Sequence[_Player], until: float) -> None:
    while (left := until - time.perf_counter()) > 0:
        for player in select.select(players, [], [], left)[0]:
            player.listen()
