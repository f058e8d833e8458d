"""Messages about whole notes and hallucinations for arrays."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.handlers.hallucination import times_of
from gansynth_server.handlers.host import LiveHost, Task
from gansynth_server.handlers.request import Request
from gansynth_server.latent.sequence import Sequence, check, random_keys
from gansynth_server.render.model import nearest_pitch
from gansynth_server.spectral.constants import SAMPLE_RATE
from gansynth_server.util.beats import Beats

Float32 = NDArray[np.float32]

CHUNK = 1024
"""Samples per ``/chunk``: 5 kB, well within a datagram."""
MAX_SOUNDS = 16
"""Sounds of one owner."""
MAX_SECONDS = 600
"""Length (s) of a sound and, but for a second, of all sounds of one owner: 38 MB."""
MAX_TOTAL_SECONDS = 3600
"""Length (s) of all sounds of all owners: 230 MB."""


class ArrayMessages:
    def __init__(self, host: LiveHost) -> None:
        self._instrument = host.instrument
        self._background = host.background
        self._render_process = host.render_process
        self._kept = KeptSounds()

    def synthesize(self, request: Request, array: str, pitch: float, slot: str) -> None:
        def done(wave: NDArray[np.float32]) -> None:
            self._keep(request, array, wave)

        fail = request.failing("/synthesize")
        z = self._instrument.latent(request.client, slot, request.when)
        self._instrument.renders.wave(request.client, z, pitch, done, fail)

    def hallucinate_array(
        self,
        request: Request,
        array: str,
        notes: int,
        steps: int,
        spacing: float | Beats,
        trim: float | Beats,
        attack: float | Beats,
        sustain: float | Beats,
        release: float | Beats,
        seed: int | None,
        pitch: float,
    ) -> None:
        model = request.client.model
        path = str(model.checkpoint.weights)
        keys = random_keys(notes, model.prior, self._instrument.seed(seed))
        times = times_of(request.client, (spacing, trim, attack, sustain, release))
        sequence = check(Sequence(keys, steps, *times, 100.0, (pitch,)))
        if sequence.seconds > MAX_SECONDS:
            raise UserError(
                f"{sequence.seconds:.0f} s are too long for an array: up to {MAX_SECONDS} s, "
                "or play it"
            )

        def render() -> None:
            wave = self._render_process.hallucination(path, sequence, SAMPLE_RATE)
            self._keep(request, array, wave)

        self._background.run(request, "/hallucinate/array", render, Task.SOUND)

    def _keep(self, request: Request, array: str, wave: NDArray[np.float32]) -> None:
        """Keep a sound for the client to fetch, and tell the client."""
        self._kept.put(request.session, array, wave)
        chunks = -(-len(wave) // CHUNK)
        request.reply("/synthesized", array, len(wave), SAMPLE_RATE, chunks)

    def synthesize_get(self, request: Request, array: str, chunk: int) -> None:
        wave = self._kept.get(request.session, array)
        if wave is None:
            raise UserError(f"nothing was synthesized for {array!r} yet; send /synthesize first")
        part = wave[chunk * CHUNK : (chunk + 1) * CHUNK]
        if not len(part):
            raise UserError(f"{array!r} has {-(-len(wave) // CHUNK)} chunks, counted from 0")
        request.reply("/chunk", array, chunk, chunk * CHUNK, part)

    def spectrum(self, request: Request, pitch: float, slot: str) -> None:
        model = request.client.model
        rendered = nearest_pitch(model.pitches, pitch)
        z = self._instrument.latent(request.client, slot, request.when)

        def render() -> None:
            image = request.session.spectrum = model.spectra(z[None], [rendered])[0]
            frames, bins, _ = image.shape
            levels = image[..., 0].mean(axis=1)
            request.reply("/spectrum.reply", slot, rendered, frames, bins, levels)

        self._background.run(request, "/spectrum", render, Task.SOUND)

    def spectrum_frame(self, request: Request, frame: int) -> None:
        image = request.session.spectrum
        if image is None:
            raise UserError("there is no spectrum yet; send /spectrum and a pitch first")
        request.reply("/magnitude", frame, image[frame, :, 0])
        request.reply("/frequency", frame, image[frame, :, 1])


class KeptSounds:
    """Mono sounds at 16 kHz by owner and name; for any thread. They go with their owner.

    Where an owner has too many, its oldest go; where all have too many together,
    the oldest of the owner that has most.
    """

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Hashable, dict[str, Float32]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def put(self, owner: Hashable, name: str, wave: Float32) -> None:
        """Keep a sound [samples], in place of the one of that name."""
        with self._lock:
            own = self._of.setdefault(owner, {})
            own.pop(name, None)
            own[name] = wave
            while len(own) > MAX_SOUNDS or _samples(own) > (MAX_SECONDS + 1) * SAMPLE_RATE:
                _drop(own)
            while sum(map(_samples, self._of.values())) > MAX_TOTAL_SECONDS * SAMPLE_RATE:
                _drop(max(self._of.values(), key=_samples))

    def get(self, owner: Hashable, name: str) -> Float32 | None:
        with self._lock:
            return self._of.get(owner, {}).get(name)

    def names(self, owner: Hashable) -> list[str]:
        """Return the names of an owner's sounds, the oldest first."""
        with self._lock:
            return list(self._of.get(owner, ()))


def _samples(sounds: dict[str, Float32]) -> int:
    return sum(map(len, sounds.values()))


def _drop(sounds: dict[str, Float32]) -> None:
    """Drop the oldest sound."""
    del sounds[next(iter(sounds))]
