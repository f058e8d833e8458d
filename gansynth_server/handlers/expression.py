"""Messages about how notes sound, while they sound."""

from __future__ import annotations

from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.handlers.host import Host
from gansynth_server.synth.envelope import Envelope
from gansynth_server.synth.note import NoteId
from gansynth_server.synth.playhead import place

MOST_CHOKES = 1024
PRESSED = ("gain", "brightness", "bend", "vibrato")


class ExpressionMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument

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
