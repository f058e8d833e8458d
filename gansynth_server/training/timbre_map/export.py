"""Export of a timbre map as PNG, and as JSON for other programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from gansynth_server.analysis.descriptors import UNITS
from gansynth_server.errors import UserError
from gansynth_server.latent.descriptor_names import MEASURES
from gansynth_server.latent.timbre_map import TimbreMap
from gansynth_server.spectral.plot import load_pyplot, save
from gansynth_server.util.general_midi import family_of

EDGES = (2, 98)
"""Percentiles of the values at the ends of the colour scale."""


def to_json(path: Path, atlas: TimbreMap, checkpoint: str, seed: int) -> None:
    """Write places, measures and the nearest preset of each latent; latent n has seed + n.

    Raises:
        UserError: the file cannot be written.
    """
    points = [
        {
            "seed": seed + n,
            "x": round(float(x), 5),
            "y": round(float(y), 5),
            "preset": atlas.presets[nearest],
            "family": family_of(atlas.presets[nearest]),
            **{name: round(float(v), 4) for name, v in zip(MEASURES, values, strict=True)},
        }
        for n, ((x, y), nearest, values) in enumerate(
            zip(atlas.places, atlas.nearest, atlas.measures, strict=True)
        )
    ]
    about = {
        "checkpoint": checkpoint,
        "units": dict(zip(MEASURES, UNITS, strict=True)),
        "fit": dict(zip(MEASURES, (round(float(f), 4) for f in atlas.fit), strict=True)),
    }
    try:
        path.write_text(json.dumps({**about, "points": points}, indent=1) + "\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def draw(path: Path, atlas: TimbreMap, title: str) -> None:
    """Write a PNG: the map by the families of the nearest presets, and by each measure.

    Raises:
        UserError: matplotlib is missing or the file cannot be written.
    """
    pyplot = load_pyplot()
    figure = pyplot.figure(figsize=(15, 9), layout="constrained")
    grid = figure.add_gridspec(3, 4)
    x, y = atlas.places.T
    size = max(1.0, 6000 / len(x))
    families = np.array([family_of(name) for name in atlas.presets])[atlas.nearest]
    main = figure.add_subplot(grid[:, :2])
    colours = pyplot.get_cmap("tab20")
    for n, family in enumerate(sorted(set(families))):
        of = families == family
        main.scatter(x[of], y[of], size, color=colours(n % 20), label=family)
    # one name in the middle of the latents that are nearest to a preset
    for number, name in enumerate(atlas.presets):
        of = atlas.nearest == number
        if of.sum() >= max(3, len(x) // 150):
            main.text(np.median(x[of]), np.median(y[of]), name, fontsize=6, ha="center")
    main.legend(fontsize=7, markerscale=3, loc="upper left", bbox_to_anchor=(0, -0.02), ncols=4)
    main.set_title(f"{title}: what each latent sounds most like", fontsize=10)
    for number, (name, unit) in enumerate(zip(MEASURES, UNITS, strict=True)):
        axis = figure.add_subplot(grid[number // 2, 2 + number % 2])
        values = atlas.measures[:, number]
        low, high = np.percentile(values, EDGES)
        points = axis.scatter(x, y, size / 2, c=values, vmin=low, vmax=high, cmap="viridis")
        figure.colorbar(points, ax=axis)
        axis.set_title(f"{name} ({unit}; linear {atlas.fit[number]:.0%})", fontsize=9)
    for axis in figure.axes:
        if axis.get_label() != "<colorbar>":
            axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
            axis.tick_params(labelbottom=axis is not main)
    save(figure, path, dpi=120)
