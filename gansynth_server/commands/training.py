"""``gansynth dataset``, ``train`` and ``measure``: making a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from gansynth_server.training.options import FitOptions


@dataclass(frozen=True)
class DatasetCommand:
    """Render a General MIDI soundfont to notes for training (4 s, 16 kHz, pitches 24-84)."""

    soundfont: Positional[Path]
    """An .sf2 or .sf3 file, such as Debian's FluidR3Mono_GM.sf3."""
    output: Annotated[Path, arg(aliases=("-o",))]
    """Folder for the notes; about 1 GB, and 3 GB for their spectra."""

    def run(self) -> None:
        from gansynth_server.training.dataset import render_soundfont

        data = render_soundfont(self.soundfont, self.output)
        print(f"{self.output}: {len(data.notes)} notes")


@dataclass(frozen=True)
class TrainCommand:
    """Train a small checkpoint by regression on rendered notes."""

    data: Positional[Path]
    """Folder that gansynth dataset made."""
    output: Annotated[Path, arg(aliases=("-o",))]
    """Checkpoint folder to write."""
    options: Annotated[FitOptions, arg(name="")] = field(default_factory=FitOptions)

    def run(self) -> None:
        from gansynth_server.training.dataset import Dataset
        from gansynth_server.training.fit import fit

        fit(Dataset.open(self.data), self.output, self.options)


@dataclass(frozen=True)
class MeasureCommand:
    """Measure a checkpoint against the notes it was trained on, as JSON."""

    checkpoint: Positional[str]
    """A bundled name, a folder, or a .safetensors file."""
    data: Path
    """Folder that gansynth dataset made."""

    def run(self) -> None:
        import json

        from gansynth_server import api
        from gansynth_server.training.dataset import Dataset
        from gansynth_server.training.measure import measure

        figures = measure(api.load(self.checkpoint), Dataset.open(self.data))
        print(json.dumps(figures, indent=1))
