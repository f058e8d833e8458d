"""Notes and controllers of a song in columns: a few bytes each, as in the file itself."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

DRUM_CHANNEL = 9
"""Channel 10 as musicians count."""


@dataclass(frozen=True, slots=True)
class MidiNote:
    """One note of a file; times in seconds from its beginning.

    ``track`` counts from 0, ``channel`` is 0…15, ``velocity`` 1…127. A
    ``hanging`` note was never ended in the file; one that is ``cut`` ends at once,
    without its release.
    """

    track: int
    channel: int
    program: int
    pitch: int
    velocity: int
    start: float
    end: float
    hanging: bool = False
    cut: bool = False
    port: int = 0

    @property
    def drum(self) -> bool:
        """Whether it is on the drum channel."""
        return self.channel == DRUM_CHANNEL


class Control(NamedTuple):
    """A message that changes the notes of a channel: its time (s), port, status and data bytes."""

    time: float
    port: int
    status: int
    first: int
    second: int

    @property
    def channel(self) -> int:
        return self.status & 0x0F


class Notes(Sequence[MidiNote]):
    """Notes in columns; each is made when it is asked for."""

    def __init__(self) -> None:
        self._times = array("d")
        self._tracks = array("H")
        self._bytes = bytearray()
        self._order: array[int] | None = None

    def add(self, note: MidiNote) -> None:
        """Append a note."""
        self._times.extend((note.start, note.end))
        self._tracks.append(note.track)
        flags = note.hanging | note.cut << 1
        self._bytes.extend(
            (note.channel, note.program, note.pitch, note.velocity, note.port, flags)
        )

    def arrange(self, order: Iterable[int]) -> None:
        """Put the notes into an order of their indices."""
        self._order = array("I", order)

    def __len__(self) -> int:
        return len(self._tracks)

    @overload
    def __getitem__(self, index: int) -> MidiNote: ...

    @overload
    def __getitem__(self, index: slice) -> list[MidiNote]: ...

    def __getitem__(self, index: int | slice) -> MidiNote | list[MidiNote]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        if self._order is not None:
            place = self._order[place]
        channel, program, pitch, velocity, port, flags = self._bytes[6 * place : 6 * place + 6]
        start, end = self._times[2 * place : 2 * place + 2]
        return MidiNote(
            *(self._tracks[place], channel, program, pitch, velocity, start, end),
            hanging=bool(flags & 1),
            cut=bool(flags & 2),
            port=port,
        )


class Controls:
    """Controls in columns, in the order of their times."""

    def __init__(self) -> None:
        self._times = array("d")
        self._bytes = bytearray()

    def add(self, control: Control) -> None:
        """Append a control."""
        self._times.append(control.time)
        self._bytes.extend((control.port, control.status, control.first, control.second))

    def __len__(self) -> int:
        return len(self._times)

    def __iter__(self) -> Iterator[Control]:
        for n, time in enumerate(self._times):
            yield Control(time, *self._bytes[4 * n : 4 * n + 4])
