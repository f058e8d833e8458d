"""Distillation (Hinton et al. 2015): a small network learns the notes of a larger one.

The teacher lends all but the convolutions: axes, templates and bias. So a latent
means the same to both, and the teacher's presets are the pupil's.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gansynth_server.errors import UserError
from gansynth_server.model.checkpoint import Checkpoint
from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.generator import Generator


class Teacher:
    """A trained generator whose notes are learnt.

    Args:
        found: its checkpoint.
        device: where it plays.
        order: of its images in memory.

    Raises:
        UserError: its training ended before full size.
    """

    def __init__(self, found: Checkpoint, device: torch.device, order: torch.memory_format) -> None:
        if found.config.progress is not None:
            raise UserError(f"{found.name} ended before full size and cannot be a --teacher")
        self.checkpoint = found
        net = found.generator.requires_grad_(False).to(device)
        self.generator: Generator = net.to(memory_format=order)  # type: ignore[call-overload]

    def pupil(self, config: GeneratorConfig) -> GeneratorConfig:
        """Return a config's channels and enlargement, with all else the teacher's.

        Raises:
            UserError: the config has pitches that the teacher does not know.
        """
        ours = self.generator.config
        if strange := set(config.pitches) - set(ours.pitches):
            raise UserError(
                f"the teacher {self.checkpoint.name} knows the pitches {ours.pitches[0]} to "
                f"{ours.pitches[-1]}, the data has {min(strange)} too: make data with --pitches "
                f"{ours.pitches[0]}-{ours.pitches[-1]}"
            )
        return replace(ours, filters=config.filters, upscale=config.upscale)

    def lend(self, generator: Generator) -> None:
        """Give a new pupil all but the convolutions, which add nothing to templates yet."""
        state = self.generator.state_dict()
        lent = {key: value for key, value in state.items() if not key.startswith("blocks.")}
        generator.load_state_dict(lent, strict=False)
        if generator.templates is not None:
            generator.mute_blocks()

    @torch.no_grad()
    def notes(self, z: Tensor, labels: Tensor, precision: AbstractContextManager[Any]) -> Tensor:
        """Render normalised spectra [N, 2, 128, 1024] of z [N, latent_size] and labels [N].

        Args:
            precision: of the convolutions alone.
        """
        net = self.generator
        x = net.condition(z, labels)
        outline = net.outline(x, labels)
        with precision:
            for block in net.blocks:
                x = block(x)
            return net.image(len(net.blocks) - 1, x, outline).float()
