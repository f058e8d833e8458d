"""The displays of a run: progress bar, JSONL, TensorBoard, curves, and grids of notes."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Self

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor

from gansynth_server.analysis.spectral_distance import sound
from gansynth_server.audio import sound_file
from gansynth_server.errors import UserError
from gansynth_server.spectral import plot
from gansynth_server.spectral.constants import SAMPLE_RATE
from gansynth_server.training.curves import curves
from gansynth_server.training.run import Run
from gansynth_server.training.schedule import Stage

EVERY = 20.0
"""Time (s) between two rows of the log."""
TIMBRES, PITCHES = 4, 6


class Silent:
    """A watch that shows nothing, for all processes but the first."""

    def step(self, stage: Stage, losses: dict[str, Tensor]) -> None: ...

    def keep(self) -> None: ...

    def finish(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class Watch(Silent):
    """Shows and keeps a run.

    Args:
        folder: gets ``log.jsonl``, ``events/`` for TensorBoard where tensorboardX
            is installed, ``samples/`` with a PNG and a WAV per grid, and the run.
    """

    def __init__(self, folder: Path, run: Run, plan: list[Stage]) -> None:
        self.folder, self.run, self.plan = folder, run, plan
        self.options = run.options
        self._steps = 0
        self._tensors: dict[str, Tensor] = {}
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), "{task.percentage:>3.0f}%",
            TimeElapsedColumn(),
        )  # fmt: skip

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log = (self.folder / "log.jsonl").open("a")
        self._events = _tensorboard(self.folder / "events")
        self._progress.start()
        self._bar = self._progress.add_task("", total=1.0)
        self._shown = self._kept = self._sampled = time.monotonic()
        self._stop = False
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Finish the step and keep the run on Ctrl-C; end at once on the second."""
        self._stop = True
        signal.signal(signal.SIGINT, self._handler)

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._handler)
        self._progress.stop()
        self._log.close()
        if self._events is not None:
            self._events.close()

    def step(self, stage: Stage, losses: dict[str, Tensor]) -> None:
        """Show, log and keep what is due after a step."""
        for name, value in losses.items():
            # added up on the device: asking for a number each step would wait for the GPU
            self._tensors[name] = self._tensors.get(name, torch.zeros_like(value)) + value
        self._steps += 1
        self._stage = stage
        if self._stop:
            self.keep()
            raise KeyboardInterrupt
        now = time.monotonic()
        if now - self._shown >= EVERY:
            self._report(stage, now)
        if now - self._kept >= self.options.keep_minutes * 60:
            self.keep()
        if self.options.sample_minutes and now - self._sampled >= self.options.sample_minutes * 60:
            self.sample()

    def _report(self, stage: Stage, now: float) -> None:
        run = self.run
        size = self.options.batch if stage.adversarial else self.options.reconstruction_batch
        values = {name: float(total) / self._steps for name, total in self._tensors.items()}
        row = {
            "stage": stage.name,
            "images": run.images,
            "minutes": round(run.seconds / 60, 3),
            "images_per_second": round(self._steps * size / (now - self._shown), 2),
            **{name: round(value, 5) for name, value in values.items()},
        }
        self._log.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._log.flush()
        if self._events is not None:
            for name, value in row.items():
                if isinstance(value, float | int) and math.isfinite(value):
                    self._events.add_scalar(name, value, run.images)
        shown = " ".join(f"{name} {value:.3g}" for name, value in values.items())
        position = stage.position(run.stage_images, run.stage_seconds)
        self._progress.update(
            self._bar,
            completed=position,
            description=f"{run.stage + 1}/{len(self.plan)} {stage.name}: {shown}",
        )
        self._tensors, self._steps, self._shown = {}, 0, now

    def keep(self) -> None:
        """Write the run and its checkpoint."""
        self.run.keep(self.folder)
        self._kept = time.monotonic()

    def sample(self) -> None:
        """Draw a grid of notes, pitches across and timbres down: spectrograms and sound."""
        waves = grid(self.run)
        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        name = f"{self.run.images:09d}"
        sound_file.save(folder / f"{name}.wav", waves.flatten().numpy()[None], SAMPLE_RATE)
        pitches = [str(self.run.config.pitches[label]) for label in grid_labels(self.run)]
        timbres = [f"latent {n}" for n in range(TIMBRES)]
        self._draw(plot.contact_sheet, folder / f"{name}.png", list(waves), timbres, pitches)
        self._sampled = time.monotonic()

    def _draw(self, draw: Callable[..., None], *args: Any) -> None:
        """Draw a picture, or log why not: a training goes on without it."""
        try:
            draw(*args)
        except UserError as error:
            self._progress.console.print(str(error))

    def finish(self) -> None:
        """Log the last steps, draw the last grid and the curves, and say where they are."""
        if self._steps:
            self._report(self._stage, time.monotonic())
        self.sample()
        self._draw(curves, self.folder)
        self._progress.console.print(
            f"{self.folder}: {self.run.images} images in {self.run.seconds / 60:.1f} minutes; "
            f"play it: gansynth-server --checkpoint {self.folder}"
        )


def _tensorboard(folder: Path) -> Any:
    """Make a writer of TensorBoard's event files; None without tensorboardX."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))


def grid_labels(run: Run) -> list[int]:
    """Return the labels of a grid's pitches, spread over those that the generator has."""
    ends = np.linspace(0, len(run.config.pitches) - 1, PITCHES + 2)
    return [int(label) for label in ends.round()[1:-1]]


@torch.no_grad()
def grid(run: Run) -> Tensor:
    """Render the averaged generator's notes, always of the same latents: [N, 64000]."""
    config, labels = run.config, grid_labels(run)
    chance = torch.Generator().manual_seed(0)
    z = torch.randn(TIMBRES, config.latent_size, generator=chance).to(run.device)
    pitches = torch.tensor(labels, device=run.device)
    waves = []
    for latent in z:
        spectra = run.average(latent.expand(len(labels), -1), pitches, run.progress)
        waves.append(sound(spectra.float(), config).cpu())
    return torch.cat(waves).clamp(-1, 1)
