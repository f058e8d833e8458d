"""SuperDirt's keys and what they mean here: https://github.com/musikinformatik/SuperDirt

Facts are from its DirtEvent.sc and DirtOrbit.sc: ``midinote`` is
``note + 12·octave``, the octave being 5; ``sustain``, or ``delta·legato``, or
``delta`` is how long a note is held; ``gain`` counts with its fourth power up
to 2; ``pan`` is 0 … 1; ``cut`` above 0 ends the notes of its orbit with the
same number, below 0 only those of the same sound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.instrument.client import Client
from gansynth_server.latent.presets import find_preset
from gansynth_server.latent.prior import Prior
from gansynth_server.latent.vectors import Latent, slerp
from gansynth_server.util.midi_pitch import hz_to_midi
from gansynth_server.util.note_names import note_number

OCTAVE = 5
"""Of note numbers."""
NAMED_OCTAVE = 3
"""Of note names without one, so that c is c3."""
LOWEST, HIGHEST = 0.0, 127.0
"""Keys and pitches; notes beyond them are played at the nearest one."""
VELOCITY = 100.0
MAX_GAIN = 2.0
VARIATIONS = 8
"""Variations of each preset, counted round; the first is the preset itself."""
DISTANCE = 0.2
"""Share of the way from a preset to a random latent at which each other variation lies."""
PANIC = "superpanic"
"""The sound by which Sardine silences SuperDirt."""

_EXPRESSION = ("bend", "brightness", "attack", "release")


@dataclass(frozen=True)
class Sound:
    """A preset and one of its variations, or a slot as it is."""

    name: str
    variation: int | None

    @property
    def slot(self) -> str:
        return self.name if self.variation is None else f"{self.name}:{self.variation}"

    def latent(self, presets: dict[str, Latent], prior: Prior) -> Latent:
        """Return the latent of the sound's slot; UserError where there is no such preset."""
        preset = find_preset(presets, self.name)
        if not self.variation:
            return preset
        return slerp(preset, prior.draw(self.variation), DISTANCE)


@dataclass(frozen=True)
class Event:
    """One note of a pattern; ``sustain`` is the time (s) until its release, None lets it ring."""

    sound: Sound
    pitch: float
    velocity: float
    sustain: float | None
    expression: dict[str, Any] = field(default_factory=dict)
    """See :meth:`Instrument.play`."""


def event(pairs: dict[str, Any], client: Client) -> Event:
    """Return the note that checked pairs describe, in a client's tuning.

    Raises:
        UserError: the note's name, or the key in this tuning, is none.
    """
    sound = _sound(pairs, client)
    expression: dict[str, Any] = {key: pairs[key] for key in _EXPRESSION if key in pairs}
    expression["gain"] = min(pairs.get("gain", 1.0), MAX_GAIN) ** 4
    expression["pan"] = 2 * pairs.get("pan", 0.5) - 1
    cut = pairs.get("cut", 0)
    if cut:
        alone = f" {sound.slot}" if cut < 0 else ""
        expression["choke"] = f"cut {pairs.get('orbit', 0)} {cut}{alone}"
    velocity = pairs.get("velocity", VELOCITY)
    if velocity <= 1:  # as Strudel has it
        velocity *= 127
    return Event(sound, _pitch(pairs, client), velocity, _sustain(pairs), expression)


def _sound(pairs: dict[str, Any], client: Client) -> Sound:
    slot = pairs.get("z", pairs.get("slot"))
    named = pairs.get("preset", pairs.get("s", pairs.get("sound")))
    if slot is not None or named is None:
        return Sound(slot or "z", None)
    name, _, number = named.partition(":")
    if name not in client.model.presets and named in client.latents:
        return Sound(named, None)
    n = pairs.get("n", 0) or (number if number.isdecimal() else 0)
    return Sound(name, int(n) % VARIATIONS)


def _pitch(pairs: dict[str, Any], client: Client) -> float:
    speed = abs(pairs.get("speed", 1.0))
    if speed == 0:
        raise UserError("speed must not be 0")
    key = min(max(_key(pairs), LOWEST), HIGHEST)
    pitch = hz_to_midi(pairs["freq"]) if "freq" in pairs else client.tuning(key)
    return float(min(max(pitch + 12 * math.log2(speed), LOWEST), HIGHEST))


def _key(pairs: dict[str, Any]) -> float:
    note = pairs.get("note", 0.0)
    if "midinote" in pairs:
        return float(pairs["midinote"])
    if isinstance(note, str):
        return named_key(note)
    return float(note + 12 * pairs.get("octave", OCTAVE))


def named_key(name: str) -> int:
    """The key of a name like c4 (middle C), eb3 or f#; without a number the octave is 3.

    Raises:
        UserError: it is no name of a note.
    """
    key = note_number(name, NAMED_OCTAVE)
    if key is None:
        raise UserError(f"note must be semitones above middle C or a name as c4, not {name[:9]!r}")
    return key


def _sustain(pairs: dict[str, Any]) -> float | None:
    if "sustain" in pairs:
        return float(pairs["sustain"])
    if "delta" in pairs:
        return float(pairs["delta"] * pairs.get("legato", 1.0))
    return None
