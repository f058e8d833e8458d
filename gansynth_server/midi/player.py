"""Live MIDI as a client of the instrument: messages in, notes and their expression out.

Bends, pressure and controllers change the notes of their own channel alone, as
MPE asks for; in an MPE zone those of its master channel change all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

from gansynth_server.client import Client
from gansynth_server.errors import UserError
from gansynth_server.instrument import Instrument
from gansynth_server.latent.slots import Path, Still
from gansynth_server.latent.vectors import Latent, draw
from gansynth_server.midi.mapping import TIMES, defaults
from gansynth_server.timbre import SlotPath
from gansynth_server.training.general_midi import GENERAL_MIDI

BEND_RANGE = 2.0
MEMBER_RANGE = 48.0
"""Semitones of a whole bend, and on the member channels of an MPE zone."""
PLAIN_SLOT = "z"
_DATA, _RPN_LOW, _RPN_HIGH = 6, 100, 101
_SOUND_OFF, _RESET, _NOTES_OFF = 120, 121, 123  # and those after it mean notes off too
_BEND_RANGE_RPN, _MPE_RPN, _NO_RPN = (0, 0), (0, 6), (127, 127)

_log = logging.getLogger(__name__)


@dataclass
class Channel:
    """What a channel's notes have in common."""

    slot: str = PLAIN_SLOT
    base: Path | None = None
    """What the slot held before directions moved it."""
    master: int | None = None
    bend: float = 0.0
    """-1 … 1."""
    range: float = BEND_RANGE
    controls: dict[int, int] = field(default_factory=dict)
    """Values 0…127 of the controllers heard from."""
    pressure: float = 0.0
    pedal: bool = False
    keys: set[int] = field(default_factory=set)
    """That are down, or held by the pedal."""
    up: set[int] = field(default_factory=set)
    """That only the pedal holds."""
    rpn: tuple[int, int] = _NO_RPN


