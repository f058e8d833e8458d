"""What computes spectra, and on which device."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.model.checkpoint import Checkpoint
from gansynth_server.spectral import transform
from gansynth_server.spectral.inverse import Spectrum


class Backend(Protocol):
    """Renders batches of notes of one checkpoint."""

    name: str
    batch: int
    """Notes that are best rendered at once here."""

    def render(self, z: NDArray[np.float32], labels: NDArray[np.int64]) -> list[Spectrum]:
        """[N, latent] latents and [N] labels → N whole spectra."""
        ...


class Eager:
    """Plain PyTorch in float32, on the CPU or on CUDA.

    Nets with fewer than four channels in some block run in float64: the pixel
    norm of so few magnifies rounding, and they are so small that it costs nothing.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self.name = f"eager {device.type}"
        self.batch = 4 if device.type == "cpu" else 32
        self._device = device
        self._config = checkpoint.config
        tiny = min(checkpoint.config.filters) < 4
        self._dtype = torch.float64 if tiny else torch.float32
        generator = checkpoint.generator.to(device, self._dtype)
        self._generator = generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def raw(self, z: NDArray[np.float32], labels: NDArray[np.int64]) -> torch.Tensor:
        """Normalised spectra as the network gives them, [N, 128, 1024, 2]."""
        latents = torch.from_numpy(np.ascontiguousarray(z, np.float32))
        latents = latents.to(self._device, self._dtype)
        images = self._generator(latents, torch.from_numpy(labels).to(self._device))
        return images.permute(0, 2, 3, 1).float()

    @torch.inference_mode()
    def polar(
        self, z: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Linear magnitudes and phase increments, two [N, 128, 1024]."""
        spectra = transform.denormalise(self.raw(z, labels), self._config.normalizer)
        return transform.polar(spectra, self._config.representation)

    def render(self, z: NDArray[np.float32], labels: NDArray[np.int64]) -> list[Spectrum]:
        magnitude, increment = (part.cpu().numpy() for part in self.polar(z, labels))
        return [Spectrum(m, i) for m, i in zip(magnitude, increment, strict=True)]


def torch_device(choice: str) -> torch.device:
    """``auto`` (CUDA where there is one), or a name that torch knows; UserError otherwise."""
    if choice == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(choice)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"--torch-device {choice} cannot be used here ({reason}); try cpu"
        ) from error
    return device
