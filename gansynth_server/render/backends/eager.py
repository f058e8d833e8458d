"""The backend of plain PyTorch, and the devices that it runs on."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from gansynth_server.errors import UserError
from gansynth_server.render.backends.base import Backend, BackendInfo, Float32, Labels
from gansynth_server.render.folded import Weights, Window
from gansynth_server.render.receptive_field import Span


class Eager(Backend):
    """Plain PyTorch, on the CPU or on CUDA.

    Args:
        weights: are moved to the device.
    """

    kind = "eager"

    def __init__(self, weights: Weights, device: torch.device) -> None:
        full_float32(device)
        precision = str(weights.dtype).removeprefix("torch.")
        batch = 4 if device.type == "cpu" else 32
        self.info = BackendInfo(f"{self.kind} {device.type}", precision, batch)
        self.weights = weights.to(device)
        self._device = device
        self._modules: dict[Span, torch.nn.Module] = {}

    @torch.inference_mode()
    def frames(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        if window not in self._modules:
            self._modules[window] = self._module(window)
        latents = torch.from_numpy(np.ascontiguousarray(z, np.float32)).to(self._device)
        parts = self._modules[window](latents, torch.from_numpy(labels).to(self._device))
        magnitude, increment = (part.cpu().numpy() for part in parts)
        return magnitude, increment

    def _module(self, window: Span) -> torch.nn.Module:
        return Window(self.weights, window)


def full_float32(device: torch.device) -> None:
    """Make this process compute float32 in full on a GPU.

    cuDNN's convolutions take TF32 otherwise, which rounds what they read to 10 bits.
    """
    if device.type == "cuda":
        with warnings.catch_warnings():  # newer releases of PyTorch prefer another name
            warnings.simplefilter("ignore")
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False


def torch_device(choice: str) -> torch.device:
    """Return the device of ``auto`` (CUDA where there is one) or a name; UserError if unknown."""
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
