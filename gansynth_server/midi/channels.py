"""State of the sixteen MIDI channels, and the expression of their notes.

In an MPE zone, messages on the master channel apply to its members too (MIDI
Polyphonic Expression 1.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

from gansynth_server.latent.slots import Path
from gansynth_server.midi.mapping import Target
from gansynth_server.synth.envelope import Envelope

PLAIN_SLOT = "z"
BEND_RANGE = 2.0
MEMBER_RANGE = 48.0
"""Range of a full bend (semitones), by default and on the member channels of an MPE zone."""
MAX_BEND = 60.0
"""Semitones that all bends together move a note, at most."""
VIBRATO_RATE = 5.0
"""Rate of the vibrato (Hz)."""
DATA, DATA_LOW, RPN_LOW, RPN_HIGH = 6, 38, 100, 101
"""Controllers that set registered parameters (RPN): data entry, number's low and high byte."""
NRPN_LOW, NRPN_HIGH = 98, 99
"""Controllers that choose a maker's own parameter, which means nothing here."""
PARAMETERS = (DATA, DATA_LOW, NRPN_LOW, NRPN_HIGH, RPN_LOW, RPN_HIGH)
KEPT = (7, 10)
"""Controllers that Reset All Controllers leaves alone (MIDI RP-015): volume and pan."""
_BEND_RANGE, _FINE, _COARSE, _MPE, _NONE = (0, 0), (0, 1), (0, 2), (0, 6), (127, 127)


@dataclass
class Channel:
    """State that the notes of a channel share; ``number`` counts from 0."""

    number: int
    slot: str = PLAIN_SLOT
    base: Path | None = None
    """Path in the slot before principal directions moved it."""
    master: Channel | None = None
    """Master channel of the MPE zone that the channel is a member of."""
    bend: float = 0.0
    """-1 … 1."""
    range: float = BEND_RANGE
    coarse: float = 0.0
    fine: float = 0.0
    """Tuning (semitones) by RPN 2 and 1."""
    controls: dict[int, int] = field(default_factory=dict)
    """Values 0…127 of the controllers received."""
    pressure: float = 0.0
    pedal: bool = False
    keys: set[int] = field(default_factory=set)
    """Keys that are down, or held by the pedal."""
    up: set[int] = field(default_factory=set)
    """Keys that only the pedal holds."""
    rpn: tuple[int, int] = _NONE

    @property
    def over(self) -> Iterator[Channel]:
        """Yield the channel, and its master."""
        yield self
        if self.master is not None:
            yield self.master

    @property
    def held(self) -> bool:
        """Whether a pedal holds its notes."""
        return any(channel.pedal for channel in self.over)

    def reset(self) -> None:
        """Reset controllers, bend, pressure and pedal."""
        self.controls = {n: value for n, value in self.controls.items() if n in KEPT}
        self.bend, self.pressure, self.pedal, self.rpn = 0.0, 0.0, False, _NONE

    def amounts(self, mapping: dict[int, Target]) -> dict[int, float]:
        """Amounts (standard deviations) along principal directions, by component."""
        found: dict[int, float] = {}
        for channel in self.over:
            for control, value in channel.controls.items():
                target = mapping.get(control)
                if target is not None and target.name == "pca":
                    known = found.get(target.component, 0.0)
                    found[target.component] = known + target.value(value)
        return found

    def expression(self, mapping: dict[int, Target], envelope: Envelope) -> dict[str, Any]:
        """Expression of the channel's notes (see :meth:`Instrument.play`)."""
        values: dict[str, list[float]] = {}
        for channel in self.over:
            for control, value in channel.controls.items():
                target = mapping.get(control)
                if target is not None:
                    values.setdefault(target.name, []).append(target.value(value))
        bend = sum(one.bend * one.range + one.coarse + one.fine for one in self.over)
        pressure = sum(channel.pressure for channel in self.over) + sum(values.get("pressure", ()))
        return {
            "bend": min(MAX_BEND, max(-MAX_BEND, bend)),
            "pressure": min(1.0, pressure),
            "gain": prod(values.get("gain", ())),
            "pan": min(1.0, max(-1.0, sum(values.get("pan", ())))),
            "brightness": sum(values.get("brightness", ())),
            "vibrato": (sum(values.get("vibrato", ())), VIBRATO_RATE),
            "attack": envelope.attack * prod(values.get("attack", ())),
            "release": envelope.release * prod(values.get("release", ())),
        }


class Channels:
    """The sixteen channels."""

    def __init__(self) -> None:
        self._channels = [Channel(number) for number in range(16)]

    def __getitem__(self, number: int) -> Channel:
        return self._channels[number]

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._channels)

    def under(self, channel: Channel) -> list[Channel]:
        """A channel, and the members of its MPE zone."""
        return [channel, *(one for one in self if one.master is channel)]

    def parameter(self, channel: Channel, control: int, value: int) -> None:
        """Apply a controller of registered parameters: bend range (RPN 0), tuning (1 and 2) and MPE
        zone (6)."""
        if control == RPN_HIGH:
            channel.rpn = (value, channel.rpn[1])
        elif control == RPN_LOW:
            channel.rpn = (channel.rpn[0], value)
        elif control in (NRPN_LOW, NRPN_HIGH):
            channel.rpn = _NONE
        elif channel.rpn == _BEND_RANGE:
            master = channel.master
            for one in [channel] if master is None else self.under(master)[1:]:
                # the low byte has cents
                whole = int(one.range) if control == DATA_LOW else value
                one.range = whole + (min(value, 99) / 100 if control == DATA_LOW else 0.0)
        elif channel.rpn == _FINE:
            steps = round((channel.fine + 1) * 8192)  # 14 bits, the middle is no change
            steps = (steps & ~127 | value) if control == DATA_LOW else (value << 7)
            channel.fine = steps / 8192 - 1
        elif channel.rpn == _COARSE and control == DATA:
            channel.coarse = float(value - 64)
        elif control == DATA_LOW:
            pass  # of no meaning for the others
        elif channel.rpn == _MPE and channel.number in (0, 15):
            self._zone(channel, value)

    def _zone(self, master: Channel, members: int) -> None:
        """Make an MPE zone of the channels next to its master, which is the first or the last."""
        for one in self.under(master)[1:]:
            one.master, one.range = None, BEND_RANGE
        first = 1 if master.number == 0 else 15 - members
        for number in range(max(first, 1), min(first + members, 15)):
            self[number].master, self[number].range = master, MEMBER_RANGE
