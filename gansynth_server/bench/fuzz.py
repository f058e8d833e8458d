"""One run: a server with notes sounding and a stream pulled, mutated traffic, and the figures."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from gansynth_server.bench.mutations import datagrams
from gansynth_server.bench.process import ask_again
from gansynth_server.client import Client
from gansynth_server.errors import UserError
from gansynth_server.osc.codec import OscError, decode

RATE, BLOCK, AHEAD = 48000, 512, 4
NOTES = (48, 55, 60, 64)
WINDOW = 32
"""Datagrams between two answers that are waited for, so that none is lost on the way."""
SOURCE = 20_000
"""Datagrams from one port; then another client goes on."""
REPLY_TIMEOUT_S = 5.0
"""Time (s) without an answer after which the server counts as hanging."""
WARM = 0.25
"""Share of the datagrams that are sent before memory is measured first: they fill the caches."""


@dataclass
class Figures:
    """The figures of a run."""

    sent: int = 0
    lost: int = 0
    """Answers that had to be asked for again."""
    seconds: float = 0.0
    replies: Counter[str] = field(default_factory=Counter)
    """Replies by address."""
    status: list[float] = field(default_factory=list)
    """Times (s) from /status to its answer, for another client."""
    blocks: int = 0
    late: int = 0
    """Blocks that came after the listener needed them."""
    silent: int = 0
    """Blocks without sound, though notes are held."""
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    """The server's metrics."""


class Player:
    """Holds notes and pulls their stream in real time, and asks for /status in between."""

    def __init__(self, port: int, figures: Figures) -> None:
        self._figures = figures
        self._player, self._watcher = (Client(port=port, timeout=REPLY_TIMEOUT_S) for _ in range(2))
        self._stream = self._player.stream(RATE, BLOCK, AHEAD)
        self._player.preset("z", "drawbar_organ")
        self._player.send("/hold", 1)
        for note in NOTES:
            self._player.note(note)
        ask_again(self._player, "/sync", 1)
        self.error: UserError | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._player.close()
        self._watcher.close()

    def _run(self) -> None:
        figures, stream = self._figures, self._stream
        try:
            while not self._over.is_set():
                sound = stream.read_block()
                figures.blocks, figures.late = stream.number, stream.late
                figures.silent += bool(stream.number > 100 and np.abs(sound).max() < 1e-4)
                if stream.number % 8 == 0:
                    asked = time.perf_counter()
                    ask_again(self._watcher, "/status")
                    figures.status.append(time.perf_counter() - asked)
        except UserError as error:
            self.error = error


def run(
    port: int,
    seed: int,
    number: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Figures:
    """Send mutated datagrams to a server that plays meanwhile.

    Raises:
        UserError: it hangs, or has ended.
    """
    figures = Figures()
    player = Player(port, figures)
    watcher, sender = (Client(port=port, timeout=REPLY_TIMEOUT_S) for _ in range(2))
    stream = datagrams(seed)
    begun = time.monotonic()
    try:
        while figures.sent < number:
            part = list(islice(stream, min(WINDOW, number - figures.sent)))
            if figures.sent // SOURCE != (figures.sent + len(part)) // SOURCE:
                sender.close()
                sender = Client(port=port)
            for datagram in part:
                sender.send_datagram(datagram)
            _until_handled(sender, figures)
            figures.sent += len(part)
            if not figures.before and figures.sent >= WARM * number:
                figures.before = _metrics(watcher)
            if player.error is not None:
                raise player.error
            progress(figures.sent)
        figures.seconds = time.monotonic() - begun
        time.sleep(1.0)
        figures.after = _metrics(watcher)
    finally:
        player.stop()
        watcher.close()
        sender.close()
    if player.error is not None:
        raise player.error
    return figures


def _metrics(client: Client) -> dict[str, float]:
    """Return the server's metrics."""
    args = ask_again(client, "/metrics").args
    return dict(zip(args[::2], args[1::2], strict=True))


def _until_handled(sender: Client, figures: Figures) -> None:
    """Count all replies, up to that to a question which comes after all else."""
    mark = f"/mark/{figures.sent}"
    end = time.monotonic() + REPLY_TIMEOUT_S
    while time.monotonic() < end:
        sender.send(mark)
        while (datagram := sender.receive_datagram(0.5)) is not None:
            try:
                reply = decode(datagram)[0][1]
            except (OscError, IndexError):
                figures.replies["not OSC"] += 1
                continue
            if reply.address == "/fail" and reply.args[:1] == (mark,):
                return
            figures.replies[reply.address] += 1
        figures.lost += 1
    raise UserError(
        f"after {figures.sent} datagrams the server did not answer for {REPLY_TIMEOUT_S:g} s"
    )
