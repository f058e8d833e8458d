"""Evaluation: figures of a checkpoint beside those of real notes and of their mel round trip."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.analysis import acoustics
from gansynth_server.analysis.labelled_notes import LabelledNotes
from gansynth_server.analysis.mel_features import coarse_spectrograms, features_of
from gansynth_server.options import SEARCH_SECONDS
from gansynth_server.render.model import Model
from gansynth_server.training.dataset import Dataset
from gansynth_server.training.evaluation import inversion_metrics, timbre_metrics
from gansynth_server.training.evaluation.classifier import Verdict, classify
from gansynth_server.training.evaluation.distances import (
    entropy,
    frechet_distance,
    inception_score,
)
from gansynth_server.training.evaluation.note_sets import NoteSet, generate, make_note_sets
from gansynth_server.training.evaluation.reference_statistics import (
    Reference,
    ReferenceOptions,
    load_reference,
)
from gansynth_server.util.progress import track

HEADLINES = (
    "pitch_accuracy",
    "in_tune",
    "frechet_distance",
    "ndb",
    "envelope_correlation",
    "centroid_rank_correlation",
)
"""Figures of the model that are repeated at the top level."""
OPTIONAL = (
    "same_instrument",
    "timbre_change",
    "preset_distance",
    "envelope_correlation",
    "centroid_rank_correlation",
    "attack_rank_correlation",
    "preset_instrument",
    "preset_family",
)
"""Figures for which some data sets or checkpoints have no notes."""
SILENT = 10 ** (-50 / 20)
"""Peak (-50 dBFS) under which a note counts as silent."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of an evaluation."""

    notes: int = 500
    """Most notes of each set; there are no more than held-out ones."""
    seed: int = 0
    """Seed of latents and of the choice of notes."""
    inversions: int = 0
    """Number of held-out notes to invert."""
    inversion_seconds: float = SEARCH_SECONDS
    """Time limit (s) of each inversion."""
    reference: ReferenceOptions = field(default_factory=ReferenceOptions)


@dataclass(frozen=True)
class Evaluation:
    """The figures, and the notes of the plots."""

    figures: dict[str, Any]
    rows: tuple[NoteSet, ...]


def evaluate(model: Model, data: Dataset, options: EvaluateOptions | None = None) -> Evaluation:
    """Measure a checkpoint beside the held-out notes of a data set.

    Args:
        model: the checkpoint.
        data: its data, or other notes to compare it with; a classifier is
            trained on its train split the first time and kept in its folder.
        options: how much to measure.

    Returns:
        ``figures["rows"]`` has the measures of ``model``, ``real`` (held-out
        notes) and ``round_trip`` (those through the mel spectra and back), all
        of as many notes at the same pitches; see :func:`measure`.

    Raises:
        UserError: librosa is missing, or there are no held-out notes at
            pitches of the checkpoint.
    """
    options = options or EvaluateOptions()
    acoustics.need_librosa()
    seconds: dict[str, float] = {}
    with _timed(seconds, "classifier"):
        known = load_reference(data, options.reference)
    with _timed(seconds, "notes"):
        usable = tuple(sorted(set(model.pitches) & set(known.net.pitches)))
        rows = make_note_sets(model, data, usable, options.notes, options.seed)
    sure = known.sure(data)
    measured: dict[str, dict[str, Any]] = {}
    details: dict[str, Any] = {}
    for row in rows:
        with _timed(seconds, row.name):
            figures, detail = measure(row, rows[1], known, sure, data.families)
        measured[row.name], details[row.name] = figures, detail
    with _timed(seconds, "path"):
        measured["model"] |= _path(model, known, options.seed)
    inverted = None
    if options.inversions:
        with _timed(seconds, "inversions"):
            searches = options.inversions, options.inversion_seconds, options.seed
            inverted = inversion_metrics.figures(
                inversion_metrics.inversions(model, data, known.net, *searches)
            )
    figures = {name: measured["model"][name] for name in HEADLINES}
    figures |= {
        "notes": len(rows[0].sounds),
        "rows": {
            name: {key: _json(value) for key, value in row.items()}
            for name, row in measured.items()
        },
        "presets": details["model"].pop("presets", {}),
        "inversions": inverted,
        "pitch_error": {name: detail["cents"] for name, detail in details.items()},
        "heard_pitches": {name: detail["heard"] for name, detail in details.items()},
        "pitches": rows[0].sounds.pitches.tolist(),
        "pyin": {
            "sure_pitches": sorted(sure),
            "tried": len(known.heard),
            "octave_instruments": known.octaves(data),
        },
        "data": describe(data),
        "settings": asdict(options) | {"noise_flatness": known.noise},
        "seconds": {part: round(time, 1) for part, time in seconds.items()},
    }
    return Evaluation({key: _json(value) for key, value in figures.items()}, rows)


def describe(data: Dataset) -> dict[str, Any]:
    """Facts of a data set for the model card: counts, and its own description."""
    return {
        "notes": len(data.notes),
        "held_out": len(data.rows("test")),
        "instruments": len(data.instruments),
        "pitches": sorted({note.pitch for note in data.notes}),
        "velocities": sorted({note.velocity for note in data.notes}),
        "about": dict(data.about),
    }


