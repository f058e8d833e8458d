"""The trainer, from the first line to the last.

A run is a list of stages (:mod:`schedule`); a stage is many steps of either
regression or adversarial training. Everything that a run consists of lives in
a :class:`Run`, which is kept every few minutes and at each stage's end.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from gansynth_server.errors import UserError
from gansynth_server.model import checkpoint
from gansynth_server.model import discriminator as discriminators
from gansynth_server.model.checkpoint import Checkpoint
from gansynth_server.model.generator import Generator
from gansynth_server.render.backends.eager import torch_device
from gansynth_server.training import parallel
from gansynth_server.training import run as runs
from gansynth_server.training.adversarial import Adversarial
from gansynth_server.training.codes import Codes
from gansynth_server.training.dataset import Dataset
from gansynth_server.training.options import TrainOptions
from gansynth_server.training.reals import Reals, fit_normalizer, pitches_of
from gansynth_server.training.reconstruction import Reconstruction, prepare
from gansynth_server.training.run import Run
from gansynth_server.training.schedule import stages
from gansynth_server.training.watch import Silent, Watch
from gansynth_server.version import __version__

CHECKPOINTS = ("start", "teacher")
"""Options that are checkpoints, of which a run keeps the names alone."""


def train(data: Dataset, folder: Path, options: TrainOptions) -> Run:
    """Train a checkpoint; go on with the run that the folder holds, if there is one.

    Args:
        data: notes; those of the training split are learnt.
        folder: gets the checkpoint, ``state.safetensors`` to go on from,
            ``log.jsonl``, TensorBoard events, and grids of notes.
        options: see :class:`TrainOptions`.

    Raises:
        UserError: the options do not fit the data, the machine, or the run
            that the folder holds.
    """
    device = parallel.join(torch_device(options.device))
    torch.backends.cudnn.benchmark = True  # every step has the same shapes
    source = None if options.sources == "all" else options.sources
    rows = data.rows("train", source)
    run = runs.load(folder, options, device)
    if run is None:
        run, reals = begin(data, rows, options, device)
    else:
        reals = Reals(data, run.config, rows, device, options.cache_gb)
    plan = stages(options, len(run.config.filters))
    watch = Watch(folder, run, plan) if parallel.rank() == 0 else Silent()
    with watch:
        while run.stage < len(plan):
            stage = plan[run.stage]
            trainer = (
                Adversarial(run, reals, stage) if stage.adversarial else Reconstruction(run, reals)
            )
            run.take_up()
            while (position := stage.position(run.stage_images, run.stage_seconds)) < 1:
                losses = trainer.step(position)
                watch.step(stage, losses)
            run.next_stage()
            watch.keep()
        watch.finish()
    parallel.leave()
    return run


def begin(
    data: Dataset, rows: np.ndarray, options: TrainOptions, device: torch.device
) -> tuple[Run, Reals]:
    """Begin a run: fresh weights, or those of the checkpoint that ``--start`` names."""
    config = options.network(pitches_of(data, rows))
    config = replace(config, normalizer=fit_normalizer(data, rows, config.representation))
    teacher = runs.teacher(options, device)
    before = checkpoint.load(options.start) if options.start is not None else None
    if teacher is not None:
        config = teacher.pupil(config)
    elif before is not None:
        config = replace(config, axes=before.config.axes)
    if before is not None and before.config != config:
        raise UserError(
            f"{options.start} is another network than these options ask for: give the --config, "
            "--fmap-base, --fmap-max, --upscale, --pitch-bias and --templates that it was trained "
            "with"
        )
    reals = Reals(data, config, rows, device, options.cache_gb)
    generator, average, judge = runs.networks(config, options, device)
    codes: Codes | None = None
    judged = False
    if before is not None:
        generator.load_state_dict(before.generator.state_dict())
        if (before.path / checkpoint.DISCRIMINATOR).exists():
            judge.load_state_dict(discriminators.load(before.path, config).state_dict())
            judged = True
    elif teacher is not None:
        teacher.lend(generator)
    elif options.reconstruction:
        codes = prepare(generator, reals, options.code_noise, options.seed)
    known = before or (teacher.checkpoint if teacher is not None else None)
    if known is not None:
        codes = _codes_of(known, generator, reals, options)
    average.load_state_dict(generator.state_dict())
    provenance = {
        "made by": f"gansynth train {__version__}",
        "options": asdict(options)
        | {name: (path := getattr(options, name)) and Path(path).name for name in CHECKPOINTS},
        "data": dict(data.about),
        "notes": len(rows),
        "instruments": len(reals.names),
        **({"start": before.provenance} if before is not None else {}),
        **({"teacher": teacher.checkpoint.provenance} if teacher is not None else {}),
    }
    run = Run(options, generator, average, judge, codes, device, reals.names, provenance)
    run.judged, run.teacher = judged, teacher
    return run, reals


def _codes_of(
    known: Checkpoint, generator: Generator, reals: Reals, options: TrainOptions
) -> Codes | None:
    """Recover the codes of a checkpoint's presets; None if some are missing and none needed."""
    strange = sorted(set(reals.names) - set(known.presets))
    if generator.axes is not None and not strange:
        presets = torch.from_numpy(np.stack([known.presets[name] for name in reals.names]))
        axes = generator.axes.clone()
        return Codes.of_presets(presets.to(axes.device), axes, options.code_noise)
    if not options.reconstruction or (options.teacher and options.taught == 1):
        return None
    raise UserError(
        f"{known.name} has no codes of {', '.join(strange[:3]) or 'instruments'}, so "
        + (
            "nothing can be learnt from the data beside it: give --taught 1"
            if options.teacher
            else "regression cannot go on with it: leave out --start, or --reconstruction"
        )
    )
