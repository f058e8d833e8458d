"""Copies of checkpoints for the soak."""

import numpy as np
import pytest

from gansynth_server.bench import soak
from gansynth_server.errors import UserError
from gansynth_server.model import checkpoint
from tests.support import golden_rule


@pytest.fixture
def small(tmp_path):
    generator = golden_rule.generator(golden_rule.TINY)
    checkpoint.save(tmp_path / "small", generator, {}, {"violin": np.zeros(32, np.float32)})
    return str(tmp_path / "small")


def test_a_lone_file_cannot_be_copied(small, tmp_path):
    with pytest.raises(UserError, match="folder"):
        soak.copies(f"{small}/model.safetensors", tmp_path)
