"""Plots of notes' spectra; matplotlib is loaded when the first is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gansynth_server.errors import UserError
from gansynth_server.spectral import transform
from gansynth_server.spectral.constants import HOP, LEAD, SAMPLE_RATE, SAMPLES

FLOOR = -70.0
"""Level under the loudest bin (dB) at which a plot is black."""
THUMBNAIL = (64, 64)
SHOWN = 512
"""Bins that are plotted, up to 4 kHz: there is little to see above."""


def check_plots() -> None:
    """Raise UserError where matplotlib is missing, before time is spent on notes."""
    load_pyplot()


def load_pyplot() -> Any:
    """matplotlib.pyplot without a display; UserError where it is missing."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise UserError("pictures need matplotlib: pip install matplotlib") from error
    return pyplot


def decibels(waves: Tensor) -> NDArray[np.float32]:
    """Waves [N, 64000] → levels (dB) relative to each note's loudest bin, [N, 1024, 125]."""
    magnitude = transform.stft(waves).abs()[:, LEAD // HOP - 3 :].transpose(1, 2)
    loudest = magnitude.amax(dim=(1, 2), keepdim=True).clamp(min=1e-9)
    return torch.clamp(20 * torch.log10(magnitude / loudest + 1e-9), min=FLOOR).numpy()


def phase_methods(path: Path, waves: Mapping[str, Tensor]) -> None:
    """Write a PNG: a column per method with its magnitudes and its instantaneous frequency.

    Args:
        waves: title → [64000] at 16 kHz.

    Raises:
        UserError: matplotlib is missing or the file cannot be written.
    """
    pyplot = load_pyplot()
    stacked = torch.stack(list(waves.values()))
    levels = decibels(stacked)[:, :SHOWN]
    frequency = transform.specgram(transform.stft(stacked))[:, LEAD // HOP - 3 :, :SHOWN, 1]
    extent = (0, SAMPLES / SAMPLE_RATE, 0, SHOWN * SAMPLE_RATE / 2 / 1024 / 1000)
    figure, axes = pyplot.subplots(
        2, len(waves), figsize=(4.2 * len(waves), 6.4), sharex=True, sharey=True, squeeze=False
    )
    look = {"origin": "lower", "aspect": "auto", "extent": extent, "interpolation": "nearest"}
    for column, title in enumerate(waves):
        top, bottom = axes[:, column]
        top.imshow(levels[column], cmap="magma", vmin=FLOOR, vmax=0, **look)
        top.set_title(title)
        # without sound the phase means nothing: fade it out
        visible = np.clip(1 - levels[column] / FLOOR, 0, 1)
        bottom.set_facecolor("black")
        bottom.imshow(
            frequency[column].T.numpy(), cmap="hsv", vmin=-1, vmax=1, alpha=visible, **look
        )
        bottom.set_xlabel("time (s)")
    axes[0, 0].set_ylabel("magnitude: frequency (kHz)")
    axes[1, 0].set_ylabel("instantaneous frequency: frequency (kHz)")
    save(figure, path, bbox_inches="tight")


def contact_sheet(
    path: Path,
    waves: Sequence[Tensor | None],
    rows: Sequence[str],
    columns: Sequence[str],
    captions: Sequence[str] = (),
) -> None:
    """Write a PNG of small spectrograms.

    Args:
        waves: [64000] each, row by row; None leaves a place empty.
        rows: names of the latents or instruments.
        columns: names of the pitches; ``len(waves)`` is rows × columns.
        captions: of the spectrograms, if any.

    Raises:
        UserError: matplotlib is missing or the file cannot be written.
    """
    pyplot = load_pyplot()
    height, width = THUMBNAIL
    sheet = np.full((len(rows) * (height + 2), len(columns) * (width + 2)), np.nan, np.float32)
    for n, sound in enumerate(waves):
        if sound is None:
            continue
        row, column = divmod(n, len(columns))
        small = _shrink(decibels(sound[None])[0, :SHOWN])
        top, left = row * (height + 2), column * (width + 2)
        sheet[top : top + height, left : left + width] = small[::-1]
    inches = (1.8 + len(columns) * 0.8, 0.8 + len(rows) * 0.8)
    figure, axes = pyplot.subplots(figsize=inches)
    axes.imshow(sheet, cmap="magma", vmin=FLOOR, vmax=0, interpolation="nearest")
    for n, caption in enumerate(captions):
        row, column = divmod(n, len(columns))
        place = (column * (width + 2) + 2, row * (height + 2) + 2)
        axes.text(*place, caption, color="white", fontsize=7, va="top")
    axes.set_xticks(np.arange(len(columns)) * (width + 2) + width / 2, columns)
    axes.set_yticks(np.arange(len(rows)) * (height + 2) + height / 2, rows)
    axes.set_frame_on(False)
    axes.tick_params(length=0, labelsize=8)
    axes.set_xlabel("MIDI pitch")
    save(figure, path, bbox_inches="tight")


def _shrink(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shrink to a thumbnail by the largest value per pixel, so that thin partials stay visible."""
    for axis, size in enumerate(THUMBNAIL):
        edges = np.arange(size) * picture.shape[axis] // size
        picture = np.maximum.reduceat(picture, edges, axis=axis)
    return picture


def save(figure: Any, path: Path, dpi: int = 100, **settings: Any) -> None:
    """Write a figure and close it; UserError where it cannot be written."""
    try:
        figure.savefig(path, dpi=dpi, **settings)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {path}: {error}") from error
    finally:
        load_pyplot().close(figure)
