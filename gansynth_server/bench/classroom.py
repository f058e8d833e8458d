"""A class: many players with a stream each, who play notes that nobody has played before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from gansynth_server.bench.process import ServerProcess
from gansynth_server.bench.streams import BLOCK, PERIOD, SETTLE, Listener, run, worked
from gansynth_server.client import Client
from gansynth_server.osc.codec import decode
from gansynth_server.util.threads import ENGINE, RENDER

CLASSES = ((30, 2), (30, 4), (100, 2), (100, 4))
"""Players, and voices of each."""
EVERY_S = 4.0
"""Time (s) between two notes of a voice: as long as a note sounds."""
LONG_S = 10.0
"""Time (s) after which a note counts as lost."""
PROBES = 2
"""Players beside the others who play one note at a time, by which first sounds are measured."""
PROBE_S = 0.6
"""Time (s) between two notes of a probe."""
AUDIBLE = 1e-4
"""Level of the first audible sample: 80 dB below full scale."""
_seeds = count(1)  # no two notes have the same latent


class Player(Listener):
    """A player with a latent of its own for each note; its voices come in turns."""

    def __init__(self, port: int, voices: int, number: int, start: float) -> None:
        super().__init__(port, 0, number, start)
        self.client.notify()
        self.played: dict[int, float] = {}
        """Times of the notes that have not begun, by their ids."""
        self.waits: list[float] = []
        """From ``/note`` to ``/note/start`` (s), for each note that has begun."""
        self._voices, self._number = voices, number
        self._ids = count(1)
        self._next = start + EVERY_S / voices * (number * 0.618 % 1)  # apart from the others

    def pull(self, now: float) -> None:
        super().pull(now)
        if now >= self._next:
            self._next += EVERY_S / self._voices
            self._play(now)

    def _play(self, now: float) -> None:
        note = next(self._ids)
        if note > self._voices:
            self.client.release(note - self._voices)
        self.client.random("z", next(_seeds))
        self.client.note(36 + (5 * self._number + 7 * note) % 48, id=note)
        self.played[note] = now

    def on_message(self, datagram: bytes) -> None:
        if datagram.startswith(b"/note/start\0"):
            ((_, message),) = decode(datagram)
            (note,) = message.args
            played = self.played.pop(note, None) if isinstance(note, int) else None
            if played is not None:
                self.waits.append(time.monotonic() - played)


class Probe(Listener):
    """A player whose notes begin in silence, so that the first sound of each can be told."""

    def __init__(self, port: int, number: int, start: float) -> None:
        super().__init__(port, 0, number, start)
        self.waits: list[float] = []
        """From ``/note`` to the arrival of the block with the first sound of it (s)."""
        self._next = start + 1
        self._since: float | None = None

    def pull(self, now: float) -> None:
        super().pull(now)
        if now >= self._next and self._since is None:
            self._next = now + PROBE_S
            self.client.random("z", next(_seeds))
            self.client.note(60, 127, id=1)
            self._since = now

    def on_block(self, datagram: bytes) -> None:
        if self._since is None:
            return
        heard = np.abs(np.frombuffer(datagram[-4 * BLOCK :], ">f4")).max() > AUDIBLE
        waited = time.monotonic() - self._since
        if heard or waited > LONG_S:
            self.waits.append(waited)
            self.client.send("/allsoundoff")
            self._since = None
            self._next = max(self._next, time.monotonic() + PROBE_S / 2)  # until it is silent


def measure(flags: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    """Return a row per class.

    Args:
        flags: of the server.
        seconds: that are measured of each.
    """
    rows = []
    for players, voices in CLASSES:
        server = ServerProcess([*flags, "--max-clients", "256", "--cache-mb", "512"])
        try:
            rows.append(_row(server, players, voices, seconds))
        finally:
            server.stop()
    return rows


def _row(server: ServerProcess, count: int, voices: int, seconds: float) -> dict[str, Any]:
    start = time.monotonic() + 0.1 * count
    players = [Player(server.port, voices, n, start + n * PERIOD / count) for n in range(count)]
    probes = [Probe(server.port, n, start + n * PERIOD / PROBES) for n in range(PROBES)]
    everyone: list[Listener] = [*players, *probes]
    run(everyone, max(time.monotonic(), start) + SETTLE + EVERY_S)
    for player in players:
        player.waits.clear()
    for probe in probes:
        probe.waits.clear()
    before = [(listener.received, listener.late) for listener in everyone]
    begun, own, work = time.monotonic(), time.process_time(), worked(server)
    run(everyone, begun + seconds)
    passed, own = time.monotonic() - begun, time.process_time() - own
    shares = {of: 100 * (s - work.get(of, 0)) / passed for of, s in worked(server).items()}
    ready = sum(n.received - b[0] - (n.late - b[1]) for n, b in zip(everyone, before, strict=True))
    status = Client(port=server.port).status()
    for listener in everyone:
        listener.close()
    waits = [wait for player in players for wait in player.waits]
    heard = [wait for probe in probes for wait in probe.waits]
    now = time.monotonic()
    lost = sum(now - since > LONG_S for player in players for since in player.played.values())
    return {
        "players": count,
        "voices": voices,
        "notes/s": len(waits) / passed,
        **{f"sound p{q} ms": _percentile(heard, q) for q in (50, 99)},
        **{f"begun p{q} ms": _percentile(waits, q) for q in (50, 99)},
        "lost": lost,
        "dropped": max(0, round(len(everyone) * passed / PERIOD) - ready - len(everyone)),
        "sounding": status.voices,
        "engine %": shares.get(ENGINE, 0.0),
        "server %": shares.get("server", 0.0),
        "render %": shares.get(RENDER, 0.0),
        "bench %": 100 * own / passed,
    }


def _percentile(waits: Sequence[float], percent: float) -> float | None:
    return 1000 * float(np.percentile(waits, percent)) if waits else None
