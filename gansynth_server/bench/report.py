"""Figures as tables and as a picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from gansynth_server.errors import UserError

Rows = list[dict[str, Any]]


def console(width: int) -> Console:
    """Return a console as wide as the terminal; where there is none, as wide as the tables."""
    return Console(width=None if sys.stdout.isatty() else width)


def save_json(path: Path | None, figures: dict[str, Any]) -> None:
    """Write figures to a file, if one was asked for.

    Raises:
        UserError: it cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(figures, indent=1) + "\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error}") from error


def table(console: Console, title: str, rows: Rows) -> None:
    """Print one line per row, a column for every name that occurs."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    made = Table(title=title, title_justify="left")
    for name in names:
        number = any(isinstance(row.get(name), float | int) for row in rows)
        made.add_column(name, justify="right" if number else "left")
    for row in rows:
        made.add_row(*(cell(row.get(name)) for name in names))
    console.print(made)


def cell(value: Any) -> str:
    """Return a figure as people read it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return str(value)


def plot(path: Path, figures: dict[str, Any]) -> None:
    """Write a PNG: time per note against the size of batch, and mixing against voices.

    Raises:
        UserError: matplotlib is missing or the file cannot be written.
    """
    from gansynth_server.spectral.plot import load_pyplot, save

    pyplot = load_pyplot()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for net, rows in figures.get("network", {}).items():
        for row in rows:
            points = [
                (int(name.rsplit(" ", 1)[1]), value)
                for name, value in row.items()
                if name.startswith("ms per note")
            ]
            if points:
                label = f"{row['backend']} {row['precision']}, {net}"
                left.loglog(*zip(*points, strict=True), "o-", label=label)
    left.set(xlabel="notes at once", ylabel="ms per note", title="Rendering")
    if left.lines:
        left.legend(fontsize=7)
    rows = figures.get("mixing", [])
    right.plot([r["voices"] for r in rows], [r["share of a core %"] for r in rows], "o-")
    right.set(xlabel="voices sounding", ylabel="% of one core", title="Mixing, 48 kHz")
    save(figure, path, dpi=120)
