"""Messages about whole notes and hallucinations for arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.handlers.kept import LONGEST, Kept
from gansynth_server.latent.sequence import Sequence, check, random_keys
from gansynth_server.server.background import Task
from gansynth_server.spectral.constants import SAMPLE_RATE

if TYPE_CHECKING:
    from gansynth_server.server.server import Server

CHUNK = 1024
"""Samples per ``/chunk``: 5 kB, well within a datagram."""


class ArrayMessages:
    def __init__(self, server: Server) -> None:
        self._instrument = server.instrument
        self._background = server.background
        self._kept = Kept()

    def synthesize(self, call: Call, array: str, pitch: float, slot: str) -> None:
        def done(wave: NDArray[np.float32]) -> None:
            self._keep(call, array, wave)

        fail = call.failing("/synthesize")
        z = self._instrument.latent(call.client, slot, call.when)
        self._instrument.work.wave(call.client, z, pitch, done, fail)

    def hallucinate_array(
        self,
        call: Call,
        array: str,
        notes: int,
        steps: int,
        spacing: float,
        trim: float,
        attack: float,
        sustain: float,
        release: float,
        seed: int | None,
        pitch: float,
    ) -> None:
        model = call.client.model
        keys = random_keys(notes, model.latent_size, self._instrument.seed(seed))
        times = spacing, trim, attack, sustain, release
        sequence = check(Sequence(keys, steps, *times, 100.0, (pitch,)))
        if sequence.seconds > LONGEST:
            raise UserError(
                f"{sequence.seconds:.0f} s are too long for an array: up to {LONGEST} s, or play it"
            )

        def render() -> None:
            self._keep(call, array, model.hallucination(sequence, SAMPLE_RATE))

        self._background.run(call, "/hallucinate/array", render, Task.SOUND)

    def _keep(self, call: Call, array: str, wave: NDArray[np.float32]) -> None:
        """Keeps a sound for the client to fetch, and tells it so."""
        self._kept.put(call.peer, array, wave)
        chunks = -(-len(wave) // CHUNK)
        call.reply("/synthesized", array, len(wave), SAMPLE_RATE, chunks)

    def synthesize_get(self, call: Call, array: str, chunk: int) -> None:
        wave = self._kept.get(call.peer, array)
        if wave is None:
            raise UserError(f"nothing was synthesized for {array!r} yet; send /synthesize first")
        part = wave[chunk * CHUNK : (chunk + 1) * CHUNK]
        if not len(part):
            raise UserError(f"{array!r} has {-(-len(wave) // CHUNK)} chunks, counted from 0")
        call.reply("/chunk", array, chunk, chunk * CHUNK, part)
