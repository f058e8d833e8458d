"""The ways between the processes: from a datagram to the engine, to the server, and back again."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gansynth_server.bench.process import ServerProcess
from gansynth_server.client import Client
from gansynth_server.osc.codec import encode, encode_bundle

RATE, BLOCK, AHEAD = 48000, 64, 8
ROUNDS = 2000
PAUSE = 0.001
"""Time (s) between two rounds, in which all processes fall asleep."""


def measure(flags: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per way, with the times (ms) of its rounds.

    A block that was sent before is sent again without being rendered. So a plain pull is the way
    to the engine and back, and a pull inside a bundle, which the engine leaves to the server, is
    the way to the engine, to the server, to the engine as a command, and back.
    """
    server = ServerProcess(flags)
    try:
        with Client(port=server.port) as client:
            return _rows(client)
    finally:
        server.stop()


def _rows(client: Client) -> list[dict[str, Any]]:
    id = client.ask("/stream/open", RATE, BLOCK, AHEAD).args[1]
    plain = b"/stream/pull\0\0\0\0,ff\0" + struct.pack(">ff", 0, id)
    bundled = encode_bundle(None, encode("/stream/pull", 0.0, float(id)))
    engine = _rounds(client, lambda: plain)
    server = _rounds(client, lambda: encode("/sync", 1))
    both = _rounds(client, lambda: bundled)
    rows = [
        _row("to the engine and back (a pull)", engine),
        _row("by the engine to the server, and back (/sync)", server),
        _row("by both to the engine again, and back (a pull in a bundle)", both),
    ]
    command = float(np.median(both) - np.median(engine))
    p99 = float(np.percentile(both, 99) - np.median(engine))
    rows.append({"way": "from a datagram to a command in the engine", "p50": command, "p99": p99})
    return rows


def _rounds(client: Client, make: Callable[[], bytes]) -> list[float]:
    """Return the times (ms) from a datagram to its answer."""
    times = []
    for _ in range(ROUNDS):
        time.sleep(PAUSE)
        begun = time.perf_counter()
        client.send_datagram(make())
        while client.receive_datagram() is None:
            pass
        times.append(1000 * (time.perf_counter() - begun))
    return times


def _row(way: str, times: list[float]) -> dict[str, Any]:
    p50, p99 = np.percentile(times, (50, 99))
    return {"way": way, "p50": float(p50), "p99": float(p99)}
