"""The pace of a run on this machine: images per second of every stage, and share of the peak."""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from gansynth_server.render.backends.eager import torch_device
from gansynth_server.training import parallel
from gansynth_server.training.adversarial import Adversarial
from gansynth_server.training.dataset import Dataset
from gansynth_server.training.options import TrainOptions
from gansynth_server.training.reals import Reals
from gansynth_server.training.reconstruction import Reconstruction
from gansynth_server.training.run import Run
from gansynth_server.training.schedule import Stage, stages
from gansynth_server.training.train import begin

SECONDS = 5.0
"""Time (s) spent on each stage, after its first two steps."""


def pace(data: Dataset, options: TrainOptions) -> list[dict[str, float | str]]:
    """Measure and print a row per stage: images/s, FLOP per image, share of the peak.

    The peak is that of a large matrix product in the run's precision, measured
    here. FLOPs are those of the mathematics, counted by PyTorch; a stage that
    grows is as fast as the one that it grows into, so only one of both is shown.
    """
    device = parallel.join(torch_device(options.device))
    source = None if options.sources == "all" else options.sources
    options = replace(options, minutes=1.0)
    run, reals = begin(data, data.rows("train", source), options, device)
    peak = matrix_peak(device, options.precision)
    table = Table(
        "stage", "images/s", "GFLOP/image", f"share of {peak / 1e12:.3g} TFLOP/s",
        title=f"{options.config} on {device}, {options.precision}",
    )  # fmt: skip
    found: list[dict[str, float | str]] = []
    for stage in stages(options, len(run.config.filters)):
        if stage.start != stage.end:
            continue
        speed, flops = _measure(run, reals, stage)
        share = speed * flops / peak
        found.append({"stage": stage.name, "images/s": speed, "flops": flops, "share": share})
        table.add_row(stage.name, f"{speed:.3g}", f"{flops / 1e9:.3g}", f"{share:.0%}")
        run.next_stage()
    Console().print(table)
    return found


def _measure(run: Run, reals: Reals, stage: Stage) -> tuple[float, float]:
    """Measure images per second and FLOP per image of a whole step of both networks."""
    trainer = Adversarial(run, reals, stage) if stage.adversarial else Reconstruction(run, reals)
    with FlopCounterMode(display=False) as counter:
        trainer.step(0.5)
    flops = counter.get_total_flops() / run.stage_images
    trainer.step(0.5)
    _wait(run.device)
    begun, images = time.perf_counter(), run.stage_images
    while time.perf_counter() - begun < SECONDS:
        trainer.step(0.5)
        _wait(run.device)
    return (run.stage_images - images) / (time.perf_counter() - begun), flops


def matrix_peak(device: torch.device, precision: str, size: int = 2048) -> float:
    """Measure the FLOP per second of a square matrix product, best of ten."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a = torch.randn(size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(10):
        _wait(device)
        begun = time.perf_counter()
        a @ a
        _wait(device)
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
