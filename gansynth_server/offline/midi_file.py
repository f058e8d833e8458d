"""A standard MIDI file as notes in seconds, and what plays them: programs and controllers.

People's files are read as they are: whatever is odd costs a line (see :class:`Song`), not the song.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from gansynth_server.errors import UserError
from gansynth_server.offline import midi_chunks, midi_events
from gansynth_server.offline.midi_chunks import Header, Track
from gansynth_server.offline.midi_columns import Control, Controls, MidiNote, Notes
from gansynth_server.offline.midi_events import END, META, PORT, TEMPO, Event
from gansynth_server.offline.midi_pairing import (
    HANGING_S,
    MagentaPairing,
    MusicianPairing,
    OpenNote,
    Pairing,
)
from gansynth_server.offline.midi_remarks import Remarks

__all__ = ["MidiNote", "Song", "read"]

DEFAULT_TEMPO = 500_000
"""Microseconds per quarter note until the file says otherwise: 120 bpm."""
MAX_BYTES = 64 << 20
MAX_GAP_S = 3600.0
"""Time (s) between two events of a track that is believed."""
NTSC = 30000 / 1001
"""Frames a second that SMPTE's 29 stands for."""
_NOTE_OFF, _NOTE_ON, _CONTROL, _PROGRAM = 0x8, 0x9, 0xB, 0xC
_EXPRESSIVE = (0xA, _CONTROL, 0xD, 0xE)


@dataclass(frozen=True)
class Song:
    """What a file holds.

    ``programs`` says whether the file chooses instruments. ``controls`` are the messages that
    change notes, in the order of their times. ``remarks`` say what was odd about the file, each
    with its track and byte.
    """

    notes: Sequence[MidiNote]
    controls: Controls
    remarks: tuple[str, ...]
    programs: bool = False


