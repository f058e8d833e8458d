"""Notes of the public NSynth release (Engel et al. 2017), CC BY 4.0."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.spectral.constants import SAMPLE_RATE, SAMPLES
from gansynth_server.training.dataset import (
    FULL_SCALE,
    SOURCES,
    Dataset,
    Note,
    Source,
    Split,
    Writer,
    split_of,
)
from gansynth_server.training.sources import PITCHES
from gansynth_server.util.progress import track

PARTS: dict[str, Split] = {"nsynth-train": "train", "nsynth-valid": "test", "nsynth-test": "test"}
EXAMPLES = "examples.json"


def convert(
    release: Path,
    folder: Path,
    *,
    split: Literal["paper", "nsynth"] = "paper",
    source: Source | None = None,
    pitches: Sequence[int] = PITCHES,
) -> Dataset:
    """Takes notes of the release, bit for bit; goes on where it was interrupted.

    Args:
        release: one of the folders nsynth-train, nsynth-valid and
            nsynth-test, or the one that holds some of them.
        folder: where the data goes; created.
        split: ``paper`` splits all notes by instrument and pitch, so that
            every instrument is trained on; ``nsynth`` takes the release's
            parts, valid and test being of other instruments than train.
        source: only instruments of this kind; GANSynth's paper: acoustic.
        pitches: MIDI note numbers.

    Returns:
        The opened data. Notes whose sound is missing, damaged or silent are left out.

    Raises:
        UserError: this is no release, or the folder holds other data.
    """
    parts = _parts(release)
    if split == "nsynth" and len({PARTS.get(part.name) for part in parts}) < 2:
        raise UserError(
            f"{release} must hold nsynth-train and one of nsynth-valid and nsynth-test for "
            "--split nsynth; use --split paper with a single one"
        )
    about = {
        "kind": "nsynth",
        "title": "The NSynth Dataset (Engel et al. 2017)",
        "licence": "CC BY 4.0",
        "settings": {
            "parts": [part.name for part in parts],
            "split": split,
            "source": source,
            "pitches": list(pitches),
        },
    }
    wanted = [
        (part / "audio" / f"{name}.wav", note)
        for part in parts
        for name, note in _notes(part, split)
        if note.pitch in pitches and source in (None, note.source)
    ]
    with Writer(folder, about) as writer:
        for path, note in track(wanted, "NSynth"):
            if path.stem in writer:
                continue
            wave = _read(path)
            if isinstance(wave, str):
                writer.skip(path.stem, wave)
            else:
                writer.add(path.stem, note, wave.astype(np.float32) / FULL_SCALE)
        return writer.finish()


def _parts(release: Path) -> list[Path]:
    if (release / EXAMPLES).is_file():
        return [release]
    parts = [release / name for name in PARTS if (release / name / EXAMPLES).is_file()]
    if not parts:
        raise UserError(
            f"{release} is no NSynth release; give the folder that holds {EXAMPLES} and audio/, "
            f"or the one that holds {', '.join(PARTS)}"
        )
    return parts


def _notes(part: Path, split: Literal["paper", "nsynth"]) -> list[tuple[str, Note]]:
    """The notes of a part by name, in the order of their names."""
    try:
        examples = json.loads((part / EXAMPLES).read_text(encoding="utf-8"))
        return [
            (
                name,
                Note(
                    str(entry["instrument_str"]),
                    int(entry["pitch"]),
                    int(entry["velocity"]),
                    split_of(entry["instrument_str"], entry["pitch"])
                    if split == "paper"
                    else PARTS.get(part.name, "train"),
                    str(entry["instrument_family_str"]),
                    SOURCES[int(entry["instrument_source"])],
                ),
            )
            for name, entry in sorted(examples.items())
        ]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(
            f"{part / EXAMPLES} is not NSynth's ({type(error).__name__}: {error}); get it anew"
        ) from error


def _read(path: Path) -> NDArray[np.int16] | str:
    """A note as int16 [64000], or why there is none.

    Cropped or padded as Magenta did: half of what misses, rounded down, goes after it.
    """
    if not path.is_file():
        return "sound is missing"
    try:
        wave, rate = soundfile.read(path, dtype="int16", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError):
        return "sound is damaged"
    if rate != SAMPLE_RATE or wave.shape[1] != 1:
        return "not 16 kHz mono"
    wave = wave[:SAMPLES, 0]
    if not wave.any():
        return "silent"
    missing = SAMPLES - len(wave)
    return np.pad(wave, (missing - missing // 2, missing // 2))
