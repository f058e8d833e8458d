"""Scores from files.

``.jsonl`` holds one message a line, ``{"time": seconds, "message": ["/note", 60, 100]}``,
in any order; other keys are those of recordings (see :class:`Event`) or the
author's own. A line ``{"setting": {"checkpoint": …, "rate": …}}`` says how it is
to be played (see :class:`Setting`). ``.osc`` is what scsynth renders offline: packets of OSC, each
after its size as a big-endian int32, with time tags that count from 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_CHECKPOINT
from gansynth_server.osc.codec import Message, OscError, decode
from gansynth_server.osc.scheduler import LEAD

MAX_SECONDS = 3600.0
SUFFIXES = (".osc", ".jsonl")
END = "/c_set"
"""What SuperCollider's scores end with, to say how long they are; it means nothing here."""


@dataclass(frozen=True, slots=True)
class Event:
    """A message of a score.

    ``time`` is when it is heard. In what was played by hand, notes were heard a
    little later than they were asked for: there ``asked`` is the time at which the
    message was dealt with, which is the order of the events and where moving
    latents were just then; and ``when`` the time for which it was meant, if it
    was sent ahead. All are seconds.
    """

    time: float
    message: Message
    place: str
    """Its line or packet in the file, in words."""
    client: int = 0
    """Number of the client that sent it: each has latents and notes of its own."""
    when: float = 0.0
    asked: float = 0.0

    @property
    def ahead(self) -> float:
        """Seconds before its effect that it may be dealt with: none if played by hand."""
        return 0.0 if self.asked == self.when != self.time else LEAD


@dataclass(frozen=True)
class Setting:
    """How a score is played: as by a server with options of these names."""

    checkpoint: str = DEFAULT_CHECKPOINT
    rate: int = 48000
    channels: int = 2
    max_voices: int = 64
    seed: int = 0

    def but(self, place: str, changes: dict[str, Any]) -> Setting:
        """A copy with other values; UserError names the place of those that are none."""
        for name, value in changes.items():
            if type(value) is not type(getattr(self, name, None)):
                raise UserError(f"{place}: there is no setting {name} {value!r}")
        return replace(self, **changes)


class Changes(NamedTuple):
    """A line that changes the setting."""

    place: str
    values: dict[str, Any]


def read(path: Path) -> tuple[Setting, list[Event]]:
    """How a score is to be played, and its events in the order in which to deal with them.

    Raises:
        UserError: it cannot be read; names the line or packet that is wrong.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        setting, events = decode_score(data, osc=path.suffix.lower() == ".osc")
    except UserError as error:
        raise UserError(f"{path}, {error}") from error
    if not events:
        raise UserError(f"{path} holds no messages")
    return setting, events


def decode_score(data: bytes, osc: bool = False) -> tuple[Setting, list[Event]]:
    """Return what the content of a file says, see :func:`read`; UserError names a wrong place.

    Args:
        osc: whether it is that of an .osc file.
    """
    setting, events = Setting(), []
    for found in (_packets if osc else _lines)(data):
        if isinstance(found, Event):
            events.append(found)
        else:
            setting = setting.but(*found)
    return setting, sorted(events, key=lambda event: event.asked)


def encode_score(
    setting: Mapping[str, Any], messages: Iterable[tuple[float, int, Sequence[str | float]]]
) -> bytes:
    """Return the content of a .jsonl file.

    Args:
        setting: names and values of :class:`Setting`.
        messages: when (s), the client, and the address with its arguments, each.
    """
    lines: list[dict[str, Any]] = [{"setting": dict(setting)}]
    for time, client, words in messages:
        line = {"time": time, "message": list(words)}
        lines.append(line | ({"client": client} if client else {}))
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _packets(data: bytes) -> Iterator[Event]:
    position, number = 0, 0
    while position < len(data):
        number += 1
        size = int.from_bytes(data[position : position + 4], "big", signed=True)
        packet = data[position + 4 : position + 4 + max(0, size)]
        place = f"packet {number}"
        if size <= 0 or len(packet) < size:
            raise UserError(f"{place}: {size} bytes are announced and {len(packet)} are there")
        position += 4 + size
        try:
            messages = decode(packet, epoch=0)
        except OscError as error:
            raise UserError(f"{place}: {error}") from error
        for seconds, message in messages:
            time = _time(0.0 if seconds is None else seconds, place)
            if message.address != END:
                yield Event(time, message, place, when=time, asked=time)


def _lines(data: bytes) -> Iterator[Event | Changes]:
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"byte {error.start}: this is no text in UTF-8") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _line(line, f"line {number}")


def _line(line: str, place: str) -> Event | Changes:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: this is no JSON ({error})") from error
    if isinstance(found, dict) and isinstance(found.get("setting"), dict):
        return Changes(place, found["setting"])
    if not isinstance(found, dict) or "time" not in found or "message" not in found:
        raise UserError(f'{place}: write {{"time": seconds, "message": ["/note", 60, 100]}}')
    time = _time(found["time"], place)
    words = found["message"]
    if (
        not isinstance(words, list)
        or not words
        or not isinstance(words[0], str)
        or not words[0].startswith("/")
        or not all(_plain(word) for word in words)
    ):
        raise UserError(f"{place}: a message is a list of its /address, numbers and words")
    client = found.get("client", 0)
    if not isinstance(client, int):
        raise UserError(f"{place}: a client is a whole number")
    asked = _time(found.get("asked", time), place, -MAX_SECONDS)
    when = _time(found.get("when", asked), place, -MAX_SECONDS)
    return Event(time, Message(words[0], tuple(map(_sent, words[1:]))), place, client, when, asked)


def _sent(word: int | float | str) -> int | float | str:
    """The word as it would come over the wire, where floats have 32 bits."""
    return float(np.float32(word)) if isinstance(word, float) else word


def _plain(word: Any) -> bool:
    return isinstance(word, str) or (isinstance(word, (int, float)) and not isinstance(word, bool))


def _time(value: Any, place: str, low: float = 0.0) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= MAX_SECONDS:
        raise UserError(f"{place}: a time is 0 to {MAX_SECONDS:g} seconds, not {value!r}")
    return float(value)
