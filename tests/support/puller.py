"""The one listener of the tests: pulls its stream block by block, and keeps all that comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from pythonosc.osc_bundle import OscBundle

from tests.support.client import Client, Words, decode

RATE, BLOCK = 48000, 512


class Puller(Client):
    """Opens a stream of one channel or two; ``sound`` is what came of it so far."""

    def __init__(self, port: int, ahead: int = 4, channels: int = 1) -> None:
        super().__init__(port)
        self.told: list[Words] = []
        self.blocks: list[np.ndarray] = []
        self.number = 0
        self.timeout = 10.0
        """Seconds that a pull waits for its block."""
        extra = () if channels == 1 else (channels,)
        self.stream = int(self.ask("/stream/open", RATE, BLOCK, ahead, *extra)[2])  # type: ignore[call-overload]

    @property
    def sound(self) -> np.ndarray:
        """[samples] of one channel, [2, samples] of two."""
        return np.concatenate(self.blocks, axis=-1)

    def pull(self, number: int | None = None) -> np.ndarray:
        """The next block, or that of a number; other replies go to ``told``."""
        self.number = self.number if number is None else number
        self.send("/stream/pull", float(self.number), float(self.stream))
        self.socket.settimeout(self.timeout)
        while (block := self._block(datagram := self.socket.recv(65536))) is None:
            self.told.append(decode(datagram))
        self.number += 1
        self.blocks.append(block)
        return block

    def _block(self, datagram: bytes) -> np.ndarray | None:
        if datagram.startswith(b"/b\0"):
            return np.frombuffer(datagram[-4 * BLOCK :], ">f4").astype(np.float32)
        if not datagram.startswith(b"#bundle"):
            return None
        left, right = OscBundle(datagram)
        assert (left.address, right.address) == ("/b", "/r")
        assert left.params[:2] == right.params[:2] == [self.number, self.number % 64 * BLOCK]
        return np.float32([left.params[2:], right.params[2:]])

    def listen(self, blocks: int) -> np.ndarray:
        """So many blocks, as fast as they come."""
        return np.concatenate([self.pull() for _ in range(blocks)], axis=-1)

    def hear(self, seconds: float) -> np.ndarray:
        """So many seconds of sound, as fast as they come."""
        return self.listen(round(seconds * RATE / BLOCK))

    def pull_until(self, happened: Callable[[], bool], seconds: float = 60) -> None:
        """Pull, in about real time, until something has happened."""
        patience = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < patience, self.told
            self.pull()
            time.sleep(0.8 * BLOCK / RATE)

    def leave(self) -> None:
        """Silence what this client plays, hear that it has ended, and close the stream."""
        self.send("/allsoundoff")
        self.sync()
        self.listen(2)
        super().leave()

    @contextmanager
    def in_real_time(self) -> Iterator[None]:
        """Pull in real time, on a thread of its own, while the context lasts."""
        ending = threading.Event()

        def run() -> None:
            begun = time.monotonic()
            while not ending.wait(begun + len(self.blocks) * BLOCK / RATE - time.monotonic()):
                self.pull()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()
