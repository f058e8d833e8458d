"""Devices, networks and clocks that fail while the server plays."""

import signal
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gansynth_server.audio import sample_clock
from gansynth_server.audio.sample_clock import ClockLink
from gansynth_server.errors import UserError
from gansynth_server.render.backends.base import WHOLE, Backend
from gansynth_server.render.backends.eager import Eager
from gansynth_server.render.backends.fallback import WithFallback
from gansynth_server.render.folded import fold
from gansynth_server.render.jobs import Job
from gansynth_server.render.renderer import Renderer
from gansynth_server.util import threads
from gansynth_server.util.threads import behind_others, use_realtime
from tests.support import golden_rule
from tests.support.jack import Jack, run_with_jack
from tests.support.pulling import Puller
from tests.support.server import Peer, ServerProcess


def lose_jack(jack: Jack) -> dict[str, Any]:
    """A server on JACK with a stream beside it; JACK ends, and comes back."""
    jack.start()
    with ServerProcess("--output", "soundcard") as server:
        puller = Puller(server.port)
        puller.send("/hold", 1)
        puller.send("/note", 60, 100)
        puller.pull_until(lambda: puller.status()[1] == 1)
        puller.listen(50)
        before = len(puller.blocks)
        jack.end()
        puller.pull_until(lambda: any("is gone" in line for line in server.errors))
        puller.listen(200)
        loud = [float(np.abs(block).max()) for block in puller.blocks[before:]]
        jack.start()
        puller.listen(50)
        voices = puller.status()[1]
        return {
            "loud": min(loud),
            "blocks": len(loud),
            "voices": voices,
            "errors": [line for line in server.errors if "audio." in line],
            "exit": server.stop(),
        }


def test_streams_and_messages_go_on_when_jack_dies():
    result = run_with_jack(lose_jack)
    assert result["loud"] > 1e-4 and result["blocks"] >= 200
    assert result["voices"] == 1 and result["exit"] == 0
    assert len(result["errors"]) == 1 and "is gone" in result["errors"][0]


def test_a_pd_that_restarts_or_changes_its_rate_is_served_again():
    with ServerProcess("--output", "none") as server:
        for rate, block in ((48000, 512), (44100, 64), (96000, 1024), (48000, 512)):
            puller = Puller(server.port)
            puller.stream = puller.ask("/stream/open", rate, block, 4)[2]
            puller.send("/note", 60, 100)
            patience = time.monotonic() + 30
            while np.abs(pull(puller, block)).max() < 1e-4:
                assert time.monotonic() < patience
            puller.close()  # dies without a word
        again = Puller(server.port)
        first = again.stream
        again.pull()
        second = again.ask("/stream/open", 48000, 512, 4)[2]
        assert second != first
        again.send("/stream/pull", 1.0, float(first))
        assert again.receive()[0] == "/fail"
        assert not [line for line in server.errors if "watchdog" not in line]


def pull(puller, block):
    puller.send("/stream/pull", float(puller.number), float(puller.stream))
    puller.number += 1
    while not (datagram := puller.socket.recv(65536)).startswith(b"/b\0"):
        pass
    return np.frombuffer(datagram[-4 * block :], ">f4")


def test_a_suspended_server_goes_on_and_bursts_nothing():
    with ServerProcess("--output", "none") as server:
        puller = Puller(server.port)
        puller.send("/hold", 1)
        puller.send("/note", 60, 100)
        puller.pull_until(lambda: puller.status()[1] == 1)
        puller.listen(20)
        server.process.send_signal(signal.SIGSTOP)
        number = puller.number
        asked = list(range(number, number + 280))  # three seconds of Pd, which does not wait
        for k in asked:
            puller.send("/stream/pull", float(k), puller.stream)
            time.sleep(0.01)
        server.process.send_signal(signal.SIGCONT)
        puller.number = asked[-1] + 1
        got = 0
        puller.socket.settimeout(1.0)
        try:
            while True:
                got += puller.socket.recv(65536).startswith(b"/b\0")
        except TimeoutError:
            pass
        assert got <= len(asked)  # each block once
        assert np.abs(puller.listen(20)).max() > 1e-4
        assert puller.status()[1] == 1
        assert server.stop() == 0


@pytest.mark.parametrize("jump", [-3600.0, -1.0, 1.0, 3600.0, 1e9])
def test_a_clock_that_jumps_stalls_nothing(jump):
    now = 1000.0
    linked = ClockLink(48000, lambda: now)
    sample = 0
    for step in range(400):
        now += 0.01 + (jump if step == 200 else 0)
        sample += 480
        linked.rendered(sample)
    ahead = linked.sample(now + 0.1) - sample
    assert abs(ahead - 4800) <= sample_clock.JUMP * 48000
    assert linked.sample(now - 1e6) <= sample


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
    renderer, backend = Renderer(), Failing(eager, 1)
    try:
        assert "CUDA out of memory" in rendered(renderer, backend)
        assert np.isfinite(rendered(renderer, backend).magnitude).all()
    finally:
        renderer.stop()


def test_with_a_fallback_the_note_itself_sounds(eager, caplog):
    renderer = Renderer()
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
    renderer = Renderer()
    try:
        for _ in range(2):
            assert "CUDA out of memory" in rendered(renderer, backend)
    finally:
        renderer.stop()


def test_real_time_is_granted_or_refused_in_one_line():
    with ServerProcess("--output", "none", "--realtime") as server:
        (line,) = [line for line in server.lines if "real" in line and "ready" not in line]
        assert "priority 70" in line or ("refuses" in line and "going on without" in line)
        assert Peer(server.port).ask("/version")[1] == "gansynth-server"
        assert not [line for line in server.errors if "watchdog" not in line]


def test_what_the_system_refuses_is_said_with_the_way_out(monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(threads.os, "sched_setscheduler", refused)
    monkeypatch.setattr(threads, "_lock_memory", lambda: "Cannot allocate memory")
    line = use_realtime()
    assert "ulimit -r" in line and "ulimit -l" in line and "\n" not in line
    monkeypatch.delattr(threads.os, "sched_setscheduler")
    assert "going on without" in use_realtime()
    with behind_others():  # whatever is allowed here
        pass
    with pytest.raises(UserError), behind_others():
        raise UserError("passes")
