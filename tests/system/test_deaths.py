"""Each of the three processes is killed, held up, or told to end, under a chord."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gansynth_server.bench.process import children, name
from gansynth_server.util.threads import ENGINE, RENDER
from tests.support.puller import Puller
from tests.support.server import START, ServerProcess

KILLS = 50
CHORD = (48, 52, 55)

pytestmark = [
    pytest.mark.usefixtures("tiny"),
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
]


@pytest.fixture(scope="module")
def served(tiny) -> Iterator[ServerProcess]:
    with ServerProcess("--output", "none") as process:
        yield process


@pytest.fixture
def listener(served) -> Iterator[Puller]:
    with Puller(served.port) as made:
        made.send("/hold", 1)
        yield made


def part(server: int, which: str) -> int:
    """The process of a server that has this name."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = [child for child in children(server) if name(child) == which]
        if found:
            return found[0]
        time.sleep(0.01)
    raise AssertionError(f"no {which} among {[name(child) for child in children(server)]}")


def play(listener: Puller) -> None:
    """Hold a chord until it is heard, and no failure is left to be told."""
    for pitch in CHORD:
        listener.send("/note", pitch, 100)
    deadline = time.monotonic() + 20
    while listener.status()[1] < len(CHORD) or np.abs(listener.pull()).max() < 1e-4:
        listener.pull()
        assert time.monotonic() < deadline, listener.told


def gone(process: int, seconds: float = 5.0) -> bool:
    """Whether a process has ended, or ends in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if "\nState:\tZ" in Path(f"/proc/{process}/status").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def shared() -> set[str]:
    """What programs other than JACK have in shared memory."""
    return {found for found in os.listdir("/dev/shm") if not found.startswith("jack")}


def test_an_engine_that_is_killed_is_back_and_says_so(served, listener):
    taken = []
    for _ in range(KILLS):
        play(listener)
        listener.told.clear()
        os.kill(part(served.process.pid, ENGINE), signal.SIGKILL)
        begun = time.monotonic()
        listener.pull()  # the socket is the same, so no pull is lost
        taken.append(time.monotonic() - begun)
        assert not np.abs(listener.listen(8)).any()  # silent until new notes
        while not any(words[:2] == ("/fail", "/note") for words in listener.told):
            listener.pull()
        assert listener.status()[1] == 0
    print(f"back after {np.median(taken):.3f} s, at most {max(taken):.3f} s")
    assert np.median(taken) < 2
    play(listener)
    assert any("the sound engine ended with -9" in line for line in served.errors)
    assert not any("Traceback" in line for line in served.errors)


def test_a_render_process_that_is_killed_is_back_and_the_sound_goes_on(served, listener):
    play(listener)
    for number in range(KILLS):
        os.kill(part(served.process.pid, RENDER), signal.SIGKILL)
        listener.send("/z/random", "z", number)
        deadline = time.monotonic() + 20
        voices = listener.status()[1]
        while listener.status()[1] <= min(voices, 8):  # until a new note is heard
            listener.send("/note", 60 + number % 12, 100, 100 + number)
            assert np.abs(listener.listen(8)).max() > 1e-4
            assert time.monotonic() < deadline
        listener.send("/note/off", 100 + number)
    assert not any("Traceback" in line for line in served.errors)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_that_ends_leaves_nothing(tiny, how):
    before = shared()
    with ServerProcess("--output", "none") as process:
        listener = Puller(process.port)
        play(listener)
        server = process.process.pid
        parts = [part(server, which) for which in (ENGINE, RENDER)]
        process.process.send_signal(how)
        assert process.process.wait(10) == (-9 if how == signal.SIGKILL else 0)
        assert all(map(gone, parts))
        assert shared() <= before
        listener.close()


def test_ctrl_c_twice_ends_all_at_once(tiny):
    command = [sys.executable, "-c", START, "--port", "0", "--output", "none"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None and process.stderr is not None
    for line in process.stdout:
        if line.startswith("gansynth-server ready"):
            break
    parts = [part(process.pid, which) for which in (ENGINE, RENDER)]
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all of them
        time.sleep(0.05)
    assert process.wait(10) in (0, 130)
    assert all(map(gone, parts))
    assert "Traceback" not in process.stderr.read()


def test_a_server_that_is_suspended_does_not_hold_the_sound_up(served, listener):
    play(listener)
    os.kill(served.process.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        sound = listener.listen(100)
        assert time.monotonic() - begun < 5 and np.abs(sound[-2048:]).max() > 1e-4
    finally:
        os.kill(served.process.pid, signal.SIGCONT)
    assert listener.status()[1] == len(CHORD)


def test_an_engine_that_is_suspended_goes_on(served, listener):
    play(listener)
    engine = part(served.process.pid, ENGINE)
    os.kill(engine, signal.SIGSTOP)
    time.sleep(1.0)
    os.kill(engine, signal.SIGCONT)
    assert np.abs(listener.listen(20)[-2048:]).max() > 1e-4
    assert part(served.process.pid, ENGINE) == engine
