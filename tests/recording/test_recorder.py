"""A recorder whose disk is slow or full, and the sound file that is the output."""

import functools
import threading
import time

import numpy as np
import pytest
import soundfile

from gansynth_server.audio.shared_ring import SharedRing
from gansynth_server.engine.commands import CloseTap, NewNote, OpenBus, OpenTap, Start, Timed
from gansynth_server.engine.engine import Engine
from gansynth_server.engine.events import Ran, Tapped, Untapped
from gansynth_server.engine.handle import BusHandle
from gansynth_server.engine.tap import EngineTap
from gansynth_server.errors import UserError
from gansynth_server.recording import output_file
from gansynth_server.recording import recorder as module
from gansynth_server.recording.files import Files
from gansynth_server.recording.output_file import OutputFile
from gansynth_server.recording.recorder import Recorder
from gansynth_server.spectral.arena import Arena, LocalSpectra
from gansynth_server.util.sandbox import SandboxedFolder
from tests.support.notes import note, spectrum

RATE, BLOCK = 16000, 160


class Sound:
    """A bus of an engine that plays one note, with a tap."""

    def __init__(self, channels, capacity):
        self.arena, self.events, self.blocks, self.freed = Arena(LocalSpectra()), [], [], []
        ring = SharedRing(np.zeros(SharedRing.size(channels, capacity), np.float32), channels)
        self.engine = Engine(self.arena.get, self.events.append, ring=lambda number, channels: ring)
        self.tap = EngineTap(
            *(0, ring),
            close=lambda: self.post(CloseTap(0)),
            free=functools.partial(self.freed.append, 0),
        )
        place, steady = self.arena.take(), spectrum()
        place.extend(steady.magnitude, steady.increment)
        self.post(OpenBus(0, RATE, channels, 2, 0.5))
        self.post(NewNote(0, note(None, 7, hold=True)))
        self.post(Start(7, place.slot))
        self.post(OpenTap(0, 0))
        self.bus = BusHandle(
            *(0, RATE, channels, 2, self.engine.post),
            state=lambda: self.engine.state(0),
            lend=self.arena.use,
        )

    def post(self, command):
        self.engine.post(Timed(command))

    def render(self, blocks):
        bus = self.engine.buses[0]
        self.blocks += [self.engine.render([(bus, BLOCK)])[0] for _ in range(blocks)]

    @property
    def whole(self):
        return np.concatenate(self.blocks, axis=1)

    def tell(self, recorder):
        """Tell a recorder all that happened so far."""
        for event in self.events:
            if isinstance(event, Tapped | Ran | Untapped):
                recorder.hear(event, None)
        self.events.clear()


class Slow:
    """Files on a disk that stands still."""

    def __init__(self):
        self.begun, self.go = threading.Event(), threading.Event()
        self.written = []
        self.lines = None

    def write(self, sound):
        self.begun.set()
        assert self.go.wait(10)
        self.written.append(sound.copy())

    def close(self, lines):
        self.lines = list(lines)


def until(happened):
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_slow_disk_loses_blocks_and_says_so(monkeypatch):
    monkeypatch.setattr(module, "WRITE_PERIOD_S", 0.001)
    told, files, sound = [], Slow(), Sound(2, 10 * BLOCK)
    recorder = Recorder(sound.bus, sound.tap, files, "x", lambda *args: told.append(args))
    sound.render(10)
    recorder.start([], 0.0)
    assert files.begun.wait(10)
    sound.render(30)  # never waits; a third of it finds room
    files.go.set()
    for _ in range(10):
        until(lambda: not sound.tap.ring.fill)
        sound.render(1)
    recorder.stop()
    sound.tell(recorder)
    recorder.join()
    seconds, lost, why = told[0]
    written = np.concatenate(files.written, axis=1)
    assert not why and seconds == pytest.approx(0.5) and sound.freed == [0]
    assert written.shape == sound.whole.shape == (2, 50 * BLOCK)
    missing = np.flatnonzero((written != sound.whole).any(axis=0))
    assert not written[:, missing].any()
    # 20 blocks, and those that came while their silence was written
    assert 20 * BLOCK <= lost <= 24 * BLOCK and len(missing) == pytest.approx(lost, abs=2)
    assert np.array_equal(missing, np.arange(missing[0], missing[-1] + 1))
    assert files.lines == [
        {"setting": {"checkpoint": "x", "rate": 16000, "channels": 2, "max_voices": 2}}
    ]


def test_a_full_disk_ends_the_recording(tmp_path):
    class Full(Slow):
        def write(self, sound):
            raise OSError("no space left")

    told, sound = [], Sound(1, 10 * BLOCK)
    recorder = Recorder(sound.bus, sound.tap, Full(), "x", lambda *args: told.append(args))
    recorder.start([], 0.0)
    sound.render(1)
    recorder.join()
    assert "no space" in told[0][2]
    assert sound.freed == [0] and not sound.engine.buses[0].taps
    with pytest.raises(UserError, match="--root"):
        Files(SandboxedFolder(None), "a.wav", 48000, 1)


def test_the_output_file_is_the_sound(tmp_path, monkeypatch):
    monkeypatch.setattr(output_file, "WRITE_PERIOD_S", 0.001)
    path, sound = tmp_path / "a.wav", Sound(2, 10 * BLOCK)
    file = OutputFile(path, RATE, 2)
    file.start(sound.tap)
    for _ in range(10):
        until(lambda: not sound.tap.ring.fill)
        sound.render(5)
    file.stop()
    written, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE and written.shape == (50 * BLOCK, 2)
    assert np.abs(written.T - sound.whole).max() <= 2**-15 and np.abs(written).max() > 1e-3


def test_the_output_file_goes_on_with_another_engine(tmp_path, monkeypatch):
    monkeypatch.setattr(output_file, "WRITE_PERIOD_S", 0.001)
    path, before, after = tmp_path / "a.wav", Sound(1, 20 * BLOCK), Sound(1, 20 * BLOCK)
    file = OutputFile(path, RATE, 1)
    before.render(10)
    file.start(before.tap)
    after.render(10)
    file.start(after.tap)
    until(lambda: before.freed and not after.tap.ring.fill)
    after.render(5)
    file.stop()
    written, _ = soundfile.read(path, dtype="float32")
    whole = np.concatenate([before.whole, after.whole], axis=1)[0]
    assert len(written) == len(whole) and np.abs(written - whole).max() <= 2**-15
    assert before.freed == [0] and not after.freed


def test_an_output_file_on_a_full_disk_is_one_line(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(output_file, "WRITE_PERIOD_S", 0.001)
    sound = Sound(1, 10 * BLOCK)
    file = OutputFile(tmp_path / "a.wav", RATE, 1)

    def full(block):
        raise OSError("no space left")

    monkeypatch.setattr(file._file, "write", full)
    file.start(sound.tap)
    for _ in range(3):
        sound.render(10)
        until(lambda: not sound.tap.ring.fill)
    file.stop()
    assert len(caplog.records) == 1 and "ends here: no space left" in caplog.text