def measure(
    row: NoteSet, real: NoteSet, known: Reference, sure: frozenset[int], families: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure all figures of one set of notes.

    Args:
        row: the notes.
        real: the real notes, for the presets.
        known: the reference of the data.
        sure: pitches at which pyin can be trusted.
        families: of the instruments.

    Returns:
        Figures (numbers; None where there is nothing to measure), and details
        note by note.
    """
    sounds = row.sounds
    inputs = features_of(sounds)
    verdict = classify(known.net, inputs)
    heard = np.array(known.net.pitches)[verdict.pitch.argmax(axis=1)]
    posterior = verdict.pitch
    figures: dict[str, Any] = {
        "pitch_accuracy": float(np.mean(heard == sounds.pitches)),
        "pitch_entropy": float(entropy(posterior).mean()),
        "instrument_accuracy": _right(known, verdict, sounds),
        "family_accuracy": _right(known, verdict, sounds, families),
        "inception_score_pitch": inception_score(posterior),
        "inception_score_instrument": inception_score(verdict.instrument),
        "frechet_distance": frechet_distance(verdict.embedding, known.embedding),
        "ndb": known.bins.different(coarse_spectrograms(inputs)),
    }
    pairs = list(zip(sounds.waves, sounds.pitches, strict=True))
    cents = np.array([acoustics.cents_off(*pair) for pair in track(pairs, f"pitch: {row.name}")])
    figures |= _tuning(cents, np.isin(sounds.pitches, sorted(sure)))
    figures |= _loudness(sounds, known.noise)
    figures |= dict.fromkeys(OPTIONAL)
    if row.neighbours:
        told = [
            classify(known.net, features_of(part)).instrument.argmax(axis=1)
            for part in row.neighbours
        ]
        figures["same_instrument"] = float(np.mean(told[0] == told[1]))
        figures["timbre_change"] = timbre_metrics.consistency(*row.neighbours)
    detail: dict[str, Any] = {"cents": [_json(round(c, 1)) for c in cents], "heard": heard.tolist()}
    if row.presets is not None and real.presets is not None:
        compared = timbre_metrics.alike(real.presets, row.presets)
        detail["presets"] = compared.pop("instruments")
        figures |= compared
        said = classify(known.net, features_of(row.presets))
        figures["preset_instrument"] = _right(known, said, row.presets)
        figures["preset_family"] = _right(known, said, row.presets, families)
    return figures, detail


def _right(
    known: Reference,
    verdict: Verdict,
    sounds: LabelledNotes,
    families: Mapping[str, str] | None = None,
) -> float | None:
    """Accuracy of the instrument, or of its family, among notes whose instrument the classifier
    knows."""
    if sounds.instruments is None:
        return None
    told = known.net.names(verdict)
    right = [
        families[a] == families[b] if families else a == b
        for a, b in zip(told, sounds.instruments, strict=True)
        if b in known.net.instruments
    ]
    return float(np.mean(right)) if right else None


def _tuning(cents: NDArray[np.float64], sure: NDArray[np.bool_]) -> dict[str, Any]:
    tuning = acoustics.Tuning.of(cents)
    return {
        "in_tune": tuning.right,
        "in_tune_sure": float(np.mean(np.abs(cents[sure]) <= 50)) if sure.any() else None,
        "octave_off": tuning.octave,
        "elsewhere": tuning.other,
        "unvoiced": tuning.unvoiced,
        "median_cents": float(np.nanmedian(np.abs(cents))) if np.isfinite(cents).any() else None,
    }


def _loudness(sounds: LabelledNotes, noise: float) -> dict[str, Any]:
    spectral, levels = acoustics.spectral(sounds), acoustics.levels(sounds)
    silent = levels.peak < SILENT
    rise = levels.attack[np.isfinite(levels.attack)]
    return {
        "silent": int(silent.sum()),
        "clipped": int((levels.peak > 1).sum()),
        "noise_only": int((~silent & (spectral.flatness > noise)).sum()),
        "attack_ms": float(np.median(rise)) if len(rise) else None,
        "rms_db": float(np.median(levels.rms)),
        "peak": float(levels.peak.max()),
        "treble_db": float(np.median(spectral.treble)),
        "flatness": float(np.median(spectral.flatness)),
        "coherence": float(np.mean(spectral.coherence)),
    }


def _path(model: Model, known: Reference, seed: int) -> dict[str, float]:
    pitch = min(model.pitches, key=lambda p: abs(p - 60))
    latents = timbre_metrics.paths(model.prior, seed)
    sounds = generate(model, latents, np.full(len(latents), pitch), "paths")
    return timbre_metrics.smoothness(classify(known.net, features_of(sounds)).embedding)


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    start = perf_counter()
    yield
    seconds[part] = perf_counter() - start


def _json(value: Any) -> Any:
    """The value, or None for a number that is not finite, which JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
