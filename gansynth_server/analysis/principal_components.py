"""Principal component analysis of a generator's activations (GANSpace, Härkönen et al. 2020).

Its directions are applied by :mod:`gansynth_server.latent.directions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.latent.prior import Prior
from gansynth_server.latent.sequence import random_keys
from gansynth_server.model.checkpoint import first_bias

if TYPE_CHECKING:
    from gansynth_server.model.generator import Generator

Float32 = NDArray[np.float32]

BATCH = 256
PART = (8, 32)
"""Frames and bins over which the templates' log magnitudes are averaged."""
FARTHEST = 3.0
"""Most by which a direction is lengthened."""
TINY = 1e-9
"""Share of the first component's variance below which there is no component."""


def activations(generator: Generator, z: Float32, labels: NDArray[np.int64]) -> Float32:
    """Output of the first convolution after leaky ReLU and pixel norm, as in GANSpace.

    With templates it is their log magnitudes, averaged over 8 frames and 32 bins: most of the
    timbre comes from them, and the first convolution only refines it. Without convolutions it is
    those of the note.

    Args:
        z: [N, latent_size].
        labels: [N].

    Returns:
        [N, time, frequency, channel], in Magenta's order.
    """
    import torch
    from torch.nn import functional as F

    from gansynth_server.model.layers import activate

    block: Any = generator.blocks[0] if generator.decoder is None else None
    dtype = next(generator.parameters()).dtype
    found = []
    with torch.inference_mode():
        size = BATCH if generator.decoder is None else BATCH // 8  # whole notes fill the memory
        for at in range(0, len(z), size):
            latents, picked = (torch.from_numpy(a[at : at + size]) for a in (z, labels))
            x = generator.condition(latents.to(dtype), picked)
            if generator.decoder is not None:
                x = F.avg_pool2d(generator.decoder(x, picked)[:, :1], PART)
            elif generator.templates is None:
                x = activate(block.conv0.from_pixel(x))
            else:
                x = F.avg_pool2d(generator.templates(x, picked)[:, :1], PART)
            found.append(x.permute(0, 2, 3, 1).float().numpy())
    return np.concatenate(found)


