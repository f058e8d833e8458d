"""A client's sound, pulled block by block over its socket (Pure Data's clock)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gansynth_server.net.access import new_token
from gansynth_server.osc.codec import encode_block, encode_bundle
from gansynth_server.synth.bus import Bus

CHANNELS = ("/b", "/r")
"""Addresses of the blocks, left (or mono) and right."""
FADE_S = 0.005
"""Time (s) in which the sound comes back after blocks that were not asked for."""
RING = 64
"""Blocks in the listener's ring, and blocks that can be asked for again."""


class PullStream:
    """Answers the pulls of one client; used by the stream thread alone, once opened.

    A block asked for again is the same block again. A jump ahead moves on; a
    block that is older than the ring is that of a listener that counts from the
    beginning again. A block that was never asked for and is already past is silence.
    """

    def __init__(self, bus: Bus, block: int, ahead: int) -> None:
        self.bus = bus
        self.block = block
        self.ahead = ahead
        self.id = new_token()
        self._sent: dict[int, tuple[int, bytes]] = {}  # by place in the ring
        self._newest = -1
        self._mark = (0, 0)
        """The number of the next block, and the samples of the voices before it."""
        steps = min(block, round(FADE_S * bus.rate))
        self._ramp = np.ones(block, np.float32)
        self._ramp[:steps] = np.sin(np.pi / 2 * np.arange(steps) / steps) ** 2

    @property
    def form(self) -> tuple[int, int, int, int]:
        """Rate, block, blocks ahead and channels."""
        return self.bus.rate, self.block, self.ahead, self.bus.channels

    @property
    def pulled(self) -> bool:
        """Return whether any block has been asked for."""
        return self._newest >= 0

    @property
    def period(self) -> float:
        """Time (s) of a block."""
        return self.block / self.bus.rate

    @property
    def latency(self) -> float:
        """Time (s) from the voices to the listener."""
        return self.ahead * self.period + self.bus.delay

    def known(self, number: int) -> bytes | None:
        """Return the answer to a pull where nothing has to be rendered; None for a new block."""
        block = self._sent.get(number % RING)
        if block is not None and block[0] == number:
            return block[1]
        if self._newest - RING < number < self._newest:
            return self._encoded(number, np.zeros((self.bus.channels, self.block), np.float32))
        return None

    def encode(self, number: int, sound: NDArray[np.float32]) -> bytes:
        """Encode a new block [channels, block] as ``/b number onset floats…``, in stereo a bundle
        of ``/b`` (left) and ``/r`` (right); keep it to be sent again."""
        place = number % RING
        if self._newest >= 0 and number != self._newest + 1:  # after a gap
            sound = sound * self._ramp
        datagram = self._encoded(number, sound)
        self._sent[place] = (number, datagram)
        self._newest = number
        self._mark = number + 1, self.bus.time
        return datagram

    def seconds(self, number: int, samples: float) -> float:
        """Return when (s) a sample counted from a block is due, on the link's clock; any thread."""
        block, rendered = self._mark
        ratio = self.bus.voices.rate / self.bus.rate
        return self.bus.link.seconds(rendered + ((number - block) * self.block + samples) * ratio)

    def _encoded(self, number: int, sound: NDArray[np.float32]) -> bytes:
        heads = (float(number), float(number % RING * self.block))
        blocks = zip(CHANNELS, sound, strict=False)
        messages = [encode_block(address, heads, samples) for address, samples in blocks]
        return messages[0] if len(messages) == 1 else encode_bundle(None, *messages)
