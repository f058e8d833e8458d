"""Models that are kept in memory."""

from gansynth_server import api
from gansynth_server.model import checkpoint
from gansynth_server.render.models import Models
from tests.support import golden_rule


def test_models_that_nobody_uses_have_a_bound(checkpoints, monkeypatch):
    dropped = []
    used = []
    small = 3 * api.load("one", "cpu").nbytes // 2  # one has room, two have not
    models = Models(most=small, used=lambda: used, dropped=dropped.append)
    first = models.get("one")
    assert models.get("one") is first
    second = models.get("two")
    assert not dropped and models.loaded("one")
    checkpoint.save(checkpoints / "three", golden_rule.generator(golden_rule.TINY), {})
    third = models.get("three")
    assert dropped == [first] and not models.loaded("one") and models.loaded("two")
    used[:] = [second, third]
    fourth = models.get("one")
    assert dropped == [first] and fourth is not first  # those in use do not count
