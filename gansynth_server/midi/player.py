"""Player of live MIDI: a client of the instrument that turns messages into notes.

Bends, pressure and controllers change the notes of their own channel, or of
their MPE zone (see :mod:`~gansynth_server.midi.channels`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.instrument.client import Client
from gansynth_server.instrument.instrument import Instrument
from gansynth_server.latent import directions
from gansynth_server.latent.slots import ConstantPath, Path, SlotPath
from gansynth_server.midi.channels import PARAMETERS, PLAIN_SLOT, Channel, Channels
from gansynth_server.midi.clock import MidiClock
from gansynth_server.midi.mapping import TIMES, Target, defaults
from gansynth_server.util.general_midi import GENERAL_MIDI

_SOUND_OFF, _RESET, _NOTES_OFF = 120, 121, 123
"""Channel mode messages; those after 123 mean notes off too."""

_BANKS = (0, 32)
"""Controllers that come with a program, and are no knobs."""

_log = logging.getLogger(__name__)


class MidiPlayer:
    """Plays MIDI messages; for one thread, but ``mapping``, which any thread may change.

    Args:
        instrument: to play.
        client: of the player, used by nothing else.
    """

    def __init__(self, instrument: Instrument, client: Client) -> None:
        self.client = client
        self.mapping = defaults()
        self.channels = Channels()
        self.clock = MidiClock()
        self._learning: tuple[Target, Callable[[int], None]] | None = None
        self._instrument = instrument
        self._said = ""
        self._acts: dict[str, Callable[[Any, Channel, float | None], None]] = {
            "note_on": self._note_on,
            "note_off": self._note_off,
            "pitchwheel": self._pitchwheel,
            "aftertouch": self._aftertouch,
            "polytouch": self._polytouch,
            "program_change": self._program_change,
            "control_change": self._control_change,
        }

    def take(self, message: Any, when: float | None = None) -> None:
        """Play a mido message; an error is logged, unless it repeats the last one."""
        if self.clock.take(message.type, self._instrument.time(when)):
            return
        act = self._acts.get(message.type)
        if act is None:
            return
        try:
            act(message, self.channels[message.channel], when)
        except UserError as error:
            if str(error) != self._said:
                self._said = str(error)
                _log.warning("MIDI: %s", error)

    def learn(self, target: Target | None, told: Callable[[int], None]) -> None:
        """Give a target to the controller that is moved next, None to none; any thread.

        Args:
            told: is given the controller's number.
        """
        self._learning = None if target is None else (target, told)

    def silence(self) -> None:
        """Silence all notes at once, as when the keyboard is gone."""
        self._instrument.silence(self.client)
        for channel in self.channels:
            channel.keys.clear()
            channel.up.clear()
            channel.pedal = False

    def _note_on(self, message: Any, channel: Channel, when: float | None) -> None:
        if message.velocity == 0:
            self._note_off(message, channel, when)
            return
        pitch = self.client.tuning(message.note)
        channel.keys.add(message.note)
        channel.up.discard(message.note)
        self._instrument.play(
            self.client,
            *(pitch, message.velocity, _id(channel, message.note), channel.slot, when),
            **channel.expression(self.mapping, self.client.style.envelope),
        )

    def _note_off(self, message: Any, channel: Channel, when: float | None) -> None:
        if channel.held:
            channel.up |= channel.keys & {message.note}
        else:
            self._release(channel, {message.note}, when)

    def _pitchwheel(self, message: Any, channel: Channel, when: float | None) -> None:
        channel.bend = message.pitch / (8192 if message.pitch < 0 else 8191)
        self._change(channel, ("bend",), when)

    def _aftertouch(self, message: Any, channel: Channel, when: float | None) -> None:
        channel.pressure = message.value / 127
        self._change(channel, ("pressure",), when)

    def _polytouch(self, message: Any, channel: Channel, when: float | None) -> None:
        for played in self._instrument.played(self.client, _id(channel, message.note)):
            self._instrument.change(played, when, pressure=message.value / 127)

    def _program_change(self, message: Any, channel: Channel, when: float | None) -> None:
        presets = self.client.model.presets
        name = GENERAL_MIDI[message.program]
        if name not in presets:
            names = list(presets)
            if message.program >= len(names):
                raise UserError(f"program {message.program}: the checkpoint has no such preset")
            name = names[message.program]
        for one in self.channels.under(channel):
            # a slot of its own, so that sounding notes do not follow to the new timbre
            one.slot, one.base = f"midi {one.number + 1} {name}", None
            self._instrument.preset(self.client, one.slot, name, when)
            self._move(one, when)

    def _control_change(self, message: Any, channel: Channel, when: float | None) -> None:
        control = message.control
        learning = self._learning
        if learning is not None and control < _SOUND_OFF and control not in (*PARAMETERS, *_BANKS):
            self._learning = None
            self.mapping[control] = learning[0]
            learning[1](control)
        if control >= _NOTES_OFF:
            for one in self.channels.under(channel):
                self._release(one, set(one.keys), when)
        elif control == _SOUND_OFF:
            self.silence()
        elif control == _RESET:
            channel.reset()
            self._pedal_up(channel, when)
            for one in self.channels.under(channel):
                self._move(one, when)
            names = channel.expression(self.mapping, self.client.style.envelope)
            self._change(channel, tuple(names), when)
        elif control in PARAMETERS:
            self.channels.parameter(channel, control, message.value)
            self._change(channel, ("bend",), when)
        elif control in self.mapping:
            channel.controls[control] = message.value
            self._controlled(channel, control, when)

    def _controlled(self, channel: Channel, control: int, when: float | None) -> None:
        target = self.mapping[control]
        if target.name == "pedal":
            channel.pedal = channel.controls[control] >= 64
            self._pedal_up(channel, when)
        elif target.name == "pca":
            for one in self.channels.under(channel):
                self._move(one, when)
        elif target.name not in (*TIMES, "none"):
            self._change(channel, (target.name,), when)

    def _pedal_up(self, channel: Channel, when: float | None) -> None:
        """Release the keys that no pedal holds any more."""
        for one in self.channels.under(channel):
            if not one.held:
                self._release(one, set(one.up), when)

    def _release(self, channel: Channel, keys: set[int], when: float | None) -> None:
        channel.keys -= keys
        channel.up -= keys
        for key in keys:
            self._instrument.release(self.client, _id(channel, key), when)

    def _change(self, channel: Channel, names: tuple[str, ...], when: float | None) -> None:
        """Change the named parts of the expression of a channel's, or zone's, sounding notes."""
        for one in self.channels.under(channel):
            expression = one.expression(self.mapping, self.client.style.envelope)
            changes = {name: expression[name] for name in names if name not in TIMES}
            for key in one.keys:
                for played in self._instrument.played(self.client, _id(one, key)):
                    self._instrument.change(played, when, **changes)

    def _move(self, channel: Channel, when: float | None) -> None:
        """Move a channel's latent along principal directions, by the amounts of its controllers."""
        amounts, time = channel.amounts(self.mapping), self._instrument.time(when)
        if channel.base is None and not amounts:
            return
        found = directions.load(self.client.model.checkpoint)
        if channel.base is None and channel.slot == PLAIN_SLOT:
            channel.base = SlotPath(self.client.latents, PLAIN_SLOT)
            channel.slot = f"midi {channel.number + 1}"
        elif channel.base is None:
            channel.base = self.client.latents.path(channel.slot, time)
        moved: Path = directions.OffsetPath(channel.base, found, amounts, bare=False)
        if isinstance(channel.base, ConstantPath):
            moved = ConstantPath(moved.at(time), str(moved))
        self._instrument.set_path(self.client, channel.slot, moved, when)
        self._instrument.follow(self.client, channel.slot, True, when)


def _id(channel: Channel, key: int) -> str:
    return f"midi {channel.number + 1} {key}"
