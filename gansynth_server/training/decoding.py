"""Training of a network without convolutions (:mod:`gansynth_server.model.decoder`).

Spectra in closed form, levels and codes together, and the whole by the sound of its
notes: minutes of one core, so there is no run to go on with.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from gansynth_server.errors import UserError
from gansynth_server.model import checkpoint
from gansynth_server.model.generator import Generator
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
    config = replace(config, centres=len(reals.names))
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        generator = Generator(config)
    assert generator.decoder is not None and generator.centres is not None
    with torch.no_grad():
        levels = fit_spectra(generator.decoder, reals)
    codes = learn_levels(generator, reals, levels, options)
    del levels
    tune(generator, reals, codes, options)
    generator.centres.copy_(codes)
    provenance = {
        "made by": f"gansynth train {__version__}",
        "options": asdict(options),
        "data": dict(data.about),
        "notes": len(rows),
        "instruments": len(reals.names),
        "minutes": round((time.monotonic() - begun) / 60, 1),
    }
    presets = dict(zip(reals.names, np.asarray(codes, np.float32), strict=True))
    checkpoint.save(folder, generator, provenance, presets)
    print(f"{folder}: {len(presets)} presets; play it: gansynth-server --checkpoint {folder}")
