"""The checkpoints that come with the project."""

import pytest

BUNDLED = ("all_instruments", "acoustic_only", "all_instruments_lite")
each_bundled = pytest.mark.parametrize("name", BUNDLED)
