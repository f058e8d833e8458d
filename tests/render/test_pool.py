"""Several render processes as one, with real processes that are killed under way."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from gansynth_server import api
from gansynth_server.errors import RenderError, UserError
from gansynth_server.latent.vectors import draw
from gansynth_server.options import ServerOptions
from gansynth_server.render.backends.base import HEAD
from gansynth_server.render.jobs import Job
from gansynth_server.render.pool import RETRIES, RenderPool, start
from gansynth_server.render.process import ProcessEndedError, RenderProcess
from gansynth_server.render.protocol import FramesIntoRequest, Lane, SpectraRequest
from gansynth_server.render.remote import RemoteModel
from gansynth_server.render.renderer import Renderer
from gansynth_server.server.render_worker import serve
from gansynth_server.spectral.arena import Arena, SharedSpectra
from gansynth_server.spectral.spectrum import Spectrum

OPTIONS = ServerOptions(
    torch_device="cpu", backend="eager", precision="float32", threads=1, workers=2
)
NOTES = 60


@pytest.fixture
def spectra():
    return SharedSpectra(NOTES + 8)


@pytest.fixture
def pool(tiny, spectra):
    made = start(OPTIONS, serve, spectra)
    assert isinstance(made, RenderPool)
    yield made
    made.stop()


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Told:
    """What the jobs of some notes were told, by note."""

    def __init__(self, renderer: Renderer, model: RemoteModel) -> None:
        self._renderer, self._model = renderer, model
        self.events: dict[int, list[str]] = {}
        self.failures: list[str] = []
        self.spectra: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def play(self, seed: int) -> None:
        events = self.events[seed] = []

        def done(spectrum: Spectrum) -> None:
            self.spectra[seed] = spectrum.magnitude.copy(), spectrum.increment.copy()
            events.append("done")

        def failed(why: str) -> None:
            self.failures.append(why)
            events.append("failed")

        self._renderer.submit(
            Job(
                self._model.backend,
                draw(256, seed),
                seed % 60,
                done=done,
                failed=failed,
                begun=lambda spectrum: events.append("begun"),
                owner=seed % 3,
            )
        )

    def all_over(self) -> bool:
        return all(events and events[-1] != "begun" for events in self.events.values())


@pytest.fixture
def told(pool, spectra):
    renderer = Renderer(Arena(spectra), 0, threads=pool.workers)
    yield Told(renderer, RemoteModel(pool, "all_instruments"))
    pool.stop()
    renderer.stop()


def check_sound(told: Told) -> None:
    """Every note is told of in order, and is what one process renders."""
    assert all(events == ["begun", "done"] for events in told.events.values()), told.events
    backend = api.load("all_instruments", "cpu", "eager", "float32").backend
    for seed in list(told.spectra)[::7]:
        (wanted,) = backend.render(draw(256, seed)[None], np.array([seed % 60]))
        magnitude, increment = told.spectra[seed]
        assert np.abs(magnitude - wanted.magnitude).max() <= 1e-4 * wanted.magnitude.max()
        assert np.abs(increment - wanted.increment).max() <= 1e-4


def test_every_slice_is_rendered_once_and_by_both(pool, told, monkeypatch):
    slices: Counter[tuple[bytes, tuple[int, int]]] = Counter()
    threads: set[int] = set()
    ask = pool.ask

    def watched(lane, request):
        if isinstance(request, FramesIntoRequest):
            threads.add(threading.get_ident())
            for z in request.z:
                slices[z.tobytes(), request.window] += 1
        return ask(lane, request)

    monkeypatch.setattr(pool, "ask", watched)
    for seed in range(NOTES):
        told.play(seed)
    until(told.all_over)
    check_sound(told)
    assert set(slices.values()) == {1} and len(threads) == 2
    for seed in range(NOTES):
        windows = sorted(window for z, window in slices if z == draw(256, seed).tobytes())
        assert windows[0] == HEAD and windows[-1][1] == 128
        assert all(a[1] == b[0] for a, b in pairwise(windows))


def test_workers_that_are_killed_lose_no_note(pool, told):
    """One is killed, then the other one, then both at once, while notes keep coming."""
    kills: dict[int, list[int]] = {5: [0], 25: [1], 45: [0, 1]}
    for seed in range(NOTES):
        told.play(seed)
        if seed in kills:
            until(lambda: all(worker.ready for worker in pool._workers))
            told.play(NOTES + seed)  # so that there is something to do
            for number in kills[seed]:
                os.kill(pool.pids[number], signal.SIGKILL)
        time.sleep(0.01)
    until(told.all_over)
    assert not told.failures
    check_sound(told)
    until(lambda: all(worker.ready for worker in pool._workers))


def test_long_work_is_done_again_too(pool, told):
    path = str(told._model.checkpoint.weights)
    request = SpectraRequest(path, np.stack([draw(256, n) for n in range(40)]), [60] * 40)
    results: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: results.append(pool.spectra(request)))
    thread.start()
    until(lambda: any(worker.busy for worker in pool._workers))
    busy = next(worker for worker in pool._workers if worker.busy)
    os.kill(busy.process.pid, signal.SIGKILL)
    thread.join(60)
    assert np.array_equal(results[0], told._model.spectra(request.z, request.pitches))


def dies_of_spectra(options, channels, spectra) -> None:
    """A worker that is ended by every request on one lane."""

    def answer(lane: Lane) -> None:
        while True:
            channels[lane].receive()
            os._exit(3)

    for lane in (Lane.WORK, Lane.LOAD, Lane.SEARCH):
        threading.Thread(target=answer, args=(lane,), daemon=True).start()
    answer(Lane.LIVE)


def test_what_ends_every_process_is_given_up(tiny):
    pool = RenderPool([replace(OPTIONS), replace(OPTIONS)], dies_of_spectra)
    try:
        before = set(pool.pids)
        with pytest.raises(ProcessEndedError):
            pool.ask(Lane.WORK, SpectraRequest("", np.zeros((1, 256), np.float32), [60]))
        assert len(set(pool.pids) - before) == 2 and RETRIES == 2
    finally:
        pool.stop()
    with pytest.raises(RenderError):
        pool.ask(Lane.WORK, SpectraRequest("", np.zeros((1, 256), np.float32), [60]))


def test_devices_and_threads_are_shared_out(tiny, monkeypatch):
    made: list[ServerOptions] = []
    monkeypatch.setattr(
        "gansynth_server.render.pool.RenderPool", lambda each, *_: made.extend(each)
    )
    monkeypatch.setattr(os, "cpu_count", lambda: 9)
    start(replace(OPTIONS, torch_device="cuda:0, cuda:1", workers=1, threads=0), serve)
    assert [each.torch_device for each in made] == ["cuda:0", "cuda:1"]
    assert [each.threads for each in made] == [4, 4]
    made.clear()
    start(replace(OPTIONS, torch_device="cuda:0,cuda:1", workers=3, threads=5), serve)
    assert [each.torch_device for each in made] == ["cuda:0", "cuda:1", "cuda:0"]
    assert [each.threads for each in made] == [5, 5, 5]


def test_one_worker_is_a_plain_process(tiny):
    process = start(replace(OPTIONS, workers=1), serve)
    try:
        assert type(process) is RenderProcess and process.workers == 1
    finally:
        process.stop()


def test_a_checkpoint_that_is_not_there(pool):
    with pytest.raises(UserError):
        pool.load("nonsense")
