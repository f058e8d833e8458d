"""The checkpoints that come with the project."""

from functools import cache

import numpy as np
import pytest

from gansynth_server.latent.prior import Prior
from gansynth_server.model import checkpoint

BUNDLED = ("all_instruments", "acoustic_only", "all_instruments_lite")
each_bundled = pytest.mark.parametrize("name", BUNDLED)


@cache
def prior() -> Prior:
    """How the random latents of ``all_instruments`` are drawn."""
    return Prior.of_generator(checkpoint.load("all_instruments").generator)


def draw(seed: int, spread: float = 1.0) -> np.ndarray:
    """A random latent of ``all_instruments``, as a server draws it."""
    return prior().draw(seed, spread)
