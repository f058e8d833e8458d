"""Peers that send time tags, and a listener that pulls a stream in real time."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from pythonosc.osc_message_builder import OscMessageBuilder

from tests.support.server import Peer

RATE, BLOCK = 48000, 512
Samples = NDArray[np.float32]


def message(address: object, *args: object) -> bytes:
    built = OscMessageBuilder(str(address))
    for arg in args:
        built.add_arg(arg)
    return built.build().dgram


def bundle(tag: int, *messages: tuple[object, ...]) -> bytes:
    """A bundle of messages (address, arguments…); its time tag counts 2^-32 s from 1900 on."""
    parts = [message(*words) for words in messages]
    sized = (struct.pack(">i", len(part)) + part for part in parts)
    return b"#bundle\0" + struct.pack(">Q", tag) + b"".join(sized)


def tag(unix: float) -> int:
    """The time tag of a Unix time."""
    return round(unix * 2**32) + (2208988800 << 32)


class TimedPeer(Peer):
    """A peer that can send messages for later."""

    def send_at(self, when: float, *messages: tuple[object, ...]) -> None:
        """Sends messages for a Unix time."""
        self.socket.send(bundle(tag(when), *messages))

    def play(self, begin: float, score: Iterable[tuple[float, tuple[object, ...]]]) -> None:
        """Sends a score, each message a second before its time, or earlier where it is close."""
        start = tag(begin)
        for seconds, words in score:
            time.sleep(max(0.0, begin + seconds - 1.0 - time.time()))
            self.socket.send(bundle(start + round(seconds * 2**32), words))


class Listener:
    """Opens a stream and pulls it in real time while the context lasts."""

    def __init__(self, port: int, ahead: int = 16) -> None:
        self._session = Peer(port)
        self.id = int(self._session.ask("/stream/open", RATE, BLOCK, ahead)[2])
        self._blocks: list[Samples] = []
        self._ending = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._thread.join()
        self._session.send("/stream/close")
        self._session.close()

    def _run(self) -> None:
        begun = time.monotonic()
        while not self._ending:
            number = len(self._blocks)
            time.sleep(max(0.0, begun + number * BLOCK / RATE - time.monotonic()))
            while True:
                self._session.send("/stream/pull", float(number), float(self.id))
                reply = self._session.until("/b")
                if reply[1] == number:
                    break
            self._blocks.append(np.float32(reply[3:]))

    @property
    def sound(self) -> Samples:
        """All that was heard so far."""
        return np.concatenate(self._blocks)


def onsets(sound: Samples, note: Samples, expected: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where notes of equal sound begin that overlap: each is searched for within some samples
    of where it is expected, and taken away from the sound; AssertionError if any is not there.

    Args:
        note: the sound of one, alone.
    """
    left = np.concatenate([sound, np.zeros(len(note), np.float32)]).astype(np.float64)
    found = []
    for place in expected:
        shifts = range(-4, 5)
        rests = [np.abs(left[place + s :][:1024] - note[:1024]).max() for s in shifts]
        best = int(place) + shifts[int(np.argmin(rests))]
        # 3e-7 as a rule; each sample that an earlier one's release is off leaves 4e-6, and a
        # beginning that is one off 3e-2
        assert min(rests) < 3e-5, f"no note at {place}: {min(rests):.2g} is left at best"
        left[best : best + len(note)] -= note
        found.append(best)
    return np.array(found)