def compute(
    generator: Generator,
    components: int = 64,
    samples: int = 4096,
    seed: int = 0,
    pitch: int | None = None,
    given: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Compute principal directions of a generator, as the npz file holds them, in float32.

    Args:
        generator: on the CPU.
        components: most components; fewer where there is no more variance.
        samples: number of random latents.
        seed: of the latents.
        pitch: MIDI note number of all samples; None takes all pitches in turn.
        given: known components (``comp``, ``stdev``), for which only the directions of latents
            are computed.

    Raises:
        UserError: the numbers do not fit each other or the generator.
    """
    config = generator.config
    if pitch is not None and pitch not in config.pitches:
        raise UserError(f"pitch {pitch} is not among {config.pitches[0]} to {config.pitches[-1]}")
    pitches = len(config.pitches) if pitch is None else 1
    if components < 1 or samples < 2 * pitches + components:
        raise UserError(
            f"{components} components of {pitches} pitches need at least "
            f"{2 * pitches + max(components, 1)} samples, not {samples}"
        )
    z = random_keys(samples, Prior.of_generator(generator), seed)
    turn = np.arange(samples) % pitches
    labels = turn if pitch is None else turn + config.label(pitch)
    raw = activations(generator, z, labels)
    shape, flat = raw.shape[1:], raw.reshape(samples, -1)
    mean = np.stack([flat[turn == n].mean(axis=0) for n in range(pitches)])
    centred = flat - mean[turn]
    spread = float(np.square(centred, dtype=np.float64).sum())
    if given is None:
        comp, stdev = _principal(centred, components)
    else:
        comp = np.asarray(given["comp"], np.float32)
        comp, stdev = comp.reshape(len(comp), -1), np.asarray(given["stdev"], np.float32).ravel()
        if comp.shape[1] != flat.shape[1] or len(comp) != len(stdev) or not (stdev > 0).all():
            raise UserError(
                f"the given components are of {comp.shape[1]} activations, "
                f"and this checkpoint's first block has {flat.shape[1]}"
            )
    scores = centred @ comp.T / stdev  # [samples, count]
    convolved = generator.templates is None and generator.decoder is None
    if convolved:
        latent = np.linalg.lstsq(scores, z, rcond=None)[0].astype(np.float32)
        reach = _reach(generator, flat, z, labels, comp / stdev[:, None], latent)
    else:
        latent, reach = _farther(generator, flat, z, labels, comp / stdev[:, None], scores)
    return {
        "layer": "conv0" if convolved else "templates",
        "comp": comp.reshape(-1, *shape),
        "stdev": stdev,
        "var_ratio": (samples * np.square(stdev, dtype=np.float64) / spread).astype(np.float32),
        "global_mean": mean.mean(axis=0).reshape(shape),
        "latent": latent,
        "reach": reach,
        "bias": generator.state_dict()[first_bias(config)].float().cpu().numpy(),
    }


def _principal(centred: Float32, count: int) -> tuple[Float32, Float32]:
    """First principal components [count, values] of [samples, values], and their stdevs."""
    from scipy.linalg import eigh

    samples, values = centred.shape
    # the smaller of the two Gram matrices has the same eigenvalues
    wide = values > samples
    gram = centred.astype(np.float64)
    gram = gram @ gram.T if wide else gram.T @ gram
    size = len(gram)
    variance, vectors = eigh(gram, subset_by_index=(max(0, size - count), size - 1))
    variance, vectors = variance[::-1], vectors[:, ::-1]
    kept = variance > TINY * variance[0]
    variance, vectors = variance[kept], vectors[:, kept]
    comp = vectors.T @ centred / np.sqrt(variance)[:, None] if wide else vectors.T
    peaks = np.take_along_axis(comp, np.abs(comp).argmax(axis=1)[:, None], axis=1)
    # a component has no sign of its own: its largest value is made positive
    comp = comp * np.sign(peaks)
    return comp.astype(np.float32), np.sqrt(variance / samples).astype(np.float32)


def _reach(
    generator: Generator,
    flat: Float32,
    z: Float32,
    labels: NDArray[np.int64],
    gauge: Float32,
    latent: Float32,
) -> Float32:
    """Mean change of each component along its own direction (standard deviations)."""
    some = slice(0, BATCH)
    moved = [
        activations(generator, z[some] + step, labels[some]).reshape(-1, flat.shape[1])
        for step in latent
    ]
    change = [(after - flat[some]).mean(axis=0) for after in moved]
    return np.array([a @ b for a, b in zip(change, gauge, strict=True)], np.float32)


def _farther(
    generator: Generator,
    flat: Float32,
    z: Float32,
    labels: NDArray[np.int64],
    gauge: Float32,
    scores: Float32,
) -> tuple[Float32, Float32]:
    """Directions and reach for templates, whose levels are far from linear in the latents."""
    # Latents regressed on the scores would hardly move, for scores explain them in part only.
    # So the scores are regressed on the latents; the shortest step that gains one standard
    # deviation by that regression is lengthened by what it falls short of.
    # What the network does not read would be fitted all the same: latents drawn round a few
    # instruments differ there by more than chance.
    axes = np.eye(z.shape[1], dtype=np.float32)
    if generator.axes is not None:
        axes = generator.axes.float().cpu().numpy()
    slopes = np.linalg.lstsq(z @ axes.T, scores, rcond=None)[0].T @ axes
    shortest = (slopes / np.square(slopes).sum(axis=1, keepdims=True)).astype(np.float32)
    reach = _reach(generator, flat, z, labels, gauge, shortest)
    gain = np.clip(1 / np.maximum(reach, 1e-6), 1, FARTHEST)[:, None].astype(np.float32)
    return shortest * gain, _reach(generator, flat, z, labels, gauge, shortest * gain)


def pack(values: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays of :func:`compute` as they are stored: components in float16."""
    return {k: np.float16(v) if k in ("comp", "global_mean") else v for k, v in values.items()}
