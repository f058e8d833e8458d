"""Inversion: gradient descent for the latent whose note is nearest to a recorded one.

The starts are presets, random latents, and estimates by ridge regression on
their notes. After each round the nearest third goes on, so that most of the
time is spent on what becomes the answer. Only the latent gets gradients.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gansynth_server.analysis.latent_regression import regress_latents
from gansynth_server.analysis.recorded_note import read
from gansynth_server.analysis.spectral_distance import Target, sound
from gansynth_server.latent.prior import Prior
from gansynth_server.model.generator import Generator
from gansynth_server.options import SEARCH_SECONDS

Float32 = NDArray[np.float32]

RANDOM = 256
"""Most random latents that are tried as starts, beside the presets."""
LOOKING = 0.25
"""Share of the time for choosing starts."""
ROUNDS = ((12, 0.3), (4, 0.3), (1, 0.4))
"""Latents that descend together, and the share of the remaining time for it."""
CHUNK = 4
"""Notes per batch with gradients: 70 MB each."""
RATE = 0.06
"""Adam's learning rate, which falls to a tenth within each round."""
PRIOR = 2.0
"""Penalty (dB) per unit by which a latent's mean square exceeds the prior's, 1."""


@dataclass(frozen=True)
class Found:
    """Result of a search.

    z: [latent_size].
    distance: spectral distance (dB), see :meth:`Target.distance`.
    start: a preset's name, ``random`` or ``regression``.
    before: the distance (dB) at the start.
    steps: gradient steps, of all latents together.
    """

    z: Float32
    distance: float
    start: str
    before: float
    steps: int


def invert(
    generator: Generator,
    wave: Float32,
    pitch: int,
    presets: Mapping[str, Float32],
    seconds: float,
    seed: int = 0,
    tell: Callable[[float, float], None] = lambda share, distance: None,
) -> Found:
    """Search the latent whose note at a pitch is nearest to a wave.

    Args:
        wave: [64000] at 16 kHz, one note from its beginning.
        pitch: MIDI note number that the generator was trained on.
        presets: latents to start from, by name.
        seconds: time limit (s).
        seed: of the random latents.
        tell: called with the share of the time that has gone, and the least distance so far.
    """
    begun = time.monotonic()
    config, device = generator.config, next(generator.parameters()).device
    target = Target(torch.from_numpy(wave).to(device))

    def progress(least: float) -> None:
        tell(min(1.0, (time.monotonic() - begun) / seconds), least)

    with _frozen(generator):
        search = _Search(generator, target, config.label(pitch), device)
        names, z, best = search.starts(presets, seed, begun + LOOKING * seconds)
        before, left = best.tolist(), begun + seconds - time.monotonic()
        for count, share in ROUNDS:
            keep = torch.argsort(best)[:count].tolist()
            z, best = z[keep], best[keep]
            names, before = [names[n] for n in keep], [before[n] for n in keep]
            z, best = search.descend(z, best, time.monotonic() + share * left, progress)
        n = int(best.argmin())
        return Found(z[n].numpy(), search.exact(z[n]), names[n], float(before[n]), search.steps)


def invert_file(
    generator: Generator,
    presets: Mapping[str, Float32],
    sound: bytes,
    name: str,
    pitch: int | None = None,
    seconds: float = SEARCH_SECONDS,
    seed: int = 0,
) -> Float32:
    """Search the latent whose note is nearest to that of a sound file.

    Args:
        sound: content of the file.
        name: of the file.
        pitch: of the note (MIDI); None takes it from the name, or detects it.
        seconds: time limit (s).

    Returns:
        [latent_size + 2]: the latent, the pitch, and the distance (dB).

    Raises:
        UserError: the file has no note at a pitch of the generator.
    """
    recorded = read(sound, name, generator.config.pitches, pitch)
    found = invert(generator, recorded.wave, recorded.pitch, presets, seconds, seed)
    return np.append(found.z, np.array([recorded.pitch, found.distance], np.float32))


@contextmanager
def _frozen(generator: Generator) -> Iterator[None]:
    """Switch gradients of the network's weights off for a while."""
    moving = [p for p in generator.parameters() if p.requires_grad]
    for parameter in moving:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in moving:
            parameter.requires_grad_(True)


