"""MIDI files written byte by byte, so that each byte can be wrong."""

from __future__ import annotations

import struct

END = b"\0\xff\x2f\0"


def number(value: int) -> bytes:
    """A number of variable length, however large."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))


def event(ticks: int, *data: int) -> bytes:
    return number(ticks) + bytes(data)


def on(ticks: int, pitch: int = 60, velocity: int = 100, channel: int = 0) -> bytes:
    return event(ticks, 0x90 | channel, pitch, velocity)


def off(ticks: int, pitch: int = 60, channel: int = 0) -> bytes:
    return event(ticks, 0x80 | channel, pitch, 64)


def control(ticks: int, controller: int, value: int, channel: int = 0) -> bytes:
    return event(ticks, 0xB0 | channel, controller, value)


def meta(ticks: int, kind: int, data: bytes = b"") -> bytes:
    return number(ticks) + bytes([0xFF, kind]) + number(len(data)) + data


def tempo(ticks: int, micros: int) -> bytes:
    return meta(ticks, 0x51, micros.to_bytes(3, "big"))


def chunk(name: bytes, data: bytes, length: int | None = None) -> bytes:
    return name + struct.pack(">I", len(data) if length is None else length) + data


def header(format: int = 1, tracks: int = 1, division: int = 500, more: bytes = b"") -> bytes:
    """A header; 500 ticks of a beat are milliseconds at 120 bpm."""
    return chunk(b"MThd", struct.pack(">HHH", format, tracks, division & 0xFFFF) + more)


def track(*events: bytes, end: bytes = END, length: int | None = None) -> bytes:
    return chunk(b"MTrk", b"".join(events) + end, length)


def song(*tracks: bytes, **of_header: int) -> bytes:
    return header(**{"tracks": len(tracks), **of_header}) + b"".join(tracks)
