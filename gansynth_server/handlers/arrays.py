"""Messages about whole notes and hallucinations for arrays."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.handlers.host import LiveHost, Task
from gansynth_server.latent.sequence import Sequence, check, random_keys
from gansynth_server.render.model import nearest_pitch
from gansynth_server.spectral.constants import SAMPLE_RATE

Float32 = NDArray[np.float32]

CHUNK = 1024
"""Samples per ``/chunk``: 5 kB, well within a datagram."""
MOST = 16
"""Sounds of one owner."""
LONGEST = 600
"""Seconds of a sound, and, but for a second, of all that one owner has: 38 MB."""
ALTOGETHER = 3600
"""Seconds of all owners: 230 MB."""


class ArrayMessages:
    def __init__(self, host: LiveHost) -> None:
        self._instrument = host.instrument
        self._background = host.background
        self._render_process = host.render_process
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
        path = str(model.checkpoint.weights)
        keys = random_keys(notes, model.latent_size, self._instrument.seed(seed))
        times = spacing, trim, attack, sustain, release
        sequence = check(Sequence(keys, steps, *times, 100.0, (pitch,)))
        if sequence.seconds > LONGEST:
            raise UserError(
                f"{sequence.seconds:.0f} s are too long for an array: up to {LONGEST} s, or play it"
            )

        def render() -> None:
            wave = self._render_process.hallucination(path, sequence, SAMPLE_RATE)
            self._keep(call, array, wave)

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

    def spectrum(self, call: Call, pitch: float, slot: str) -> None:
        model = call.client.model
        rendered = nearest_pitch(model.pitches, pitch)
        z = self._instrument.latent(call.client, slot, call.when)

        def render() -> None:
            image = call.peer.spectrum = model.spectra(z[None], [rendered])[0]
            frames, bins, _ = image.shape
            levels = image[..., 0].mean(axis=1)
            call.reply("/spectrum.reply", slot, rendered, frames, bins, levels)

        self._background.run(call, "/spectrum", render, Task.SOUND)

    def spectrum_frame(self, call: Call, frame: int) -> None:
        image = call.peer.spectrum
        if image is None:
            raise UserError("there is no spectrum yet; send /spectrum and a pitch first")
        call.reply("/magnitude", frame, image[frame, :, 0])
        call.reply("/frequency", frame, image[frame, :, 1])


class Kept:
    """Mono sounds at 16 kHz by owner and name; for any thread. They go with their owner.

    Where there are too many, the owner's oldest go; where there are too many of
    all, the oldest of whoever has most.
    """

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Hashable, dict[str, Float32]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def put(self, owner: Hashable, name: str, wave: Float32) -> None:
        """Keeps a sound [samples], in place of the one of that name."""
        with self._lock:
            own = self._of.setdefault(owner, {})
            own.pop(name, None)
            own[name] = wave
            while len(own) > MOST or _samples(own) > (LONGEST + 1) * SAMPLE_RATE:
                _drop(own)
            while sum(map(_samples, self._of.values())) > ALTOGETHER * SAMPLE_RATE:
                _drop(max(self._of.values(), key=_samples))

    def get(self, owner: Hashable, name: str) -> Float32 | None:
        with self._lock:
            return self._of.get(owner, {}).get(name)

    def names(self, owner: Hashable) -> list[str]:
        """Of an owner's sounds, the oldest first."""
        with self._lock:
            return list(self._of.get(owner, ()))


def _samples(sounds: dict[str, Float32]) -> int:
    return sum(map(len, sounds.values()))


def _drop(sounds: dict[str, Float32]) -> None:
    """Drops the oldest."""
    del sounds[next(iter(sounds))]
