"""Events of one track of a MIDI file: what can be read is read, and what is odd is told.

Statuses are MIDI's own; those of meta events are :data:`META` plus their type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from gansynth_server.offline.midi_chunks import Track
from gansynth_server.offline.midi_remarks import Remarks

Event: TypeAlias = tuple[int, int, int, int, int]
"""Tick, status, two data bytes or one value, and the byte of the file at which it begins."""
META = 0x100
PORT, END, TEMPO = META + 0x21, META + 0x2F, META + 0x51
MAX_DELTA = 0x0FFFFFFF
"""Largest number of ticks between two events that the format has."""
MIN_TEMPO = 1000
"""Shortest quarter note (µs) that is believed: 60,000 of them a minute."""
_DATA_BYTES = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
_SYSTEM_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
_SYSEX, _ESCAPE, _META = 0xF0, 0xF7, 0xFF


def events(data: bytes, track: Track, remarks: Remarks) -> Iterator[Event]:
    """Yield the events of a track in their order, those that have a meaning here; the last is END.

    Ticks never become less. Nothing is raised, whatever the bytes are.
    """
    return _Reader(data, track, remarks).events()


class _Reader:
    def __init__(self, data: bytes, track: Track, remarks: Remarks) -> None:
        self._data, self._end, self._remarks = data, track.end, remarks
        self._number, self._sure = track.number, track.sure
        self._at = track.start
        self._last = track.end
        while self._last > track.start and not data[self._last - 1]:
            self._last -= 1
        """The place behind the last byte that is not 0."""
        self._status = 0
        """The running status; 0 is none yet."""

    def events(self) -> Iterator[Event]:
        tick, ended = 0, -1
        while True:
            if ended >= 0 and not self._more():
                break
            begin, delta = self._at, self._number_at()
            if delta is None or self._at >= self._end:
                if ended < 0:
                    self._odd("the track has no end; what is there is played", self._at)
                break
            if delta > MAX_DELTA:
                self._odd("a time beyond all songs; what follows is left out", begin)
                break
            tick += delta
            found = self._event(tick)
            if found is None:  # cut off within
                break
            if found[1] == END:
                ended = self._at
            elif found[1]:
                if ended >= 0:
                    self._odd("events follow the end of the track; they are played", ended)
                    ended = -1
                yield found
        yield tick, END, 0, 0, self._at

    def _more(self) -> bool:
        """Return whether anything but zeros follows the track's end that belongs to it."""
        return self._sure and self._at < self._last

    def _event(self, tick: int) -> Event | None:
        """Read one event; its status is 0 where it means nothing here, None is the track's end."""
        begin, status = self._at, self._data[self._at]
        if status < 0x80:
            if not self._status:
                self._odd("data without a status is skipped", begin)
                self._at += 1
                return tick, 0, 0, 0, begin
            status = self._status
        else:
            self._at += 1
        if status == _META:
            return self._meta(tick, begin)
        if status in (_SYSEX, _ESCAPE):
            return self._exclusive(tick, begin)
        if status > _SYSEX:
            self._odd(f"status {status:02X} is none of a file's; it is skipped", begin)
            self._at += _SYSTEM_BYTES.get(status, 0)
            return tick, 0, 0, 0, begin
        # kept over what is exclusive or meta, as players do, though the format forbids it
        self._status = status
        count = _DATA_BYTES[status >> 4]
        data = self._data[self._at : min(self._at + count, self._end)]
        self._at += count
        if len(data) < count:
            self._odd("the track is cut off within an event", begin)
            return None
        if max(data) > 127:
            self._odd("a data byte above 127 is taken as 127", begin)
        return tick, status, min(data[0], 127), min(data[-1], 127), begin

    def _meta(self, tick: int, begin: int) -> Event | None:
        kind = self._data[self._at] if self._at < self._end else 0
        self._at += 1
        body = self._body(begin)
        if body is None:
            return None
        start, length = body
        value = 0
        if kind == END - META:
            return tick, END, 0, 0, begin
        if kind == PORT - META and length:
            return tick, PORT, self._data[start], 0, begin
        if kind == TEMPO - META:
            value = int.from_bytes(self._data[start : start + min(length, 3)], "big")
            if length < 3 or value < MIN_TEMPO:
                self._odd("a tempo that cannot be is ignored", begin)
                return tick, 0, 0, 0, begin
            return tick, TEMPO, value, 0, begin
        return tick, 0, 0, 0, begin

    def _exclusive(self, tick: int, begin: int) -> Event | None:
        start = self._at
        length = self._number_at()
        if length is None or self._at + length > self._end:
            # some write the message without its length: its end is F7
            closing = self._data.find(_ESCAPE, start, self._end)
            self._odd("a system exclusive message of a wrong length is skipped", begin)
            if closing < 0:
                return None
            self._at = closing + 1
        else:
            self._at += length
        return tick, 0, 0, 0, begin

    def _body(self, begin: int) -> tuple[int, int] | None:
        """Return where the data of a meta event begin, and their length; None where they are cut
        off."""
        length = self._number_at()
        if length is None or self._at + length > self._end:
            self._odd("the track is cut off within a meta event", begin)
            return None
        start = self._at
        self._at += length
        return start, length

    def _number_at(self) -> int | None:
        """Read a number of variable length; None where the track ends within it."""
        value = 0
        while self._at < self._end:
            byte = self._data[self._at]
            self._at += 1
            # beyond all that means anything it need not be exact
            value = min(value << 7 | byte & 0x7F, 1 << 40)
            if byte < 0x80:
                return value
        return None

    def _odd(self, what: str, byte: int) -> None:
        self._remarks.add(what, byte, self._number)
