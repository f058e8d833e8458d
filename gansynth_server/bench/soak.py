"""Hours of everything at once, on a server of its own, and what became of it.

One client holds the polyphony full and listens to a stream, pulled in real time
as Pure Data does; others send random messages from the whole table, and their
notes sound in that stream too. Now and then the checkpoint changes, and sometimes
to one that is broken. At the end the server is told to stop while all of that goes on.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gansynth_server.bench.live import PATIENCE, Process
from gansynth_server.bench.traffic import Traffic
from gansynth_server.errors import UserError
from gansynth_server.model import checkpoint
from gansynth_server.osc.codec import Message, OscError, decode, encode
from gansynth_server.util.threads import raise_priority

RATE = 48000
WIND_UP = 0.1
"""Share of the time after which memory should be flat."""
NOTE_SECONDS = 3.0
TIMBRE_SECONDS = 5.0
GREET_SECONDS = 20.0
"""Within which the watcher says a word, or it would be forgotten, and hear another bus's load."""
ROWS = 12
"""Lines of the table."""
COPIES = 3
BROKEN = "soak-broken"
MUST_BE_ZERO = (
    "underruns on the server's side",
    "blocks with wrong samples",
    "switches gone wrong",
    "exit status",
)


@dataclass(frozen=True)
class Plan:
    """What is done to the server, and for how long."""

    seconds: float
    voices: int = 32
    clients: int = 4
    """That send random messages."""
    messages: float = 50.0
    """A second, of each."""
    switch: float = 20.0
    """Seconds between two changes of the checkpoint."""
    block: int = 512
    ahead: int = 4
    seed: int = 1
    apart: bool = False
    """Whether half of them are heard on the server's output, which has as many voices again."""


