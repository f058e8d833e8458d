"""Messages about notes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.handlers.host import Host
from gansynth_server.handlers.request import Request
from gansynth_server.instrument.client import NoteId
from gansynth_server.instrument.tuning import Tuning, read_mapping, read_scale
from gansynth_server.osc.schema import whole
from gansynth_server.synth.envelope import Envelope
from gansynth_server.synth.playhead import place
from gansynth_server.util.midi_pitch import hz_to_midi

PRESSURE_TARGETS = ("gain", "brightness", "bend", "vibrato")
A4_HZ = (200, 900)
"""Concert pitches (Hz) from the lowest to the highest."""
MAX_BYTES = 1 << 20
"""Bytes of a tuning's file."""


class NoteMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument
        self._root = host.root

    def note(
        self, request: Request, pitch: float, velocity: float, id: NoteId | None, slot: str
    ) -> None:
        # a note without an id has the number that it was asked for by
        id = whole(pitch) if id is None else id
        # a key that is silent by now can still be released
        if velocity > 0:
            pitch = request.client.tuning(pitch)
        self._instrument.play(request.client, pitch, velocity, id, slot, request.when)

    def note_hz(
        self, request: Request, frequency: float, velocity: float, id: NoteId | None, slot: str
    ) -> None:
        pitch = hz_to_midi(frequency)
        id = whole(frequency) if id is None else id
        # a frequency never meant a hundredth of a cent
        self._instrument.play(request.client, round(pitch, 4), velocity, id, slot, request.when)

    def note_off(self, request: Request, id: NoteId) -> None:
        self._instrument.release(request.client, id, request.when)

    def allnotesoff(self, request: Request) -> None:
        self._instrument.release_all(request.client, request.when)

    def allsoundoff(self, request: Request) -> None:
        self._instrument.silence(request.client, request.when)

    def _change(self, request: Request, id: NoteId, ms: float = 0.0, **changes: Any) -> None:
        for played in self._instrument.played(request.client, id):
            self._instrument.change(played, request.when, ms / 1000, **changes)

    def hold(self, request: Request, on: int) -> None:
        request.client.set_style(hold=bool(on))

    def hold_region(self, request: Request, start: float | None, end: float | None) -> None:
        if (start is None) != (end is None):
            raise UserError("a region needs both ends in seconds, or neither")
        region = None
        if start is not None and end is not None:
            if not start < end:
                raise UserError(f"a region ends after it begins, not at {end:g} s")
            region = (place(start), place(end))
        request.client.set_style(hold_region=region)
        self._change(request, "all", region=region)

    def note_hold(self, request: Request, id: NoteId, on: int) -> None:
        self._change(request, id, hold=bool(on))

    def note_position(self, request: Request, id: NoteId, seconds: float) -> None:
        for played in self._instrument.played(request.client, id):
            self._instrument.seek(played, place(seconds), request.when)

    def note_speed(self, request: Request, id: NoteId, speed: float) -> None:
        self._change(request, id, speed=speed)

    def note_bend(self, request: Request, id: NoteId, semitones: float, ms: float) -> None:
        self._change(request, id, ms, bend=semitones)

    def note_glide(self, request: Request, id: NoteId, pitch: float, ms: float) -> None:
        self._change(request, id, ms, pitch=request.client.tuning(pitch))

    def note_vibrato(self, request: Request, id: NoteId, depth: float, rate: float) -> None:
        self._change(request, id, vibrato=(depth, rate))

    def note_gain(self, request: Request, id: NoteId, gain: float, ms: float) -> None:
        self._change(request, id, ms, gain=gain)

    def note_pan(self, request: Request, id: NoteId, pan: float, ms: float) -> None:
        self._change(request, id, ms, pan=pan)

    def note_brightness(self, request: Request, id: NoteId, slope: float) -> None:
        self._change(request, id, brightness=slope)

    def note_pressure(self, request: Request, id: NoteId, pressure: float) -> None:
        self._change(request, id, pressure=pressure)

    def note_morph(self, request: Request, id: NoteId, slot: str, ms: float) -> None:
        for played in self._instrument.played(request.client, id):
            self._instrument.morph(played, request.client, slot, ms / 1000, request.when)

    def z_follow(self, request: Request, slot: str, on: int) -> None:
        self._instrument.follow(request.client, slot, bool(on), request.when)

    def note_envelope(self, request: Request, id: NoteId, *shape: float) -> None:
        self._change(request, id, envelope=Envelope(*shape))

    def envelope(self, request: Request, *shape: float) -> None:
        request.client.set_style(envelope=Envelope(*shape))

    def velocity_curve(self, request: Request, exponent: float) -> None:
        request.client.set_style(velocity_curve=exponent)

    def pressure(self, request: Request, target: str, amount: float) -> None:
        if target not in PRESSURE_TARGETS:
            raise UserError(f"pressure changes {', '.join(PRESSURE_TARGETS)}, not {target!r}")
        request.client.set_style(pressure_target=(target, amount))

    def pedal(self, request: Request, down: int) -> None:
        self._instrument.pedal(request.client, bool(down), request.when)

    def choke(self, request: Request, slot: str, group: str | None) -> None:
        request.client.set_choke(slot, group)

    def tuning(self, request: Request, what: str, value: float | str | None) -> None:
        tuning = self._tuned(request.client.tuning, what, value)
        request.client.set_tuning(tuning)
        request.reply("/tuning.reply", tuning.scale.name, len(tuning.scale.cents), tuning.a4)

    def _tuned(self, tuning: Tuning, what: str, value: float | str | None) -> Tuning:
        if what in ("info", "12tet"):
            if value is not None:
                raise UserError(f"/tuning {what} takes no value")
            return tuning if what == "info" else Tuning()
        if what == "a4":
            if isinstance(value, str) or value is None or not A4_HZ[0] <= value <= A4_HZ[1]:
                raise UserError(f"/tuning a4 takes a frequency of {A4_HZ[0]} to {A4_HZ[1]} Hz")
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
        data = self._root.read(name, MAX_BYTES)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:  # Scala's own archive is Latin-1
            return data.decode("latin-1")
