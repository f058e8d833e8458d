"""Models that are kept in memory."""

import os

import pytest

from gansynth_server import api
from gansynth_server.model import checkpoint
from gansynth_server.render.models import Models
from tests.support import golden_rule


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two small checkpoints, and two that are broken."""
    for name in ("one", "two", "cut", "odd"):
        checkpoint.save(tmp_path / name, golden_rule.generator(golden_rule.TINY), {})
    weights = tmp_path / "cut" / checkpoint.WEIGHTS
    os.truncate(weights, weights.stat().st_size // 2)
    (tmp_path / "odd" / checkpoint.CONFIG).write_text('{"format": 1, "generator": {"filters": 7}}')
    monkeypatch.setenv(checkpoint.VARIABLE, str(tmp_path))
    return tmp_path


def test_models_that_nobody_uses_have_a_bound(folder, monkeypatch):
    dropped = []
    used = []
    small = 3 * api.load("one", "cpu").nbytes // 2  # one has room, two have not
    models = Models(most=small, used=lambda: used, dropped=dropped.append)
    first = models.get("one")
    assert models.get("one") is first
    second = models.get("two")
    assert not dropped and models.loaded("one")
    checkpoint.save(folder / "three", golden_rule.generator(golden_rule.TINY), {})
    third = models.get("three")
    assert dropped == [first] and not models.loaded("one") and models.loaded("two")
    used[:] = [second, third]
    fourth = models.get("one")
    assert dropped == [first] and fourth is not first  # those in use do not count
