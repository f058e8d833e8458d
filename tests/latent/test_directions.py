"""Moves of latents along principal directions, and the files of the bundled checkpoints."""

import numpy as np
import pytest

from gansynth_server import UserError
from gansynth_server.latent import directions
from gansynth_server.latent.directions import Directions, OffsetPath, edit
from gansynth_server.latent.paths import MAX_PARTS, Walk, parts
from gansynth_server.latent.prior import Prior
from gansynth_server.latent.slots import ConstantPath
from gansynth_server.model import checkpoint
from tests.support.bundled import each_bundled


def simple(count=3, size=4):
    rows = np.arange(count * size, dtype=np.float32).reshape(count, size)
    return Directions(rows, np.ones(count, np.float32), np.ones(count, np.float32))


def test_weights_are_read_once_and_not_at_each_move(monkeypatch):
    net, tensor, read = checkpoint.load("all_instruments_lite"), checkpoint.Checkpoint.tensor, []
    monkeypatch.setattr(
        checkpoint.Checkpoint, "tensor", lambda self, name: read.append(name) or tensor(self, name)
    )
    known = directions.load(net)
    assert all(directions.load(net) is known for _ in range(20)) and len(read) == 1


def test_an_edit_is_absolute_and_moves_with_its_base():
    known = simple()
    walk = Walk(Prior(4), 1, 1.0, 1.0, 0.0)
    first = edit(walk, known, {0: 1.0, 2: -0.5}, False, 0.0)
    expected = known.latent[0] - 0.5 * known.latent[2]
    for t in (0.0, 1.5, 99.0):
        assert np.allclose(first.at(t), walk.at(t) + expected)
    second = edit(first, known, {2: 0.0, 1: 2.0}, False, 0.0)
    assert np.allclose(second.at(1.5), walk.at(1.5) + known.latent[0] + 2 * known.latent[1])
    assert str(second) == "pca 0 1 1 2 on walk speed 1 spread 1 seed 1"
    assert np.allclose(edit(second, known, {0: 0, 1: 0}, False, 0.0).at(3.0), walk.at(3.0))
    for wrong in (-1, 3):
        with pytest.raises(UserError, match="0 to 2"):
            edit(walk, known, {wrong: 1.0}, False, 0.0)


def test_edits_of_other_directions_lie_upon_it_and_are_bounded():
    path = ConstantPath(np.ones(4, np.float32))
    for _ in range(100):
        path = edit(path, simple(), {0: 1.0}, False, 0.0)
        assert isinstance(path, OffsetPath) and parts(path) <= MAX_PARTS + 1
    assert np.allclose(path.at(0.0), 1 + 100 * simple().latent[0])


@each_bundled
def test_the_bundled_checkpoint_has_its_own(name):
    bundled = checkpoint.load(name)
    known = directions.load(bundled)
    assert directions.load(bundled) is known
    assert known.latent.shape == (64, 256)
    assert (np.diff(known.share) <= 0).all()
    assert (known.reach[:8] > 0.5).all()
    path = directions.file_of(bundled)
    assert path.stat().st_size < 4 << 20
    with np.load(path) as file:
        comp = file["comp"].astype(np.float32).reshape(64, -1)
    assert np.allclose(comp @ comp.T, np.eye(64), atol=0.01)
