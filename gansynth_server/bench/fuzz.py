"""One run: a server with notes sounding and a stream pulled, mutated traffic, and the figures."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, islice

import numpy as np

from gansynth_server.bench.mutations import datagrams
from gansynth_server.errors import UserError
from gansynth_server.osc.codec import Message, OscError, decode, encode

RATE, BLOCK, AHEAD = 48000, 512, 4
NOTES = (48, 55, 60, 64)
WINDOW = 32
"""Datagrams between two answers that are waited for, so that none is lost on the way."""
SOURCE = 20_000
"""Datagrams from one port; then another client goes on."""
PATIENCE = 5.0
"""Seconds without an answer after which the server counts as hanging."""
WARM = 0.25
"""Of all datagrams: those before memory is looked at first, for what they fill for good."""


@dataclass
class Figures:
    """What a run showed."""

    sent: int = 0
    lost: int = 0
    """Answers that had to be asked for again."""
    seconds: float = 0.0
    replies: Counter[str] = field(default_factory=Counter)
    """By address."""
    status: list[float] = field(default_factory=list)
    """Seconds from /status to its answer, for another client."""
    blocks: int = 0
    late: int = 0
    """Blocks that came after the listener needed them."""
    silent: int = 0
    """Blocks without sound, though notes are held."""
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    """What the server counted."""


class Line:
    """A socket to the server that speaks OSC."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.connect(("127.0.0.1", port))

    def send(self, datagram: bytes) -> None:
        try:
            self._socket.send(datagram)
        except ConnectionRefusedError as error:
            raise UserError("nobody is at the port any more: the server has ended") from error

    def receive(self, seconds: float) -> bytes:
        """The next datagram; TimeoutError when none comes."""
        self._socket.settimeout(max(0.0001, seconds))
        try:
            return self._socket.recv(65536)
        except ConnectionRefusedError as error:
            raise UserError("nobody is at the port any more: the server has ended") from error

    def ask(self, address: str, *args: object, answer: str) -> Message:
        """Sends and waits for an answer; UserError if the server hangs."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.send(encode(address, *args))  # type: ignore[arg-type]
            try:
                while True:
                    ((_, message),) = decode(self.receive(1.0))
                    if message.address == answer:
                        return message
            except TimeoutError:
                continue
        raise UserError(f"{address} was not answered for {PATIENCE:g} s")

    def metrics(self) -> dict[str, float]:
        """What the server counts."""
        args = self.ask("/metrics", answer="/metrics.reply").args
        return dict(zip(args[::2], args[1::2], strict=True))  # type: ignore[arg-type]

    def close(self) -> None:
        self._socket.close()


class Player:
    """Holds notes and pulls their stream in real time, and asks for /status in between."""

    def __init__(self, port: int, figures: Figures) -> None:
        self._line, self._status, self._figures = Line(port), Line(port), figures
        opened = self._line.ask("/stream/open", RATE, BLOCK, AHEAD, answer="/done")
        self._id = opened.args[1]
        self._line.send(encode("/z/preset", "z", "drawbar_organ"))
        self._line.send(encode("/hold", 1))
        for note in NOTES:
            self._line.send(encode("/note", note, 100))
        self._line.ask("/sync", 1, answer="/synced")
        self.error: UserError | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._line.close()
        self._status.close()

    def _run(self) -> None:
        try:
            begun = time.monotonic()
            for number in count():
                due = begun + number * BLOCK / RATE
                if self._over.wait(max(0.0, due - time.monotonic())):
                    return
                begun += self._pull(number, begun)
                if number % 8 == 0:
                    asked = time.perf_counter()
                    self._status.ask("/status", answer="/status.reply")
                    self._figures.status.append(time.perf_counter() - asked)
        except UserError as error:
            self.error = error

    def _pull(self, number: int, begun: float) -> float:
        """Gets a block; returns the seconds by which it was late."""
        figures, patience = self._figures, time.monotonic() + PATIENCE
        figures.blocks += 1
        while time.monotonic() < patience:
            self._line.send(encode("/stream/pull", float(number), self._id))
            try:
                while True:
                    datagram = self._line.receive(0.25)
                    if datagram.startswith(b"/b\0"):
                        samples = np.frombuffer(datagram[-4 * BLOCK :], ">f4")
                        heard = struct.unpack_from(">f", datagram, len(datagram) - 4 * BLOCK - 8)
                        if heard[0] == number:
                            figures.silent += bool(number > 100 and np.abs(samples).max() < 1e-4)
                            needed = begun + (number + AHEAD) * BLOCK / RATE
                            late = max(0.0, time.monotonic() - needed)
                            figures.late += late > 0
                            return late
                    elif datagram.startswith(b"/fail\0"):
                        raise UserError(f"the stream was lost: {decode(datagram)[0][1].args}")
            except TimeoutError:
                continue
        raise UserError(f"block {number} did not come for {PATIENCE:g} s")


def run(
    port: int,
    seed: int,
    number: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Figures:
    """Sends mutated datagrams to a server that plays meanwhile.

    Raises:
        UserError: it hangs, or has ended.
    """
    figures = Figures()
    player = Player(port, figures)
    watcher = Line(port)
    stream = datagrams(seed)
    begun = time.monotonic()
    try:
        line = Line(port)
        while figures.sent < number:
            part = list(islice(stream, min(WINDOW, number - figures.sent)))
            if figures.sent // SOURCE != (figures.sent + len(part)) // SOURCE:
                line.close()
                line = Line(port)
            for datagram in part:
                line.send(datagram)
            _until_handled(line, figures)
            figures.sent += len(part)
            if not figures.before and figures.sent >= WARM * number:
                figures.before = watcher.metrics()
            if player.error is not None:
                raise player.error
            progress(figures.sent)
        figures.seconds = time.monotonic() - begun
        time.sleep(1.0)
        figures.after = watcher.metrics()
        line.close()
    finally:
        player.stop()
        watcher.close()
    if player.error is not None:
        raise player.error
    return figures


def _until_handled(line: Line, figures: Figures) -> None:
    """Takes all answers, up to that to a question which comes after all else."""
    mark = f"/mark/{figures.sent}"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        line.send(encode(mark))
        try:
            while True:
                answer = _message(line.receive(0.5))
                if answer is None:
                    figures.replies["not OSC"] += 1
                elif answer.address == "/fail" and answer.args[:1] == (mark,):
                    return
                else:
                    figures.replies[answer.address] += 1
        except TimeoutError:
            figures.lost += 1
    raise UserError(f"after {figures.sent} datagrams the server did not answer for {PATIENCE:g} s")


def _message(datagram: bytes) -> Message | None:
    try:
        return decode(datagram)[0][1]
    except (OscError, IndexError):
        return None
