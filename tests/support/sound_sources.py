"""Sources of sound, and a PortAudio that the test drives."""

from __future__ import annotations

import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


def counting(start: int, count: int) -> NDArray[np.float32]:
    return np.arange(start, start + count, dtype=np.float32)


class Tone:
    """A slowly rising sine at half of full scale, of which no two pieces are alike.

    Remembers what it gave and to which threads.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.blocks: list[NDArray[np.float32]] = []
        self.threads: set[str] = set()

    @property
    def frames(self) -> int:
        return sum(block.shape[1] for block in self.blocks)

    def render(self, frames: int) -> NDArray[np.float32]:
        self.threads.add(threading.current_thread().name)
        seconds = (self.frames + np.arange(frames)) / self.rate
        phase = 2 * np.pi * (200 + 50 * seconds) * seconds
        self.blocks.append((0.5 * np.sin(phase)).astype(np.float32)[None])
        return self.blocks[-1]


def wait_until(happened: Any, seconds: float = 20.0) -> bool:
    patience = time.monotonic() + seconds
    while not happened() and time.monotonic() < patience:
        time.sleep(0.02)
    return bool(happened())


class FakePortAudio:
    """As much of sounddevice as an output takes; the test calls the callback."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *names: str, default: int = -1, refuses: bool = False) -> None:
        self.names = names
        self.streams: list[FakeStream] = []
        self._default = default
        self._refuses = refuses

    def query_hostapis(self, index: int | None = None) -> Any:
        return [{"name": "ALSA", "devices": []}] if index is None else {"name": "ALSA"}

    def query_devices(self, kind: str | None = None) -> Any:
        devices = [
            {
                "index": index,
                "name": name,
                "hostapi": 0,
                "max_output_channels": {"Microphone": 0, "Beeper": 1}.get(name, 2),
                "default_samplerate": 44100.0,
                "default_low_output_latency": 0.01,
            }
            for index, name in enumerate(self.names)
        ]
        if kind is None:
            return devices
        if not 0 <= self._default < len(devices):
            raise self.PortAudioError("Error querying device -1")
        return devices[self._default]

    def check_output_settings(self, device: int, channels: int, samplerate: int) -> None:
        if self._refuses:
            raise self.PortAudioError("Device unavailable")

    def OutputStream(self, **settings: Any) -> FakeStream:  # noqa: N802
        self.streams.append(FakeStream(settings))
        return self.streams[-1]

    def _terminate(self) -> None:
        pass

    def _initialize(self) -> None:
        pass


class FakeStream:
    active = True

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")

    def play(self, underflow: bool = False) -> NDArray[np.float32]:
        """What the callback gives: [frames, channels]."""
        frames, channels = self.settings["blocksize"], self.settings["channels"]
        out = np.full((frames, channels), np.nan, dtype=np.float32)
        self.settings["callback"](out, frames, None, SimpleNamespace(output_underflow=underflow))
        return out


class Constant:
    """Half of full scale for ever; ``blocks`` counts the calls."""

    blocks = 0

    def render(self, frames: int) -> NDArray[np.float32]:
        self.blocks += 1
        return np.full((1, frames), 0.5, dtype=np.float32)


def use(monkeypatch: pytest.MonkeyPatch, fake: FakePortAudio) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
