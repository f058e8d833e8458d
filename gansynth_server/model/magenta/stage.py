"""A stage of a training by Magenta's code: its files and settings."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.model.magenta.archive import SETTINGS, stage_number
from gansynth_server.model.magenta.bundle import Bundle


@dataclass
class Source:
    """A stage of a training: its tensors, its settings, and notes of what is assumed."""

    bundle: Bundle
    stage: int
    """Number in the folder's name; -1 if the name has none."""
    settings: dict[str, Any]
    pitches: list[int]
    """From SOPI's meta.json; empty if there is none."""
    notes: list[str] = field(default_factory=list)

    def shape(self, name: str) -> tuple[int, ...]:
        if name not in self.bundle.entries:
            raise UserError(f"{self.bundle.prefix} is not a whole GANSynth: {name} is missing")
        return self.bundle.entries[name].shape

    def number(self, key: str, default: float) -> float:
        """Number of a setting; the default, with a note, if it is missing."""
        value = self.settings.get(key)
        if value is None:
            self.notes.append(f"{key} {default:g}")
            return default
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"{SETTINGS[0]} has a {key} that is no number: {value!r}")
        return value


def open_stage(folder: Path, prefix: Path | None = None) -> Source:
    """Open the checkpoint in a stage's folder; settings lie beside the folder.

    Args:
        prefix: TensorFlow's, of the checkpoint to take; None takes the newest.

    Raises:
        UserError: the index is damaged, or the settings are not JSON.
    """
    notes: list[str] = []
    prefix = _newest(folder, notes) if prefix is None else prefix
    settings, meta = (_json(folder.parent / name) for name in SETTINGS)
    if not settings:
        notes.append(f"no {SETTINGS[0]}, so settings as in Magenta's mel_prog_hires")
    pitches = {note.get("pitch") for note in meta.values() if isinstance(note, dict)}
    found = sorted(p for p in pitches if isinstance(p, int) and 0 <= p <= 127)
    return Source(Bundle(prefix), stage_number(folder), settings, found, notes)


def _newest(folder: Path, notes: list[str]) -> Path:
    """Prefix of the bundle that ``checkpoint`` names, else of the highest step."""
    steps = {path.stem: _step(path.stem) for path in folder.glob("[!.]*.index")}
    text = ""
    if (folder / "checkpoint").is_file():
        text = (folder / "checkpoint").read_text(encoding="utf-8", errors="replace")
    match = re.search(r'^model_checkpoint_path:\s*"(.*)"', text, re.MULTILINE)
    # it may be a path of the machine that trained
    named = re.split(r"[/\\]", match[1])[-1] if match else ""
    if named not in steps:
        highest = max(steps, key=lambda stem: steps[stem])
        if len(steps) > 1 or named:
            notes.append(f"the highest step, {highest}, for 'checkpoint' does not say which")
        named = highest
    return folder / named


def _step(stem: str) -> int:
    match = re.search(r"(\d+)$", stem)
    return int(match[1]) if match else -1


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}); copy it again") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} is no list of settings; copy it again")
    return values


def step_of(source: Source) -> int:
    """Number of real notes that the training has seen."""
    entry = source.bundle.entries.get("global_step")
    if entry is not None and entry.shape == ():
        return int(source.bundle.tensor("global_step"))
    return _step(source.bundle.prefix.name)
