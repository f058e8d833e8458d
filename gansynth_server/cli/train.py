"""``gansynth train``: making a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from gansynth_server.errors import UserError
from gansynth_server.training.options import SPECTRA, TrainOptions


@dataclass(frozen=True)
class TrainCommand:
    """Train a checkpoint on notes; run again with the same --output, it goes on."""

    data: Positional[Path]
    """Folder that gansynth dataset made."""
    output: Annotated[Path, arg(aliases=("-o",))]
    """Checkpoint folder to write: weights, log, curves, samples, and the run itself."""
    options: Annotated[TrainOptions, arg(name="")] = field(default_factory=TrainOptions)
    benchmark: bool = False
    """Only measure the pace of every stage on this machine, and print it."""

    def run(self) -> None:
        from gansynth_server.training.dataset import Dataset

        data = Dataset.open(self.data)
        spectra = self.options.config == SPECTRA
        if self.benchmark and spectra:
            raise UserError("--benchmark measures stages, and --config spectra has none")
        if self.benchmark:
            from gansynth_server.training.pace import pace

            pace(data, self.options)
        elif spectra:
            from gansynth_server.training.decoding import train_decoder

            train_decoder(data, self.output, self.options)
        else:
            from gansynth_server.training.train import train

            train(data, self.output, self.options)
