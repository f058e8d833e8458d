"""The spectra arena: places for whole notes, in memory that processes share, and who uses them.

Render processes write frames into a place, the engine reads them there, and one process decides:
its :class:`Arena` counts the uses of each place by the cache, by renders and by notes.
"""

from __future__ import annotations

import sys
import threading

import numpy as np
from numpy.typing import NDArray

from gansynth_server.spectral.constants import BINS, FRAMES
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.util.shared_memory import SharedMemory

SHAPE = (2, FRAMES, BINS)
"""Magnitudes and phase increments of one note, in float32."""
NBYTES = 4 * FRAMES * BINS * 2
"""Bytes (1 MiB) of a place."""


class SharedSpectra:
    """Places for notes in shared memory; an argument of spawned processes.

    Args:
        count: places, at least 1.
        memory: to be used again; left out, it is made.

    Raises:
        UserError: there is no room for so many.
    """

    def __init__(self, count: int, memory: SharedMemory | None = None) -> None:
        self.count = count
        self._memory = memory or SharedMemory(count * NBYTES)
        self._notes: NDArray[np.float32] = self._memory.array((count, *SHAPE))

    def __reduce__(self) -> tuple[type[SharedSpectra], tuple[int, SharedMemory]]:
        return SharedSpectra, (self.count, self._memory)

    @property
    def remark(self) -> str | None:
        """A line for the user about the memory."""
        return self._memory.remark

    def spectrum(self, slot: int) -> Spectrum:
        """Return a new spectrum of a place, with no frames yet; IndexError if it has no such."""
        if not 0 <= slot < self.count:
            raise IndexError(f"place {slot} of {self.count}")
        return _spectrum(self._notes[slot], slot)

    def holds(self, spectrum: Spectrum) -> bool:
        """Return whether a spectrum is in one of these places, not in those of another arena."""
        slot = spectrum.slot
        return 0 <= slot < self.count and _address(spectrum.magnitude) == _address(
            self._notes[slot, 0]
        )

    def release(self, slot: int) -> None:
        """Do nothing: the memory of a free place stays."""

    def close(self) -> None:
        """Give the memory back, as soon as no spectrum of it is left in this process."""
        del self._notes
        self._memory.close()


class LocalSpectra:
    """Places for notes in this process, as many as are taken; the memory of free ones is freed."""

    count = sys.maxsize
    remark: str | None = None

    def __init__(self) -> None:
        self._notes: dict[int, NDArray[np.float32]] = {}

    def spectrum(self, slot: int) -> Spectrum:
        """Return a new spectrum of a place, with no frames yet."""
        note = self._notes.get(slot)
        if note is None:
            note = self._notes.setdefault(slot, np.empty(SHAPE, np.float32))
        return _spectrum(note, slot)

    def release(self, slot: int) -> None:
        """Forget the memory of a place that is free; spectra of it that are left keep it."""
        self._notes.pop(slot, None)


class Arena:
    """Counts the uses of places, each by its spectrum; for any thread.

    Args:
        spectra: the places, all of them free.
    """

    def __init__(self, spectra: SharedSpectra | LocalSpectra) -> None:
        self.spectra = spectra
        self._lock = threading.Lock()
        self._taken: dict[int, Spectrum] = {}
        self._uses: dict[int, int] = {}
        self._returned: list[int] = []

    @property
    def count(self) -> int:
        """Places, free or not."""
        return self.spectra.count

    @property
    def free(self) -> int:
        """Places that are free."""
        return self.count - len(self._taken)

    def take(self) -> Spectrum | None:
        """Take a free place, as its first user; return its spectrum, None if none is free."""
        with self._lock:
            # places used before come first: memory that was never touched is not resident
            if self._returned:
                slot = self._returned.pop()
            elif len(self._taken) < self.count:
                slot = len(self._taken)
            else:
                return None
            spectrum = self._taken[slot] = self.spectra.spectrum(slot)
            self._uses[slot] = 1
            return spectrum

    def use(self, spectrum: Spectrum) -> None:
        """Count another use of a spectrum; ValueError if its place has been given back."""
        with self._lock:
            self._check(spectrum)
            self._uses[spectrum.slot] += 1

    def drop(self, spectrum: Spectrum) -> None:
        """End one use; after the last the place is free. ValueError if it is already."""
        with self._lock:
            self._check(spectrum)
            slot = spectrum.slot
            self._uses[slot] -= 1
            if not self._uses[slot]:
                del self._taken[slot], self._uses[slot]
                self.spectra.release(slot)
                self._returned.append(slot)

    def uses(self, spectrum: Spectrum) -> int:
        """Return how many use a spectrum; 0 once its place has been given back."""
        with self._lock:
            mine = self._taken.get(spectrum.slot) is spectrum
            return self._uses[spectrum.slot] if mine else 0

    def get(self, slot: int) -> Spectrum:
        """Return the spectrum in a place that was taken; KeyError if it is free."""
        return self._taken[slot]

    def _check(self, spectrum: Spectrum) -> None:
        # by the object: the place may be another note's by now
        if self._taken.get(spectrum.slot) is not spectrum:
            raise ValueError(f"nothing uses this spectrum of place {spectrum.slot} any more")


def _spectrum(note: NDArray[np.float32], slot: int) -> Spectrum:
    magnitude, increment = note
    return Spectrum(magnitude, increment, ready=0, slot=slot)


def _address(array: NDArray[np.float32]) -> int:
    return array.__array_interface__["data"][0]
