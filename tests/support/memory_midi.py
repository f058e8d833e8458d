"""A backend for mido whose devices are in memory: plugged in, played and pulled out by tests."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import mido
import pytest
from mido.ports import BaseInput

from gansynth_server.midi import ports

NOTE = mido.Message("note_on", note=60)
DEVICES: dict[str, "Input | None"] = {}


def get_devices(**_: Any) -> list[dict[str, Any]]:
    return [{"name": name, "is_input": True, "is_output": False} for name in DEVICES]


class Input(BaseInput):  # type: ignore[misc]
    def _open(self, callback: Any = None, virtual: bool = False, **_: Any) -> None:
        if virtual:
            DEVICES[self.name] = None
        if self.name not in DEVICES:
            raise OSError(f"unknown port {self.name}")
        self.callback = callback
        DEVICES[self.name] = self

    def _close(self) -> None:
        if DEVICES.get(self.name) is self:
            DEVICES[self.name] = None


def send(name: str, message: Any) -> None:
    """A message from a device that somebody listens to."""
    port = DEVICES[name]
    assert port is not None, f"nobody listens to {name}"
    port.callback(message)


def until(condition: Callable[[], bool]) -> None:
    patience = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.01)


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, "Input | None"]]:
    monkeypatch.setattr(mido, "backend", mido.Backend("tests.support.memory_midi"))
    for name in ("open_input", "get_input_names"):
        monkeypatch.setattr(mido, name, getattr(mido.backend, name))
    monkeypatch.setattr(ports, "LOOK", 0.05)
    DEVICES.clear()
    yield DEVICES
    DEVICES.clear()
