"""A client's sound, pulled block by block over its socket (Pure Data's clock)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gansynth_server.engine.commands import OpenStream
from gansynth_server.osc.codec import OscError, decode, encode_block, encode_bundle
from gansynth_server.synth.bus import Bus

PULL = b"/stream/pull\0"
"""Beginning of the datagrams that ask for blocks."""
MAX_PULL_BYTES = 64
_PLAIN = {
    PULL + b"\0\0\0,ff\0": struct.Struct(">16x4xff"),
    PULL + b"\0\0\0,ii\0": struct.Struct(">16x4xii"),
}
_HEAD = 20
"""Bytes of an address and its type tags, before the two numbers of a pull."""
CHANNELS = ("/b", "/r")
"""Addresses of the blocks, left (or mono) and right."""
FADE_S = 0.005
"""Time (s) in which the sound comes back after blocks that were not asked for."""
RING = 64
"""Blocks in the listener's ring, and blocks that can be asked for again."""


class PullStream:
    """Answers the pulls of one client.

    A block asked for again is the same block again. A jump ahead moves on; a
    block that is older than the ring is that of a listener that counts from the
    beginning again. A block that was never asked for and is already past is silence.
    """

    def __init__(self, form: OpenStream, bus: Bus) -> None:
        self.form, self.bus = form, bus
        self.period = form.block / bus.rate
        """Time (s) of a block."""
        self.told = -1.0
        """Time (s) at which the server was last told that it is pulled."""
        self.mark = (0, 0)
        """The number of the next block, and the samples of the voices before it."""
        self._sent: dict[int, tuple[int, bytes]] = {}  # by place in the ring
        self._newest = -1
        steps = min(form.block, round(FADE_S * bus.rate))
        self._ramp = np.ones(form.block, np.float32)
        self._ramp[:steps] = np.sin(np.pi / 2 * np.arange(steps) / steps) ** 2

    @property
    def cushion(self) -> float:
        """Time (s) by which blocks are asked for before they are needed."""
        return self.form.ahead * self.period

    def known(self, number: int) -> bytes | None:
        """Return the answer to a pull where nothing has to be rendered; None for a new block."""
        block = self._sent.get(number % RING)
        if block is not None and block[0] == number:
            return block[1]
        if self._newest - RING < number < self._newest:
            shape = self.bus.channels, self.form.block
            return self._encoded(number, np.zeros(shape, np.float32))
        return None

    def encode(self, number: int, sound: NDArray[np.float32]) -> bytes:
        """Encode a new block [channels, block] as ``/b number onset floats…``, in stereo a bundle
        of ``/b`` (left) and ``/r`` (right); keep it to be sent again."""
        if self._newest >= 0 and number != self._newest + 1:  # after a gap
            sound = sound * self._ramp
        datagram = self._encoded(number, sound)
        self._sent[number % RING] = (number, datagram)
        self._newest = number
        self.mark = number + 1, self.bus.time
        return datagram

    def _encoded(self, number: int, sound: NDArray[np.float32]) -> bytes:
        heads = (float(number), float(number % RING * self.form.block))
        blocks = zip(CHANNELS, sound, strict=False)
        messages = [encode_block(address, heads, samples) for address, samples in blocks]
        return messages[0] if len(messages) == 1 else encode_bundle(None, *messages)


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A block that a stream was asked for, and when (s)."""

    stream: PullStream
    number: int
    asked: float


def read_pull(datagram: bytes) -> tuple[int, int] | None:
    """Read a pull: the number of the block and that of the stream; None for anything else."""
    if not datagram.startswith(PULL) or len(datagram) > MAX_PULL_BYTES:
        return None
    try:
        plain = _PLAIN.get(datagram[:_HEAD])
        if plain is not None and len(datagram) == plain.size:
            block, stream = plain.unpack(datagram)  # a third of the time that decoding takes
        else:
            ((_, message),) = decode(datagram)
            block, stream = message.args
            if not isinstance(block, int | float) or not isinstance(stream, int | float):
                return None
        number = int(block), int(stream)
    except (OscError, ValueError, TypeError, OverflowError):
        return None
    return number if number[0] >= 0 else None
