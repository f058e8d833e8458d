"""Regression on real notes: the generator alone, a start for the adversarial phase.

Every instrument of the data has a code (:mod:`codes`), along those axes of the
latent space that the network reads: a random latent is a timbre between
instruments, and an instrument's own code becomes a preset. The network learns
to turn (code, pitch) into the note. It may begin with templates that are fitted
to the data (:mod:`fitting`), which the convolutions then refine.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gansynth_server.model.generator import Generator
from gansynth_server.render.backends.fused import can_compile
from gansynth_server.training import parallel
from gansynth_server.training.codes import Codes, random_axes
from gansynth_server.training.fitting import fit
from gansynth_server.training.reals import Reals, order
from gansynth_server.training.regression import (
    Loudness,
    band_loss,
    magnitude_loss,
    phase_loss,
    pitch_means,
)
from gansynth_server.training.run import Run

COARSE = 4  # index of the 32×256 block: the first part trains magnitudes there
ROWS = 32  # of its image
HALO = 6  # frames at each cut edge of a window that see its zero padding
SLOW = 0.1
"""Share of the learning rate for parameters that were fitted to the data."""
WARM_UP = 100  # steps until the learning rate is reached


class Windows(nn.Module):
    """The generator cut in two: whole notes up to 32×256, windows of frames above."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def coarse(self, x: Tensor, outline: Tensor | None) -> tuple[Tensor, Tensor]:
        """Compute features [N, C, 32, 256] and image [N, 2, 32, 256] of x [N, input_size]."""
        for block in self.generator.blocks[: COARSE + 1]:
            x = block(x)
        return x, self.generator.image(COARSE, x, outline)

    def fine(self, x: Tensor, outline: Tensor | None) -> Tensor:
        """Compute [N, 2, 4·rows, 1024] of features [N, C, rows, 256] and their outline."""
        for block in self.generator.blocks[COARSE + 1 :]:
            x = block(x)
        return self.generator.image(len(self.generator.blocks) - 1, x, outline)


def crop(x: Tensor, starts: Tensor, rows: int) -> Tensor:
    """Cut rows starts[n] … starts[n]+rows out of every [N, C, H, W]."""
    return torch.stack(
        [image[:, s : s + rows] for image, s in zip(x, starts.tolist(), strict=True)]
    )


def prepare(generator: Generator, reals: Reals, noise: float, seed: int) -> Codes:
    """Fit a new generator to the data as far as that has a closed form; return the codes."""
    assert generator.axes is not None
    generator.axes.copy_(random_axes(len(generator.axes), generator.axes.shape[1], seed))
    codes = Codes.of_data(reals, generator.axes.clone(), noise)
    if generator.pitch_bias is not None:
        generator.pitch_bias.data = pitch_means(reals)
    if generator.templates is not None:
        fit(generator, reals, codes, seed)
        generator.mute_blocks()  # which are not trained yet
    return codes


