"""A backend for mido whose devices are in memory: plugged in, played and pulled out by tests."""

from typing import Any

from mido.ports import BaseInput

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
