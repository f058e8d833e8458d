"""What is odd about a MIDI file: one line for each kind and track, with its first byte."""

from __future__ import annotations

MAX_LINES = 64
"""Kinds and tracks that are told apart; further ones are only counted."""


class Remarks:
    """Oddities by track and kind; each is told once, with its first place and its number."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, str], tuple[int, int]] = {}
        self._more = 0

    def add(self, what: str, byte: int, track: int = 0) -> None:
        """Note an oddity at a byte of the file; tracks count from 1, 0 is the file itself."""
        key = track, what
        if key in self._found:
            first, times = self._found[key]
            self._found[key] = first, times + 1
        elif len(self._found) < MAX_LINES:
            self._found[key] = byte, 1
        else:
            self._more += 1

    def lines(self) -> tuple[str, ...]:
        """Return one line for each kind and track, in the order of their first places."""
        lines = []
        for (track, what), (byte, times) in sorted(self._found.items(), key=lambda item: item[1]):
            place = f"track {track}, byte {byte}" if track else f"byte {byte}"
            more = f" (and {times - 1} more like it)" if times > 1 else ""
            lines.append(f"{place}: {what}{more}")
        if self._more:
            lines.append(f"and {self._more} more oddities")
        return tuple(lines)
