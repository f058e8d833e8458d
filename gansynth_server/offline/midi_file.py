"""A standard MIDI file as a list of notes in seconds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gansynth_server.errors import UserError

DRUM_CHANNEL = 9
"""Channel 10 as musicians count."""
DEFAULT_TEMPO = 500_000
"""Microseconds per quarter note until the file says otherwise: 120 bpm."""


@dataclass(frozen=True, slots=True)
class MidiNote:
    """One note of a file; times in seconds from its beginning.

    ``track`` counts from 0, ``channel`` is 0…15, ``velocity`` 1…127. A
    ``hanging`` note was never ended in the file; it ends with its track.
    """

    track: int
    channel: int
    program: int
    pitch: int
    velocity: int
    start: float
    end: float
    hanging: bool = False

    @property
    def drum(self) -> bool:
        """Whether it is on the drum channel."""
        return self.channel == DRUM_CHANNEL


def read(path: Path) -> list[MidiNote]:
    """The notes of a file, instrument by instrument.

    An instrument is a (track, channel, program), in the order of their first
    ended notes; within one the notes come in the order of their note-offs.
    This is pretty_midi's order, on which Magenta's instruments depend. As
    there, a note-off ends all notes of its pitch that began before it, and
    notes of no length are left out. Hanging notes come last in theirs.

    Raises:
        UserError: the file is missing, is no MIDI file, is broken or holds no notes.
    """
    file = _parse(path)
    clock = _Clock(file)
    instruments: dict[tuple[int, int, int], list[MidiNote]] = {}
    for index, track in enumerate(file.tracks):
        for note in _track_notes(index, track, clock):
            key = (note.track, note.channel, note.program)
            instruments.setdefault(key, []).append(note)
    notes = [note for instrument in instruments.values() for note in instrument]
    if not notes:
        raise UserError(f"{path} holds no notes")
    return notes


def _parse(path: Path) -> Any:
    import mido

    try:
        file = mido.MidiFile(path, clip=True)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except Exception as error:  # mido passes on whatever its parsers raise
        reason = str(error) or "it ends too early"
        raise UserError(f"{path} cannot be read as a MIDI file: {reason}") from error
    if file.type == 2:
        raise UserError(f"{path} is of type 2, a set of separate patterns; save it as type 0 or 1")
    if file.ticks_per_beat == 0:
        raise UserError(f"{path} cannot be read as a MIDI file: its beat has no ticks")
    return file


class _Clock:
    """Ticks → seconds, through the tempo changes of all tracks."""

    def __init__(self, file: Any) -> None:
        changes = {0: DEFAULT_TEMPO}
        for track in file.tracks:
            tick = 0
            for message in track:
                tick += message.time
                if message.type == "set_tempo":
                    changes[tick] = message.tempo
        self._ticks = np.array(sorted(changes))
        tempos = np.array([changes[int(tick)] for tick in self._ticks])
        division = file.ticks_per_beat
        if division > 0:
            self._scale = tempos / 1e6 / division  # seconds per tick
        else:  # SMPTE: -frames per second in the high byte, ticks per frame in the low one
            frames = {29: 30000 / 1001}.get(-(division >> 8), -(division >> 8))
            self._scale = np.full(len(tempos), 1 / (frames * max(1, division & 0xFF)))
        lengths = np.diff(self._ticks) * self._scale[:-1]
        self._seconds = np.concatenate([[0.0], np.cumsum(lengths)])

    def __call__(self, tick: int) -> float:
        at = int(np.searchsorted(self._ticks, tick, side="right")) - 1
        return float(self._seconds[at] + (tick - self._ticks[at]) * self._scale[at])


def _track_notes(index: int, track: Any, clock: _Clock) -> list[MidiNote]:
    """Notes of one track in the order in which they end."""
    notes: list[MidiNote] = []
    program: dict[int, int] = defaultdict(int)
    open_notes: dict[tuple[int, int], list[tuple[int, int]]] = {}  # (tick, velocity)
    tick = 0

    def close(channel: int, pitch: int, begun: int, velocity: int, hanging: bool) -> None:
        times = clock(begun), clock(tick)
        notes.append(
            MidiNote(index, channel, program[channel], pitch, velocity, *times, hanging=hanging)
        )

    for message in track:
        tick += message.time
        if message.type == "program_change":
            program[message.channel] = message.program
        elif message.type == "note_on" and message.velocity > 0:
            key = (message.channel, message.note)
            open_notes.setdefault(key, []).append((tick, message.velocity))
        elif message.type in ("note_on", "note_off"):
            key = (message.channel, message.note)
            begun = open_notes.pop(key, [])
            ended = [note for note in begun if note[0] != tick]
            for note in ended:
                close(*key, *note, hanging=False)
            if ended and len(ended) < len(begun):  # struck again on the tick of the note-off
                open_notes[key] = [note for note in begun if note[0] == tick]
    for key, begun in open_notes.items():
        for note in begun:
            if note[0] != tick:
                close(*key, *note, hanging=True)
    return notes
