"""Models whose network is in the render process, as the server has them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from gansynth_server.errors import RenderError
from gansynth_server.render.backends.base import Backend, BackendInfo, Firsts, Float32, Labels
from gansynth_server.render.model import Model, Pitches
from gansynth_server.render.process import RenderService
from gansynth_server.render.protocol import (
    FramesAtRequest,
    FramesIntoRequest,
    FramesRequest,
    Lane,
    SpectraRequest,
    WavesRequest,
)
from gansynth_server.render.receptive_field import Span
from gansynth_server.spectral.spectrum import Spectrum


class RemoteBackend(Backend):
    """A backend in the render process.

    Args:
        path: of the checkpoint's weights.
    """

    def __init__(self, process: RenderService, path: str, info: BackendInfo) -> None:
        self._process, self._path, self.info = process, path, info

    def frames(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        return self._rendered(Lane.WORK, FramesRequest(self._path, z, labels, window, live=False))

    def waves(self, z: Float32, labels: Labels) -> Float32:
        info, (waves,) = self._process.render(Lane.WORK, WavesRequest(self._path, z, labels))
        self._learn(info)
        return waves

    def live(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        return self._rendered(Lane.LIVE, FramesRequest(self._path, z, labels, window, live=True))

    def live_into(
        self, z: Float32, labels: Labels, window: Span, spectra: Sequence[Spectrum]
    ) -> None:
        if not all(map(self._process.holds, spectra)):
            super().live_into(z, labels, window, spectra)
            return
        slots = tuple(spectrum.slot for spectrum in spectra)
        request = FramesIntoRequest(self._path, z, labels, window, slots)
        self._learn(self._process.render_into(request))

    def live_at(
        self, z: Float32, labels: Labels, firsts: Firsts, length: int
    ) -> tuple[Float32, Float32]:
        return self._rendered(Lane.LIVE, FramesAtRequest(self._path, z, labels, firsts, length))

    def prepare(self, latent_size: int) -> None:
        """Do nothing: it was prepared as it was loaded."""

    def spectra(self, z: Float32, pitches: Pitches) -> Float32:
        """See :meth:`Model.spectra`."""
        return self._process.spectra(SpectraRequest(self._path, z, pitches))

    def close(self) -> None:
        """Have the render process forget the network."""
        with contextlib.suppress(RenderError):  # it has, where it has ended
            self._process.drop(self._path)

    def _rendered(
        self, lane: Lane, request: FramesRequest | FramesAtRequest
    ) -> tuple[Float32, Float32]:
        info, (magnitude, increment) = self._process.render(lane, request)
        self._learn(info)
        return magnitude, increment

    def _learn(self, info: BackendInfo) -> None:
        """Take over what a backend is like that has fallen back on another one."""
        # every worker has measured slices of its own: those of one hold for all
        if (info.name, info.precision) != (self.info.name, self.info.precision):
            self.info = info


class RemoteModel(Model):
    """A checkpoint whose network is in the render process.

    Args:
        name: a bundled name, a folder, or a .safetensors file.

    Raises:
        UserError: as for :func:`gansynth_server.load`.
    """

    def __init__(self, process: RenderService, name: str) -> None:
        loaded = process.load(name)
        self._nbytes = loaded.nbytes
        self.backend: RemoteBackend = RemoteBackend(
            process, str(loaded.checkpoint.weights), loaded.info
        )
        super().__init__(loaded.checkpoint, self.backend, loaded.remark)

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def spectra(self, z: Float32, pitches: Pitches) -> Float32:
        return self.backend.spectra(z, pitches)

    def close(self) -> None:
        self.backend.close()
