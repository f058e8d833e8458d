"""From ``/note`` to the first audible sample: a real server process and a listener that pulls."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from gansynth_server.bench.process import ServerProcess
from gansynth_server.bench.traffic import SteadyNotes
from gansynth_server.client import Client, Stream, connect
from gansynth_server.errors import UserError

RATE, BLOCK, AHEAD = 48000, 64, 8
CROWD_BLOCK, CROWD_AHEAD = 512, 4
AUDIBLE = 1e-4
"""Level of the first audible sample: 80 dB below full scale."""
PAUSE = 0.25
"""Time (s) between two notes, in which the server becomes idle."""
REPLY_TIMEOUT_S = 10.0
NOTE_SECONDS = 3.5
_seeds = count(1000)  # every note that is to be new has its own


class Crowd:
    """Another client, some voices of which sound all the time, until it is stopped."""

    def __init__(self, port: int, voices: int) -> None:
        self._client = connect(port=port, timeout=REPLY_TIMEOUT_S)
        self._stream = self._client.stream(RATE, CROWD_BLOCK, CROWD_AHEAD)
        self._notes = SteadyNotes(voices, NOTE_SECONDS)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        begun = time.perf_counter()
        while not self._over.is_set():
            self._notes.play(self._client, time.perf_counter() - begun)
            self._stream.read_block()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._client.send("/allsoundoff")
        self._client.close()


def measure(flags: Sequence[str], notes: int, crowds: Sequence[int]) -> dict[str, Any]:
    """Start a server and play notes, each alone, with other voices sounding or none.

    Args:
        flags: of the server.
        notes: per row.
        crowds: numbers of voices that sound meanwhile.
    """
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    importing = time.perf_counter() - began
    server = ServerProcess(flags)
    try:
        figures: dict[str, Any] = {
            "server": server.line,
            "start until ready s": server.seconds,
            "of which importing torch s": importing,
            "resident MB when ready": server.megabytes(),
        }
        figures["rows"] = [
            row for voices in crowds for row in _with_crowd(server.port, notes, voices)
        ]
        figures["resident MB at the end"] = server.megabytes()
    finally:
        server.stop()
    return figures


def _with_crowd(port: int, notes: int, voices: int) -> list[dict[str, Any]]:
    crowd = Crowd(port, voices) if voices else None
    time.sleep(3.0 if voices else 0.0)  # until their notes are rendered
    client = connect(port=port, timeout=REPLY_TIMEOUT_S)
    rows = []
    try:
        stream = client.stream(RATE, BLOCK, AHEAD)
        for cached in (False, True):
            dropped = client.status().underruns
            times = [1000 * _first_sound(client, stream, n, cached) for n in range(notes)]
            rows.append(
                {
                    "voices sounding": voices,
                    "rendered before": "yes" if cached else "no",
                    **{f"p{q} ms": float(np.percentile(times, q)) for q in (50, 99)},
                    "max ms": max(times),
                    "dropped blocks": client.status().underruns - dropped,
                }
            )
    finally:
        client.close()
        if crowd is not None:
            crowd.stop()
    return rows


def _first_sound(client: Client, stream: Stream, n: int, cached: bool) -> float:
    """Measure the time (s) from a note's datagram until a block with its sound is there."""
    # new notes take another slot than the last one's, around which keys are rendered ahead
    slot = "slot1" if cached else f"slot{n % 2}"
    if not cached:
        client.random(slot, next(_seeds))
    stream.read(PAUSE + (n % 7) / 7 * BLOCK / RATE)
    time.sleep((n % 7) / 7 * BLOCK / RATE)  # anywhere within a block
    begun = time.perf_counter()
    client.note(60, 127, 1, slot)
    while np.abs(stream.read_block()).max() < AUDIBLE:
        if time.perf_counter() - begun > REPLY_TIMEOUT_S:
            raise UserError(f"a note was not heard within {REPLY_TIMEOUT_S:g} s")
    heard = time.perf_counter()
    client.send("/allsoundoff")
    return heard - begun
