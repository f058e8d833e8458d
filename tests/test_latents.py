"""Latents that move, as functions of time."""

import numpy as np

from gansynth_server.latent.paths import MOST_PARTS, Glide, parts
from gansynth_server.latent.slots import Still
from gansynth_server.latent.vectors import draw, slerp

A, B, C = (draw(32, seed) for seed in (1, 2, 3))


def test_a_glide_leaves_and_arrives_exactly_and_gently():
    glide = Glide(Still(A), Still(B), start=10.0, seconds=2.0)
    for before in (-5.0, 9.9, 10.0):
        assert np.array_equal(glide.at(before), A)
    for after in (12.0, 12.1, 1e9):
        assert np.array_equal(glide.at(after), B)
    assert np.allclose(glide.at(11.0), slerp(A, B, 0.5))
    whole = np.linalg.norm(B - A)
    for edge in (10.001, 11.999):  # a thousandth of the time, a millionth of the way
        near = A if edge < 11 else B
        assert 0 < np.linalg.norm(glide.at(edge) - near) < 1e-5 * whole


def test_a_glide_without_time_is_a_jump():
    glide = Glide(Still(A), Still(B), start=1.0, seconds=0.0)
    assert np.array_equal(glide.at(0.999), A)
    assert np.array_equal(glide.at(1.0), B)


def test_glides_upon_glides_stay_small_and_go_on_without_a_jump():
    path = Still(A)
    for n in range(1000):
        start = n * 0.1
        after = Glide(path, Still((B, C)[n % 2]), start, 5.0)
        assert np.allclose(after.at(start), path.at(start), atol=1e-6)
        path = after
        assert parts(path) <= 2 * MOST_PARTS
    assert np.array_equal(path.at(200.0), C)
    assert np.array_equal(Glide(path, Still(A), 300.0, 1.0).at(300.0), C)
