"""The cache of rendered spectra: places of the arena that no note needs at the moment."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from gansynth_server.spectral.arena import Arena
from gansynth_server.spectral.constants import FRAMES
from gansynth_server.spectral.spectrum import Spectrum

if TYPE_CHECKING:
    from gansynth_server.render.backends.base import Backend

Key = tuple["Backend", bytes, int]
"""Backend (of one checkpoint), bytes of the latent, label."""
HEADS_SHARE = 4
"""Notes of which only a beginning is kept take one place in so many, at most."""


class SpectrumCache:
    """The spectra that were used last, each one use of its place; for one thread at a time.

    Args:
        most: spectra; 0 keeps none.
    """

    def __init__(self, arena: Arena, most: int) -> None:
        self._arena, self._most = arena, most
        self._spectra: OrderedDict[Key, Spectrum] = OrderedDict()
        self.heads = min(most, arena.count // HEADS_SHARE)
        """Spectra that are not whole, at most, where :meth:`allocate_head` makes them."""

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
            self._forget(key)

    def put(self, key: Key, spectrum: Spectrum) -> None:
        """Keep a spectrum, or what there is of one; those not used for longest make room."""
        if not self._most:
            return
        self._arena.use(spectrum)  # before the same one may be forgotten
        if key in self._spectra:
            self._forget(key)
        self._spectra[key] = spectrum
        while len(self._spectra) > self._most:
            self._forget(next(iter(self._spectra)))

    def allocate(self) -> Spectrum | None:
        """Take a place, where none is free that of the spectrum not used for longest.

        Returns:
            None if all places are in use by others.
        """
        spectrum = self._arena.take()
        if spectrum is None and self._make_room():
            spectrum = self._arena.take()
        return spectrum

    def allocate_head(self, besides: int = 0) -> Spectrum | None:
        """Take a place for the beginning of a note, where need be that of another one.

        Args:
            besides: beginnings that took places and are not put here yet.

        Returns:
            None also if beginnings in use take their share of the places.
        """
        parts = besides + sum(spectrum.ready < FRAMES for spectrum in self._spectra.values())
        if parts >= self.heads and not self._make_room(whole=False):
            return None
        return self.allocate()

    def _make_room(self, whole: bool = True) -> bool:
        """Forget the spectrum not used for longest of those that only the cache uses.

        Args:
            whole: whole notes may go too.
        """
        for key, spectrum in self._spectra.items():
            if (whole or spectrum.ready < FRAMES) and self._arena.uses(spectrum) == 1:
                self._forget(key)
                return True
        return False

    def _forget(self, key: Key) -> None:
        self._arena.drop(self._spectra.pop(key))
