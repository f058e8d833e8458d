"""What a backend that fails leaves of a note: an error, or the note itself by a fallback."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gansynth_server.render.backends.base import WHOLE, Backend
from gansynth_server.render.backends.eager import Eager
from gansynth_server.render.backends.fallback import WithFallback
from gansynth_server.render.folded import fold
from gansynth_server.render.jobs import Job
from gansynth_server.render.renderer import Renderer
from gansynth_server.spectral.arena import Arena, LocalSpectra
from tests.support import golden_rule


class Failing(Backend):
    """Fails as a GPU does that has no memory left."""

    def __init__(self, good: Backend, failures: int) -> None:
        self.good, self.left = good, failures
        self.weights, self.info = good.weights, replace(good.info, name="failing")

    def frames(self, z, labels, window):
        if self.left:
            self.left -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return self.good.frames(z, labels, window)


@pytest.fixture(scope="module")
def eager():
    generator = golden_rule.generator(golden_rule.TINY)
    return Eager(fold(generator, "float32"), torch.device("cpu"))


def rendered(renderer, backend):
    import queue

    told = queue.SimpleQueue()
    z = np.ones(32, np.float32)
    renderer.submit(Job(backend, z, 3, told.put, told.put))
    return told.get(timeout=30)


def test_without_memory_one_note_fails_and_the_next_sounds(eager):
    renderer, backend = Renderer(Arena(LocalSpectra()), 0), Failing(eager, 1)
    try:
        assert "CUDA out of memory" in rendered(renderer, backend)
        assert np.isfinite(rendered(renderer, backend).magnitude).all()
    finally:
        renderer.stop()


def test_with_a_fallback_the_note_itself_sounds(eager, caplog):
    renderer = Renderer(Arena(LocalSpectra()), 0)
    made = []
    backend = WithFallback(Failing(eager, 10**9), lambda: made.append(1) or eager)
    try:
        for _ in range(2):
            assert np.isfinite(rendered(renderer, backend).magnitude).all()
    finally:
        renderer.stop()
    assert made == [1] and backend.info == eager.info
    z, labels = np.ones((1, 32), np.float32), np.array([3])
    for ours, theirs in zip(
        backend.frames(z, labels, WHOLE), eager.frames(z, labels, WHOLE), strict=True
    ):
        assert np.array_equal(ours, theirs)
    assert [r.message.split(" ")[0] for r in caplog.records] == ["failing", "rendering"]


def test_a_fallback_that_fails_too_is_told(eager):
    backend = WithFallback(Failing(eager, 10**9), lambda: Failing(eager, 10**9))
    renderer = Renderer(Arena(LocalSpectra()), 0)
    try:
        for _ in range(2):
            assert "CUDA out of memory" in rendered(renderer, backend)
    finally:
        renderer.stop()
