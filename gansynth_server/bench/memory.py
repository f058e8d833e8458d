"""A server's memory over thousands of short notes, none like another."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

from gansynth_server.bench.process import ServerProcess
from gansynth_server.client import Client, Stream, connect

GROUP = 16
"""Notes that begin together, with one random latent."""
HELD = 0.05
"""Time until they are released (s), before all of them are rendered."""
ROWS = 10
CACHES = {"cache": [], "no cache": ["--cache-mb", "0"]}


def measure(flags: Sequence[str], notes: int) -> list[dict[str, Any]]:
    """Return a row for each tenth of the notes: megabytes with and without a cache.

    Args:
        flags: of the server.
        notes: to play in all, rounded up to whole groups.
    """
    columns = []
    for name, more in CACHES.items():
        server = ServerProcess([*flags, *more])
        try:
            columns.append(_play(server, notes, name))
        finally:
            server.stop()
    return [{**one, **other} for one, other in zip(*columns, strict=True)]


def _play(server: ServerProcess, notes: int, name: str) -> list[dict[str, Any]]:
    rng = random.Random(0)
    groups = -(-notes // GROUP)
    begun = time.perf_counter()
    rows = []
    with connect(port=server.port, timeout=10.0) as client:
        lowest, highest = client.ask("/checkpoint/info").args[2:4]
        stream = client.stream()
        for played in range(groups + 1):
            if played:
                _play_group(client, stream, rng.choices(range(lowest, highest + 1), k=GROUP))
            if played * ROWS // groups > (played - 1) * ROWS // groups:
                rows.append(
                    {
                        "notes": played * GROUP,
                        f"{name}: s": time.perf_counter() - begun,
                        f"{name}: MB": server.megabytes(),
                    }
                )
    return rows


def _play_group(client: Client, stream: Stream, pitches: Sequence[int]) -> None:
    client.random()
    ids = [client.note(pitch, id=id) for id, pitch in enumerate(pitches)]
    stream.read(HELD)
    for id in ids:
        client.release(id)
    client.send("/sync")
    while not client.events:  # without pulls the notes would never end
        stream.read_block()
    client.events.clear()
