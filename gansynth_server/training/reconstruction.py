"""Regression on real notes: the generator alone, a start for the adversarial phase.

Every instrument of the data has a learnt code. Rotated into the latent space
and filled up with noise, the codes are spread so that N(0, I) is their prior:
a random latent is a timbre between instruments, and an instrument's own code
becomes a preset. The network learns to turn (code, pitch) into the note.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansynth_server.model.generator import Generator
from gansynth_server.training import parallel
from gansynth_server.training.codes import Codes
from gansynth_server.training.options import TrainOptions
from gansynth_server.training.reals import Reals, order
from gansynth_server.training.regression import (
    Loudness,
    band_loss,
    magnitude_loss,
    phase_loss,
    pitch_means,
    timbre_features,
)
from gansynth_server.training.run import Run

COARSE = 4  # index of the 32×256 block: the first part trains magnitudes there
ROWS = 32  # of its image
HALO = 6  # frames at each cut edge of a window that see its zero padding
WARM_UP = 100  # steps until the learning rate is reached


class Windows(nn.Module):
    """The generator cut in two: whole notes up to 32×256, windows of frames above."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def coarse(self, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """→ features [N, C, 32, 256] and their own image [N, 2, 32, 256]."""
        x = self.generator.condition(z, labels)
        for block in self.generator.blocks[: COARSE + 1]:
            x = block(x)
        return x, self.generator.image(COARSE, x, labels)

    def fine(self, x: Tensor, labels: Tensor) -> Tensor:
        """features [N, C, rows, 256] → image [N, 2, 4·rows, 1024]."""
        for block in self.generator.blocks[COARSE + 1 :]:
            x = block(x)
        return self.generator.image(len(self.generator.blocks) - 1, x, labels)


def crop(x: Tensor, starts: Tensor, rows: int) -> Tensor:
    """Rows starts[n] … starts[n]+rows of every [N, C, H, W]."""
    return torch.stack(
        [image[:, s : s + rows] for image, s in zip(x, starts.tolist(), strict=True)]
    )


def window_loss(
    halves: Windows,
    x: Tensor,
    target: Tensor,
    label: Tensor,
    starts: Tensor,
    rows: int,
    band_weight: float,
) -> tuple[Tensor, Tensor]:
    """Magnitude and phase loss of one window of frames per note.

    Args:
        x: [N, C, 32, 256] features of whole notes.
        target: [N, 2, 128, 1024] spectra of whole notes.
        starts: [N] first rows of the windows; frames near a cut edge do not count.
    """
    loudness = Loudness(halves.generator.config)
    image = halves.fine(crop(x, starts, rows), label).float()
    wanted = crop(target, starts * 4, rows * 4)
    frame = torch.arange(rows * 4)
    inner = (frame >= HALO * (starts > 0)[:, None]) & (
        frame < rows * 4 - HALO * (starts < ROWS - rows)[:, None]
    )
    image = torch.where(inner[:, None, :, None].to(image.device), image, wanted)
    peak = target[:, :1].amax(dim=(2, 3), keepdim=True)
    level = magnitude_loss(image[:, :1], wanted[:, :1], peak)
    level = level + band_weight * band_loss(image[:, :1], wanted[:, :1], loudness)
    return level, phase_loss(image[:, 1], wanted[:, 1], wanted[:, 0], loudness)


def start_codes(reals: Reals, options: TrainOptions, latent_size: int) -> Codes:
    """Codes along the principal directions of the instruments' mean spectra."""
    left, scale, _ = torch.linalg.svd(timbre_features(reals).cpu(), full_matrices=False)
    size = min(options.code_size, latent_size)
    return Codes((left * scale)[:, :size], latent_size, options.code_noise)


def prepare(generator: Generator, codes: Codes, reals: Reals) -> None:
    """Has a new generator start at the data's means, blind to axes that carry no code."""
    if generator.pitch_bias is not None:
        generator.pitch_bias.data = pitch_means(reals)
    first = dict(generator.named_parameters())["blocks.0.conv0.weight"].data
    size = generator.config.latent_size
    code_size = codes.values.shape[1]
    axes = codes.rotation[:code_size].to(first.device)
    along = torch.einsum("ozhw,cz,cy->oyhw", first[:, :size], axes, axes)
    first[:, :size] = along * math.sqrt(size / code_size)


class Reconstruction:
    """The regression's steps."""

    def __init__(self, run: Run, reals: Reals) -> None:
        assert run.codes is not None
        self.run, self.reals, self.options = run, reals, run.options
        self.codes = run.codes
        slow = run.generator.pitch_bias
        self.fast = [p for p in run.generator.parameters() if p is not slow]
        self.fast += [self.codes.values]
        groups = [{"params": self.fast, "share": 1.0}]
        groups += [] if slow is None else [{"params": [slow], "share": 0.1}]
        self.adam = torch.optim.Adam(groups, lr=0.0, betas=(0.9, 0.99))
        run.optimisers = {"generator": self.adam}
        self.halves = Windows(run.generator)
        if self.options.compile:
            self.halves.coarse = torch.compile(self.halves.coarse)  # type: ignore[method-assign]
            self.halves.fine = torch.compile(self.halves.fine)  # type: ignore[method-assign]

    def step(self, position: float) -> dict[str, Tensor]:
        """One step at a position 0…1 of the stage; its losses by name."""
        run, options = self.run, self.options
        size = options.reconstruction_batch
        places = order(len(self.reals), run.first_sample(size), size, options.seed)
        label = self.reals.labels[places]
        target = self.reals.normalised(places)
        z = self.codes.latents(self.reals.instruments[places], run.chance("latents"))
        for group in self.adam.param_groups:
            group["lr"] = group["share"] * self._rate(position)

        with run.precision():
            x, image = self.halves.coarse(z, label)
        peak = target[:, :1].amax(dim=(2, 3), keepdim=True)
        coarse = F.avg_pool2d(target[:, :1], 4)
        loss = magnitude_loss(image[:, :1].float(), coarse, peak)
        losses = {"coarse": loss.detach()}
        if position >= options.coarse:
            with run.precision():
                level, phase = window_loss(
                    self.halves,
                    x,
                    target,
                    label,
                    self._starts(size),
                    options.window_rows,
                    options.band_weight,
                )
            loss = 0.1 * loss + level + 0.3 * phase
            losses |= {"magnitude": level.detach(), "phase": phase.detach()}
        self.adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parallel.average_gradients(self.adam)
        nn.utils.clip_grad_norm_(self.fast, 1.0)
        self.adam.step()
        steps = run.stage_steps + 1
        run.follow(min(options.ema_decay, steps / (steps + 9)))
        run.count(size)
        return losses

    def _rate(self, position: float) -> float:
        warm = min(1.0, (self.run.stage_steps + 1) / WARM_UP)
        return self.options.reconstruction_rate * warm * (1 + math.cos(math.pi * position)) / 2

    def _starts(self, size: int) -> Tensor:
        """First rows of the windows: onsets are short and matter most, so a third begin there."""
        chance = np.random.default_rng(self.run.seeds("windows"))
        later = chance.random(size) > 1 / 3
        return torch.from_numpy(
            chance.integers(0, ROWS + 1 - self.options.window_rows, size) * later
        )
