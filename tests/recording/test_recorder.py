"""A recorder whose disk is slow or full."""

import threading

import pytest

from gansynth_server.errors import UserError
from gansynth_server.recording import recorder as module
from gansynth_server.recording.files import Files
from gansynth_server.recording.recorder import Recorder
from gansynth_server.synth.bus import Bus
from gansynth_server.util.sandbox import SandboxedFolder

pytestmark = pytest.mark.filterwarnings("ignore")


class Slow:
    """Files on a disk that stands still."""

    def __init__(self):
        self.go = threading.Event()
        self.written = []
        self.lines = None

    def write(self, sound):
        self.go.wait(10)
        self.written.append(sound.copy())

    def close(self, lines):
        self.lines = list(lines)


def test_a_slow_disk_loses_blocks_and_says_so(monkeypatch):
    monkeypatch.setattr(module, "MAX_BACKLOG_S", 0.1)
    told, files, bus = [], Slow(), Bus(16000, 2, channels=2)
    recorder = Recorder(bus, files, "x", lambda *args: told.append(args))
    recorder.start([], 0.0)
    for _ in range(40):
        bus.render(160)  # never waits
    files.go.set()
    recorder.stop()
    recorder.join()
    seconds, lost, why = told[0]
    assert not why and seconds == pytest.approx(0.4)
    assert 0 < lost < 6400 and sum(block.shape[1] for block in files.written) == 6400
    assert files.lines == [
        {"setting": {"checkpoint": "x", "rate": 16000, "channels": 2, "max_voices": 2}}
    ]


def test_a_full_disk_ends_the_recording(tmp_path):
    class Full(Slow):
        def write(self, sound):
            raise OSError("no space left")

    told, bus = [], Bus(16000, 2)
    recorder = Recorder(bus, Full(), "x", lambda *args: told.append(args))
    recorder.start([], 0.0)
    bus.render(160)
    recorder.join()
    assert "no space" in told[0][2] and bus.tap is None
    with pytest.raises(UserError, match="--root"):
        Files(SandboxedFolder(None), "a.wav", 48000, 1)
