"""The engine in a process of its own: what it has loaded, that it is replaced, and that it ends."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gansynth_server.engine.commands import Frames, Timed
from gansynth_server.engine.events import Ended, Event, Heard, Looked, Opened, Started, Untapped
from gansynth_server.engine.process import EngineProcess
from gansynth_server.errors import UserError
from gansynth_server.options import ServerOptions
from gansynth_server.osc.codec import decode, encode
from gansynth_server.spectral.arena import Arena, SharedSpectra
from gansynth_server.spectral.constants import FRAMES
from gansynth_server.synth.note import Note
from tests.support import notes
from tests.support.paths import ROOT

RATE, BLOCK = 48000, 512
TIMEOUT_S = 30
OPTIONS = ServerOptions(output="none", rate=RATE, channels=2, max_clients=3)
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")


class Running:
    """A process with its main bus, one stream and one spectrum, as the server has them."""

    def __init__(self, options: ServerOptions = OPTIONS) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        spectra = SharedSpectra(4)
        self.arena = Arena(spectra)
        self.events: list[Event] = []
        self.engine = EngineProcess(options, [self.socket], spectra, self.arena)
        self.begun = time.monotonic()
        self.opened: Opened = self.engine.opened()
        self.main = self.engine.open_main(self.opened.rate, self.opened.channels, 8)
        self.bus = self.engine.open_bus(RATE, 1, 8)
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.settimeout(TIMEOUT_S)
        where = self.listener.getsockname()
        self.engine.open_stream(12345, where, where, self.bus, BLOCK, 4)
        spectrum, made = self.arena.take(), notes.spectrum(0.05)
        assert spectrum is not None
        spectrum.extend(made.magnitude, made.increment)
        self.spectrum = spectrum
        self.number = 0

    def play(self, number: int, *, frames: int = FRAMES, hold: bool = True) -> None:
        self.engine.post(Timed(Frames(self.spectrum.slot, frames)))
        self.bus.new_note(Note(1, number, 60, 100, 60, hold=hold))
        self.bus.start(number, self.spectrum, None, 0)

    def pull(self) -> np.ndarray:
        """The next block of the stream."""
        pull = encode("/stream/pull", float(self.number), 12345.0)
        self.listener.sendto(pull, self.socket.getsockname())
        ((_, message),) = decode(self.listener.recv(65536))
        assert message.address == "/b" and message.args[0] == self.number
        self.number += 1
        return np.float32(message.args[2:])

    def listen(self, blocks: int) -> np.ndarray:
        return np.concatenate([self.pull() for _ in range(blocks)])

    def receive(self, seconds: float = 0.1) -> None:
        if select.select([self.engine], [], [], seconds)[0]:
            self.events += self.engine.receive()

    def wait(self, happened: Callable[[], bool]) -> None:
        """Receive events until something has happened."""
        deadline = time.monotonic() + TIMEOUT_S
        while not happened():
            assert time.monotonic() < deadline, self.events
            self.receive()

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def lent(self) -> int:
        return self.arena.uses(self.spectrum) - 1

    def die(self) -> None:
        """Kill the process, and receive what it has told until that is noticed."""
        assert self.engine.pid is not None
        os.kill(self.engine.pid, signal.SIGKILL)
        deadline = time.monotonic() + TIMEOUT_S
        try:
            while time.monotonic() < deadline:
                self.receive()
        except EOFError:
            return
        raise AssertionError("the end was not noticed")

    def close(self) -> None:
        self.engine.stop()
        self.socket.close()
        self.listener.close()


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.close()


def status(pid: int) -> dict[str, str]:
    """What /proc says of a process; nothing once it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return {}
    found = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    return {} if found["State"][0] in "ZX" else found


def children(pid: int) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [child for child in pids if status(child).get("PPid", "").strip() == str(pid)]


# what it has loaded


def test_it_imports_neither_torch_nor_the_table_of_messages() -> None:
    code = "import gansynth_server.engine.inside, sys; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    modules = set(said.stdout.split())
    assert "gansynth_server.engine.loop" in modules
    rooms = {name.split(".")[1] for name in modules if name.startswith("gansynth_server.")}
    assert not modules & {"torch", "openvino", "gansynth_server.osc.table", "safetensors"}
    assert not rooms & {"handlers", "instrument", "latent", "model", "net", "render", "server"}


@needs_proc
def test_the_process_has_no_torch_and_is_small(running: Running) -> None:
    assert running.engine.pid is not None
    running.engine.go()
    running.play(1)
    running.listen(20)
    assert "libtorch" not in Path(f"/proc/{running.engine.pid}/maps").read_text()
    said = status(running.engine.pid)
    resident_mb = int(said["VmRSS"].split()[0]) / 1024
    assert resident_mb <= 120, said


def test_it_is_ready_soon(running: Running) -> None:
    assert time.monotonic() - running.begun < 15
    assert (running.opened.rate, running.opened.channels) == (RATE, 2)
    assert running.engine.starts == 1


def test_what_cannot_begin_is_said_and_leaves_no_process() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        spectra = SharedSpectra(1)
        engine = EngineProcess(replace(OPTIONS, rate=8000), [sock], spectra, Arena(spectra))
        with pytest.raises(UserError, match="16000"):
            engine.opened()
        engine._process.join(TIMEOUT_S)
        assert engine._process.exitcode == 0


