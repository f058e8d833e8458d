"""Notes without a clock: the same places, counted in the same way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gansynth_server.render.backends.eager import Eager
from gansynth_server.render.folded import fold
from gansynth_server.render.jobs import Job
from gansynth_server.render.offline import BatchRenderer
from gansynth_server.spectral.arena import Arena, LocalSpectra, SharedSpectra
from tests.support import golden_rule


@pytest.fixture(scope="module")
def backend():
    generator = golden_rule.generator(golden_rule.TINY)
    return Eager(fold(generator, "float32"), torch.device("cpu"))


class Told:
    """Jobs, and what was told of them."""

    def __init__(self, renderer, backend, arena) -> None:
        self.renderer, self.backend, self.arena = renderer, backend, arena
        self.events: list[tuple[int, str, object]] = []
        self.uses: list[int] = []

    def submit(self, label):
        def tell(what):
            def told(spectrum):
                self.events.append((label, what, spectrum))
                if what != "failed":
                    self.uses.append(self.arena.uses(spectrum))

            return told

        z = np.full(32, 0.1 * label, np.float32)
        self.renderer.submit(
            Job(self.backend, z, label, tell("done"), tell("failed"), tell("begun"))
        )

    def work(self):
        self.events.clear()
        self.uses.clear()
        self.renderer.work()
        return [event[:2] for event in self.events]


@pytest.mark.parametrize("spectra", [LocalSpectra(), SharedSpectra(8)], ids=["local", "shared"])
def test_notes_are_in_places_and_right_to_the_bit(backend, spectra):
    arena = Arena(spectra)
    told = Told(BatchRenderer(arena, 1), backend, arena)
    for label in (1, 2, 1):
        told.submit(label)
    both = ["begun", "done"]
    assert told.work() == [(label, what) for label in (1, 2, 1) for what in both]
    one, two, same = (event[2] for event in told.events[::2])
    assert one is same and one.slot != two.slot and one.ready == two.ready == 128
    assert told.uses == [1, 1, 2, 2, 1, 1]  # the renderer; the cache keeps the last
    assert arena.uses(one) == 0 and arena.uses(two) == 1
    z = np.stack([np.full(32, 0.1 * label, np.float32) for label in (1, 2)])
    for ours, theirs in zip((one, two), backend.render(z, np.array([1, 2])), strict=True):
        assert np.array_equal(ours.magnitude, theirs.magnitude)
        assert np.array_equal(ours.increment, theirs.increment)
    told.submit(2)
    assert told.work() == [(2, "begun"), (2, "done")] and told.events[0][2] is two


def test_without_a_place_a_note_fails_and_the_others_come(backend):
    arena = Arena(SharedSpectra(2))
    told = Told(BatchRenderer(arena), backend, arena)
    for label in (1, 2, 3):
        told.submit(label)
    events = told.work()
    assert events[:4] == [(label, what) for label in (1, 2) for what in ("begun", "done")]
    assert events[4:] == [(3, "failed")] and "all 2 places" in told.events[4][2]
    assert arena.free == 2
    told.submit(3)
    assert told.work() == [(3, "begun"), (3, "done")]


def test_it_has_an_arena_of_its_own(backend):
    renderer = BatchRenderer()
    told = Told(renderer, backend, renderer._arena)
    for label in range(20):
        told.submit(label)
    assert len(told.work()) == 40
    assert len({event[2].slot for event in told.events}) == 20
