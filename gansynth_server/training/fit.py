"""A first trainer: the generator alone, by regression on real notes.

Every instrument of the data has a learnt 16-dimensional code. Rotated into
the latent space and filled up with noise, the codes are spread so that N(0, I)
is their prior: a random latent is a timbre between instruments, and an
instrument's own code becomes a preset. The network learns to turn (code,
pitch) into the note; no discriminator takes part. Adversarial training comes
on top of this.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional as F

from gansynth_server.errors import UserError
from gansynth_server.model import checkpoint
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator
from gansynth_server.training.codes import Codes
from gansynth_server.training.dataset import Dataset
from gansynth_server.training.options import FitOptions
from gansynth_server.training.regression import (
    band_loss,
    magnitude_loss,
    phase_loss,
    pitch_means,
    timbre_features,
)

COARSE = 4  # index of the 32×256 block: the first part trains magnitudes there
LOGGED = ("step", "minutes", "loss", "magnitude", "phase", "examples_per_second")
HALO = 6  # frames at each cut edge of a window that see its zero padding


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


def batches(count: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Shuffled row numbers for ever, every row once an epoch."""
    while True:
        order = rng.permutation(count)
        for start in range(0, count - size + 1, size):
            yield np.sort(order[start : start + size])


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
    image = halves.fine(crop(x, starts, rows), label)
    wanted = crop(target, starts * 4, rows * 4)
    frame = torch.arange(rows * 4)
    last = 32 - rows
    inner = (frame >= HALO * (starts > 0)[:, None]) & (
        frame < rows * 4 - HALO * (starts < last)[:, None]
    )
    image = torch.where(inner[:, None, :, None], image, wanted)
    peak = target[:, :1].amax(dim=(2, 3), keepdim=True)
    level = magnitude_loss(image[:, :1], wanted[:, :1], peak)
    level = level + band_weight * band_loss(image[:, :1], wanted[:, :1])
    return level, phase_loss(image[:, 1], wanted[:, 1], wanted[:, 0])


def deafen(generator: Generator, codes: Codes, code_size: int) -> None:
    """Has the first layer start out blind to the axes of the latent that carry no code."""
    first = dict(generator.named_parameters())["blocks.0.conv0.weight"].data
    size = generator.config.latent_size
    axes = codes.rotation[:code_size]
    along = torch.einsum("ozhw,cz,cy->oyhw", first[:, :size], axes, axes)
    first[:, :size] = along * math.sqrt(size / code_size)


def _begin(
    options: FitOptions,
    config: GeneratorConfig,
    spectra: NDArray[np.float16],
    labels: NDArray[np.int64],
    instruments: NDArray[np.int64],
    names: list[str],
) -> tuple[Generator, Codes, dict[str, Any]]:
    """A new network and codes that start at the data's means, or those of a checkpoint.

    Returns:
        Also the provenance of that checkpoint.
    """
    if options.start is not None:
        before = checkpoint.load(options.start)
        if before.config != config or set(names) - set(before.presets):
            raise UserError(f"{options.start} was trained with other options or instruments")
        presets = torch.from_numpy(np.stack([before.presets[name] for name in names]))
        codes = Codes(torch.zeros(0, options.code_size), config.latent_size, options.code_noise)
        codes.values = nn.Parameter((presets @ codes.rotation.T)[:, : options.code_size])
        return before.generator.train().requires_grad_(True), codes, before.provenance
    generator = Generator(config)
    assert generator.pitch_bias is not None
    generator.pitch_bias.data = pitch_means(spectra, labels, len(config.pitches))
    left, scale, _ = torch.linalg.svd(timbre_features(spectra, instruments), full_matrices=False)
    start = (left * scale)[:, : options.code_size]
    codes = Codes(start, config.latent_size, options.code_noise)
    deafen(generator, codes, start.shape[1])
    return generator, codes, {}


