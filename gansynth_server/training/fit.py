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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

from gansynth_server.model import checkpoint
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator
from gansynth_server.training.dataset import Dataset

COARSE = 4  # index of the 32×256 block: the first part trains magnitudes there
HALO = 6  # frames at each cut edge of a window that see its zero padding


@dataclass(frozen=True)
class FitOptions:
    """What a run is made of; ``gansynth train`` has a flag for each."""

    minutes: float = 60.0
    fmap_base: int = 1024
    fmap_max: int = 128
    code_size: int = 16
    code_noise: float = 0.25
    """Standard deviation of the noise on a code, whose own is 1."""
    batch: int = 12
    coarse_share: float = 0.08
    """Part of the time spent on 32×256 magnitudes."""
    window_rows: int = 12
    """Rows of the 32-row image that a step renders at full resolution (of 32)."""
    learning_rate: float = 3e-3
    compile: bool = True
    seed: int = 0


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

    def latents(self, instruments: Tensor) -> Tensor:
        """[N] instrument indices → [N, latent_size] noisy latents."""
        code = self.whitened()[instruments]
        code = math.sqrt(1 - self.noise**2) * code + self.noise * torch.randn_like(code)
        rest = torch.randn(len(code), len(self.rotation) - code.shape[1])
        return torch.cat([code, rest], dim=1) @ self.rotation

    def preset(self, instrument: int) -> NDArray[np.float32]:
        """The latent of an instrument: its code, and a fixed draw for the other axes."""
        generator = torch.Generator().manual_seed(instrument)
        code = self.whitened()[instrument].detach() * math.sqrt(1 - self.noise**2)
        rest = torch.randn(len(self.rotation) - len(code), generator=generator)
        return (torch.cat([code, rest]) @ self.rotation).numpy()


def timbre_features(spectra: NDArray[np.float16], instruments: NDArray[np.int64]) -> Tensor:
    """[instruments, 16·32] mean coarse log magnitudes, without those common to all."""
    totals = torch.zeros(int(instruments.max()) + 1, 16 * 32)
    counts = torch.bincount(torch.from_numpy(instruments)).clamp(min=1)
    for start in range(0, len(spectra), 256):
        images = torch.from_numpy(spectra[start : start + 256, 0]).float()
        coarse = F.avg_pool2d(images[:, None], (8, 32)).flatten(1)
        totals.index_add_(0, torch.from_numpy(instruments[start : start + 256]), coarse)
    means = totals / counts[:, None]
    return means - means.mean(dim=0)


def pitch_means(spectra: NDArray[np.float16], labels: NDArray[np.int64], count: int) -> Tensor:
    """[pitches, 2, 1024]: what notes of a pitch have in common, as tanh arguments.

    Mean log magnitude, and the circular mean of the phase increment weighted
    by magnitude, over all notes and frames that sound.
    """
    bias = torch.zeros(count, 2, 1024)
    for label in range(count):
        notes = torch.from_numpy(spectra[labels == label][:, :, 4:]).float()
        level, angle = notes[:, 0], notes[:, 1] * (math.pi / 0.8)
        weight = torch.exp((level - 0.1137) / 0.0661 / 2)
        real = (weight * angle.cos()).sum(dim=(0, 1))
        imaginary = (weight * angle.sin()).sum(dim=(0, 1))
        mean = torch.stack([level.mean(dim=(0, 1)), torch.atan2(imaginary, real) * (0.8 / math.pi)])
        bias[label] = torch.atanh(mean.clamp(-0.95, 0.95))
    return bias


def magnitude_loss(level: Tensor, target: Tensor, peak: Tensor) -> Tensor:
    """Squared error of normalised log magnitudes, where a listener would hear it most."""
    weight = 0.1 + torch.sigmoid(12 * (target - (peak - 0.9)))
    return (weight * (level - target).square()).mean()


def phase_loss(phase: Tensor, target: Tensor, level: Tensor) -> Tensor:
    """Magnitude-weighted 1 - cos of the error of the phase increments, 0…2."""
    weight = torch.exp((level - level.amax(dim=(1, 2), keepdim=True)) / 0.0661 / 2)
    error = 1 - torch.cos((phase - target) * (math.pi / 0.8))
    return (weight * error).sum() / weight.sum()


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
    return torch.stack([image[:, s : s + rows] for image, s in zip(x, starts.tolist(), strict=True)])


