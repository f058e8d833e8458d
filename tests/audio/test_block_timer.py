"""Which blocks are late."""

import time

import numpy as np

from gansynth_server.audio.block_timer import BlockTimer, Watched


def test_a_steady_source_is_never_late_and_a_late_one_is():
    class ConstantPath:
        def render(self, frames):
            return np.zeros((1, frames), np.float32)

    pulse = BlockTimer("the output")
    source = Watched(ConstantPath(), 48000, pulse)
    for _ in range(5):
        source.render(4800)
        assert pulse.behind(time.monotonic()) < 0
    assert pulse.longest < 0.1
    time.sleep(0.5)
    assert pulse.behind(time.monotonic()) > 0.2
    source.render(4800)
    assert pulse.longest > 0.2
