"""The curves of a run, drawn from its log."""

from __future__ import annotations

import json
import math
from pathlib import Path

NOT_LOSSES = ("stage", "images", "minutes", "images_per_second")


def curves(folder: Path) -> None:
    """Draw ``curves.png`` from a run's ``log.jsonl``: a panel per loss, and the pace.

    Raises:
        UserError: matplotlib is missing, or the picture cannot be written.
    """
    from gansynth_server.spectral import plot

    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    names = list(dict.fromkeys(name for row in rows for name in row if name not in NOT_LOSSES))
    names.append("images_per_second")
    if not rows:
        return
    pyplot = plot.load_pyplot()
    columns = min(3, len(names))
    lines = math.ceil(len(names) / columns)
    figure, axes = pyplot.subplots(
        lines, columns, figsize=(4 * columns, 2.6 * lines), squeeze=False, layout="constrained"
    )
    for axis, name in zip(axes.flat, names, strict=False):
        for stage in dict.fromkeys(row["stage"] for row in rows):
            points = [(r["minutes"], r[name]) for r in rows if r["stage"] == stage and name in r]
            axis.plot(*zip(*points, strict=True), label=stage) if points else None
        axis.set_title(name.replace("_", " "), fontsize=9)
        axis.set_xlabel("minutes", fontsize=8)
        axis.tick_params(labelsize=7)
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    axes.flat[0].legend(fontsize=6)
    plot.save(figure, folder / "curves.png")
