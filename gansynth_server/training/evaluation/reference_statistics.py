"""Reference of a data set, cached: a classifier trained on it, and statistics of its notes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gansynth_server.analysis import acoustics
from gansynth_server.analysis.labelled_notes import BATCH
from gansynth_server.analysis.mel_features import EDGES, RANGE, coarse_spectrograms, features
from gansynth_server.training.dataset import INDEX, Dataset
from gansynth_server.training.evaluation import classifier
from gansynth_server.training.evaluation.classifier import Classifier, ClassifierOptions
from gansynth_server.training.evaluation.distances import Bins
from gansynth_server.util.files import write_atomically
from gansynth_server.util.progress import track

VERSION = 1
"""Version of the code; another one makes cached references again."""
CALIBRATION = 512
"""Real notes whose flatness sets the threshold of noise."""
WHITE = 0.56
"""Spectral flatness of white noise, e^-γ."""
SURE = 0.95
"""Share of real notes that pyin must hear right at a pitch for the pitch to be sure."""


@dataclass(frozen=True)
class ReferenceOptions:
    """Options of a reference; each set of them makes another cached file."""

    classifier: ClassifierOptions = field(default_factory=ClassifierOptions)
    pyin_notes: int = 8
    """Real notes per pitch of the train split on which pyin is tried."""


@dataclass(frozen=True)
class Reference:
    """Classifier and statistics of the train split."""

    net: Classifier
    embedding: NDArray[np.float64]
    """[N, 64] of the real notes."""
    bins: Bins
    noise: float
    """Spectral flatness above which a note counts as noise."""
    heard: NDArray[np.float64]
    """[M, 2]: row of the data, and pitch error (cents) of pyin, nan where it hears none."""

    def sure(self, data: Dataset) -> frozenset[int]:
        """Pitches at which pyin is right for at least 95 % of the real notes tried."""
        right: dict[int, list[bool]] = {}
        for row, cents in self.heard:
            right.setdefault(data.notes[int(row)].pitch, []).append(bool(abs(cents) <= 50))
        return frozenset(pitch for pitch, found in right.items() if np.mean(found) >= SURE)

    def octaves(self, data: Dataset) -> dict[str, list[int]]:
        """Instruments whose real notes pyin hears in another octave: name → [such notes, tried]."""
        found: dict[str, list[int]] = {}
        for row, cents in self.heard:
            counts = found.setdefault(data.notes[int(row)].instrument, [0, 0])
            counts[0] += int(acoustics.octave_off(np.array([cents]))[0])
            counts[1] += 1
        return {name: counts for name, counts in sorted(found.items()) if counts[0]}


def load_reference(data: Dataset, options: ReferenceOptions | None = None) -> Reference:
    """Load the reference of a data set from its folder, or make it (some minutes) and keep it.

    A folder that cannot be written is no error: the next evaluation makes it again.
    """
    options = options or ReferenceOptions()
    path = data.folder / f"classifier-{_key(data, options)}.safetensors"
    if path.is_file() and path.with_suffix(".json").is_file():
        return _read(path)
    made = _make(data, options)
    try:
        _write(path, made, asdict(options))
    except OSError as error:
        print(f"the classifier is not kept: {error}")
    return made


def _key(data: Dataset, options: ReferenceOptions) -> str:
    settings = [VERSION, EDGES, RANGE, classifier.FILTERS, asdict(options)]
    digest = hashlib.sha256(json.dumps(settings).encode())
    digest.update((data.folder / INDEX).read_bytes())
    return digest.hexdigest()[:16]


def _make(data: Dataset, options: ReferenceOptions) -> Reference:
    rng = np.random.default_rng(options.classifier.seed)
    rows = data.rows("train")
    rows = np.sort(rng.permutation(rows)[: options.classifier.notes])
    notes = [data.notes[row] for row in rows]
    inputs = _features(data, rows)
    net = classifier.train(
        inputs,
        [note.pitch for note in notes],
        [note.instrument for note in notes],
        options.classifier,
    )
    some = rng.permutation(rows)[:CALIBRATION]
    flat = np.quantile(acoustics.spectral(data.sounds(some)).flatness, 0.99)
    return Reference(
        net,
        classifier.classify(net, inputs).embedding,
        Bins.fit(coarse_spectrograms(inputs), seed=options.classifier.seed),
        # halfway, in decibels, between the noisiest of the real notes and noise
        float(np.sqrt(min(flat, WHITE) * WHITE)),
        _hear(data, rows, options.pyin_notes, rng),
    )


def _features(data: Dataset, rows: NDArray[np.int64]) -> Tensor:
    starts = track(range(0, len(rows), BATCH), "spectra of the real notes")
    return torch.cat([features(data.audio(rows[start : start + BATCH])) for start in starts])


def _hear(
    data: Dataset, rows: NDArray[np.int64], each: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Try pyin on some notes of every pitch: their rows and pitch errors (cents), [M, 2]."""
    chosen: dict[int, list[int]] = {}
    for row in rng.permutation(rows):
        found = chosen.setdefault(data.notes[row].pitch, [])
        if len(found) < each:
            found.append(int(row))
    flat = sorted(row for found in chosen.values() for row in found)
    cents = [
        acoustics.cents_off(data.audio([row]).numpy()[0], data.notes[row].pitch)
        for row in track(flat, "pitch of the real notes")
    ]
    return np.column_stack([np.array(flat, np.float64), np.array(cents)])


def _write(path: Path, made: Reference, options: Mapping[str, Any]) -> None:
    from safetensors.numpy import save

    tensors = {f"net.{name}": value.numpy() for name, value in made.net.state_dict().items()}
    tensors |= {
        "embedding": made.embedding,
        "heard": made.heard,
        "centres": made.bins.centres,
        "shares": made.bins.shares,
    }
    info = {
        "options": options,
        "pitches": made.net.pitches,
        "instruments": made.net.instruments,
        "noise": made.noise,
    }
    write_atomically(path, save(tensors))
    # written last: a reference without it is unfinished
    path.with_suffix(".json").write_text(json.dumps(info), encoding="utf-8")


def _read(path: Path) -> Reference:
    from safetensors.numpy import load_file

    tensors = load_file(path)
    info = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    net = Classifier(tuple(info["pitches"]), tuple(info["instruments"])).eval()
    state = {name: tensors[f"net.{name}"] for name in net.state_dict()}
    net.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    embedding = tensors["embedding"]
    bins = Bins(tensors["centres"], tensors["shares"], len(embedding))
    return Reference(net, embedding, bins, info["noise"], tensors["heard"])
