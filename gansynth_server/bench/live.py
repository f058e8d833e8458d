"""From ``/note`` to the first audible sample: a real server process and a listener that pulls."""

from __future__ import annotations

import math
import re
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from gansynth_server.errors import UserError
from gansynth_server.osc.codec import Message, decode, encode
from gansynth_server.server.metrics import resident_mb

RATE, BLOCK, AHEAD = 48000, 64, 8
CROWD_BLOCK, CROWD_AHEAD = 512, 4
AUDIBLE = 1e-4
"""Level of the first audible sample: 80 dB below full scale."""
PAUSE = 0.25  # seconds between two notes, in which the server becomes idle
PATIENCE = 10.0
START = "from gansynth_server.cli import server; server()"
NOTE_SECONDS = 3.5
_seeds = count(1000)  # every note that is to be new has its own


def children(process: int) -> list[int]:
    """The processes that one has started, where the system tells them in /proc."""
    return [
        int(child)
        for task in Path(f"/proc/{process}/task").glob("*/children")
        for child in task.read_text().split()
    ]


class Process:
    """A server of its own, on a free port; ``seconds`` is its start until it is ready.

    Args:
        flags: of the server.
        env: its environment; None is this process's.
        log: file for what it writes to stderr; None is a temporary one.
    """

    def __init__(
        self, flags: Sequence[str], env: dict[str, str] | None = None, log: Path | None = None
    ) -> None:
        command = [sys.executable, "-c", START, "--port", "0", "--output", "none", *flags]
        begun = time.perf_counter()
        # a file, for a pipe that nobody reads would hold the server up once it is full
        self._log = tempfile.TemporaryFile("w+") if log is None else log.open("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._log, text=True, env=env
        )
        assert self._process.stdout is not None
        self.line = ""
        for line in self._process.stdout:
            self.line = line.strip()
            if line.startswith("gansynth-server ready"):
                break
        else:
            self._log.seek(0)
            raise UserError(f"the server did not start: {self._log.read().strip()}")
        self.seconds = time.perf_counter() - begun
        found = re.search(r"port (\d+)", self.line)
        assert found is not None
        self.port = int(found.group(1))

    def megabytes(self) -> float | None:
        """Resident memory with that of the render process, where the system tells it in /proc."""
        return resident_mb(self._process.pid, *children(self._process.pid)) or None

    @property
    def errors(self) -> list[str]:
        """The lines on stderr so far."""
        self._log.seek(0)
        return self._log.readlines()

    def stop(self) -> int:
        """SIGTERM; the exit status. A second time does nothing."""
        if self._process.returncode is None:
            self._process.terminate()
            assert self._process.stdout is not None
            self._process.stdout.close()
        return self._process.wait(timeout=30)


class Listener:
    """A client with a stream, pulled by the clock, whenever the answers come."""

    def __init__(self, port: int, block: int, ahead: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(("127.0.0.1", port))
        self.block = block
        self.heard = math.inf
        """When an audible block came, by ``time.perf_counter``; may be set back."""
        self._id = float(self.ask("/stream/open", RATE, block, ahead).args[1])  # type: ignore[arg-type]
        self._begun = time.perf_counter()
        self._number = 0
        self._synced = True

    def send(self, address: str, *args: Any) -> None:
        self._socket.send(encode(address, *args))

    def ask(self, address: str, *args: Any) -> Message:
        """Sends, and returns the next reply that is no block."""
        self.send(address, *args)
        while True:
            (_, message), *_ = decode(self._socket.recv(65536))
            if message.address == "/fail":
                raise UserError(f"the server says: {message.args}")
            if message.address != "/b":
                return message

    def pull(self) -> None:
        """Takes in what comes until the next block is due, and pulls it."""
        due = self._begun + self._number * self.block / RATE
        while select.select([self._socket], [], [], max(0.0, due - time.perf_counter()))[0]:
            datagram = self._socket.recv(65536)
            if self.heard == math.inf and datagram.startswith(b"/b\0"):
                samples = np.frombuffer(datagram[-4 * self.block :], ">f4")
                if np.abs(samples).max() >= AUDIBLE:
                    self.heard = time.perf_counter()
            self._synced |= datagram.startswith(b"/synced\0")
        self.send("/stream/pull", float(self._number), self._id)
        self._number += 1

    def listen(self, seconds: float) -> None:
        """Pulls for a while."""
        for _ in range(round(seconds * RATE / self.block)):
            self.pull()

    def sync(self) -> None:
        """Pulls until all that was asked for is done."""
        self._synced = False
        self.send("/sync")
        while not self._synced:
            self.pull()

    def close(self) -> None:
        self._socket.close()


class Crowd:
    """Another client, some voices of which sound all the time."""

    def __init__(self, port: int, voices: int) -> None:
        self._listener = Listener(port, CROWD_BLOCK, CROWD_AHEAD)
        self._voices = voices
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        turn = NOTE_SECONDS / self._voices
        played, begun = 0, time.perf_counter()
        while not self._over.is_set():
            self._listener.pull()
            due = round((time.perf_counter() - begun) / turn) + 1
            while played < max(due, self._voices):
                voice = played % self._voices
                self._listener.send("/note", 36 + voice % 40, 100, voice)
                played += 1

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._listener.send("/allsoundoff")
        self._listener.close()


def measure(flags: Sequence[str], notes: int, crowds: Sequence[int]) -> dict[str, Any]:
    """Starts a server and plays notes, each alone, with other voices sounding or none.

    Args:
        flags: of the server.
        notes: per row.
        crowds: numbers of voices that sound meanwhile.
    """
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    importing = time.perf_counter() - began
    server = Process(flags)
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
    listener = Listener(port, BLOCK, AHEAD)
    rows = []
    try:
        for cached in (False, True):
            dropped = _dropped(listener)
            times = [1000 * _first_sound(listener, n, cached) for n in range(notes)]
            rows.append(
                {
                    "voices sounding": voices,
                    "rendered before": "yes" if cached else "no",
                    **{f"p{q} ms": float(np.percentile(times, q)) for q in (50, 99)},
                    "max ms": max(times),
                    "dropped blocks": _dropped(listener) - dropped,
                }
            )
    finally:
        listener.close()
        if crowd is not None:
            crowd.stop()
    return rows


def _dropped(listener: Listener) -> int:
    return int(listener.ask("/status").args[6])  # type: ignore[arg-type]


def _first_sound(listener: Listener, n: int, cached: bool) -> float:
    """Seconds from a note's datagram until a block with its sound is there."""
    if not cached:
        # another slot than that of the last note, around which notes are rendered ahead
        slot = f"slot{n % 2}"
        listener.send("/z/random", slot, next(_seeds))
    else:
        slot = "slot1"
    listener.listen(PAUSE + (n % 7) / 7 * BLOCK / RATE)
    time.sleep((n % 7) / 7 * BLOCK / RATE)  # anywhere within a block
    listener.heard = math.inf
    begun = time.perf_counter()
    listener.send("/note", 60, 127, 1, slot)
    while listener.heard == math.inf:
        if time.perf_counter() - begun > PATIENCE:
            raise UserError(f"a note was not heard within {PATIENCE:g} s")
        listener.pull()
    listener.send("/allsoundoff")
    return listener.heard - begun