def fit(data: Dataset, folder: Path, options: FitOptions) -> None:
    """Trains for a given time and leaves a checkpoint with a preset per instrument.

    Args:
        data: rendered notes.
        folder: the checkpoint; written every two minutes and at the end, and a
            ``log.jsonl`` with the losses.
        options: see :class:`FitOptions`.
    """
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    spectra = data.spectra()
    names = list(dict.fromkeys(note.instrument for note in data.notes))
    instruments = np.array([names.index(note.instrument) for note in data.notes])
    config = GeneratorConfig(
        filters=progressive_filters(options.fmap_base, options.fmap_max), pitch_bias=True
    )
    labels = np.array([config.label(note.pitch) for note in data.notes])

    generator, codes, history = _begin(options, config, spectra, labels, instruments, names)
    generator = generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    halves = Windows(generator)
    if options.compile:
        halves.coarse = torch.compile(halves.coarse)  # type: ignore[method-assign]
        halves.fine = torch.compile(halves.fine)  # type: ignore[method-assign]

    slow = generator.pitch_bias
    assert slow is not None
    fast = [p for p in generator.parameters() if p is not slow] + [codes.values]
    groups = [{"params": fast, "share": 1.0}, {"params": [slow], "share": 0.1}]
    adam = torch.optim.Adam(groups, lr=options.learning_rate, betas=(0.9, 0.99))
    average = {name: value.detach().clone() for name, value in generator.state_dict().items()}

    def keep(seconds: float, step: int) -> None:
        averaged = Generator(config)
        averaged.load_state_dict(average)
        provenance: dict[str, Any] = {
            **({"start": history} if history else {}),
            "recipe": "regression (gansynth train)",
            "options": asdict(options) | {"start": options.start and Path(options.start).name},
            "notes": len(data.notes),
            "instruments": len(names),
            "examples": step * options.batch,
            "minutes": round(seconds / 60, 1),
        }
        presets = {name: codes.preset(i) for i, name in enumerate(names)}
        checkpoint.save(folder, averaged, provenance, presets)

    folder.mkdir(parents=True, exist_ok=True)
    begun = kept = shown = time.monotonic()
    rows, step, reported = options.window_rows, 0, 0
    sums = np.zeros(3)
    with (folder / "log.jsonl").open("w") as log, Progress() as progress:
        bar = progress.add_task("training", total=1.0)
        for step, index in enumerate(batches(len(data.notes), options.batch, rng)):
            now = time.monotonic()
            share = (now - begun) / (options.minutes * 60)
            if share >= 1:
                break
            rate = (
                options.learning_rate
                * min(1, (step + 1) / 100)
                * (1 + math.cos(math.pi * share))
                / 2
            )
            for group in adam.param_groups:
                group["lr"] = rate * group["share"]

            target = torch.from_numpy(spectra[index]).float()
            label = torch.from_numpy(labels[index])
            x, image = halves.coarse(codes.latents(torch.from_numpy(instruments[index])), label)
            peak = target[:, :1].amax(dim=(2, 3), keepdim=True)
            loss = magnitude_loss(image[:, :1], F.avg_pool2d(target[:, :1], 4), peak)
            level = phase = torch.zeros(())
            if share >= options.coarse_share:
                # onsets are short and matter most: a third of the windows begin there
                later = rng.random(len(index)) > 1 / 3
                starts = torch.from_numpy(rng.integers(0, 33 - rows, len(index)) * later)
                level, phase = window_loss(
                    halves, x, target, label, starts, rows, options.band_weight
                )
                loss = 0.1 * loss + level + 0.3 * phase
            adam.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(fast, 1.0)
            adam.step()
            decay = min(0.999, (step + 1) / (step + 10))
            with torch.no_grad():
                for name, value in generator.state_dict().items():
                    average[name].lerp_(value, 1 - decay)

            sums += (loss.item(), level.item(), phase.item())
            if now - shown > 20:
                steps = step + 1 - reported
                values = (
                    step,
                    (now - begun) / 60,
                    *(sums / steps),
                    steps * options.batch / (now - shown),
                )
                row = {name: round(float(v), 4) for name, v in zip(LOGGED, values, strict=True)}
                log.write(json.dumps(row) + "\n")
                log.flush()
                progress.update(bar, completed=share, description=f"loss {row['loss']:g}")
                reported, shown = step + 1, now
                sums[:] = 0
            if now - kept > 120:
                keep(now - begun, step)
                kept = now
    keep(time.monotonic() - begun, step)
