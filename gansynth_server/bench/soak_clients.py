"""The clients of a soak test: one that plays and listens, and others that send random messages."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from gansynth_server.bench.plan import SoakPlan
from gansynth_server.bench.traffic import SteadyNotes, Traffic
from gansynth_server.client import Client, NoReplyError
from gansynth_server.errors import UserError
from gansynth_server.util.threads import raise_priority

RATE = 48000
NOTE_SECONDS = 3.0
TIMBRE_SECONDS = 5.0
REPLY_TIMEOUT_S = 10.0
BROKEN = "soak-broken"
"""Name of the checkpoint that cannot be loaded."""


class CountingClient(Client):
    """Counts the datagrams that it sends, and the ``/fail`` that it receives."""

    def __init__(self, port: int) -> None:
        super().__init__(port=port, timeout=REPLY_TIMEOUT_S)
        self.sent = self.failed = 0

    def send_datagram(self, datagram: bytes) -> None:
        super().send_datagram(datagram)
        self.sent += 1

    def receive_datagram(self, timeout: float = 0.0) -> bytes | None:
        datagram = super().receive_datagram(timeout)
        self.failed += datagram is not None and datagram.startswith(b"/fail\0")
        return datagram


class Listener:
    """Keeps the voices sounding and pulls their stream in real time."""

    def __init__(self, port: int, plan: SoakPlan) -> None:
        self.client = CountingClient(port)
        self.stream = self.client.stream(RATE, plan.block, plan.ahead)
        self._notes = SteadyNotes(plan.voices, NOTE_SECONDS, plan.seed)
        self._random = random.Random(plan.seed)
        self.held_up = 0
        """Blocks that this process asked for too late."""
        self.wrong = 0
        """Blocks with samples that are not finite or beyond ±1."""
        self.peak = 0.0
        self.delays: list[float] = []
        """Times (s) from the request of each block to its arrival."""
        self.switches = {"done": 0, "refused": 0, "wrong": 0}
        self.loads: SimpleQueue[str] = SimpleQueue()
        """Names of checkpoints that are to be loaded."""
        self.error: UserError | None = None

    def run(self, over: threading.Event) -> None:
        raise_priority()
        try:
            self._run(over)
        except UserError as error:
            self.error = error

    def _run(self, over: threading.Event) -> None:
        period = self.stream.block / RATE
        begun = ready = time.perf_counter()
        timbre = -TIMBRE_SECONDS
        while not over.is_set():
            now = time.perf_counter() - begun
            if now - timbre > TIMBRE_SECONDS:
                timbre = now
                self.client.random("z", self._random.randrange(2**24))
            self._notes.play(self.client, now)
            if not self.loads.empty():
                self.client.send("/checkpoint/load", self.loads.get())
            away = time.perf_counter() - ready
            if away > self.stream.ahead * period:  # this process stood still
                self.held_up += int(away / period)
            sound = self.stream.read_block()
            ready = time.perf_counter()
            self.delays.append(self.stream.delay)
            self.check_sound(sound)
            self._count_switches()

    def check_sound(self, sound: NDArray[np.float32]) -> None:
        """Count a block whose samples are wrong."""
        peak = float(np.abs(sound).max())
        self.wrong += not peak <= 1  # NaN neither
        self.peak = max(self.peak, peak)

    def _count_switches(self) -> None:
        while self.client.events:
            address, args = self.client.events.popleft()
            if address == "/done" and args[0] == "/checkpoint/load":
                self.switches["done" if args[1] != BROKEN else "wrong"] += 1
        while self.client.failures:
            failure = self.client.failures.popleft()
            if failure.address == "/checkpoint/load":
                self.switches["refused" if BROKEN in failure.reason else "wrong"] += 1


class RandomClient:
    """A client that sends random messages, and hears nothing."""

    def __init__(self, port: int, plan: SoakPlan, number: int, stream: int) -> None:
        self.client = CountingClient(port)
        self._traffic = Traffic(plan.seed * 1000 + number)
        self._pause = 1 / plan.messages
        if number % 2 == 0 or not plan.apart:
            self.client.ask("/stream/join", stream)

    def run(self, over: threading.Event) -> None:
        due = time.monotonic()
        with suppress(NoReplyError):  # the server has ended
            while not over.is_set():
                due = max(due + self._pause, time.monotonic() - 1)
                while (left := due - time.monotonic()) > 0:
                    self.client.receive_datagram(left)
                self.client.send_datagram(self._traffic.datagram())
