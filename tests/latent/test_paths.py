"""Latents that move, as functions of time."""

import numpy as np
import pytest

from gansynth_server.latent.paths import MAX_PARTS, SHAPES, Glide, Lfo, Walk, parts
from gansynth_server.latent.prior import Prior
from gansynth_server.latent.slots import ConstantPath
from gansynth_server.latent.vectors import draw, mix, slerp

A, B, C = (draw(32, seed) for seed in (1, 2, 3))


def test_a_glide_leaves_and_arrives_exactly_and_gently():
    glide = Glide(ConstantPath(A), ConstantPath(B), start=10.0, seconds=2.0)
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
    glide = Glide(ConstantPath(A), ConstantPath(B), start=1.0, seconds=0.0)
    assert np.array_equal(glide.at(0.999), A)
    assert np.array_equal(glide.at(1.0), B)


def test_glides_upon_glides_stay_small_and_go_on_without_a_jump():
    path = ConstantPath(A)
    for n in range(1000):
        start = n * 0.1
        after = Glide(path, ConstantPath((B, C)[n % 2]), start, 5.0)
        assert np.allclose(after.at(start), path.at(start), atol=1e-6)
        path = after
        assert parts(path) <= 2 * MAX_PARTS
    assert np.array_equal(path.at(200.0), C)
    assert np.array_equal(Glide(path, ConstantPath(A), 300.0, 1.0).at(300.0), C)


def test_a_walk_is_a_pure_function_of_time():
    walk, same = (Walk(Prior(32), 7, speed=2.0, spread=1.0, start=5.0) for _ in range(2))
    times = [5.0, 3605.3, 1e7, 5.0, 42.42, 3605.3]
    forth = [walk.at(t) for t in times]
    back = [same.at(t) for t in reversed(times)][::-1]
    assert np.array_equal(forth, back)
    assert np.array_equal(walk.at(-1e9), walk.at(5.0))
    assert not np.allclose(Walk(Prior(32), 8, 2.0, 1.0, 5.0).at(6.0), walk.at(6.0))
    later = Walk(Prior(32), 7, speed=2.0, spread=1.0, start=105.0)
    assert np.array_equal(later.at(105.25), walk.at(5.25))  # counted from its own start
    still = Walk(Prior(32), 7, speed=0.0, spread=1.0, start=5.0)
    assert np.array_equal(still.at(5.0), still.at(1e6))


@pytest.mark.parametrize("place", [0.0, 0.25, 0.5, 0.9, 17.3])
def test_a_walk_stays_at_the_prior_between_the_steps_too(place):
    z = np.concatenate([Walk(Prior(256), seed, 1.0, 1.5, 0.0).at(place) for seed in range(400)])
    assert abs(z.mean()) < 5 * 1.5 / len(z) ** 0.5
    assert abs(z.std() / 1.5 - 1) < 5 / (2 * len(z)) ** 0.5
    assert abs((z**4).mean() / z.var() ** 2 - 3) < 0.1  # as flat as a normal distribution


def test_a_walk_moves_on_without_kinks():
    walk = Walk(Prior(256), 3, speed=1.0, spread=1.0, start=0.0)

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert cosine(walk.at(10.0), walk.at(10.1)) > 0.98
    assert abs(cosine(walk.at(10.0), walk.at(14.0))) < 0.25
    step = 1 / 64  # differences of binary fractions, so that rounding stays small
    z = np.stack([walk.at(8 + n * step).astype(np.float64) for n in range(8 * 64)])
    speeds, bends = np.diff(z, axis=0) / step, np.diff(z, 2, axis=0) / step**2
    assert np.abs(np.diff(speeds, axis=0)).max() < 0.15 * np.abs(speeds).max()
    assert np.abs(np.diff(bends, axis=0)).max() < 0.25 * np.abs(bends).max()


@pytest.mark.parametrize(
    ("shape", "amounts"),
    [
        ("sine", (0, 0.5, 1, 0.5)),
        ("triangle", (0, 0.5, 1, 0.5)),
        ("square", (0, 0, 1, 1)),
        ("saw", (0, 0.25, 0.5, 0.75)),
    ],
)
def test_an_lfo_goes_to_and_fro(shape, amounts):
    lfo = Lfo(ConstantPath(A), ConstantPath(B), shape, rate=0.5, phase=0.0, start=3.0)
    ahead = Lfo(ConstantPath(A), ConstantPath(B), shape, rate=0.5, phase=0.25, start=3.0)
    for quarter, amount in enumerate(amounts):
        expected = slerp(A, B, amount)
        for period in (-1, 0, 1000):
            at = 3 + 2 * period + 0.5 * quarter
            assert np.allclose(lfo.at(at), expected, atol=1e-5)
            assert np.allclose(ahead.at(at - 0.5), expected, atol=1e-5)


def test_an_lfos_ends_may_move_and_are_bounded():
    walk = Walk(Prior(32), 1, 1.0, 1.0, 0.0)
    lfo = Lfo(walk, ConstantPath(B), "saw", 1.0, 0.0, 0.0)
    assert np.allclose(lfo.at(9.25), slerp(walk.at(9.25), B, 0.25))
    path = ConstantPath(A)
    for n in range(100):
        path = Lfo(path, path, "sine", 1.0, 0.0, float(n))
        assert parts(path) <= 2 * MAX_PARTS
    assert np.isfinite(path.at(1234.5)).all()
    assert set(SHAPES) == {"sine", "triangle", "square", "saw"}


def test_a_mix_is_as_long_as_its_corners():
    assert np.allclose(mix([A, B, C, A], [0, 3, 0, 0]), B)
    blend = mix([A, B, C], [1, 1, 2])
    plain = A + B + 2 * C
    assert np.allclose(blend / np.linalg.norm(blend), plain / np.linalg.norm(plain), atol=1e-6)
    lengths = [np.linalg.norm(z) for z in (A, B, C)]
    assert np.isclose(np.linalg.norm(blend), np.average(lengths, weights=[1, 1, 2]))
    assert np.allclose(mix([A, B], [0, 0]), mix([A, B], [1, 1]))
    assert np.allclose(mix([A, A], [0.3, 0.3]), A)
    assert not mix([A, -A], [1, 1]).any()
    assert not mix([0 * A, 0 * A], [1, 1]).any()
