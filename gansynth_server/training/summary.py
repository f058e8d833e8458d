"""The summary of a data folder: tables for the terminal and a sheet of pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table

from gansynth_server.spectral import plot
from gansynth_server.spectral.constants import SAMPLE_RATE, SAMPLES
from gansynth_server.training.dataset import Dataset

T = TypeVar("T")

SHEET = "contact_sheet.png"
ROWS, COLUMNS = 12, 5
LINES = 4
UNKNOWN = "–"


def summary(data: Dataset) -> RenderableType:
    """Count notes by family, kind and split, and those left out; name the sources."""
    about = Table("", "", box=None, show_header=False)
    pitches = [note.pitch for note in data.notes]
    velocities = sorted({note.velocity for note in data.notes})
    some = ", ".join(map(str, velocities[:8])) + (", …" if len(velocities) > 8 else "")
    seconds = len(data.notes) * SAMPLES // SAMPLE_RATE
    for name, value in {
        "folder": str(data.folder),
        "made from": f"{data.about.get('title', '')} ({data.about.get('kind', 'unknown')})",
        "pitches": f"{min(pitches)}–{max(pitches)}, {len(set(pitches))} of them",
        "velocities": some,
        "sound": f"{seconds} s ({seconds / 3600:.1f} h), {data.waves.nbytes / 1e6:.0f} MB",
        "licence": _short(str(data.about.get("licence") or "not known")),
    }.items():
        about.add_row(name, value)
    parts: list[RenderableType] = [about, _counts(data)]
    if len(data.sources) > 1:
        parts.append(_sources(data))
    if data.left_out:
        left_out = Table("left out", "notes")
        for reason, count in sorted(data.left_out.items()):
            left_out.add_row(reason, str(count))
        parts.append(left_out)
    return Group(*parts)


def _short(text: str, most: int = LINES) -> str:
    """Return the first lines of a licence; the index has all of it."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[:most]) + ("\n…" if len(lines) > most else "")


def _counts(data: Dataset) -> Table:
    table = Table("family", "source", "instruments", "train", "test", "notes")
    kinds = sorted({(note.family, note.source) for note in data.notes})
    counts = Counter((note.family, note.source, note.split) for note in data.notes)
    names = Counter((f, s) for f, s, _ in {(n.family, n.source, n.instrument) for n in data.notes})
    for kind in kinds:
        train, test = counts[(*kind, "train")], counts[(*kind, "test")]
        labels = [label or UNKNOWN for label in kind]
        table.add_row(*labels, *map(str, (names[kind], train, test, train + test)))
    if len(kinds) > 1:
        train, test = len(data.rows("train")), len(data.rows("test"))
        total = (len(data.instruments), train, test, train + test)
        table.add_section()
        table.add_row("all", "", *map(str, total))
    return table


def _sources(data: Dataset) -> Table:
    """What comes from where, and under which licence."""
    table = Table("from", "licence", "instruments", "notes")
    notes = Counter(data.origins.get(note.instrument, 0) for note in data.notes)
    instruments = Counter(data.origins.get(name, 0) for name in data.instruments)
    for place, source in enumerate(data.sources):
        licence = _short(str(source.get("licence") or "not known"), 1)
        counts = map(str, (instruments[place], notes[place]))
        table.add_row(str(source.get("title", "")), licence, *counts)
    return table


def draw_sheet(data: Dataset) -> Path:
    """Write a PNG of up to 12 instruments at 5 pitches, marked where held out.

    Raises:
        UserError: matplotlib is missing or the file cannot be written.
    """
    plot.check_plots()
    instruments = _spread(data.instruments, ROWS)
    columns = _spread(sorted({note.pitch for note in data.notes}), COLUMNS)
    shown = _shown(data, columns)
    rows = [shown.get((instrument, pitch)) for instrument in instruments for pitch in columns]
    shown_notes = [None if row is None else data.notes[row] for row in rows]
    captions = [
        "" if note is None else f"{note.pitch}" + (" test" if note.split == "test" else "")
        for note in shown_notes
    ]
    waves = [None if row is None else data.audio([row])[0] for row in rows]
    path = data.folder / SHEET
    plot.contact_sheet(path, waves, instruments, [f"{pitch}" for pitch in columns], captions)
    return path


def _shown(data: Dataset, columns: Sequence[int]) -> dict[tuple[str, int], int]:
    """Return the row closest to each column, of those that are closest to no other."""
    shown: dict[tuple[str, int], int] = {}
    for row, note in enumerate(data.notes):
        column = min(columns, key=lambda pitch: abs(pitch - note.pitch))
        known = shown.setdefault((note.instrument, column), row)
        if abs(note.pitch - column) < abs(data.notes[known].pitch - column):
            shown[note.instrument, column] = row
    return shown


def _spread(items: Sequence[T], count: int) -> list[T]:
    """Pick up to a count of the items, evenly, the first and the last among them."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]