class _Search:
    def __init__(
        self, generator: Generator, target: Target, label: int, device: torch.device
    ) -> None:
        self._generator, self._target = generator, target
        self._label, self._device = label, device
        self._dtype = next(generator.parameters()).dtype
        self._coarse = False
        self._coarse = self._pays_off()
        self.steps = 0

    def _pays_off(self) -> bool:
        """Whether bfloat16, which is exact enough for gradients, is faster on this machine."""
        if self._dtype != torch.float32:
            return False
        z = torch.zeros(1, self._generator.config.latent_size, device=self._device)
        taken = []
        for self._coarse in (False, True):
            self._gradients(z)  # the first time is slower
            begun = time.perf_counter()
            self._gradients(z)
            taken.append(time.perf_counter() - begun)
        return taken[1] < taken[0]

    def starts(
        self, presets: Mapping[str, Float32], seed: int, until: float
    ) -> tuple[list[str], Tensor, Tensor]:
        """Measure presets and random latents, as many as there is time for, and regress others.

        Returns:
            Names, latents [N, size] and distances [N].
        """
        names = [*presets, *(["random"] * RANDOM)]
        drawn = Prior.of_generator(self._generator).draws(range(seed, seed + RANDOM))
        latents = torch.from_numpy(np.stack([*presets.values(), *drawn]).astype(np.float32))
        found: list[Tensor] = []
        outlines: list[Tensor] = []
        for part in torch.split(latents, CHUNK):
            distances, outline = self._target.look(self._sounds(part))
            found.append(distances.cpu())
            outlines.append(outline.cpu())
            if time.monotonic() > until and len(found) * CHUNK >= ROUNDS[0][0]:
                break
        looked = latents[: sum(map(len, found))]
        guessed = regress_latents(torch.cat(outlines), looked, self._target.outline.cpu())
        found.append(self._target.distance(self._sounds(guessed)).cpu())
        names = [*names[: len(looked)], *(["regression"] * len(guessed))]
        return names, torch.cat([looked, guessed]), torch.cat(found)

    def exact(self, z: Tensor) -> float:
        """The distance of one latent [latent_size]."""
        self._coarse = False
        return float(self._target.distance(self._sounds(z[None])))

    def descend(
        self, z: Tensor, best: Tensor, until: float, tell: Callable[[float], None]
    ) -> tuple[Tensor, Tensor]:
        """Descend from latents until a time; return the best of each and their distances."""
        kept, best = z.clone(), best.clone()
        moving = z.clone().to(self._device).requires_grad_(True)
        adam = torch.optim.Adam([moving], lr=RATE, betas=(0.9, 0.99))
        begun = time.monotonic()
        while (now := time.monotonic()) < until:
            for group in adam.param_groups:
                group["lr"] = RATE * (1 - 0.9 * (now - begun) / (until - begun))
            distances = self._gradients(moving)
            better = distances < best
            kept[better], best[better] = moving.detach().cpu()[better], distances[better]
            adam.step()
            self.steps += len(z)
            tell(float(best.min()))
        return kept, best

    def _gradients(self, moving: Tensor) -> Tensor:
        """Return the distances [N] of latents, and leave the gradients in them."""
        moving.grad = torch.zeros_like(moving)
        found = []
        for at in range(0, len(moving), CHUNK):
            part = moving.detach()[at : at + CHUNK].requires_grad_(True)
            distance = self._distance(part)
            length = part.square().mean(dim=1) - 1
            loss = (distance + PRIOR * length.clamp(min=0)).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            assert part.grad is not None
            moving.grad[at : at + CHUNK] = part.grad
            found.append(distance.detach().cpu())
        return torch.cat(found)

    def _distance(self, z: Tensor) -> Tensor:
        return self._target.distance(self._waves(z))

    @torch.no_grad()
    def _sounds(self, z: Tensor) -> Tensor:
        """Waves [N, 64000] of latents, without gradients."""
        return self._waves(z.to(self._device))

    def _waves(self, z: Tensor) -> Tensor:
        labels = torch.full((len(z),), self._label, device=self._device)
        # float32 where there are no gradients, so that a distance is the same each time
        coarse = self._coarse and z.requires_grad
        with torch.autocast(self._device.type, torch.bfloat16, enabled=coarse):
            images = self._generator(z.to(self._dtype), labels)
        return sound(images.float(), self._generator.config)
