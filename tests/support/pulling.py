"""A listener for tests: pulls its stream block by block, and keeps what it hears and is told."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from pythonosc.osc_message import OscMessage

from tests.support.server import Peer

RATE, BLOCK = 48000, 512


class Puller(Peer):
    """Opens a stream; ``sound`` is what came of it so far."""

    def __init__(self, port: int, ahead: int = 4) -> None:
        super().__init__(port)
        self.told: list[tuple[object, ...]] = []
        self.blocks: list[np.ndarray] = []
        self.number = 0
        self.stream = float(self.ask("/stream/open", RATE, BLOCK, ahead)[2])  # type: ignore[arg-type]

    @property
    def sound(self) -> np.ndarray:
        return np.concatenate(self.blocks)

    def pull(self, number: int | None = None) -> np.ndarray:
        """The next block, or that of a number."""
        self.number = self.number if number is None else number
        self.send("/stream/pull", float(self.number), self.stream)
        while True:
            self.socket.settimeout(10)
            datagram = self.socket.recv(65536)
            if datagram.startswith(b"/b\0"):
                break
            message = OscMessage(datagram)
            self.told.append((message.address, *message.params))
        self.number += 1
        self.blocks.append(np.frombuffer(datagram[-4 * BLOCK :], ">f4").astype(np.float32))
        return self.blocks[-1]

    def pull_until(self, happened: Callable[[], bool], seconds: float = 60) -> None:
        """Pulls, in about real time, until something has happened."""
        patience = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < patience, self.told
            self.pull()
            time.sleep(0.8 * BLOCK / RATE)

    def status(self) -> tuple[object, ...]:
        """What ``/status`` answers, whatever else comes before it."""
        self.send("/status")
        return self.until("/status.reply")

    def listen(self, blocks: int) -> np.ndarray:
        """So many blocks."""
        return np.concatenate([self.pull() for _ in range(blocks)])


def roughness(sound: np.ndarray) -> float:
    """Largest level above 12 kHz in any 10 ms: nothing of a note lies there, but of a jump."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, BLOCK)[:: BLOCK // 4]
    spectrum = np.fft.rfft(frames * np.hanning(BLOCK))
    return float(np.abs(spectrum[:, 12000 * BLOCK // RATE :]).max() / (BLOCK / 4))
