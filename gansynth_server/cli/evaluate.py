"""``gansynth evaluate``: the figures, pictures and model card of a checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, arg

from gansynth_server.errors import UserError

if TYPE_CHECKING:
    from gansynth_server.training.dataset import Dataset
    from gansynth_server.training.evaluation import EvaluateOptions

FIGURES = "figures.json"


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
    """Seed of latents and of the choice of notes."""
    inversions: int = 0
    """Held-out notes whose latents are looked for as gansynth invert does, about a minute each."""
    beside: str | None = None
    """Another checkpoint, evaluated on the same notes before: its figures get a column."""
    no_card: FlagCreatePairsOff[bool] = False
    """Leave README.md and the pictures as they are."""
    torch_device: str = "auto"
    """Where the notes are generated: auto, cpu, cuda …"""

    def run(self) -> None:
        from gansynth_server import api
        from gansynth_server.training.dataset import Dataset
        from gansynth_server.training.evaluation import EvaluateOptions, evaluate, model_card, table

        if self.notes < 2 or self.seed < 0 or self.inversions < 0:
            raise UserError(
                "an evaluation takes two --notes or more, and 0 or more for --seed and --inversions"
            )
        data = Dataset.open(self.data)
        options = EvaluateOptions(self.notes, self.seed, self.inversions)
        other = _beside(self.beside, data, options) if self.beside is not None else None
        model = api.load(self.checkpoint, self.torch_device)
        folder = self.output or _folder(model.checkpoint.path)
        if not self.no_card:
            from gansynth_server.spectral.plot import check_plots

            check_plots()
        found = evaluate(model, data, options)
        if other is not None:
            found = replace(found, figures=found.figures | {table.BESIDE: other})
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / FIGURES).write_text(
                json.dumps(found.figures, indent=1) + "\n", encoding="utf-8"
            )
            if not self.no_card:
                from gansynth_server.training.evaluation import plots

                plots.draw(folder, found)
                text = model_card.text(model.checkpoint, found.figures)
                (folder / "README.md").write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"cannot write to {folder}: {error.strerror}; give another --output"
            ) from error
        table.show(found.figures)
        print(f"{folder}: {FIGURES}" + ("" if self.no_card else ", README.md and pictures"))


def _beside(name: str, data: Dataset, options: EvaluateOptions) -> dict[str, Any]:
    """Return name and figures of another checkpoint; UserError if there are none, or of other
    notes."""
    from gansynth_server.model import checkpoint
    from gansynth_server.model.safe_files import read_json
    from gansynth_server.training.evaluation.evaluate import describe

    path = _folder(checkpoint.locate(name)) / FIGURES
    try:
        found = read_json(path)
        same = found["data"] == describe(data) and all(
            found["settings"][key] == getattr(options, key) for key in ("notes", "seed")
        )
        row = found["rows"]["model"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} holds no figures ({error}): measure {name} first, with gansynth evaluate"
        ) from error
    if not same:
        raise UserError(
            f"{name} was measured on other notes: evaluate it again with the same --data, "
            "--notes and --seed, or leave out --beside"
        )
    return {"name": path.parent.name, "row": row}


def _folder(path: Path) -> Path:
    """Return the folder of a checkpoint that may be a lone weights file."""
    return path.parent if path.is_file() else path
