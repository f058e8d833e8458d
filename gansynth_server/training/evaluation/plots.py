"""Plots of an evaluation, as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.analysis.labelled_notes import LabelledNotes
from gansynth_server.spectral.constants import SAMPLE_RATE
from gansynth_server.spectral.plot import load_pyplot, save
from gansynth_server.training.evaluation.evaluate import Evaluation

COLUMNS = 4
OCTAVES, PER_OCTAVE = 7, 48
PEAK = 70.0
"""Level under the loudest bin (dB) at which a rainbowgram is black."""
HOP = 256
SAVED: dict[str, Any] = {"dpi": 80, "bbox_inches": "tight"}


def draw(folder: Path, found: Evaluation) -> None:
    """Write rainbowgrams.png, pitch_error.png and confusion.png.

    Raises:
        UserError: matplotlib is missing, or a file cannot be written.
    """
    rainbowgrams(folder / "rainbowgrams.png", found)
    pitch_error(folder / "pitch_error.png", found.figures)
    confusion(folder / "confusion.png", found.figures)


def rainbowgram(wave: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Instantaneous frequency and level of a constant-Q transform (Engel et al. 2019, figure 1).

    Args:
        wave: [64000] at 16 kHz.

    Returns:
        Frequency as phase advance / π per frame in ±1, and level 0…1 over
        70 dB, both [336, 251], from 32.7 Hz up.
    """
    import librosa

    transformed = librosa.cqt(
        wave,
        sr=SAMPLE_RATE,
        hop_length=HOP,
        fmin=librosa.note_to_hz("C1"),
        n_bins=OCTAVES * PER_OCTAVE,
        bins_per_octave=PER_OCTAVE,
        filter_scale=0.8,
    )
    phase = np.unwrap(np.angle(transformed), axis=1)
    advance = np.diff(phase, axis=1, prepend=phase[:, :1]) / np.pi
    magnitude = np.abs(transformed)
    decibels = 20 * np.log10(magnitude / max(float(magnitude.max()), 1e-9) + 1e-9)
    return advance, np.clip(1 + decibels / PEAK, 0, 1)


def rainbowgrams(path: Path, found: Evaluation) -> None:
    """Plot real notes over generated ones: presets where there are some, else held-out notes."""
    mine, real, _ = found.rows
    named = bool(real.presets and mine.presets)
    sides = [row.presets if named and row.presets else row.sounds for row in (real, mine)]
    columns = _spread(sides[0])
    figure, axes = load_pyplot().subplots(
        2, len(columns), figsize=(3 * len(columns), 6), squeeze=False, sharex=True, sharey=True
    )
    for sounds, line, title in zip(sides, axes, ("real", "generated"), strict=True):
        for index, axis in zip(columns, line, strict=True):
            advance, level = rainbowgram(sounds.waves[index])
            extent = (0, advance.shape[1] * HOP / SAMPLE_RATE, 0, OCTAVES)
            look = {"origin": "lower", "aspect": "auto", "extent": extent}
            axis.set_facecolor("black")
            axis.imshow(advance, cmap="rainbow", vmin=-1, vmax=1, alpha=level, **look)
            name = sides[0].instruments[index] if sides[0].instruments else ""
            kind = name if named or title == "real" else "random latent"
            axis.set_title(f"{kind}, {sounds.pitches[index]}", fontsize=8)
        line[0].set_ylabel(f"{title}: octaves above 33 Hz")
    for axis in axes[1]:
        axis.set_xlabel("time (s)")
    save(figure, path, **SAVED)


def _spread(sounds: LabelledNotes) -> list[int]:
    """Indices of some notes of different instruments, near the middle of the pitches."""
    names = sounds.instruments or tuple(map(str, range(len(sounds))))
    first: dict[str, int] = {}
    for index in np.argsort(np.abs(sounds.pitches - 60), kind="stable"):
        first.setdefault(names[index], int(index))
    order = [first[name] for name in sorted(first)]
    return [order[n * len(order) // COLUMNS] for n in range(min(COLUMNS, len(order)))]


def pitch_error(path: Path, figures: dict[str, Any]) -> None:
    """Plot the pitch error (cents, by pyin) of every note over its pitch."""
    figure, axes = load_pyplot().subplots(figsize=(8, 4))
    for name, colour, offset in (("real", "tab:gray", -0.15), ("model", "tab:red", 0.15)):
        cents = np.array([np.nan if c is None else c for c in figures["pitch_error"][name]])
        pitches = np.array(figures["pitches"])
        axes.plot(pitches + offset, cents, ".", color=colour, label=name, markersize=5, alpha=0.7)
    axes.axhspan(-50, 50, color="tab:green", alpha=0.15)
    axes.set_yscale("symlog", linthresh=100)
    axes.set_xlabel("MIDI pitch")
    axes.set_ylabel("pitch heard by pyin, cents off")
    axes.legend()
    save(figure, path, **SAVED)


def confusion(path: Path, figures: dict[str, Any]) -> None:
    """Plot the confusion matrix of the classifier's pitches."""
    figure, axes = load_pyplot().subplots(1, 2, figsize=(9, 4.5), sharex=True, sharey=True)
    pitches = np.array(figures["pitches"])
    known = np.array(figures["data"]["pitches"])
    for axis, name in zip(axes, ("real", "model"), strict=True):
        counts = np.zeros((len(known), len(known)))
        heard = np.array(figures["heard_pitches"][name])
        np.add.at(counts, (np.searchsorted(known, heard), np.searchsorted(known, pitches)), 1)
        extent = (known[0] - 0.5, known[-1] + 0.5) * 2
        axis.imshow(np.sqrt(counts), origin="lower", cmap="magma", extent=extent)
        axis.set_title(name)
        axis.set_xlabel("MIDI pitch asked for")
    axes[0].set_ylabel("MIDI pitch heard by the classifier")
    save(figure, path, **SAVED)