# it plays


def test_a_note_sounds_in_a_stream_and_ends(running: Running) -> None:
    running.engine.go()
    running.play(1)
    assert running.lent == 1
    running.wait(lambda: np.abs(running.pull()).max() > 0.005)
    running.bus.look(1, 0.5, 0)
    running.wait(lambda: len(running.pull()) > 0 and bool(running.told(Looked)))
    running.bus.release(1, 0.0, None)
    running.wait(lambda: len(running.pull()) > 0 and bool(running.told(Ended)))
    running.wait(lambda: running.lent == 0)
    assert running.told(Started) == [Started(1)] and running.told(Ended) == [Ended(1, 0)]
    assert not running.listen(4)[-BLOCK:].any()


def test_what_is_no_pull_is_heard(running: Running) -> None:
    running.engine.go()
    running.listener.sendto(b"/note\0\0\0,\0\0\0", running.socket.getsockname())
    running.wait(lambda: bool(running.told(Heard)))
    assert running.told(Heard)[0].datagrams == [
        (b"/note\0\0\0,\0\0\0", running.listener.getsockname())
    ]


def test_commands_that_are_sent_together_take_effect_together(running: Running) -> None:
    running.engine.go()
    with running.engine.together():
        for number in range(1, 9):
            running.play(number)
    seen = set()
    while 8 not in seen:
        running.pull()
        seen.add(running.bus.state.sounding)
    assert seen <= {0, 8}


def test_buses_are_counted_and_given_back(running: Running) -> None:
    others = [running.engine.open_bus(RATE, 1, 4) for _ in range(2)]
    assert len({running.main.number, running.bus.number, *(o.number for o in others)}) == 4
    with pytest.raises(UserError, match="--max-clients"):
        running.engine.open_bus(RATE, 1, 4)
    running.engine.close_bus(others[0])
    running.engine.close_bus(others[0])
    again = running.engine.open_bus(44100, 2, 4)
    assert again.number == others[0].number
    with pytest.raises(UserError, match="--max-clients"):
        running.engine.open_bus(RATE, 1, 4)


def test_a_tap_copies_the_sound_of_a_bus(running: Running) -> None:
    running.engine.go()
    tap = running.engine.open_tap(running.bus)
    running.play(1)
    running.wait(lambda: np.abs(running.pull()).max() > 0.005)
    begun = running.number
    heard = running.listen(10)
    tap.close()
    running.wait(lambda: bool(running.told(Untapped)))
    sound = tap.ring.read()[0]
    assert np.array_equal(sound[begun * BLOCK : begun * BLOCK + len(heard)], heard)
    assert running.told(Untapped) == [Untapped(tap.number, 0)]
    tap.free()


def test_all_sound_fades_at_the_end(running: Running) -> None:
    running.engine.go()
    running.play(1)
    running.wait(lambda: np.abs(running.pull()).max() > 0.005)
    running.engine.fade(0.0)
    faded = running.listen(4)
    assert np.abs(faded).max() > 1e-3 and not faded[-BLOCK:].any()


# its end


@pytest.mark.parametrize("gone", [True, False])
def test_another_takes_the_place_of_one_that_was_killed(running: Running, gone: bool) -> None:
    first = running.engine.pid
    if gone:
        running.engine.go()
        running.play(1)
        running.wait(lambda: np.abs(running.pull()).max() > 0.005)
        assert running.lent == 1
    running.die()
    running.play(2)  # what nobody hears is no error
    running.engine.replace()
    assert running.lent == 0
    assert running.engine.starts == 2 and running.engine.pid != first
    running.engine.go()
    assert not running.listen(8).any()  # silent until new notes come
    running.play(3)
    running.wait(lambda: np.abs(running.pull()).max() > 0.005)
    running.bus.cut([3])
    running.wait(lambda: len(running.pull()) > 0 and running.lent == 0)
    assert running.told(Ended)[-1] == Ended(3, 0)


def test_it_can_be_killed_again_and_again(running: Running) -> None:
    running.engine.go()
    for number in range(1, 4):
        running.play(number)
        running.wait(lambda: np.abs(running.pull()).max() > 0.005)
        running.die()
        running.engine.replace()
        assert running.lent == 0
    assert running.engine.starts == 4 and not running.listen(4).any()


@needs_proc
def test_it_is_gone_when_it_is_stopped(running: Running) -> None:
    pid = running.engine.pid
    assert pid is not None and status(pid)
    running.engine.go()
    running.engine.stop()
    assert not status(pid)
    running.engine.replace()  # starts no other
    assert running.engine.starts == 1


PARENT = """
import time
from tests.engine.test_process import Running
running = Running()
running.engine.go()
running.play(1)
running.listen(20)
print(running.engine.pid, flush=True)
time.sleep(60)
"""


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_it_ends_by_itself_when_its_server_is_gone(number: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    family = children(parent.pid)
    assert pid in family and status(pid)
    parent.send_signal(number)
    parent.wait(TIMEOUT_S)
    deadline = time.monotonic() + 5  # a second where the machine is not busy
    while left := [child for child in family if status(child)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
    parent.stdout.close()
