"""A cache of rendered spectra, within a bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from gansynth_server.spectral.constants import FRAMES
from gansynth_server.spectral.spectrum import Spectrum

if TYPE_CHECKING:
    from gansynth_server.render.backends.base import Backend

Key = tuple["Backend", bytes, int]
"""Backend (of one checkpoint), bytes of the latent, label."""


class SpectrumCache:
    """The spectra that were used last; for one thread at a time.

    Args:
        capacity: bytes.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._spectra: OrderedDict[Key, Spectrum] = OrderedDict()
        self.size = 0
        """Bytes held."""

    def __len__(self) -> int:
        return len(self._spectra)

    def __contains__(self, key: Key) -> bool:
        return key in self._spectra

    def get(self, key: Key) -> Spectrum | None:
        """Return a spectrum, which counts as used now; None if it is not there."""
        spectrum = self._spectra.get(key)
        if spectrum is not None:
            self._spectra.move_to_end(key)
        return spectrum

    def drop(self, backend: Backend) -> None:
        """Forget all spectra of a backend."""
        for key in [key for key in self._spectra if key[0] is backend]:
            self.size -= self._spectra.pop(key).nbytes

    def put(self, key: Key, spectrum: Spectrum) -> None:
        """Keep a spectrum, or what there is of one; those not used for longest make room."""
        ready = spectrum.ready
        if ready < FRAMES:
            magnitude, increment = spectrum.magnitude[:ready], spectrum.increment[:ready]
            spectrum = Spectrum(magnitude.copy(), increment.copy(), ready)
        before = self._spectra.pop(key, None)
        self.size += spectrum.nbytes - (before.nbytes if before is not None else 0)
        self._spectra[key] = spectrum
        while self.size > self._capacity:
            self.size -= self._spectra.popitem(last=False)[1].nbytes
