"""Chunks of a standard MIDI file, found however they are wrapped, counted or cut off.

The rules follow the files that people have, not the format: a header is looked for behind
whatever stands in front of it (RIFF's, MacBinary's, a mail's), the header's number of tracks is
not believed, and a length is believed only where it leads to another chunk or to the file's end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gansynth_server.errors import UserError
from gansynth_server.offline.midi_remarks import Remarks

HEADER, TRACK = b"MThd", b"MTrk"
DEFAULT_DIVISION = 480
"""Ticks of a quarter note where the file does not say."""
MAX_TRACKS = 4096
MAX_PADDING = 8
"""Zero bytes that may stand between two chunks."""
_END = b"\xff\x2f\0"
"""The last event of a track."""
_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"PK\3\4", "a zip archive: unpack it first"),
    (b"\x1f\x8b", "packed with gzip: unpack it first"),
    (b"ID3", "an MP3 file"),
    (b"OggS", "an Ogg file"),
    (b"fLaC", "a FLAC file"),
    (b"%PDF", "a PDF file"),
    (b"MUS\x1a", "Doom's own format: turn it into a MIDI file first"),
    (b"FORM", "an IFF file, as XMIDI is: turn it into a MIDI file first"),
    (b"XMF_", "an XMF archive: take the MIDI file out of it"),
    (b"<!", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML file, as scores are: export it as MIDI"),
)
"""Beginnings of files that are no MIDI files, and what they are."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the file's header says: format 0, 1 or 2, and the division of time as a signed word."""

    format: int = 1
    division: int = DEFAULT_DIVISION


@dataclass(frozen=True, slots=True)
class Track:
    """The bytes of a track: its number from 1, its first byte, and the one behind its last.

    ``sure`` says that its length is right, for another chunk or the file's end follows.
    """

    number: int
    start: int
    end: int
    sure: bool


def find(data: bytes, name: str, remarks: Remarks) -> tuple[Header, list[Track]]:
    """Return the header and the tracks of a file.

    Raises:
        UserError: there are no tracks in it; says what it is instead, where that can be told.
    """
    begin = _begin(data)
    if begin < 0 or data.find(TRACK, begin) < 0:
        raise UserError(f"{name} cannot be read as a MIDI file: {_what(data, begin)}")
    if begin and not data.startswith(b"RIFF"):
        remarks.add(f"{begin} bytes stand before the song's beginning; they are skipped", 0)
    if not data.startswith(HEADER, begin):
        remarks.add("there is no header; 480 ticks of a beat are taken", begin)
        return Header(), list(_tracks(data, begin, remarks))
    header, position = _header(data, begin, remarks)
    return header, list(_tracks(data, position, remarks))


def _begin(data: bytes) -> int:
    """Return the place of the header, or of the first track where there is none, or -1."""
    first = place = data.find(HEADER)
    while place >= 0:
        # the word may also stand in a text before the song
        size = int.from_bytes(data[place + 4 : place + 8], "big")
        if 6 <= size <= 255 and data.find(TRACK, place) >= 0:
            return place
        place = data.find(HEADER, place + 1, place + (1 << 20))
    return first if first >= 0 else data.find(TRACK)


def _what(data: bytes, begin: int) -> str:
    """Return what a file without tracks is."""
    if not data:
        return "it is empty"
    if begin >= 0:
        return "it ends too early, before its first track"
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "it is a WAV file"
    lower = data[:64].lstrip().lower()
    for beginning, kind in _KINDS:
        if lower.startswith(beginning.lower()):
            return f"it is {kind}"
    return "there is no MIDI header (MThd) in it"


def _header(data: bytes, begin: int, remarks: Remarks) -> tuple[Header, int]:
    """Return the header and where to look for the first track."""
    size = int.from_bytes(data[begin + 4 : begin + 8], "big")
    first = data.find(TRACK, begin)
    fields = data[begin + 8 : min(begin + 14, first)]
    if len(fields) < 6:
        remarks.add("the header is cut off; 480 ticks of a beat are taken", begin)
        return Header(), first
    end = begin + 8 + size
    if data[end : end + 4] != TRACK and size != 6:
        remarks.add(f"the header's length, {size}, leads nowhere", begin + 4)
        end = begin + 14
    format = int.from_bytes(fields[:2], "big")
    if format > 2:
        remarks.add(f"there is no format {format}; it is read as format 1", begin + 8)
        format = 1
    division = int.from_bytes(fields[4:6], "big", signed=True)
    if division == 0:
        remarks.add("the beat has no ticks; 480 are taken", begin + 12)
        division = DEFAULT_DIVISION
    return Header(format, division), end


def _tracks(data: bytes, position: int, remarks: Remarks) -> Iterator[Track]:
    number = 0
    while position < len(data):
        kind, end = data[position : position + 4], _declared_end(data, position)
        if kind == TRACK:
            number += 1
            if number > MAX_TRACKS:
                remarks.add(f"tracks beyond {MAX_TRACKS} are left out", position)
                return
            following = _chunk_at(data, end)
            sure = following is not None or data[end - 4 : end].endswith(_END)
            if following is None and sure:
                following = end
            elif following is None:
                remarks.add("the track's length is wrong, or it is cut off", position + 4, number)
                following = end = _next_track(data, position + 8)
            elif following > end:
                remarks.add("zeros stand behind the track", end, number)
            yield Track(number, position + 8, min(end, len(data)), sure)
            position = following
        elif kind == HEADER and number:
            remarks.add("a second song follows; it is left out", position)
            return
        elif _is_name(kind) and (following := _chunk_at(data, end)) is not None:
            remarks.add(f"a chunk {kind.decode()} is skipped", position)
            position = following
        else:
            following = _next_track(data, position)
            # the chunks of RIFF behind the song are none of MIDI's
            if following < len(data) or not data.startswith(b"RIFF"):
                remarks.add(f"{following - position} bytes between tracks are skipped", position)
            position = following


def _declared_end(data: bytes, position: int) -> int:
    return position + 8 + int.from_bytes(data[position + 4 : position + 8], "big")


def _next_track(data: bytes, position: int) -> int:
    """Return the place of the next track, or the file's end."""
    found = data.find(TRACK, position)
    return len(data) if found < 0 else found


def _chunk_at(data: bytes, end: int) -> int | None:
    """Return where a chunk begins at a place, or behind some zeros there; None where none does.

    The end of the file counts as one.
    """
    for place in range(end, min(end + MAX_PADDING, len(data)) + 1):
        name = data[place : place + 4]
        fits = place + 8 <= len(data) and _declared_end(data, place) <= len(data)
        if place == len(data) or name in (TRACK, HEADER) or (_is_name(name) and fits):
            return place
        if data[place]:
            break
    return None


def _is_name(name: bytes) -> bool:
    """Return whether four bytes can be the name of a chunk."""
    return len(name) == 4 and all(32 <= char < 127 for char in name)
