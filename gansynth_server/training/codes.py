"""Timbre codes: one learnt vector per instrument, spread so that N(0, I) is their prior."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Codes(nn.Module):
    """One learnt timbre code per instrument, as latents whose prior is N(0, I)."""

    rotation: Tensor

    def __init__(self, start: Tensor, latent_size: int, noise: float) -> None:
        super().__init__()
        self.values = nn.Parameter(start)  # [instruments, code_size]
        self.noise = noise
        random = torch.randn(latent_size, latent_size, generator=torch.Generator().manual_seed(1))
        self.register_buffer("rotation", torch.linalg.qr(random)[0])

    def whitened(self) -> Tensor:
        """Codes with zero mean and unit variance over the instruments."""
        centred = self.values - self.values.mean(dim=0)
        return centred / centred.square().mean(dim=0).add(1e-6).sqrt()

    def latents(self, instruments: Tensor, chance: torch.Generator) -> Tensor:
        """[N] instrument indices → [N, latent_size] noisy latents."""
        code = self.whitened()[instruments]
        noise = torch.randn(len(code), len(self.rotation), device=code.device, generator=chance)
        size = code.shape[1]
        code = math.sqrt(1 - self.noise**2) * code + self.noise * noise[:, :size]
        return torch.cat([code, noise[:, size:]], dim=1) @ self.rotation

    def presets(self) -> list[NDArray[np.float32]]:
        """The latent of each instrument: its code, and a fixed draw for the other axes."""
        codes = self.whitened().detach() * math.sqrt(1 - self.noise**2)
        found = []
        for instrument, code in enumerate(codes):
            generator = torch.Generator().manual_seed(instrument)
            rest = torch.randn(len(self.rotation) - len(code), generator=generator)
            latent = torch.cat([code, rest.to(code.device)]) @ self.rotation
            found.append(latent.cpu().numpy())
        return found

    @classmethod
    def of_presets(cls, presets: Tensor, code_size: int, noise: float) -> Codes:
        """The codes whose presets these are, [instruments, latent_size]."""
        codes = cls(torch.zeros(0, code_size), presets.shape[1], noise)
        codes.values = nn.Parameter((presets @ codes.rotation.T)[:, :code_size])
        return codes
