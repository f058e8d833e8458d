"""Conversion of checkpoints that Magenta's code trained to ours, in NumPy alone."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.model import checkpoint
from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.magenta.bundle import Bundle
from gansynth_server.model.magenta.infer import BLOCK, EMA, GENERATOR, HEAD
from gansynth_server.model.magenta.stage import Source

DISCRIMINATOR = "Discriminator/progressive_gan_discriminator/"

State = dict[str, NDArray[np.float32]]


def generator_state(source: Source, config: GeneratorConfig) -> State:
    """Parameters of our ``Generator``: the exponential moving averages of the weights.

    Raises:
        UserError: a tensor is missing, damaged, or has another shape.
    """
    state: State = {}
    for b, (inputs, count) in enumerate(pairwise((config.input_size, *config.filters))):
        kernels = {
            "conv0": (*(config.start if b == 0 else (3, 3)), inputs, count),
            "conv1": (3, 3, count, count),
            "to_rgb": (1, 1, count, 2),
        }
        for part, shape in kernels.items():
            name = f"{GENERATOR}{BLOCK.format(b + 1)}{part}"
            names = f"{name}/conv2d/kernel{EMA}", f"{name}/bias{EMA}"
            state |= _layer(source, f"blocks.{b}.{part}", *names, shape)
    return state


def discriminator_state(source: Source, config: GeneratorConfig) -> State:
    """Parameters of our ``Discriminator``; UserError as :func:`generator_state`."""
    score = f"{DISCRIMINATOR}{BLOCK.format(1)}logits"
    features = source.shape(f"{score}/dense/kernel")[0]
    state: State = {}
    for b, (outputs, count) in enumerate(pairwise((features, *config.filters))):
        kernels = {
            "from_rgb": (1, 1, 2, count),
            "conv0": (3, 3, count + (b == 0), count),
            "conv1": (*(config.start if b == 0 else (3, 3)), count, outputs),
        }
        for part, shape in kernels.items():
            name = f"{DISCRIMINATOR}{BLOCK.format(b + 1)}{part}"
            names = f"{name}/conv2d/kernel", f"{name}/bias"
            state |= _layer(source, f"blocks.{b}.{part}", *names, shape)
    for key, name, count in (("score", score, 1), ("pitch", HEAD, len(config.pitches))):
        names = f"{name}/dense/kernel", f"{name}/bias"
        state |= _layer(source, key, *names, (features, count))
    return state


def _layer(source: Source, key: str, kernel: str, bias: str, shape: tuple[int, ...]) -> State:
    """Parameters of a layer, whose kernel TensorFlow has as [height, width, in, out] or
    [in, out]."""
    state: State = {}
    for part, name, wanted in (("weight", kernel, shape), ("bias", bias, shape[-1:])):
        found = source.shape(name)
        if found != wanted:
            raise UserError(
                f"{source.bundle.prefix} is not GANSynth's network: {name} has the shape "
                f"{list(found)}, not {list(wanted)}"
            )
        values = source.bundle.tensor(name).astype(np.float32)
        if not np.isfinite(values).all():
            raise UserError(f"{source.bundle.prefix}: {name} holds numbers that are not finite")
        if part == "weight":  # ours are [out, in, height, width]
            values = values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(3, 2, 0, 1)
        state[f"{key}.{part}"] = np.ascontiguousarray(values)
    return state


def digest(bundle: Bundle, advance: Callable[[int], object]) -> str:
    """SHA-256 of the data files, one after the other; call ``advance`` with the bytes read."""
    total = hashlib.sha256()
    for shard in range(bundle.shards):
        with bundle.data_path(shard).open("rb") as file:
            while part := file.read(2**22):
                total.update(part)
                advance(len(part))
    return total.hexdigest()


def write(
    folder: Path,
    state: State,
    config: GeneratorConfig,
    provenance: dict[str, Any],
    judge: State | None = None,
) -> None:
    """Write a checkpoint to ``folder`` as a whole or not at all, in place of what was there.

    Weights become float16 if that loses nothing, and stay float32 otherwise.
    """
    from safetensors.numpy import save_file

    # Rounding changes the raw output by 4e-4 (trained weights) to 1e-3 (random ones) of its RMS,
    # but waves by 3 to 30 % of theirs, because their phase accumulates it.
    half = {name: _halved(values) for name, values in state.items()}
    exact = all(np.array_equal(half[name], values) for name, values in state.items())
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # a name that begins with a dot is not found as a checkpoint until the folder is moved
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-") as temporary:
            fresh, former = Path(temporary, folder.name), Path(temporary, "former")
            checkpoint.write(fresh, half if exact else state, config, provenance)
            if judge is not None:
                save_file(judge, fresh / checkpoint.DISCRIMINATOR)
            if folder.exists():
                folder.rename(former)
            try:
                fresh.rename(folder)
            except OSError:
                former.rename(folder)
                raise
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from error


def _halved(values: NDArray[np.float32]) -> NDArray[np.float16]:
    # what overflows becomes infinity, which differs from the float32 value as it should
    with np.errstate(over="ignore"):
        return values.astype(np.float16)