class Reconstruction:
    """The regression's steps."""

    def __init__(self, run: Run, reals: Reals) -> None:
        assert run.codes is not None or run.teacher is not None
        self.run, self.reals, self.options = run, reals, run.options
        self.loudness = Loudness(run.config)
        named = list(run.generator.named_parameters())
        slow = [p for name, p in named if not name.startswith("blocks.")]
        self.fast = [p for name, p in named if name.startswith("blocks.")]
        groups = [{"params": self.fast, "share": 1.0}]
        groups += [{"params": slow, "share": SLOW}] if slow else []
        fused = run.device.type == "cuda"  # one kernel for all weights
        self.adam = torch.optim.Adam(groups, lr=0.0, betas=(0.9, 0.99), fused=fused)
        run.optimisers = {"generator": self.adam}
        self.halves = Windows(run.generator)
        if self.options.compile and can_compile(run.device):
            self.halves.coarse = torch.compile(self.halves.coarse)  # type: ignore[method-assign]
            self.halves.fine = torch.compile(self.halves.fine)  # type: ignore[method-assign]

    def step(self, position: float) -> dict[str, Tensor]:
        """Make a step at a position 0…1 of the stage; return its losses by name."""
        run, options = self.run, self.options
        size = options.reconstruction_batch
        places = order(len(self.reals), run.first_sample(size), size, options.seed)
        label = self.reals.labels[places]
        z, target = self._notes(places, label)
        for group in self.adam.param_groups:
            group["lr"] = group["share"] * self._rate(position)

        condition = run.generator.condition(z, label)
        outline = run.generator.outline(condition, label)
        with run.precision():
            x, image = self.halves.coarse(condition, outline)
        peak = target[:, :1].amax(dim=(2, 3), keepdim=True)
        coarse = F.avg_pool2d(target[:, :1], 4)
        loss = magnitude_loss(image[:, :1].float(), coarse, peak)
        losses = {"coarse": loss.detach()}
        if position >= options.coarse:
            level, phase = self._window_losses(x, outline, target)
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

    def _notes(self, places: NDArray[np.int64], label: Tensor) -> tuple[Tensor, Tensor]:
        """Return latents [N, latent_size] and their target spectra [N, 2, 128, 1024].

        The first ones are the teacher's, if there is one, at random latents.
        """
        run = self.run
        taught = 0 if run.teacher is None else round(self.options.taught * len(places))
        z, target = [], []
        if run.teacher is not None and taught:
            size = taught, run.config.latent_size
            z.append(torch.randn(size, device=run.device, generator=run.chance("taught")))
            target.append(run.teacher.notes(z[0], label[:taught], run.precision()))
        if taught < len(places):
            assert run.codes is not None
            instruments = self.reals.instruments[places[taught:]]
            z.append(run.codes.latents(instruments, run.chance("latents")))
            target.append(self.reals.normalised(places[taught:]))
        return torch.cat(z), torch.cat(target)

    def _window_losses(
        self, x: Tensor, outline: Tensor | None, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute magnitude and phase loss of one window of frames per note.

        Args:
            x: [N, C, 32, 256] features of whole notes.
            outline: of whole notes.
            target: [N, 2, 128, 1024] spectra of whole notes.
        """
        rows = self.options.window_rows
        starts = self._starts(len(x))
        if outline is not None and outline.shape[2] > 1:
            outline = crop(outline, starts * 4, rows * 4)
        with self.run.precision():
            image = self.halves.fine(crop(x, starts, rows), outline).float()
        wanted = crop(target, starts * 4, rows * 4)
        frame = torch.arange(rows * 4)
        # frames near a cut edge do not count
        inner = (frame >= HALO * (starts > 0)[:, None]) & (
            frame < rows * 4 - HALO * (starts < ROWS - rows)[:, None]
        )
        image = torch.where(inner[:, None, :, None].to(image.device), image, wanted)
        peak = target[:, :1].amax(dim=(2, 3), keepdim=True)
        level = magnitude_loss(image[:, :1], wanted[:, :1], peak)
        bands = band_loss(image[:, :1], wanted[:, :1], self.loudness)
        level = level + self.options.band_weight * bands
        return level, phase_loss(image[:, 1], wanted[:, 1], wanted[:, 0], self.loudness)

    def _rate(self, position: float) -> float:
        warm = min(1.0, (self.run.stage_steps + 1) / WARM_UP)
        return self.options.reconstruction_rate * warm * (1 + math.cos(math.pi * position)) / 2

    def _starts(self, size: int) -> Tensor:
        """Draw first rows of windows: onsets are short and matter most, so a third begin there."""
        chance = np.random.default_rng(self.run.seeds("windows"))
        later = chance.random(size) > 1 / 3
        return torch.from_numpy(
            chance.integers(0, ROWS + 1 - self.options.window_rows, size) * later
        )
