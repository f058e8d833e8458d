"""The search for the latent of a note."""

import numpy as np
import pytest
import torch

import gansynth_server as gs
from gansynth_server.analysis import inversion
from gansynth_server.analysis.latent_regression import RIDGES, regress_latents
from gansynth_server.analysis.recorded_note import read
from gansynth_server.analysis.spectral_distance import Target
from gansynth_server.latent.vectors import draws
from tests.support.sounds import file_of, harmonic_tone

PITCHES = tuple(range(24, 85))


@pytest.fixture(scope="module")
def model():
    return gs.load("all_instruments")


def test_regression_guesses_the_latent_of_a_linear_generator():
    chance = torch.Generator().manual_seed(0)
    z = torch.randn(40, 8, generator=chance)
    mixing = torch.randn(8, 500, generator=chance)
    wanted = torch.randn(8, generator=chance)
    found = regress_latents(z @ mixing - 30, z, wanted @ mixing - 30)
    away = (found - wanted).norm(dim=1) / wanted.norm()
    assert found.shape == (len(RIDGES), 8) and found.dtype == torch.float32
    assert away[0] < 0.1 and away[0] < away[1] < away[2] < 1


def test_regression_starts_nearer_to_a_note_of_its_own(model):
    latents = draws(model.latent_size, range(65))
    waves = torch.from_numpy(model.generate_batch(latents, [55] * 65))
    target = Target(waves[64])
    outlines = torch.cat([target.look(part)[1] for part in torch.split(waves[:64], 16)])
    guessed = regress_latents(outlines, torch.from_numpy(latents[:64]), target.outline)
    ours = torch.from_numpy(model.generate_batch(guessed.numpy(), [55] * len(guessed)))
    looked = target.distance(waves[:64])
    assert target.distance(ours).min() < looked.quantile(0.1)


def test_the_same_seed_looks_at_the_same_latents(model):
    wave = read(file_of(harmonic_tone(60)), "a.wav", PITCHES, 60).wave
    first, again = (
        inversion.invert(model.checkpoint.generator, wave, 60, model.presets, 0.0, 7)
        for _ in range(2)
    )
    assert first.start == again.start and np.array_equal(first.z, again.z)
    assert first.distance == again.distance == pytest.approx(first.before, abs=0.1)