class MidiPlayer:
    """Plays an instrument; used by one thread, but for ``mapping``, which any may change.

    Args:
        client: who plays; made for this.
    """

    def __init__(self, instrument: Instrument, client: Client) -> None:
        self.client = client
        self.mapping = defaults()
        self._instrument = instrument
        self._channels = [Channel() for _ in range(16)]
        self._said = ""
        self._acts: dict[str, Callable[[Any, float | None], None]] = {
            "note_on": self._note_on,
            "note_off": self._note_off,
            "pitchwheel": self._pitchwheel,
            "aftertouch": self._aftertouch,
            "polytouch": self._polytouch,
            "program_change": self._program_change,
            "control_change": self._control_change,
        }

    def take(self, message: Any, when: float | None = None) -> None:
        """Plays a mido message; what cannot be done is one line in the log."""
        act = self._acts.get(message.type)
        try:
            if act is not None:
                act(message, when)
        except UserError as error:
            if str(error) != self._said:
                self._said = str(error)
                _log.warning("MIDI: %s", error)

    def silence(self) -> None:
        """Ends all notes at once, as when the keyboard is gone."""
        self._instrument.silence(self.client)
        for channel in self._channels:
            channel.keys.clear()
            channel.up.clear()
            channel.pedal = False

    # messages

    def _note_on(self, message: Any, when: float | None) -> None:
        if message.velocity == 0:
            self._note_off(message, when)
            return
        channel = self._channels[message.channel]
        pitch = self.client.tuning(message.note)
        channel.keys.add(message.note)
        channel.up.discard(message.note)
        self._instrument.play(
            self.client,
            *(pitch, message.velocity, _id(message.channel, message.note), channel.slot, when),
            **self._expression(message.channel),
        )

    def _note_off(self, message: Any, when: float | None) -> None:
        channel = self._channels[message.channel]
        if any(held.pedal for held in self._over(message.channel)):
            channel.up |= channel.keys & {message.note}
        else:
            self._release(message.channel, {message.note}, when)

    def _pitchwheel(self, message: Any, when: float | None) -> None:
        self._channels[message.channel].bend = message.pitch / (8192 if message.pitch < 0 else 8191)
        self._change(message.channel, ("bend",), when)

    def _aftertouch(self, message: Any, when: float | None) -> None:
        self._channels[message.channel].pressure = message.value / 127
        self._change(message.channel, ("pressure",), when)

    def _polytouch(self, message: Any, when: float | None) -> None:
        for played in self._instrument.played(self.client, _id(message.channel, message.note)):
            self._instrument.change(played, when, pressure=message.value / 127)

    def _program_change(self, message: Any, when: float | None) -> None:
        presets = self.client.model.presets
        name = GENERAL_MIDI[message.program]
        if name not in presets:
            names = list(presets)
            if message.program >= len(names):
                raise UserError(f"program {message.program}: the checkpoint has no such preset")
            name = names[message.program]
        for number in self._under(message.channel):
            channel = self._channels[number]
            # a slot of its own, lest the notes that sound follow to the new timbre
            channel.slot, channel.base = f"midi {number + 1} {name}", None
            self._instrument.preset(self.client, channel.slot, name, when)
            self._move(channel, when)

    def _control_change(self, message: Any, when: float | None) -> None:
        number, channel = message.control, self._channels[message.channel]
        if number >= _NOTES_OFF:
            for below in self._under(message.channel):
                self._release(below, set(self._channels[below].keys), when)
        elif number == _SOUND_OFF:
            self.silence()
        elif number == _RESET:
            self._reset(message.channel, when)
        elif number in (_DATA, _RPN_LOW, _RPN_HIGH):
            self._parameter(message.channel, number, message.value)
        elif number in self.mapping:
            channel.controls[number] = message.value
            self._controlled(message.channel, number, when)

    def _controlled(self, number: int, control: int, when: float | None) -> None:
        target, channel = self.mapping[control], self._channels[number]
        if target.name == "pedal":
            channel.pedal = channel.controls[control] >= 64
            if not channel.pedal:
                for below in self._under(number):
                    self._release(below, set(self._channels[below].up), when)
        elif target.name == "direction":
            for below in self._under(number):
                self._move(self._channels[below], when)
        elif target.name not in (*TIMES, "none"):
            self._change(number, (target.name,), when)

    def _reset(self, number: int, when: float | None) -> None:
        channel = self._channels[number]
        kept = {n: value for n, value in channel.controls.items() if n in (7, 10)}  # as MIDI says
        channel.controls, channel.bend, channel.pressure = kept, 0.0, 0.0
        channel.pedal, channel.rpn = False, _NO_RPN
        for below in self._under(number):
            self._release(below, set(self._channels[below].up), when)
            self._move(self._channels[below], when)
        self._change(number, tuple(self._expression(number)), when)

    def _parameter(self, number: int, control: int, value: int) -> None:
        """Bend range and MPE zones, which are registered parameters."""
        channel = self._channels[number]
        if control == _RPN_HIGH:
            channel.rpn = (value, channel.rpn[1])
        elif control == _RPN_LOW:
            channel.rpn = (channel.rpn[0], value)
        elif channel.rpn == _BEND_RANGE_RPN:
            alike = [number] if channel.master is None else self._members(channel.master)
            for one in alike:
                self._channels[one].range = float(value)
        elif channel.rpn == _MPE_RPN and number in (0, 15):
            for one in self._members(number):
                self._channels[one].master, self._channels[one].range = None, BEND_RANGE
            zone = range(1, value + 1) if number == 0 else range(15 - value, 15)
            for one in set(zone) & set(range(1, 15)):
                self._channels[one].master, self._channels[one].range = number, MEMBER_RANGE

    # what they come to

    def _members(self, number: int) -> list[int]:
        return [n for n, channel in enumerate(self._channels) if channel.master == number]

    def _under(self, number: int) -> list[int]:
        """A channel, and those that it is the master of."""
        return [number, *self._members(number)]

    def _over(self, number: int) -> Iterator[Channel]:
        """A channel, and its master."""
        channel = self._channels[number]
        yield channel
        if channel.master is not None:
            yield self._channels[channel.master]

    def _expression(self, number: int) -> dict[str, Any]:
        """What a note of a channel is played with."""
        over = list(self._over(number))
        values: dict[str, list[float]] = {}
        for channel in over:
            for control, value in channel.controls.items():
                target = self.mapping.get(control)
                if target is not None:
                    values.setdefault(target.name, []).append(target.value(value))
        envelope = self.client.manner.envelope
        pressure = sum(channel.pressure for channel in over) + sum(values.get("pressure", ()))
        return {
            "bend": sum(channel.bend * channel.range for channel in over),
            "pressure": min(1.0, pressure),
            "gain": prod(values.get("gain", ())),
            "pan": min(1.0, max(-1.0, sum(values.get("pan", ())))),
            "brightness": sum(values.get("brightness", ())),
            "vibrato": (sum(values.get("vibrato", ())), 5.0),
            "attack": envelope.attack * prod(values.get("attack", ())),
            "release": envelope.release * prod(values.get("release", ())),
        }

    def _change(self, number: int, names: tuple[str, ...], when: float | None) -> None:
        """Has the sounding notes of a channel, or a zone, changed in some respects."""
        for below in self._under(number):
            expression = self._expression(below)
            changes = {name: expression[name] for name in names if name not in TIMES}
            for key in list(self._channels[below].keys):
                for played in self._instrument.played(self.client, _id(below, key)):
                    self._instrument.change(played, when, **changes)

    def _release(self, number: int, keys: set[int], when: float | None) -> None:
        channel = self._channels[number]
        channel.keys -= keys
        channel.up -= keys
        for key in keys:
            self._instrument.release(self.client, _id(number, key), when)

    def _move(self, channel: Channel, when: float | None) -> None:
        """Moves a channel's latent along the directions that its controllers give."""
        number = self._channels.index(channel)
        moves = [
            (target.direction, target.value(value))
            for over in self._over(number)
            for control, value in over.controls.items()
            if (target := self.mapping.get(control)) is not None and target.name == "direction"
        ]
        time = self._instrument.time(when)
        if channel.base is None:
            if not moves:
                return
            channel.base = self.client.latents.path(channel.slot, time)
            if channel.slot == PLAIN_SLOT:
                channel.base = SlotPath(self.client.latents, PLAIN_SLOT)
                channel.slot = f"midi {number + 1}"
        moved: Path = Moved(channel.base, moves)
        if isinstance(channel.base, Still):
            moved = Still(moved.at(time), f"{channel.base} moved")
        self._instrument.put(self.client, channel.slot, moved, when)
        self._instrument.follow(self.client, channel.slot, True, when)


class Moved:
    """A latent somewhat on the way along some directions, each that of a seed's latent."""

    def __init__(self, base: Path, moves: list[tuple[int, float]]) -> None:
        self._base = base
        self._moves = moves

    def __str__(self) -> str:
        return f"{self._base} moved"

    def at(self, seconds: float) -> Latent:
        z = self._base.at(seconds)
        for direction, amount in self._moves:
            z = z + draw(len(z), direction, amount)
        return z


def _id(channel: int, key: int) -> str:
    return f"midi {channel + 1} {key}"
