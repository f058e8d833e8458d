"""A client's sound, pulled block by block."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gansynth_server.client.connection import Connection
from gansynth_server.client.messages import NoReplyError

Float32 = NDArray[np.float32]
RETRY_S = 0.25
"""Time (s) without a block until it is asked for again."""


class Stream:
    """A client's sound, pulled in real time while it is read; a context manager.

    Reading n seconds takes n seconds. Between two reads the sound stands still, so read up to the
    next note instead of sleeping, or send notes for later by :meth:`Client.at`. Blocks are counted
    in float32: a stream lasts for 2^24 of them.
    """

    def __init__(
        self, client: Connection, rate: float, block: int, ahead: int, channels: int
    ) -> None:
        opened = client.ask("/stream/open", rate, block, ahead, channels)
        self.rate, self.block, self.ahead, self.channels = rate, block, ahead, channels
        self.id: int = opened.args[1]
        """By which other clients join it: ``/stream/join``."""
        self.latency: float = opened.args[2] / 1000
        """From a message to its sound, where blocks are heard as late as ``ahead`` allows (s)."""
        self.number = 0
        """Of the next block."""
        self.late = 0
        """Blocks that a listener would have missed: not there ``ahead`` blocks after their time."""
        self.delay = 0.0
        """From the request of the last block to its arrival (s)."""
        self._client = client
        self._period = block / rate
        self._begun = time.perf_counter()
        self._next = 0
        self._requested: dict[int, float] = {}
        self._blocks: dict[int, tuple[float, Float32]] = {}
        self._rest: Float32 = np.zeros((channels, 0), np.float32)
        client.take_block = self._take

    def read(self, seconds: float) -> Float32:
        """Return the next seconds of sound, [channels, samples].

        Raises:
            NoReplyError: a block does not come within the client's timeout.
            RequestError: the server has lost the stream.
        """
        samples = round(seconds * self.rate)
        parts, ready = [self._rest], self._rest.shape[1]
        while ready < samples:
            parts.append(self.read_block())
            ready += self.block
        sound = np.concatenate(parts, axis=1)
        self._rest = sound[:, samples:]
        return sound[:, :samples]

    def save(self, path: str | Path, seconds: float) -> None:
        """Read and write to .wav (32-bit float), .flac (24 bits) or .ogg.

        Raises:
            UserError: the file cannot be written; and as :meth:`read`.
        """
        from gansynth_server.audio import sound_file

        sound_file.check_output(Path(path))
        sound_file.save(Path(path), self.read(seconds), round(self.rate))

    def read_block(self) -> Float32:
        """Return the next block, [channels, block], not before its time.

        What :meth:`read` has left of the block before stays for the next read.

        Raises: as :meth:`read`.
        """
        self._client.check_no_bundle("a block")
        number, now = self.number, time.perf_counter()
        if now > self._due(number + self.ahead):  # nothing was read for a while
            self._begun += now - self._due(number)
        timeout = self._client.timeout
        again, end = now + self._period + RETRY_S, now + timeout
        while number not in self._blocks:
            now = time.perf_counter()
            due = self._due(self._next) if self._next < number + self.ahead else math.inf
            if now >= due:
                self._requested[self._next] = now
                self._pull(self._next)
                self._next += 1
            elif now >= end:
                raise self._client.no_reply(f"no block of the stream has come for {timeout:g} s")
            elif now >= again:  # UDP may have lost it
                self._pull(number)
                again = now + RETRY_S
            else:
                self._client.poll(min(due, again, end) - now)
                self._client.raise_failure("/stream/pull")
        arrived, sound = self._blocks.pop(number)
        self.delay = arrived - self._requested.pop(number)
        missed = (arrived - self._due(number + self.ahead)) / self._period
        self.late += max(0, math.ceil(missed))
        self.number += 1
        return sound

    def close(self) -> None:
        """Have this client's notes sound on the server's output again; the sounding ones end."""
        self._client.take_block = lambda datagram: None
        with suppress(NoReplyError):
            self._client.ask("/stream/close")

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _due(self, number: int) -> float:
        """When a block is asked for, by ``time.perf_counter``."""
        return self._begun + number * self._period

    def _pull(self, number: int) -> None:
        self._client.send("/stream/pull", number, self.id)

    def _take(self, datagram: bytes) -> None:
        """Keep a block: ``/b number onset floats…``, in stereo a bundle of that and ``/r``."""
        size = 4 * self.block
        messages = [datagram]
        if self.channels == 2:  # #bundle, time tag, and each with its size before it
            middle = 16 + (len(datagram) - 16) // 2
            messages = [datagram[20:middle], datagram[middle + 4 :]]
        if len(messages[0]) < size + 8:  # of a stream of this client's with other blocks
            return
        number = int(np.frombuffer(messages[0][-size - 8 :], ">f4", 1)[0])
        sound = np.stack([np.frombuffer(message[-size:], ">f4") for message in messages])
        if number in self._requested:  # and not one that has come twice
            self._blocks[number] = time.perf_counter(), sound.astype(np.float32)
