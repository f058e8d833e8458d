"""Measures of timbre."""

import numpy as np
import pytest

from gansynth_server.analysis.descriptors import measure
from gansynth_server.analysis.labelled_notes import LabelledNotes
from gansynth_server.latent.descriptor_names import MEASURES

RNG = np.random.default_rng(0)


def sound(partials=4, attack=0.01, decay=0.0, noise=0.0, detune=1.0):
    at = np.arange(64000) / 16000
    hertz = 440 * 2 ** ((60 - 69) / 12)
    wave = sum(
        np.sin(2 * np.pi * hertz * (1 + (k - 1) * detune) * at) / k for k in range(1, partials + 1)
    )
    wave = wave * np.minimum(1, at / attack) * np.exp(-decay * at)
    return (0.2 * wave + noise * RNG.standard_normal(64000)).astype(np.float32)


def measured(*waves):
    return measure(LabelledNotes(np.stack(waves), np.full(len(waves), 60)))


@pytest.mark.parametrize(
    ("name", "less", "more"),
    [
        ("brighter", {"partials": 2}, {"partials": 12}),
        ("slower", {"attack": 0.01}, {"attack": 0.5}),
        ("longer", {"decay": 2.0}, {"decay": 0.0}),
        ("noisier", {"noise": 0.0}, {"noise": 0.05}),
        ("purer", {"detune": 1.13}, {"detune": 1.0}),
    ],
)
def test_each_measure_is_what_its_name_says(name, less, more):
    low, high = measured(sound(**less), sound(**more))[:, MEASURES.index(name)]
    assert high > low


def test_measures_are_finite_even_of_silence():
    assert np.isfinite(measured(np.zeros(64000, np.float32), sound())).all()
