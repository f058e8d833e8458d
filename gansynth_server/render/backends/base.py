"""The protocol of all backends, which compute spectra."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from gansynth_server.options import BackendName, PrecisionName
from gansynth_server.render.receptive_field import Span, operations
from gansynth_server.spectral.constants import FRAMES, SAMPLE_RATE, SAMPLES
from gansynth_server.spectral.inverse import FrameInverse
from gansynth_server.spectral.spectrum import Spectrum

if TYPE_CHECKING:
    from gansynth_server.render.folded import Weights

Float32 = NDArray[np.float32]
Labels = NDArray[np.int64]
Firsts = NDArray[np.int64]
"""First frames, one per note."""

WHOLE: Span = (0, FRAMES)
HEAD: Span = (0, 8)
"""Frames that a note starts with: they hold its first 64 ms."""
SLICE_SECONDS = 0.016
"""Time (s) that no slice of a note's rest takes much longer than: a new note waits for it."""
MAX_SLICES = 4
TOGETHER = 4
"""Notes that come together and are rendered at once, where that is faster."""
GAIN = 0.8  # share of the time one by one that counts as faster

_inverse = FrameInverse(SAMPLE_RATE)


@dataclass(frozen=True, slots=True)
class Slice:
    """Frames of a note that are rendered at once, for so many notes at most."""

    window: Span
    batch: int


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """Properties of a backend that renderers use, in this process or the other."""

    name: str
    precision: str = "float32"
    batch: int = 4
    """Whole notes that are best rendered at once where no listener waits."""
    windows: int = 1
    """Windows as short as a head that are rendered at once, at most."""
    mixed: bool = False
    """True if such windows may begin anywhere, each at a frame of its own."""
    slices: tuple[Slice, ...] = (Slice(HEAD, 1), Slice((HEAD[1], FRAMES), 1))
    """Slices of a live note, its head first."""

    @property
    def flags(self) -> tuple[BackendName | None, PrecisionName | None]:
        """Return the options that choose this backend again; None where no option does."""
        word = self.name.split()[0]
        return (
            next((name for name in get_args(BackendName) if name == word), None),
            next((name for name in get_args(PrecisionName) if name == self.precision), None),
        )


class Backend(ABC):
    """Renders batches of notes of one generator; used by one thread at a time.

    ``info`` is replaced when a backend has been measured, or gives way to another one.
    """

    together: int = TOGETHER
    """Heads that are rendered at once, at most."""
    info: BackendInfo
    weights: Weights

    @abstractmethod
    def frames(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        """Render some frames of notes.

        Args:
            z: [N, latent_size].
            labels: [N].
            window: first frame and the one after the last.

        Returns:
            magnitudes and phase increments in radians, float32 [N, frames, 1024].
        """

    def live(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        """Render as ``frames``, for notes that cannot wait until something is compiled."""
        return self.frames(z, labels, window)

    def live_into(
        self, z: Float32, labels: Labels, window: Span, spectra: Sequence[Spectrum]
    ) -> None:
        """Render as ``live``, into those frames of N spectra; their ``ready`` stays as it is."""
        for spectrum, *parts in zip(spectra, *self.live(z, labels, window), strict=True):
            spectrum.magnitude[slice(*window)], spectrum.increment[slice(*window)] = parts

    def live_at(
        self, z: Float32, labels: Labels, firsts: Firsts, length: int
    ) -> tuple[Float32, Float32]:
        """Render as ``live``, as many frames of each note, from a first one of its own on."""
        parts: list[tuple[Float32, Float32] | None] = [None] * len(z)
        for first in np.unique(firsts):
            places = np.flatnonzero(firsts == first)
            window = int(first), int(first) + length
            for place, *both in zip(
                places, *self.live(z[places], labels[places], window), strict=True
            ):
                parts[place] = both[0], both[1]
        magnitudes, increments = zip(*(part for part in parts if part is not None), strict=True)
        return np.stack(magnitudes), np.stack(increments)

    def waves(self, z: Float32, labels: Labels) -> Float32:
        """Render whole notes as Magenta gives them: [N, 64000] at 16 kHz."""
        frames = self.frames(z, labels, WHOLE)
        # note by note, so that what one inverse FFT needs stays in the processor's cache
        return np.stack([_inverse.whole(*both)[:SAMPLES] for both in zip(*frames, strict=True)])

    def render(self, z: Float32, labels: Labels) -> list[Spectrum]:
        """Render N whole spectra of latents [N, latent_size] and labels [N]."""
        parts = self.frames(z, labels, WHOLE)
        return [Spectrum(m, i) for m, i in zip(*parts, strict=True)]

    def prepare(self, latent_size: int) -> None:
        """Compile the head of live notes and measure it; from its time the slices follow."""
        head = self.seconds(HEAD, 1, latent_size)
        together = self.together
        if together > 1:
            at_once = self.seconds(HEAD, together, latent_size)
            together = together if at_once < GAIN * together * head else 1
        rest = self.rest_seconds(head)
        count = 1
        while count < MAX_SLICES and rest / count > SLICE_SECONDS:
            count *= 2
        fits = together if rest * together < SLICE_SECONDS else 1
        cuts = [HEAD[1], *range(FRAMES // count, FRAMES + 1, FRAMES // count)]
        rests = (Slice(window, fits) for window in pairwise(cuts))
        windows = max(1, min(TOGETHER, int(2 * SLICE_SECONDS / head)))
        self.info = replace(self.info, slices=(Slice(HEAD, together), *rests), windows=windows)

    def rest_seconds(self, head: float) -> float:
        """Estimate the time (s) of the frames after the head, from the head's own."""
        return head * self._operations((HEAD[1], FRAMES)) / self._operations(HEAD)

    def _operations(self, window: Span) -> float:
        return operations(self.weights.config, self.weights.shares, window)

    def seconds(self, window: Span, count: int, latent_size: int, takes: int = 2) -> float:
        """Measure the shortest time (s) of some runs, after one that compiles and warms."""
        z, labels = np.ones((count, latent_size), np.float32), np.zeros(count, np.int64)
        self.frames(z, labels, window)
        best = np.inf
        for _ in range(takes):
            begun = time.perf_counter()
            self.frames(z, labels, window)
            best = min(best, time.perf_counter() - begun)
        return float(best)
