"""Which note-off ends which note: as musicians mean it, and as Magenta reads it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

MAX_OPEN = 1024
"""Notes of a channel that may sound at once in a file; beyond it the oldest end."""
HANGING_S = 4.0
"""Longest time (s) that a note lasts whose end is missing: as long as one lasts by itself."""
MIN_HANGING_S = 0.5
"""Time (s) that such a note lasts where the track is cut off behind its beginning."""
PEDAL, SOSTENUTO = 64, 66
SOUND_OFF, RESET, NOTES_OFF = 120, 121, 123
"""Controllers from 123 to 127 all end notes."""

Key: TypeAlias = tuple[int, int]
"""Track and pitch."""


@dataclass(slots=True)
class OpenNote:
    """A note that has begun: its time (s), tick and byte, and what the file says of it."""

    start: float
    tick: int
    byte: int
    track: int
    port: int
    channel: int
    program: int
    pitch: int
    velocity: int
    serial: int = 0
    up: float | None = None
    """When its key came up (s), while a pedal holds it."""


Ended: TypeAlias = Callable[[OpenNote, float, bool, bool], None]
"""Told of a note, its end (s), whether that is missing in the file, and whether it is cut."""


class Pairing(Protocol):
    """What ends the notes of one channel."""

    def on(self, note: OpenNote) -> None:
        """Begin a note."""
        ...

    def off(self, key: Key, seconds: float, tick: int) -> None:
        """Let a key go."""
        ...

    def control(self, number: int, value: int, seconds: float) -> None:
        """Apply a controller."""
        ...

    def finish(self, ends: dict[int, float]) -> None:
        """End what still sounds; ``ends`` has the times (s) of the tracks' ends."""
        ...


class MusicianPairing:
    """First in, first out for each key; pedals hold, and the controllers that end notes do."""

    def __init__(self, ended: Ended) -> None:
        self._ended = ended
        self._down: dict[Key, deque[OpenNote]] = {}
        self._held: dict[Key, list[OpenNote]] = {}
        """Notes that the sustain pedal holds."""
        self._caught: dict[Key, list[OpenNote]] = {}
        """Notes that the sostenuto pedal holds."""
        self._count = self._serial = 0
        self._pedal = False
        self._sostenuto = 0
        """Serial number of the first note that came after the sostenuto pedal; 0 while it is up."""

    def on(self, note: OpenNote) -> None:
        key = note.track, note.pitch
        # struck again, a string sounds once
        self._end_all(self._held, note.start, key)
        if self._count >= MAX_OPEN:
            self._end_oldest(note.start)
        self._serial += 1
        note.serial = self._serial
        self._down.setdefault(key, deque()).append(note)
        self._count += 1

    def off(self, key: Key, seconds: float, tick: int) -> None:
        down = self._down.get(key)
        if down:
            self._let_go(key, down.popleft(), seconds)
            if not down:
                del self._down[key]

    def control(self, number: int, value: int, seconds: float) -> None:
        if number in (PEDAL, RESET):
            self._pedal = number == PEDAL and value >= 64
            if not self._pedal:
                self._end_all(self._held, seconds)
        if number in (SOSTENUTO, RESET):
            pressed = number == SOSTENUTO and value >= 64
            self._sostenuto = (self._sostenuto or self._serial + 1) if pressed else 0
            if not pressed:
                self._drop_caught(seconds)
        if number == SOUND_OFF:
            for notes in (self._down, self._held, self._caught):
                self._end_all(notes, seconds, cut=True)
        elif number >= NOTES_OFF:
            # the pedals hold these as they hold others
            for key in list(self._down):
                for note in self._down.pop(key):
                    self._let_go(key, note, seconds)

    def finish(self, ends: dict[int, float]) -> None:
        for notes in (self._down, self._held, self._caught):
            for ones in notes.values():
                for note in ones:
                    since = note.start if note.up is None else note.up
                    rest = max(ends.get(note.track, since) - since, MIN_HANGING_S)
                    self._ended(note, since + min(rest, HANGING_S), note.up is None, False)

    def _let_go(self, key: Key, note: OpenNote, seconds: float) -> None:
        note.up = seconds
        if note.serial < self._sostenuto:
            self._caught.setdefault(key, []).append(note)
        elif self._pedal:
            self._held.setdefault(key, []).append(note)
        else:
            self._end(note, seconds)

    def _drop_caught(self, seconds: float) -> None:
        for key in list(self._caught):
            for note in self._caught.pop(key):
                if self._pedal:
                    self._held.setdefault(key, []).append(note)
                else:
                    self._end(note, seconds)

    def _end_all(
        self,
        notes: dict[Key, list[OpenNote]] | dict[Key, deque[OpenNote]],
        seconds: float,
        key: Key | None = None,
        cut: bool = False,
    ) -> None:
        for one in list(notes) if key is None else [key]:
            for note in notes.pop(one, ()):
                self._end(note, seconds, cut)

    def _end_oldest(self, seconds: float) -> None:
        for notes in (self._held, self._caught, self._down):
            if notes:
                self._end_all(notes, seconds, next(iter(notes)))
                return

    def _end(self, note: OpenNote, seconds: float, cut: bool = False) -> None:
        self._count -= 1
        self._ended(note, seconds, False, cut)


@dataclass
class MagentaPairing:
    """As pretty_midi: a note-off ends all notes of its pitch that began before it."""

    ended: Ended
    open: dict[Key, list[OpenNote]] = field(default_factory=dict)

    def on(self, note: OpenNote) -> None:
        self.open.setdefault((note.track, note.pitch), []).append(note)

    def off(self, key: Key, seconds: float, tick: int) -> None:
        begun = self.open.pop(key, [])
        ended = [note for note in begun if note.tick != tick]
        for note in ended:
            self.ended(note, seconds, False, False)
        if ended and len(ended) < len(begun):  # struck again on the tick of the note-off
            self.open[key] = [note for note in begun if note.tick == tick]

    def control(self, number: int, value: int, seconds: float) -> None:
        pass

    def finish(self, ends: dict[int, float]) -> None:
        for notes in self.open.values():
            for note in notes:
                end = ends[note.track]
                if end > note.start:
                    self.ended(note, end, True, False)
