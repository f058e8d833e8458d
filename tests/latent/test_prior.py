"""Priors: N(0, I), and timbres round a checkpoint's own."""

import numpy as np
import pytest

from gansynth_server import UserError
from gansynth_server.latent.paths import Walk
from gansynth_server.latent.prior import Prior
from gansynth_server.latent.sequence import random_keys
from gansynth_server.latent.vectors import draw
from gansynth_server.model.config import GeneratorConfig

CENTRES = np.random.default_rng(0).standard_normal((5, 32)).astype(np.float32)


def near(z, centres=CENTRES) -> np.ndarray:
    """Cosine of the angle to each centre."""
    return centres @ z / np.linalg.norm(centres, axis=1) / np.linalg.norm(z)


def test_without_centres_it_is_what_magenta_draws():
    prior = Prior(32)
    assert np.array_equal(prior.draw(7), draw(32, 7))
    assert np.array_equal(prior.draw(7, 0.5), draw(32, 7, 0.5))
    assert np.array_equal(random_keys(3, prior, 5), draw(96, 5).reshape(3, 32))


def test_latents_lie_round_the_centres():
    prior = Prior(32, CENTRES, scatter=0.3)
    drawn = prior.draws(range(100))
    assert drawn.dtype == np.float32 and drawn.shape == (100, 32)
    assert np.array_equal(drawn[3], prior.draw(3))
    assert len(np.unique(drawn.round(3), axis=0)) == 100
    nearest = np.stack([near(z) for z in drawn])
    assert nearest.max(axis=1).min() > 0.7
    assert set(nearest.argmax(axis=1)) == set(range(5))
    assert np.array_equal(Prior(32, CENTRES).draw(3, 2.0), 2 * Prior(32, CENTRES).draw(3))


def test_a_second_centre_has_its_share():
    alone, blended = (Prior(32, CENTRES, blend=share) for share in (0.0, 1.0))
    assert all(near(z).max() > 0.999 for z in alone.draws(range(30)))
    assert sum(near(z).max() < 0.95 for z in blended.draws(range(30))) > 5


def test_keys_and_walks_draw_from_it():
    prior = Prior(32, CENTRES)
    assert all(near(z).max() > 0.999 for z in random_keys(8, prior, 1))
    walk = Walk(prior, 1, speed=1.0, spread=1.0, start=0.0)
    steps = np.stack([walk.at(n / 50) for n in range(500)])
    assert np.linalg.norm(np.diff(steps, axis=0), axis=1).max() < 1
    assert np.abs(steps).max() < 3 * np.abs(CENTRES).max()


def test_a_prior_beyond_its_range_is_refused():
    values = {"centres": 5, "blend": 0.5, "scatter": 0.3}
    assert GeneratorConfig.from_dict(values).centres == 5
    for wrong in ({"scatter": 1.5}, {"blend": -1}, {"blend": float("nan")}, {"centres": -1}):
        with pytest.raises(UserError):
            GeneratorConfig.from_dict(values | wrong)
