"""Classifier of pitch and instrument for GANSynth's metrics (Engel et al. 2019, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gansynth_server.analysis.mel_features import SPANS, shift
from gansynth_server.spectral.constants import BINS
from gansynth_server.util.progress import track

FILTERS = (48, 64, 96, 64)
KERNELS = (9, 5, 5, 3)
EMBEDDING = 64


@dataclass(frozen=True)
class ClassifierOptions:
    """Options of the training; each set of them makes another classifier."""

    notes: int = 8000
    """Most notes of the train split."""
    epochs: int = 8
    least_steps: int = 500
    """Fewest training steps; with few notes there are more epochs."""
    batch: int = 64
    learning_rate: float = 4e-3
    """Peak of AdamW's learning rate, which follows the one-cycle policy."""
    shift: int = 3
    """Augmentation: largest shift in pitch (semitones)."""
    noise: float = 0.05
    """Augmentation: standard deviation of noise on the features, whose range is ±1."""
    seed: int = 0


class Classifier(nn.Module):
    """Strided convolutions along frequency; the spans of time are channels.

    Args:
        pitches: MIDI note numbers of the classes.
        instruments: names of the classes.
    """

    def __init__(self, pitches: tuple[int, ...], instruments: tuple[str, ...]) -> None:
        super().__init__()
        self.pitches, self.instruments = pitches, instruments
        layers: list[nn.Module] = []
        for (inputs, outputs), kernel in zip(pairwise((SPANS, *FILTERS)), KERNELS, strict=True):
            conv = nn.Conv1d(inputs, outputs, kernel, stride=2, padding=kernel // 2, bias=False)
            layers += [conv, nn.BatchNorm1d(outputs), nn.ReLU()]
        size = FILTERS[-1] * BINS // 2 ** len(FILTERS)
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3))
        self.embedding = nn.Sequential(nn.Linear(size, EMBEDDING), nn.BatchNorm1d(EMBEDDING))
        self.pitch = nn.Linear(EMBEDDING, len(pitches))
        self.instrument = nn.Linear(EMBEDDING, len(instruments))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features float32 [N, 11, 1024] → logits of pitch and instrument, embedding [N, 64]."""
        embedding = self.embedding(self.body(inputs))
        hidden = F.relu(embedding)
        return self.pitch(hidden), self.instrument(hidden), embedding

    def names(self, verdict: Verdict) -> list[str]:
        """Most probable instruments of N notes."""
        return [self.instruments[index] for index in verdict.instrument.argmax(axis=1)]


@dataclass(frozen=True)
class Verdict:
    """Output of the classifier for N notes."""

    pitch: NDArray[np.float64]
    """[N, pitches] posterior."""
    instrument: NDArray[np.float64]
    """[N, instruments] posterior."""
    embedding: NDArray[np.float64]
    """[N, 64]."""


@torch.inference_mode()
def classify(net: Classifier, inputs: Tensor, chunk: int = 256) -> Verdict:
    """Features [N, 11, 1024] → posteriors and embeddings; the net is put into eval mode."""
    net.eval()
    parts = [net(part.float()) for part in torch.split(inputs, chunk)]
    pitch, instrument, embedding = (
        torch.cat(column).double() for column in zip(*parts, strict=True)
    )
    return Verdict(
        pitch.softmax(dim=1).numpy(), instrument.softmax(dim=1).numpy(), embedding.numpy()
    )


def train(
    inputs: Tensor,
    pitches: Sequence[int],
    instruments: Sequence[str],
    options: ClassifierOptions,
) -> Classifier:
    """Train a classifier on features.

    Args:
        inputs: float16 [N, 11, 1024].
        pitches: N MIDI note numbers.
        instruments: N names.
        options: of the training.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return _train(inputs, torch.tensor(pitches), instruments, options)


def _train(
    inputs: Tensor, pitches: Tensor, instruments: Sequence[str], options: ClassifierOptions
) -> Classifier:
    net = Classifier(tuple(sorted(set(pitches.tolist()))), tuple(sorted(set(instruments)))).train()
    place = {name: index for index, name in enumerate(net.instruments)}
    named = torch.tensor([place[name] for name in instruments])
    batch = min(options.batch, len(inputs))
    rounds = len(inputs) // batch
    epochs = max(options.epochs, -(-options.least_steps // rounds))
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.learning_rate, total_steps=epochs * rounds
    )
    for _ in track(range(epochs), "training the classifier"):
        order = torch.randperm(len(inputs))[: rounds * batch]
        for rows in torch.split(order, batch):
            semitones = int(torch.randint(-options.shift, options.shift + 1, ()))
            clean, labels = _shifted(inputs[rows].float(), pitches[rows], semitones, net.pitches)
            heard, name, _ = net(clean + options.noise * torch.randn_like(clean))
            loss = F.cross_entropy(heard, labels) + F.cross_entropy(name, named[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return net.eval()


def _shifted(
    inputs: Tensor, pitches: Tensor, semitones: int, known: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Shift the notes of a batch whose new pitch is a known one; return features and labels."""
    labels = torch.full((256,), -1)
    labels[torch.tensor(known) + 64] = torch.arange(len(known))
    moved = labels[pitches + semitones + 64]
    fits = moved >= 0
    stretched = torch.where(fits[:, None, None], shift(inputs, semitones), inputs)
    return stretched, torch.where(fits, moved, labels[pitches + 64])
