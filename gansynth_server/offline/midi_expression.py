"""What controllers, bends and pressure in a MIDI file make of its notes, as live MIDI does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gansynth_server.midi.channels import PARAMETERS, Channel, Channels
from gansynth_server.midi.mapping import TIMES, defaults
from gansynth_server.offline.midi_columns import Control, MidiNote
from gansynth_server.offline.midi_pairing import RESET
from gansynth_server.synth.envelope import PLAIN

VOLUME = 7
DEFAULT_VOLUME = 100
"""General MIDI's volume of a channel that a file does not set, where it sets another's."""
CUT_S = 0.01
"""Release (s) of notes that "all sound off" ends."""
_POLY_PRESSURE, _CONTROL, _PRESSURE, _BEND = 0xA, 0xB, 0xD, 0xE

Place = tuple[int, int]
"""Port and channel."""


class FileExpression:
    """The channels of a song as its controls change them, in the order of their times.

    Args:
        controls: all of them, of which only those of the volume are looked at.
    """

    def __init__(self, controls: Iterable[Control]) -> None:
        # principal directions move a latent, which a file's notes have each for themselves
        self._mapping = {
            number: target for number, target in defaults().items() if target.name != "pca"
        }
        self._ports: dict[int, Channels] = {}
        self._told: dict[Place, dict[str, Any]] = {}
        self._volume = {VOLUME: DEFAULT_VOLUME} if any(map(_is_volume, controls)) else {}
        channel = Channel(0)
        self._plain = channel.expression(self._mapping, PLAIN)

    def of(self, note: MidiNote) -> dict[str, Any]:
        """Return the expression of a note that begins (see :meth:`Instrument.play`), where it is
        not the plain one."""
        found = self._expression(self._channel(note.port, note.channel))
        changed = {name: value for name, value in found.items() if value != self._plain[name]}
        if note.cut:
            changed["release"] = CUT_S
        return changed

    def apply(self, control: Control) -> dict[Place, dict[str, Any]]:
        """Apply a control; return what it changes of notes that sound, by port and channel."""
        channel, kind = self._channel(control.port, control.channel), control.status >> 4
        channels = self._ports[control.port]
        if kind == _BEND:
            value = (control.second << 7 | control.first) - 8192
            channel.bend = value / (8192 if value < 0 else 8191)
        elif kind == _PRESSURE:
            channel.pressure = control.first / 127
        elif kind == _CONTROL and control.first == RESET:
            channel.reset()
        elif kind == _CONTROL and control.first in PARAMETERS:
            channels.parameter(channel, control.first, control.second)
        elif kind == _CONTROL and control.first in self._mapping:
            channel.controls[control.first] = control.second
        else:
            return {}
        changes: dict[Place, dict[str, Any]] = {}
        for one in channels.under(channel):
            place = control.port, one.number
            before, now = self._told.get(place, self._plain), self._expression(one)
            self._told[place] = now
            changed = {n: v for n, v in now.items() if v != before[n] and n not in TIMES}
            if changed:
                changes[place] = changed
        return changes

    def _channel(self, port: int, number: int) -> Channel:
        if port not in self._ports:
            self._ports[port] = Channels()
            for channel in self._ports[port]:
                channel.controls.update(self._volume)
        return self._ports[port][number]

    def _expression(self, channel: Channel) -> dict[str, Any]:
        return channel.expression(self._mapping, PLAIN)


def poly_pressure(control: Control) -> tuple[int, float] | None:
    """Return the key and the pressure, 0 to 1, of a control that presses one key."""
    if control.status >> 4 != _POLY_PRESSURE:
        return None
    return control.first, control.second / 127


def _is_volume(control: Control) -> bool:
    return control.status >> 4 == _CONTROL and control.first == VOLUME


def pans(control: Control) -> bool:
    """Return whether a control moves notes out of the middle."""
    return control.status >> 4 == _CONTROL and control.first == 10 and control.second != 64
