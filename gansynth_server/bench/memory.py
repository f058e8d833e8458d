"""Whether a server's memory stays what it is: thousands of short notes, none like another."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

from gansynth_server.bench.live import CROWD_AHEAD, CROWD_BLOCK, Listener, Process

GROUP = 16
"""Notes that begin together, with one random latent."""
HELD = 0.05  # seconds until they are released, before all of them are rendered
ROWS = 10
CACHES = {"cache": [], "no cache": ["--cache-mb", "0"]}


def measure(flags: Sequence[str], notes: int) -> list[dict[str, Any]]:
    """A row whenever a tenth of the notes has been played: megabytes with and without a cache.

    Args:
        flags: of the server.
        notes: to play in all, rounded up to whole groups.
    """
    columns = []
    for name, more in CACHES.items():
        server = Process([*flags, *more])
        try:
            columns.append(_play(server, notes, name))
        finally:
            server.stop()
    return [{**one, **other} for one, other in zip(*columns, strict=True)]


def _play(server: Process, notes: int, name: str) -> list[dict[str, Any]]:
    listener = Listener(server.port, CROWD_BLOCK, CROWD_AHEAD)
    lowest, highest = listener.ask("/checkpoint/info").args[2:4]
    keys = range(int(lowest), int(highest) + 1)  # type: ignore[arg-type]
    rng = random.Random(0)
    groups = -(-notes // GROUP)
    begun = time.perf_counter()
    rows = []
    try:
        for played in range(groups + 1):
            if played:
                _play_group(listener, rng.choices(keys, k=GROUP))
            if played * ROWS // groups > (played - 1) * ROWS // groups:
                rows.append(
                    {
                        "notes": played * GROUP,
                        f"{name}: s": time.perf_counter() - begun,
                        f"{name}: MB": server.megabytes(),
                    }
                )
    finally:
        listener.close()
    return rows


def _play_group(listener: Listener, pitches: Sequence[int]) -> None:
    listener.send("/z/random", "z")
    for id, pitch in enumerate(pitches):
        listener.send("/note", pitch, 100, id)
    listener.listen(HELD)
    for id in range(GROUP):
        listener.send("/note/off", id)
    listener.sync()