def batches(count: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Shuffled row numbers for ever, every row once an epoch."""
    while True:
        order = rng.permutation(count)
        for start in range(0, count - size + 1, size):
            yield np.sort(order[start : start + size])


def fit(data: Dataset, folder: Path, options: FitOptions) -> None:
    """Trains for a given time and leaves a checkpoint with a preset per instrument.

    Args:
        data: rendered notes.
        folder: the checkpoint; written every two minutes and at the end, and a
            ``log.jsonl`` with the losses.
        options: see :class:`FitOptions`.
    """
    console = Console()
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    spectra = data.spectra()
    names = sorted({note.instrument for note in data.notes}, key=[n.instrument for n in data.notes].index)
    instruments = np.array([names.index(note.instrument) for note in data.notes])
    config = GeneratorConfig(
        filters=progressive_filters(options.fmap_base, options.fmap_max), pitch_bias=True
    )
    labels = np.array([config.label(note.pitch) for note in data.notes])

    generator = Generator(config)
    assert generator.pitch_bias is not None
    console.print("means per pitch and instrument …")
    generator.pitch_bias.data = pitch_means(spectra, labels, len(config.pitches))
    features = timbre_features(spectra, instruments)
    left, scale, _ = torch.linalg.svd(features, full_matrices=False)
    codes = Codes(left[:, : options.code_size] * scale[: options.code_size], config.latent_size, options.code_noise)
    # start deaf to the axes that carry no code
    first = generator.blocks[0].conv0.weight.data
    axes = codes.rotation[: options.code_size]
    along = torch.einsum("ozhw,cz,cy->oyhw", first[:, : config.latent_size], axes, axes)
    first[:, : config.latent_size] = along * math.sqrt(config.latent_size / options.code_size)
    generator = generator.to(memory_format=torch.channels_last)

    halves = Windows(generator)
    coarse, fine = halves.coarse, halves.fine
    if options.compile:
        coarse, fine = torch.compile(coarse), torch.compile(fine)
    slow = [generator.pitch_bias]
    fast = [p for p in generator.parameters() if p is not slow[0]] + [codes.values]
    adam = torch.optim.Adam(
        [
            {"params": fast, "lr": options.learning_rate, "share": 1.0},
            {"params": slow, "lr": options.learning_rate, "share": 0.1},
        ],
        betas=(0.9, 0.99),
    )
    average = {name: value.detach().clone() for name, value in generator.state_dict().items()}

    def keep(seconds: float, step: int) -> None:
        averaged = Generator(config)
        averaged.load_state_dict(average)
        provenance: dict[str, Any] = {
            "recipe": "regression (gansynth train)",
            "options": asdict(options),
            "notes": len(data.notes),
            "instruments": len(names),
            "steps": step,
            "examples": step * options.batch,
            "minutes": round(seconds / 60, 1),
        }
        presets = {name: codes.preset(i) for i, name in enumerate(names)}
        checkpoint.save(folder, averaged, provenance, presets)

    folder.mkdir(parents=True, exist_ok=True)
    log = (folder / "log.jsonl").open("w")
    begun = kept = shown = time.monotonic()
    rows = options.window_rows
    sums = np.zeros(3)
    for step, index in enumerate(batches(len(data.notes), options.batch, rng)):
        now = time.monotonic()
        share = (now - begun) / (options.minutes * 60)
        if share >= 1:
            break
        for group in adam.param_groups:
            warm = min(1.0, (step + 1) / 100)
            group["lr"] = options.learning_rate * group["share"] * warm * 0.5 * (1 + math.cos(math.pi * share))
        target = torch.from_numpy(spectra[index]).float()
        label = torch.from_numpy(labels[index])
        x, image = coarse(codes.latents(torch.from_numpy(instruments[index])), label)
        pooled = F.avg_pool2d(target[:, :1], 4)
        peak = target[:, :1].amax(dim=(2, 3), keepdim=True)
        loss = magnitude_loss(image[:, :1], pooled, peak)
        level = phase = torch.zeros(())
        if share >= options.coarse_share:
            # onsets are short and matter most: a third of the windows begin there
            starts = torch.from_numpy(rng.integers(0, 33 - rows, len(index)) * (rng.random(len(index)) > 0.33))
            image = fine(crop(x, starts, rows), label)
            wanted = crop(target, starts * 4, rows * 4)
            inner = torch.zeros(len(index), rows * 4)
            for n, start in enumerate(starts.tolist()):
                inner[n, HALO * (start > 0) : rows * 4 - HALO * (start < 32 - rows)] = 1
            mask = inner[:, :, None] > 0
            image = torch.where(mask[:, None], image, wanted)  # halo frames teach nothing
            level = magnitude_loss(image[:, :1], wanted[:, :1], peak)
            phase = phase_loss(image[:, 1], wanted[:, 1], wanted[:, 0])
            loss = 0.1 * loss + level + 0.3 * phase
        adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(fast, 1.0)
        adam.step()
        decay = min(0.999, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, value in generator.state_dict().items():
                average[name].lerp_(value, 1 - decay)
        sums += (float(loss), float(level), float(phase))
        if now - shown > 20:
            row = {"step": step, "minutes": round((now - begun) / 60, 2)}
            steps = max(1, step - getattr(fit, "_last", 0))
            means = sums / steps
            row |= {"loss": means[0], "magnitude": means[1], "phase": means[2], "rate": steps * options.batch / (now - shown)}
            fit._last = step  # type: ignore[attr-defined]
            sums[:] = 0
            shown = now
            log.write(json.dumps(row) + "\n")
            log.flush()
            console.print(row)
        if now - kept > 120:
            kept = now
            keep(now - begun, step)
    keep(time.monotonic() - begun, step)
    console.print(f"done: {step} steps, {folder}")
