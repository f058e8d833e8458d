"""Training of a network without convolutions (:mod:`gansynth_server.model.decoder`).

Spectra in closed form, levels and codes together, and the whole by the sound of its
notes: minutes of one core, so there is no run to go on with.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gansynth_server.errors import UserError
from gansynth_server.model import checkpoint
from gansynth_server.model.checkpoint import Checkpoint
from gansynth_server.model.generator import Generator
from gansynth_server.training.codes import random_axes
from gansynth_server.training.dataset import Dataset
from gansynth_server.training.levels import learn_levels
from gansynth_server.training.options import TrainOptions
from gansynth_server.training.reals import Reals, fit_normalizer, pitches_of
from gansynth_server.training.spectra import fit_spectra
from gansynth_server.training.wave_tuning import tune
from gansynth_server.version import __version__


def train_decoder(data: Dataset, folder: Path, options: TrainOptions) -> None:
    """Train a checkpoint whose network has no convolutions; its presets are the instruments.

    Args:
        data: notes; those of the training split are learnt.
        folder: gets the checkpoint.
        options: see :class:`TrainOptions`; the device is the CPU.

    Raises:
        UserError: the folder holds a checkpoint, or the data has no notes to learn from.
    """
    if (folder / checkpoint.WEIGHTS).exists():
        raise UserError(f"{folder} holds a checkpoint; give another --output")
    begun = time.monotonic()
    source = None if options.sources == "all" else options.sources
    rows = data.rows("train", source)
    config = options.network(pitches_of(data, rows))
    config = replace(config, normalizer=fit_normalizer(data, rows, config.representation))
    reals = Reals(data, config, rows, torch.device("cpu"), 0)
    before = checkpoint.load(options.start) if options.start is not None else None
    if before is None:
        with torch.random.fork_rng():
            torch.manual_seed(options.seed)
            # learns from codes; latents have other numbers too, which say nothing, as Magenta's
            generator = Generator(replace(config, latent_size=config.axes, axes=0))
        assert generator.decoder is not None
        with torch.no_grad():
            levels = fit_spectra(generator.decoder, reals)
        codes = learn_levels(generator, reals, levels, options)
        del levels
    else:
        generator, codes = of_codes(before, reals, options.code_noise)
    tune(generator, reals, codes, options)
    generator, latents = of_latents(generator, codes, config.latent_size, options)
    provenance = {
        "made by": f"gansynth train {__version__}",
        "options": asdict(options) | {"start": before.name if before is not None else None},
        "data": dict(data.about),
        "notes": len(rows),
        "instruments": len(reals.names),
        "minutes": round((time.monotonic() - begun) / 60, 1),
        **({"start": before.provenance} if before is not None else {}),
    }
    presets = dict(zip(reals.names, latents, strict=True))
    checkpoint.save(folder, generator, provenance, presets)
    print(f"{folder}: {len(presets)} presets; play it: gansynth-server --checkpoint {folder}")


def of_latents(
    generator: Generator, codes: Tensor, size: int, options: TrainOptions
) -> tuple[Generator, list[NDArray[np.float32]]]:
    """Make a generator of codes one of latents [size]; return it and the instruments' latents.

    Its axes are directions by chance; the latents lie along them, so that what is learnt of
    latents later (directions, the map) is learnt of the codes.
    """
    count = codes.shape[1]
    axes = random_axes(count, size, options.seed)
    presets = math.sqrt(1 - options.code_noise**2) * codes @ axes
    found = Generator(replace(generator.config, latent_size=size, axes=count, centres=len(presets)))
    assert found.decoder is not None and generator.decoder is not None
    assert found.axes is not None and found.centres is not None
    found.decoder.load_state_dict(generator.decoder.state_dict())
    found.axes.copy_(axes)
    found.centres.copy_(presets)
    return found, list(presets.numpy())


def of_codes(before: Checkpoint, reals: Reals, noise: float) -> tuple[Generator, Tensor]:
    """Make a checkpoint's generator one of codes again; return it and the instruments' codes.

    Args:
        noise: standard deviation of the noise on a code.

    Raises:
        UserError: it is another kind of network, or has no presets of some instruments.
    """
    net, strange = before.generator, sorted(set(reals.names) - set(before.presets))
    if net.decoder is None or net.axes is None or strange:
        missing = f"no presets of {', '.join(strange[:3])}" if strange else "convolutions"
        raise UserError(f"tuning cannot go on with {before.name}: it has {missing}")
    found = Generator(replace(net.config, latent_size=len(net.axes), axes=0, centres=0))
    assert found.decoder is not None
    found.decoder.load_state_dict(net.decoder.state_dict())
    presets = torch.from_numpy(np.stack([before.presets[name] for name in reals.names]))
    return found, presets @ net.axes.T / math.sqrt(1 - noise**2)
