"""A checkpoint and its backend: latents and pitches in, spectra and waves out."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.latent.presets import UserPresets, find_preset
from gansynth_server.latent.prior import Prior
from gansynth_server.model import checkpoint as checkpoints
from gansynth_server.options import BackendName, FallbackName, PrecisionName
from gansynth_server.render.backends.base import Backend
from gansynth_server.spectral.spectrum import Spectrum

Float32 = NDArray[np.float32]
_log = logging.getLogger(__name__)

Pitches = NDArray[np.int64] | list[int]
COPIES = 6
"""Copies of a network that a backend holds in memory, roughly."""


class Model:
    """A checkpoint with a backend that renders its notes.

    Args:
        remark: why this backend was chosen, or empty.
    """

    def __init__(
        self, checkpoint: checkpoints.Checkpoint, backend: Backend, remark: str = ""
    ) -> None:
        self.checkpoint, self.backend, self.remark = checkpoint, backend, remark

    @classmethod
    def load(
        cls,
        name: str = "all_instruments",
        torch_device: str = "auto",
        backend: BackendName = "eager",
        precision: PrecisionName = "auto",
        fallback: FallbackName = "none",
    ) -> Self:
        """Load a checkpoint; the arguments and errors are those of :func:`gansynth_server.load`."""
        import torch

        from gansynth_server.render.backends import choose, eager

        checkpoint = checkpoints.load(name)
        device = eager.torch_device(torch_device)
        lighter = checkpoints.lighter(checkpoint.name)
        generator = checkpoint.generator
        try:
            chosen, remark = choose.choose(generator, device, backend, precision, lighter)
        except torch.OutOfMemoryError as error:
            reason = str(error).partition("\n")[0]
            _log.warning("no room for %s on %s (%s)", checkpoint.name, device, reason)
            chosen, remark = choose.choose(generator, torch.device("cpu"), lighter=lighter)
        if fallback == "cpu":
            chosen = choose.with_fallback(generator, chosen)
        elif device.type != "cpu":
            chosen = choose.with_fallback(generator, chosen, torch.OutOfMemoryError)
        return cls(checkpoint, chosen, remark)

    @property
    def latent_size(self) -> int:
        return self.checkpoint.config.latent_size

    @cached_property
    def prior(self) -> Prior:
        """How random latents of this checkpoint are drawn."""
        config = self.checkpoint.config
        centres = self.checkpoint.tensor("centres") if config.centres else None
        return Prior(config.latent_size, centres, config.blend, config.scatter)

    def draw(self, seed: int) -> Float32:
        """Draw a random latent, float32 [latent_size]; the same seed gives the same one."""
        return self.prior.draw(seed)

    @property
    def nbytes(self) -> int:
        """Memory (bytes) of the network and of what its backend makes of it, roughly."""
        return COPIES * sum(4 * p.numel() for p in self.checkpoint.generator.parameters())

    @property
    def pitches(self) -> tuple[int, ...]:
        """MIDI pitches that the network was trained on."""
        return self.checkpoint.config.pitches

    @property
    def presets(self) -> dict[str, Float32]:
        """Named latents of this checkpoint: its own, and the user's."""
        own = self.user_presets.known()
        return {**self.checkpoint.presets, **own} if own else self.checkpoint.presets

    @cached_property
    def user_presets(self) -> UserPresets:
        """The user's own presets."""
        return UserPresets(self.checkpoint)

    def preset(self, name: str) -> Float32:
        """Return the latent of a preset; UserError lists the names near to an unknown one."""
        return find_preset(self.presets, name)

    def spectra(self, z: Float32, pitches: Pitches) -> Float32:
        """Compute the normalised raw output of the network, as trained and in full precision.

        Notes are rendered one by one, so each is the same to the bit in any company.

        Args:
            z: [N, latent_size].
            pitches: N MIDI pitches out of ``self.pitches``.

        Returns:
            [N, 128, 1024, 2]: frame, mel bin, (log magnitude, instantaneous
            frequency), each in (-1, 1).
        """
        import torch

        from gansynth_server.render.folded import safe_dtype

        generator = self.checkpoint.generator
        generator = generator.to("cpu", safe_dtype(generator))
        dtype = next(generator.parameters()).dtype
        parts = []
        with torch.inference_mode():
            for latents, labels in self._batches(z, pitches, 1):
                inputs = torch.from_numpy(latents).to(dtype), torch.from_numpy(labels)
                images = generator(*inputs)
                parts.append(images.permute(0, 2, 3, 1).float().numpy())
        return np.concatenate(parts)

    def generate_batch(self, z: Float32, pitches: Pitches) -> Float32:
        """Render whole notes as Magenta does: [N, 64000] at 16 kHz, no envelope, no scaling."""
        batches = self._batches(z, pitches, self.backend.info.batch)
        return np.concatenate([self.backend.waves(*batch) for batch in batches])

    def whole_spectra(self, z: Float32, pitches: Pitches) -> list[Spectrum]:
        """Render whole notes at once, as voices read them; the arguments as for ``spectra``."""
        ((latents, labels),) = self._batches(z, pitches, len(z))
        return self.backend.render(latents, labels)

    def warm(self) -> None:
        """Prepare live notes, so that the first is as fast as the second."""
        self.backend.prepare(self.latent_size)

    def close(self) -> None:
        """Free what is held for it elsewhere."""

    def _batches(
        self, z: Float32, pitches: Pitches, size: int
    ) -> list[tuple[Float32, NDArray[np.int64]]]:
        z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape != (len(pitches), self.latent_size):
            expected = f"[{len(pitches)}, {self.latent_size}]"
            raise UserError(f"z must be {expected}, one latent per pitch, not {list(z.shape)}")
        if not np.isfinite(z).all():
            raise UserError("z holds numbers that are not finite")
        try:
            labels = np.array([self.checkpoint.config.label(int(p)) for p in pitches], np.int64)
        except ValueError as error:
            raise UserError(
                f"pitches must be among {self.pitches[0]}…{self.pitches[-1]}: {list(pitches)}"
            ) from error
        return [(z[i : i + size], labels[i : i + size]) for i in range(0, len(z), size)]


def nearest_pitch(pitches: tuple[int, ...], pitch: float) -> int:
    """Return the trained pitch from which another is played; UserError for one beyond 0…127."""
    if not 0 <= pitch <= 127:
        raise UserError(f"a pitch is 0 to 127, not {pitch:g}")
    return min(pitches, key=lambda p: abs(p - pitch))
