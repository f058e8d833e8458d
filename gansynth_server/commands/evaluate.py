"""``gansynth evaluate``: the figures, pictures and model card of a checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from gansynth_server.errors import UserError


@dataclass(frozen=True)
class EvaluateCommand:
    """Measure a checkpoint beside real notes: figures, pictures and a model card."""

    checkpoint: Positional[str]
    """A bundled name, a folder, or a .safetensors file."""
    data: Path
    """Folder that gansynth dataset made; the classifier is kept in it."""
    output: Annotated[Path | None, arg(aliases=("-o",))] = None
    """Folder for figures.json, README.md and pictures; the checkpoint's own if not given."""
    notes: int = 500
    """Most notes of each kind; there are no more than held-out ones."""
    seed: int = 0
    """Of latents and of the choice of notes."""
    inversions: int = 0
    """Held-out notes whose latents are looked for as gansynth invert does, about a minute each."""
    no_card: FlagCreatePairsOff[bool] = False
    """Leaves README.md and the pictures as they are."""
    torch_device: str = "auto"
    """Where the notes are generated: auto, cpu, cuda …"""

    def run(self) -> None:
        from gansynth_server import api
        from gansynth_server.training.dataset import Dataset
        from gansynth_server.training.evaluation import EvaluateOptions, card, evaluate, table

        if self.notes < 2 or self.seed < 0 or self.inversions < 0:
            raise UserError(
                "an evaluation takes two --notes or more, and 0 or more for --seed and --inversions"
            )
        model = api.load(self.checkpoint, self.torch_device)
        folder = self.output or _folder(model.checkpoint.path)
        if not self.no_card:
            from gansynth_server.spectral.plot import check_plots

            check_plots()
        options = EvaluateOptions(self.notes, self.seed, self.inversions)
        found = evaluate(model, Dataset.open(self.data), options)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "figures.json").write_text(
                json.dumps(found.figures, indent=1) + "\n", encoding="utf-8"
            )
            if not self.no_card:
                from gansynth_server.training.evaluation import pictures

                pictures.draw(folder, found)
                text = card.text(model.checkpoint, found.figures)
                (folder / "README.md").write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"cannot write to {folder}: {error.strerror}; give another --output"
            ) from error
        table.show(found.figures)
        print(f"{folder}: figures.json" + ("" if self.no_card else ", README.md and pictures"))


def _folder(path: Path) -> Path:
    """The folder of a checkpoint that may be a lone weights file."""
    return path.parent if path.is_file() else path
