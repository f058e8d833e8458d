"""The render process writes into the arena: what is there is what is rendered here."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from gansynth_server import api
from gansynth_server.errors import RenderError
from gansynth_server.options import ServerOptions
from gansynth_server.render.jobs import Job
from gansynth_server.render.process import RenderProcess
from gansynth_server.render.protocol import FramesIntoRequest
from gansynth_server.render.remote import RemoteModel
from gansynth_server.render.renderer import Renderer
from gansynth_server.server.render_worker import serve
from gansynth_server.spectral.arena import Arena, LocalSpectra, SharedSpectra

EAGER = ServerOptions(torch_device="cpu", backend="eager", precision="float32", threads=1)
LABELS = np.array([36, 2])


@pytest.fixture(scope="module")
def spectra():
    return SharedSpectra(8)


@pytest.fixture(scope="module")
def process(tiny, spectra):
    made = RenderProcess(EAGER, serve, spectra)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def backend(process):
    return RemoteModel(process, "all_instruments").backend


@pytest.fixture
def arena(spectra):
    return Arena(spectra)


@pytest.fixture
def z():
    return np.random.default_rng(1).standard_normal((2, 256)).astype(np.float32)


def equal(ours, theirs, frames=slice(None)):
    return np.array_equal(ours.magnitude[frames], theirs.magnitude[frames]) and np.array_equal(
        ours.increment[frames], theirs.increment[frames]
    )


def test_it_writes_into_places_and_sends_nothing(process, backend, arena, z, monkeypatch):
    asked, ask = [], process.ask

    def watched(lane, request):
        asked.append((request, ask(lane, request)))
        return asked[-1][1]

    monkeypatch.setattr(process, "ask", watched)
    shared = [arena.take(), arena.take()]
    for spectrum in shared:
        spectrum.magnitude.fill(-1)
        spectrum.increment.fill(-1)
    backend.live_into(z, LABELS, (8, 64), shared)
    ((request, (info, arrays)),) = asked
    assert isinstance(request, FramesIntoRequest) and request.slots == (0, 1)
    assert info == backend.info and arrays == []
    local = Arena(LocalSpectra())
    here = [local.take(), local.take()]
    backend.live_into(z, LABELS, (8, 64), here)  # they come through the channel
    assert not isinstance(asked[1][0], FramesIntoRequest)
    for ours, theirs in zip(shared, here, strict=True):
        assert ours.ready == 0 and equal(ours, theirs, slice(8, 64))
        assert (ours.magnitude[:8] == -1).all() and (ours.increment[64:] == -1).all()
    backend.live_into(z, LABELS, (0, 8), [shared[0], here[1]])
    assert len(asked) == 3 and not isinstance(asked[2][0], FramesIntoRequest)
    assert not (shared[0].magnitude[:8] == -1).any()


def test_what_it_writes_is_what_is_rendered_here(tiny, backend, arena, z):
    ours, model = arena.take(), api.load("all_instruments", "cpu", "eager", "float32")
    backend.live_into(z[:1], LABELS[:1], (0, 128), [ours])
    (theirs,) = model.backend.render(z[:1], LABELS[:1])
    assert np.abs(ours.magnitude - theirs.magnitude).max() <= 1e-4 * theirs.magnitude.max()
    assert np.abs(ours.increment - theirs.increment).max() <= 1e-4


def test_a_place_that_is_none_is_an_error(backend, arena, z, process):
    with pytest.raises(RenderError, match="place 99 of 8"):
        process.render_into(FramesIntoRequest(backend._path, z[:1], LABELS[:1], (0, 8), (99,)))


def rendered(renderer, backend, z, label):
    """The spectrum of a note, or why there is none."""
    told: list[object] = []
    renderer.submit(Job(backend, z, label, told.append, told.append))
    deadline = time.monotonic() + 30
    while not told:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return told[0]


def test_the_memory_outlives_the_process(tiny, z):
    spectra = SharedSpectra(4)
    arena = Arena(spectra)
    process = RenderProcess(EAGER, serve, spectra)
    renderer = Renderer(arena, 4)
    try:
        backend = RemoteModel(process, "all_instruments").backend
        first = rendered(renderer, backend, z[0], 36)
        before = first.magnitude.copy()
        pid = process.pid
        os.kill(pid, signal.SIGKILL)
        assert "started again" in rendered(renderer, backend, z[1], 2)
        renderer.finish()
        assert arena.free == 3 and np.array_equal(first.magnitude, before)
        second = rendered(renderer, backend, z[1], 2)
        assert process.pid != pid and second.slot != first.slot
        local = Arena(LocalSpectra()).take()
        backend.live_into(z[1:], LABELS[1:], (0, 128), [local])
        assert np.abs(second.magnitude - local.magnitude).max() <= 1e-5 * local.magnitude.max()
        assert np.array_equal(first.magnitude, before)
        assert rendered(renderer, backend, z[0], 36) is first  # from the cache
    finally:
        renderer.stop()
        process.stop()


def test_processes_that_come_and_go_leave_no_descriptor(tiny, z):
    before = len(os.listdir("/proc/self/fd"))
    process = RenderProcess(EAGER, serve, SharedSpectra(1))
    for _ in range(2):
        open_now = len(os.listdir("/proc/self/fd"))
        process._life.process.kill()
        with pytest.raises(RenderError):
            RemoteModel(process, "all_instruments")
        assert len(os.listdir("/proc/self/fd")) == open_now
    process.stop()
    del process
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # multiprocessing's own