class Client:
    """A socket that sends, and receives what it is told on a thread of its own."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.connect(("127.0.0.1", port))
        self.sent = self.received = self.failed = 0

    def send(self, address: str, *args: Any) -> None:
        self.put(encode(address, *args))

    def put(self, datagram: bytes) -> None:
        with suppress(OSError):  # nobody is there any more
            self._socket.send(datagram)
            self.sent += 1

    def take(self, timeout: float) -> bytes | None:
        """The next datagram, if one comes in time."""
        self._socket.settimeout(max(timeout, 1e-4))
        try:
            datagram = self._socket.recv(65536)
        except OSError:
            return None
        self.received += 1
        self.failed += datagram.startswith(b"/fail\0")
        return datagram

    def ask(self, address: str, *args: Any, answer: str) -> Message:
        """Sends until the answer comes, at most ten seconds; UserError without one."""
        patience = time.monotonic() + PATIENCE
        while time.monotonic() < patience:
            self.send(address, *args)
            until = time.monotonic() + 1
            while (left := until - time.monotonic()) > 0:
                datagram = self.take(left)
                with suppress(OscError):
                    message = decode(datagram)[0][1] if datagram else None
                    if message is not None and message.address in (answer, "/fail"):
                        return message
        raise UserError(f"the server did not answer {address} within {PATIENCE:g} s")

    def close(self) -> None:
        self._socket.close()


class Listener:
    """Plays and pulls: block k is asked for when k - ahead is to be heard."""

    def __init__(self, port: int, plan: Plan) -> None:
        self.client = Client(port)
        self._plan = plan
        opened = self.client.ask("/stream/open", RATE, plan.block, plan.ahead, answer="/done")
        if opened.address == "/fail":
            raise UserError(f"the server says: {opened.args}")
        self.stream = float(opened.args[1])  # type: ignore[arg-type]
        self._random = random.Random(plan.seed)
        self.late = 0
        """Blocks that were not there when they were to be heard."""
        self.held_up = 0
        """Blocks that this side asked for too late."""
        self.wrong = 0
        """Blocks with samples that are not finite or beyond ±1."""
        self.blocks = 0
        self.peak = 0.0
        self.latencies: list[float] = []
        self.switches = {"done": 0, "refused": 0, "wrong": 0}
        self._asked: dict[int, float] = {}
        self._there: set[int] = set()

    def run(self, over: threading.Event) -> None:
        raise_priority()
        plan = self._plan
        seconds = plan.block / RATE
        begun = time.perf_counter()
        number = played = 0
        timbre = -TIMBRE_SECONDS
        turn = NOTE_SECONDS / plan.voices
        while not over.is_set():
            now = time.perf_counter() - begun
            if now - number * seconds > plan.ahead * seconds:  # this process stood still
                skipped = int(now / seconds) - number
                self.held_up += skipped
                self._asked.clear()
                number += skipped
            self._asked[number] = time.perf_counter()
            self.client.send("/stream/pull", float(number), self.stream)
            if now - timbre > TIMBRE_SECONDS:
                timbre = now
                self.client.send("/z/random", "z", self._random.randrange(2**24))
            while played * turn < now + plan.voices * turn:
                pitch = self._random.randint(24, 84)
                self.client.send(
                    "/note", pitch, self._random.randint(30, 127), played % plan.voices
                )
                played += 1
            due = begun + (number + 1) * seconds
            while (left := due - time.perf_counter()) > 0:
                datagram = self.client.take(left)
                if datagram is not None:
                    self._heard(datagram)
            heard = number - plan.ahead + 1
            if self._asked.pop(heard, None) is not None:  # has not come
                self.late += 1
            number += 1

    def _heard(self, datagram: bytes) -> None:
        if not datagram.startswith(b"/b\0"):
            self._told(datagram)
            return
        body = datagram[-4 * (self._plan.block + 2) :]
        number = int(np.frombuffer(body[:4], ">f4")[0])
        asked = self._asked.pop(number, None)
        if asked is not None:
            self.latencies.append(time.perf_counter() - asked)
        samples = np.frombuffer(body[8:], ">f4")
        peak = float(np.abs(samples).max())
        self.wrong += not peak <= 1  # NaN neither
        self.peak = max(self.peak, peak)
        self.blocks += 1

    def _told(self, datagram: bytes) -> None:
        with suppress(OscError):
            message = decode(datagram)[0][1]
            if message.args[:1] == ("/checkpoint/load",):
                if message.address == "/done":
                    self.switches["done" if message.args[1] != BROKEN else "wrong"] += 1
                else:
                    self.switches["refused" if BROKEN in str(message.args) else "wrong"] += 1


def measure(
    flags: Sequence[str],
    name: str,
    plan: Plan,
    tell: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """Runs a server for a while; ``tell`` is given each row of figures as it is taken.

    Args:
        flags: of the server.
        name: of the checkpoint, copies of which are switched between.

    Raises:
        UserError: the checkpoint is none, or the server does not start or answer.
    """
    with tempfile.TemporaryDirectory(prefix="gansynth-soak-") as folder:
        names = copies(name, Path(folder))
        server = Process(
            [
                *("--checkpoint", names[0], "--seed", str(plan.seed)),
                *("--max-voices", str(plan.voices), *flags),
            ],
            env={**os.environ, checkpoint.VARIABLE: folder},
            log=Path(folder, "log"),
        )
        try:
            return _measure(server, names, plan, tell)
        except UserError as error:
            code, lines = server.stop(), "".join(server.errors[-100:])
            raise UserError(f"{error}; it ended with {code}, its log with: {lines}") from error
        finally:
            server.stop()


def copies(name: str, folder: Path) -> list[str]:
    """Copies of a checkpoint under names of their own, and one whose weights are cut off."""
    path = checkpoint.locate(name)
    if path.is_file():
        raise UserError(f"{path} is a file; the soak test needs a checkpoint's folder")
    names = [f"soak-{n}" for n in range(COPIES)]
    for copy in (*names, BROKEN):
        (folder / copy).mkdir()
        for part in (checkpoint.WEIGHTS, checkpoint.CONFIG, checkpoint.PRESETS):
            if (path / part).is_file():
                shutil.copyfile(path / part, folder / copy / part)
    weights = folder / BROKEN / checkpoint.WEIGHTS
    os.truncate(weights, weights.stat().st_size // 2)
    return names


def _measure(
    server: Process, names: list[str], plan: Plan, tell: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    interval, sys_interval = plan.seconds / ROWS, sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    listener, watch = Listener(server.port, plan), Client(server.port)
    watch.ask("/stream/join", listener.stream, answer="/done")  # whose load it is to tell
    over = threading.Event()
    others = [_Other(server.port, plan, n, listener.stream) for n in range(plan.clients)]
    threads = [
        threading.Thread(target=run, args=(over,), daemon=True)
        for run in (listener.run, *(other.run for other in others))
    ]
    begun = time.monotonic()
    switched = told = greeted = begun
    rows: list[dict[str, Any]] = []
    loads = 0
    try:
        for thread in threads:
            thread.start()
        while (now := time.monotonic()) - begun < plan.seconds:
            if now - switched >= plan.switch:
                switched = now
                loads += 1
                wanted = BROKEN if loads % 4 == 0 else names[loads % len(names)]
                listener.client.send("/checkpoint/load", wanted)
            if now - told >= interval:
                told = now
                rows.append(_row(now - begun, server, watch, listener, others))
                tell(rows[-1])
            if now - greeted >= GREET_SECONDS:
                greeted = now
                watch.send("/sync")
            time.sleep(min(0.1, interval / 4))
        rows.append(_row(time.monotonic() - begun, server, watch, listener, others))
        tell(rows[-1])
        stopping = time.monotonic()
        code = server.stop()
        stopped = time.monotonic() - stopping
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=5)
        for client in (listener.client, watch, *(other.client for other in others)):
            client.close()
        sys.setswitchinterval(sys_interval)
    wound_up = next((r for r in rows if r["seconds"] >= WIND_UP * plan.seconds), rows[0])
    first, last = wound_up["resident MB"], rows[-1]["resident MB"]
    latencies = 1000 * np.array(listener.latencies or [np.nan])
    return {
        "server": server.line,
        "seconds": rows[-1]["seconds"],
        "underruns on the server's side": rows[-1]["underruns"],
        "blocks heard": listener.blocks,
        "blocks late at the listener": listener.late,
        "blocks that the listener asked for too late": listener.held_up,
        "blocks with wrong samples": listener.wrong,
        "peak": listener.peak,
        **{
            f"block answered ms, p{q:g}": float(np.percentile(latencies, q)) for q in (50, 99, 99.9)
        },
        "block answered ms, longest": float(latencies.max()),
        "messages sent": rows[-1]["messages"],
        "failures told": sum(other.client.failed for other in others) + listener.client.failed,
        "checkpoints switched": listener.switches["done"],
        "broken checkpoints refused": listener.switches["refused"],
        "switches gone wrong": listener.switches["wrong"],
        "memory growth after the first tenth %": 100 * (last / first - 1) if first else None,
        "lines in the server's log": len(server.errors),
        "seconds from SIGTERM to the end under load": stopped,
        "exit status": code,
        "log": server.errors[-50:],
        "rows": rows,
    }


class _Other:
    """A client that sends random messages, and hears nothing."""

    def __init__(self, port: int, plan: Plan, number: int, stream: float) -> None:
        self.client = Client(port)
        self._traffic = Traffic(plan.seed * 1000 + number)
        self._pause = 1 / plan.messages
        if number % 2 == 0 or not plan.apart:
            self.client.ask("/stream/join", stream, answer="/done")

    def run(self, over: threading.Event) -> None:
        due = time.monotonic()
        while not over.is_set():
            due = max(due + self._pause, time.monotonic() - 1)
            while (left := due - time.monotonic()) > 0:
                self.client.take(left)
            self.client.put(self._traffic.datagram())


def _row(
    seconds: float, server: Process, watch: Client, listener: Listener, others: list[_Other]
) -> dict[str, Any]:
    status = watch.ask("/status", answer="/status.reply").args
    on_stream = listener.client
    return {
        "seconds": seconds,
        "voices": status[0],
        "waiting": status[1],
        "clients": status[2],
        "load %": status[3],
        "peak %": status[4],
        "underruns": status[6],
        "late": listener.late,
        "messages": on_stream.sent + watch.sent + sum(other.client.sent for other in others),
        "switches": listener.switches["done"],
        "resident MB": server.megabytes(),
    }


def plot(path: Path, figures: dict[str, Any]) -> None:
    """Writes a PNG of memory, voices and late blocks over time.

    Raises:
        UserError: matplotlib is missing or the file cannot be written.
    """
    from gansynth_server.spectral.plot import load_pyplot, save

    pyplot = load_pyplot()
    figure, axes = pyplot.subplots(3, 1, sharex=True, figsize=(9, 7), layout="constrained")
    rows = figures["rows"]
    minutes = [row["seconds"] / 60 for row in rows]
    for axis, names in zip(
        axes, (("resident MB",), ("voices", "waiting"), ("underruns", "late")), strict=True
    ):
        for name in names:
            axis.plot(minutes, [row[name] for row in rows], "o-", label=name)
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=8)
    axes[-1].set(xlabel="minutes")
    save(figure, path, dpi=120)