def read(path: Path, magenta: bool = False) -> Song:
    """Read a file.

    For musicians, the first note-on of a key is ended by the first note-off; pedals hold, and
    controllers 120 and 123 to 127 end notes. A note that is never ended sounds until its
    track's end, and 4 s at most.

    Args:
        magenta: pairs and orders notes as pretty_midi does, on which Magenta's instruments depend:
            instrument by instrument, which is a (track, channel, program), in the order of their
            first ended notes, each in the order of its note-offs. A note-off ends all notes of its
            pitch that began before it; hanging notes come last.

    Raises:
        UserError: the file is missing, is no MIDI file, or holds no notes.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise UserError(f"there is no file {path}") from error
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise UserError(f"{path} is too large for a MIDI file: up to {MAX_BYTES >> 20} MB are read")
    song = parse(data, str(path), magenta)
    if not song.notes:
        said = f": {song.remarks[0]}" if song.remarks else ""
        raise UserError(f"{path} holds no notes{said}")
    return song


def parse(data: bytes, name: str = "the file", magenta: bool = False) -> Song:
    """Read the content of a file, which may hold no notes; UserError where it is no MIDI file."""
    remarks = Remarks()
    header, tracks = midi_chunks.find(data, name, remarks)
    reader = _SongReader(header, remarks, magenta)
    if header.format == 2 and len(tracks) > 1:
        remarks.add("a set of patterns (format 2); they are played one after the other", 0)
        for track in tracks:
            reader.play([track], data)
    else:
        reader.play(tracks, data)
    return reader.song()


class _Clock:
    """Ticks → seconds; tempo changes come in the order of their ticks."""

    def __init__(self, division: int, start: float, remarks: Remarks) -> None:
        self._division = division
        self._tick, self._seconds = 0, start
        if division > 0:
            self._scale = DEFAULT_TEMPO / 1e6 / division
        else:  # SMPTE: -frames per second in the high byte, ticks per frame in the low one
            frames = -(division >> 8)
            if frames not in (24, 25, 29, 30):
                remarks.add(f"{frames} frames a second are none of SMPTE's", 12)
            rate = NTSC if frames == 29 else frames
            self._scale = 1 / (rate * max(1, division & 0xFF))

    def __call__(self, tick: int) -> float:
        return self._seconds + (tick - self._tick) * self._scale

    def change(self, tick: int, tempo: int) -> None:
        """Change the tempo (µs per quarter note), which SMPTE time does not heed."""
        if self._division > 0:
            self._seconds, self._tick = self(tick), tick
            self._scale = tempo / 1e6 / self._division


class _SongReader:
    """Turns events into notes and controls."""

    def __init__(self, header: Header, remarks: Remarks, magenta: bool) -> None:
        self._header, self._remarks, self._magenta = header, remarks, magenta
        self._notes, self._controls = Notes(), Controls()
        self._start = self._end = 0.0
        self._programs = False
        self._ranks: dict[tuple[int, int, int], int] = {}
        """Instruments of Magenta by (track, channel, program), in the order of their tracks' first
        ended notes."""

    def play(self, tracks: list[Track], data: bytes) -> None:
        """Read tracks that sound together, behind those before."""
        self._start = self._end
        self._clock = _Clock(self._header.division, self._start, self._remarks)
        self._channels: dict[tuple[int, int], Pairing] = {}
        self._own: dict[tuple[int, int], int] = {}
        self._shared: dict[tuple[int, int], int] = defaultdict(int)
        """Programs by (track, channel), and by (port, channel)."""
        self._ports: dict[int, int] = defaultdict(int)
        ends: dict[int, float] = {}
        left_out: set[int] = set()
        for track, event in self._merged(tracks, data):
            if track in left_out:
                continue
            seconds = self._clock(event[0])
            if seconds - ends.get(track, self._start) > MAX_GAP_S and event[1] != END:
                what = "the next event is more than an hour later; what follows is left out"
                self._remarks.add(what, event[4], track + 1)
                left_out.add(track)
            else:
                ends[track] = seconds
                self._take(track, event, seconds)
        for channel in self._channels.values():
            channel.finish(ends)

    def song(self) -> Song:
        """Return all that was read."""
        if self._magenta:
            notes = self._notes
            keys = [(n.track, self._ranks[n.track, n.channel, n.program]) for n in notes]
            notes.arrange(sorted(range(len(notes)), key=keys.__getitem__))
        return Song(self._notes, self._controls, self._remarks.lines(), self._programs)

    def _merged(self, tracks: list[Track], data: bytes) -> Iterator[tuple[int, Event]]:
        """Yield the events of all tracks by their ticks, each with its track from 0."""

        def of(track: Track) -> Iterator[tuple[int, Event, int]]:
            for event in midi_events.events(data, track, self._remarks):
                yield event[0], event, track.number - 1

        for _, event, track in heapq.merge(*map(of, tracks), key=itemgetter(0)):
            yield track, event

    def _take(self, track: int, event: Event, seconds: float) -> None:
        tick, status, first, second, byte = event
        if status >= META:
            if status == TEMPO:
                self._clock.change(tick, first)
            elif status == PORT:
                self._ports[track] = first
            return
        port, kind, channel = self._ports[track], status >> 4, status & 0x0F
        place = port, channel
        pairing = self._channels.get(place)
        if pairing is None:
            rule = MagentaPairing if self._magenta else MusicianPairing
            pairing = self._channels[place] = rule(self._ended)
        if kind == _NOTE_ON and second:
            program = self._program(track, port, channel)
            pairing.on(OpenNote(seconds, tick, byte, track, port, channel, program, first, second))
        elif kind in (_NOTE_ON, _NOTE_OFF):
            pairing.off((track, first), seconds, tick)
        elif kind == _PROGRAM:
            self._programs = True
            self._own[track, channel] = self._shared[place] = first
        elif kind in _EXPRESSIVE:
            if kind == _CONTROL:
                pairing.control(first, second, seconds)
            self._controls.add(Control(seconds, port, status, first, second))
            self._end = max(self._end, seconds)

    def _program(self, track: int, port: int, channel: int) -> int:
        """Return a track's own program, or that of the channel where it chose none.

        Many files have all tracks on one channel, each with a program of its own.
        """
        return self._own.get((track, channel), self._shared[port, channel])

    def _ended(self, note: OpenNote, end: float, hanging: bool, cut: bool) -> None:
        if hanging and not self._magenta:
            what = f"a note that is never ended is ended, after {HANGING_S:g} s at most"
            self._remarks.add(what, note.byte, note.track + 1)
        if end <= note.start:
            self._remarks.add("notes of no length are left out", note.byte, note.track + 1)
            return
        if self._magenta:  # the program at its end, as pretty_midi has it
            note.program = self._own.get((note.track, note.channel), 0)
            instrument = note.track, note.channel, note.program
            self._ranks.setdefault(instrument, len(self._ranks))
        self._notes.add(
            MidiNote(
                *(note.track, note.channel, note.program, note.pitch, note.velocity),
                *(note.start, end),
                hanging=hanging,
                cut=cut,
                port=note.port,
            )
        )
        self._end = max(self._end, end)
