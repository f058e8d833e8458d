"""Messages about notes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.handlers.host import Host
from gansynth_server.instrument.tuning import Tuning, read_mapping, read_scale
from gansynth_server.synth.envelope import Envelope
from gansynth_server.synth.note import NoteId
from gansynth_server.synth.playhead import place


class NoteMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument
        self._root = host.root

    def note(self, call: Call, pitch: float, velocity: float, id: NoteId | None, slot: str) -> None:
        id = _named(pitch) if id is None else id
        if velocity > 0:  # a key that is silent by now can still be released
            pitch = call.client.tuning(pitch)
        self._instrument.play(call.client, pitch, velocity, id, slot, call.when)

    def note_hz(
        self, call: Call, frequency: float, velocity: float, id: NoteId | None, slot: str
    ) -> None:
        pitch = 69 + 12 * math.log2(frequency / 440)
        id = _named(frequency) if id is None else id
        # a frequency never meant a hundredth of a cent
        self._instrument.play(call.client, round(pitch, 4), velocity, id, slot, call.when)

    def note_off(self, call: Call, id: NoteId) -> None:
        self._instrument.release(call.client, id, call.when)

    def allnotesoff(self, call: Call) -> None:
        self._instrument.release_all(call.client, call.when)

    def allsoundoff(self, call: Call) -> None:
        self._instrument.silence(call.client, call.when)

    def _change(self, call: Call, id: NoteId, ms: float = 0.0, **changes: Any) -> None:
        for played in self._instrument.played(call.client, id):
            self._instrument.change(played, call.when, ms / 1000, **changes)

    def hold(self, call: Call, on: int) -> None:
        call.client.manner.hold = bool(on)

    def hold_region(self, call: Call, start: float | None, end: float | None) -> None:
        if (start is None) != (end is None):
            raise UserError("a region needs both ends in seconds, or neither")
        region = None
        if start is not None and end is not None:
            if not start < end:
                raise UserError(f"a region ends after it begins, not at {end:g} s")
            region = (place(start), place(end))
        call.client.manner.region = region
        self._change(call, "all", region=region)

    def note_hold(self, call: Call, id: NoteId, on: int) -> None:
        self._change(call, id, hold=bool(on))

    def note_position(self, call: Call, id: NoteId, seconds: float) -> None:
        for played in self._instrument.played(call.client, id):
            self._instrument.seek(played, place(seconds), call.when)

    def note_speed(self, call: Call, id: NoteId, speed: float) -> None:
        self._change(call, id, speed=speed)

    def note_bend(self, call: Call, id: NoteId, semitones: float, ms: float) -> None:
        self._change(call, id, ms, bend=semitones)

    def note_glide(self, call: Call, id: NoteId, pitch: float, ms: float) -> None:
        self._change(call, id, ms, pitch=call.client.tuning(pitch))

    def note_vibrato(self, call: Call, id: NoteId, depth: float, rate: float) -> None:
        self._change(call, id, vibrato=(depth, rate))

    def note_gain(self, call: Call, id: NoteId, gain: float, ms: float) -> None:
        self._change(call, id, ms, gain=gain)

    def note_pan(self, call: Call, id: NoteId, pan: float, ms: float) -> None:
        self._change(call, id, ms, pan=pan)

    def note_brightness(self, call: Call, id: NoteId, slope: float) -> None:
        self._change(call, id, brightness=slope)

    def note_pressure(self, call: Call, id: NoteId, pressure: float) -> None:
        self._change(call, id, pressure=pressure)

    def note_morph(self, call: Call, id: NoteId, slot: str, ms: float) -> None:
        for played in self._instrument.played(call.client, id):
            self._instrument.morph(played, call.client, slot, ms / 1000, call.when)

    def z_follow(self, call: Call, slot: str, on: int) -> None:
        self._instrument.follow(call.client, slot, bool(on), call.when)

    def note_envelope(self, call: Call, id: NoteId, *shape: float) -> None:
        self._change(call, id, envelope=Envelope(*shape))

    def envelope(self, call: Call, *shape: float) -> None:
        call.client.manner.envelope = Envelope(*shape)

    def velocity_curve(self, call: Call, exponent: float) -> None:
        call.client.manner.curve = exponent

    def pressure(self, call: Call, target: str, amount: float) -> None:
        if target not in PRESSED:
            raise UserError(f"pressure changes {', '.join(PRESSED)}, not {target!r}")
        call.client.manner.pressed = (target, amount)

    def pedal(self, call: Call, down: int) -> None:
        self._instrument.pedal(call.client, bool(down), call.when)

    def choke(self, call: Call, slot: str, group: str | None) -> None:
        chokes = call.client.manner.chokes
        chokes.pop(slot, None)
        if group is not None:
            if len(chokes) >= MOST_CHOKES:
                raise UserError(f"{MOST_CHOKES} slots are in choke groups already; free one first")
            chokes[slot] = group

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


def _named(number: float) -> NoteId:
    """The id of a note that has none of its own: the number that it was asked for by."""
    return int(number) if number == int(number) else number


MOST_CHOKES = 1024
PRESSED = ("gain", "brightness", "bend", "vibrato")


A4 = (200, 900)
"""Hz that a concert pitch may have."""
MOST_BYTES = 1 << 20
