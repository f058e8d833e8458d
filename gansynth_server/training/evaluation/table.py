"""Table of figures, for the terminal and the model card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NAMES = {"model": "checkpoint", "real": "real", "round_trip": "mel round trip"}
"""Sets of notes in the figures → titles of the columns."""
BESIDE = "beside"
"""Key of another checkpoint's figures on the same notes: its name and its row."""

MEASURES: tuple[tuple[str, str, str], ...] = (
    ("pitch_accuracy", "pitch accuracy (classifier)", "%"),
    ("pitch_entropy", "pitch entropy, nats", ".2f"),
    ("instrument_accuracy", "instrument accuracy (classifier)", "%"),
    ("family_accuracy", "instrument's family (classifier)", "%"),
    ("inception_score_pitch", "inception score, pitch", ".1f"),
    ("inception_score_instrument", "inception score, instrument", ".1f"),
    ("frechet_distance", "Fréchet distance", ".1f"),
    ("ndb", "NDB (share of bins)", ".2f"),
    ("in_tune", "within 50 cents (pyin)", "%"),
    ("in_tune_sure", "within 50 cents where pyin is sure", "%"),
    ("octave_off", "heard in another octave (pyin)", "%"),
    ("elsewhere", "heard elsewhere (pyin)", "%"),
    ("unvoiced", "no pitch heard (pyin)", "%"),
    ("median_cents", "median distance, cents (pyin)", ".1f"),
    ("attack_ms", "attack, ms (median)", ".0f"),
    ("rms_db", "level, dBFS RMS (median)", ".1f"),
    ("peak", "highest peak", ".2f"),
    ("treble_db", "power above 4 kHz, dB (median)", ".1f"),
    ("flatness", "spectral flatness (median)", ".3f"),
    ("coherence", "phase coherence", ".3f"),
    ("silent", "silent notes", "d"),
    ("clipped", "clipped notes", "d"),
    ("noise_only", "notes of noise only", "d"),
    ("timbre_change", "change of timbre to the next pitch", ".2f"),
    ("same_instrument", "same instrument at the next pitch", "%"),
    ("path_ratio", "slerp path: longest over mean step", ".2f"),
    ("path_length", "slerp path: way over distance", ".2f"),
    ("preset_distance", "presets: distance from their instruments, dB (median)", ".2f"),
    ("envelope_correlation", "presets: correlation of 50 ms levels", ".2f"),
    ("centroid_rank_correlation", "presets: rank correlation of brightness", ".2f"),
    ("attack_rank_correlation", "presets: rank correlation of attacks", ".2f"),
    ("preset_instrument", "presets told right (classifier)", "%"),
    ("preset_family", "presets whose family is told right", "%"),
)
"""Key of a figure, its title, and its format."""
INVERSIONS: tuple[tuple[str, str, str], ...] = (
    ("nearer_than_random", "nearer than the nearest of 1000 random latents", "%"),
    ("same_family", "family told right (classifier)", "%"),
    ("real_family", "family of the real notes told right", "%"),
    ("distance_db", "distance, dB (median)", ".2f"),
    ("preset_db", "distance of the nearest preset, dB (median)", ".2f"),
    ("random_db", "distance of the nearest random latent, dB (median)", ".2f"),
)
"""The same for inversions."""


def shown(value: float | None, form: str) -> str:
    """Text of a figure; a dash where there is none."""
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if form == "%" else f"{value:{form}}"


def lines(figures: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the title of each figure and its values, in the order of :func:`columns`."""
    rows = [figures["rows"][name] for name in NAMES]
    if other := figures.get(BESIDE):
        rows.insert(1, other["row"])
    for key, title, form in MEASURES:
        yield title, *(shown(row.get(key), form) for row in rows)


def columns(figures: Mapping[str, Any]) -> list[str]:
    """Titles of the columns, another checkpoint's after the first."""
    titles = list(NAMES.values())
    if other := figures.get(BESIDE):
        titles.insert(1, other["name"])
    return titles


def inversion_lines(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield titles and values of the inversions, where there are any."""
    if found := figures.get("inversions"):
        for key, title, form in INVERSIONS:
            yield title, shown(found[key], form)


def show(figures: Mapping[str, Any]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", *columns(figures), title=f"{figures['notes']} notes of each kind")
    for column in table.columns[1:]:
        column.justify = "right"
    for line in lines(figures):
        table.add_row(*line)
    Console().print(table)
    if found := figures.get("inversions"):
        title = f"latents looked for: {len(found['each'])} held-out notes"
        searched = Table("", "", title=title, show_header=False)
        for line in inversion_lines(figures):
            searched.add_row(*line)
        Console().print(searched)
