"""Messages about tuning."""

from __future__ import annotations

from dataclasses import replace

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.handlers.host import Host
from gansynth_server.instrument.tuning import Tuning, read_mapping, read_scale

A4 = (200, 900)
"""Hz that a concert pitch may have."""
MOST_BYTES = 1 << 20


class TuningMessages:
    def __init__(self, host: Host) -> None:
        self._root = host.root

    def tuning(self, call: Call, what: str, value: float | str | None) -> None:
        tuning = call.client.tuning = self._tuned(call.client.tuning, what, value)
        call.reply("/tuning.reply", tuning.scale.name, len(tuning.scale.cents), tuning.a4)

    def _tuned(self, tuning: Tuning, what: str, value: float | str | None) -> Tuning:
        if what in ("info", "12tet"):
            if value is not None:
                raise UserError(f"/tuning {what} takes no value")
            return tuning if what == "info" else Tuning()
        if what == "a4":
            if isinstance(value, str) or value is None or not A4[0] <= value <= A4[1]:
                raise UserError(f"/tuning a4 takes a frequency of {A4[0]} to {A4[1]} Hz")
            return replace(tuning, a4=float(value))
        if not isinstance(value, str):
            raise UserError(f"/tuning {what} takes a {'name' if what == 'file' else 'text'}")
        if what == "file":
            what, value = value.lower()[-3:], self._text(value)
        if what == "scl":
            return replace(tuning, scale=read_scale(value))
        if what == "kbm":
            return replace(tuning, mapping=read_mapping(value))
        raise UserError("a tuning's file is a .scl or a .kbm")

    def _text(self, name: str) -> str:
        data = self._root.read(name, MOST_BYTES)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:  # Scala's own archive is Latin-1
            return data.decode("latin-1")
