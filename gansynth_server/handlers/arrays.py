"""Messages about whole notes for arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.spectral.constants import SAMPLE_RATE

if TYPE_CHECKING:
    from gansynth_server.server import Server

CHUNK = 1024
"""Samples per ``/chunk``: 5 kB, well within a datagram."""
MOST_ARRAYS = 16


class ArrayMessages:
    def __init__(self, server: Server) -> None:
        self._instrument = server.instrument

    def synthesize(self, call: Call, array: str, pitch: float, slot: str) -> None:
        arrays = call.peer.arrays
        if array not in arrays and len(arrays) >= MOST_ARRAYS:
            arrays.pop(next(iter(arrays)))

        def done(wave: NDArray[np.float32]) -> None:
            arrays[array] = wave
            chunks = -(-len(wave) // CHUNK)
            call.reply("/synthesized", array, len(wave), SAMPLE_RATE, chunks)

        fail = call.failing("/synthesize")
        self._instrument.synthesize(call.client, pitch, slot, done, fail, call.when)

    def synthesize_get(self, call: Call, array: str, chunk: int) -> None:
        wave = call.peer.arrays.get(array)
        if wave is None:
            raise UserError(f"nothing was synthesized for {array!r} yet; send /synthesize first")
        part = wave[chunk * CHUNK : (chunk + 1) * CHUNK]
        if not len(part):
            raise UserError(f"{array!r} has {-(-len(wave) // CHUNK)} chunks, counted from 0")
        call.reply("/chunk", array, chunk, chunk * CHUNK, part)
