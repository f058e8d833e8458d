"""The networks' own process: its end and its silence are nobody's end but its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from gansynth_server import api
from gansynth_server.bench.process import children, name
from gansynth_server.errors import RenderError, UserError
from gansynth_server.latent.prior import Prior
from gansynth_server.latent.sequence import Sequence, random_keys
from gansynth_server.latent.vectors import draw
from gansynth_server.options import ServerOptions
from gansynth_server.render.process import RenderProcess
from gansynth_server.render.protocol import TIMEOUT_S, Lane
from gansynth_server.render.remote import RemoteModel
from gansynth_server.server.render_worker import serve
from gansynth_server.util.threads import RENDER
from tests.support.puller import BLOCK, Puller
from tests.support.server import ServerProcess
from tests.support.sounds import roughness

EAGER = ServerOptions(torch_device="cpu", backend="eager", precision="float32", threads=1)


@pytest.fixture(scope="module")
def worker():
    made = RenderProcess(EAGER, serve)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def model(worker):
    return RemoteModel(worker, "all_instruments")


@pytest.fixture(scope="module")
def local():
    return api.load("all_instruments", "cpu", "eager", "float32")


def path_of(model):
    return str(model.checkpoint.weights)


def alive(pid):
    return pid in [child.pid for child in multiprocessing.active_children()]


def close(ours, theirs):
    """Threads of OpenMP add up in orders of their own."""
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype == np.float32
    return np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def test_what_it_renders_is_what_is_rendered_here(worker, model, local):
    z, labels = draw(256, 3)[None], np.array([36])
    assert (model.latent_size, model.pitches) == (local.latent_size, local.pitches)
    assert model.presets.keys() == local.presets.keys()
    assert model.checkpoint.provenance == local.checkpoint.provenance
    for ours, theirs in zip(
        model.backend.live(z, labels, (0, 8)), local.backend.live(z, labels, (0, 8)), strict=True
    ):
        assert ours.shape == (1, 8, 1024) and close(ours, theirs)
    (ours,), (theirs,) = model.backend.render(z, labels), local.backend.render(z, labels)
    assert close(ours.magnitude, theirs.magnitude)
    assert close(model.spectra(z, [60]), local.spectra(z, [60]))
    sequence = Sequence(
        random_keys(2, Prior(256), 7), steps=1, spacing=0.3, attack=0.1, sustain=0.2
    )
    ours, theirs = (
        worker.hallucination(path_of(model), sequence, 16000),
        local.hallucination(sequence, 16000),
    )
    assert ours.shape == theirs.shape == (len(theirs),)
    assert np.abs(ours - theirs).max() < 0.01 * np.abs(theirs).max() > 0


def test_its_errors_are_ours(worker, model):
    with pytest.raises(UserError, match="no checkpoint called 'no_such_thing'"):
        RemoteModel(worker, "no_such_thing")
    with pytest.raises(UserError, match="pitches must be among"):
        model.spectra(np.zeros((1, 256), np.float32), [3])
    with pytest.raises(RenderError):  # what nobody foresaw
        model.backend.live(np.zeros((1, 3), np.float32), np.array([0]), (0, 8))
    assert model.backend.live(np.zeros((1, 256), np.float32), np.array([0]), (0, 8))


def test_a_long_piece_of_work_holds_no_note_up(model, worker):
    sequence = Sequence(random_keys(9, Prior(256), 7), steps=3, spacing=0.5)
    model.backend.live(np.zeros((1, 256), np.float32), np.array([0]), (0, 8))
    with worker._life._channels[Lane.WORK][0]:  # as if it were busy
        model.backend.live(np.zeros((1, 256), np.float32), np.array([0]), (0, 8))
    assert len(worker.hallucination(path_of(model), sequence, 16000)) == pytest.approx(
        16000 * sequence.seconds, abs=2000
    )


def test_it_is_started_again_and_loads_what_it_had(caplog):
    made = RenderProcess(EAGER, serve)
    try:
        model = RemoteModel(made, "all_instruments")
        z, labels = draw(256, 3)[None], np.array([36])
        before, first = model.backend.live(z, labels, (0, 8)), made.pid
        os.kill(first, signal.SIGKILL)
        with pytest.raises(RenderError, match="started again"):
            model.backend.live(z, labels, (0, 8))
        assert "ended with -9" in caplog.text
        after = model.backend.live(z, labels, (0, 8))
        assert made.pid != first and not alive(first)
        assert close(after[0], before[0])
    finally:
        made.stop()
    with pytest.raises(RenderError, match="stopped"):
        model.backend.live(z, labels, (0, 8))
    assert not alive(made.pid)


def test_one_that_hangs_is_ended(monkeypatch):
    made = RenderProcess(EAGER, serve)
    try:
        model = RemoteModel(made, "all_instruments")
        monkeypatch.setitem(TIMEOUT_S, Lane.LIVE, 0.5)
        hung = made.pid
        os.kill(hung, signal.SIGSTOP)
        with pytest.raises(RenderError):
            model.backend.live(np.zeros((1, 256), np.float32), np.array([0]), (0, 8))
        assert made.pid != hung and not alive(hung)
    finally:
        made.stop()


def child_of(pid):
    """The render process of a server."""
    (found,) = [child for child in children(pid) if name(child) == RENDER]
    return found


def test_a_chord_outlives_it():
    with ServerProcess("--output", "none") as server:
        puller = Puller(server.port)
        puller.send("/z/preset", "z", "drawbar_organ")
        puller.send("/hold", 1)
        puller.send("/note", 48, 100, "held")
        puller.send("/sync", 1)
        puller.pull_until(lambda: ("/synced", 1) in puller.told)
        puller.listen(100)
        steady = roughness(puller.sound[-100 * BLOCK :])
        puller.blocks.clear()
        os.kill(child_of(server.process.pid), signal.SIGKILL)
        puller.told.clear()
        puller.send("/note", 61, 100, "lost")  # unless what is rendered ahead is lost for it
        puller.pull_until(lambda: any("render process ended" in line for line in server.errors))
        puller.listen(100)
        sound = puller.sound
        loud = np.sqrt(np.mean(sound.reshape(-1, BLOCK) ** 2, axis=1))
        assert loud.min() > 0.2 * np.median(loud) > 1e-3
        assert roughness(sound) <= 2 * steady + 1e-5
        before = puller.status()[1]
        puller.send("/note", 62, 100, "later")
        puller.pull_until(lambda: puller.status()[1] > before)
        assert server.stop() == 0


def test_nothing_is_left_of_a_server_that_is_killed():
    with ServerProcess("--output", "none") as server:
        child = child_of(server.process.pid)
        server.process.kill()
        server.process.wait()
        until = time.monotonic() + 10
        while Path(f"/proc/{child}").exists():
            assert time.monotonic() < until
            time.sleep(0.05)


def test_nothing_is_left_of_a_server_that_does_not_start():
    with pytest.raises(AssertionError, match="no_such_thing"):
        ServerProcess("--output", "none", "--checkpoint", "no_such_thing")
