"""What a row of the message table is, and how a message is checked against it.

Numbers may be sent as i or f (Pure Data sends floats only); replies hold i, f, s and b.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.osc.codec import Arg as Value
from gansynth_server.osc.codec import Message

NUMBER, INTEGER, TEXT, SLOT, NOTE_ID, LATENT = "number", "integer", "text", "slot", "id", "latent"
ANY, PAIRS, MESSAGE = "any", "pairs", "message"
REQUIRED: Any = object()
MAX_INTEGER = 2**24
"""Pure Data holds whole numbers exactly up to here."""
MAX_TEXT = 256
MAX_ANY = 32768
"""Characters of a text that may be a whole file's."""


@dataclass(frozen=True)
class Arg:
    """One argument: what it is called, what it may be, and what it is when left out."""

    name: str
    kind: str = NUMBER
    low: float = -math.inf
    high: float = math.inf
    default: Any = REQUIRED
    choices: tuple[str, ...] = ()
    """All that a word may be."""
    keys: tuple[Arg, ...] = ()
    """Of pairs: the keys that are understood, and what their values may be."""

    @property
    def text(self) -> str:
        """As the message table shows it."""
        text = self.name
        if math.isfinite(self.low) and self.high < MAX_INTEGER:
            text += f" {self.low:g}…{self.high:g}"
        if self.choices:
            text += f" {' / '.join(self.choices)}"
        if self.kind == LATENT:
            text = f"{self.name} as blob or floats"
        if self.kind == MESSAGE:
            return "address, arguments…"
        if self.kind == PAIRS:
            return f"pairs of {' '.join(key.name for key in self.keys)}"
        if self.default is REQUIRED:
            return text
        return f"[{text}]" if self.default is None else f"[{text} = {self.default}]"


@dataclass(frozen=True)
class Row:
    """One message: its address, arguments, reply and meaning, and an example that works."""

    address: str
    args: tuple[Arg, ...]
    reply: str
    help: str
    example: tuple[Value, ...] = ()
    exact: bool = False
    """Reached by its own address only, never by a pattern that happens to match it."""

    @property
    def method(self) -> str:
        """Name of the handler: /z/set → z_set."""
        return self.address[1:].replace("/", "_")


SLOT_ARG = Arg("slot", SLOT)
ID_ARG = Arg("id", NOTE_ID)
PITCH_ARG = Arg("pitch", NUMBER, 0, 127)
NAME_ARG = Arg("name", TEXT)


def parse(row: Row, values: tuple[Value, ...]) -> list[Any]:
    """Checks the arguments of a message against its row and fills in what was left out.

    Returns:
        One value per argument: float, int, str, a float32 array for a latent,
        or a dict of the pairs that are understood; a slot is always a str, and
        a note's id an int where it is whole.

    Raises:
        UserError: says which argument is wrong, and what it may be.
    """
    if values == (None,):  # what OSCQuery's clients send where there is nothing to send
        values = ()
    parsed: list[Any] = []
    for place, arg in enumerate(row.args):
        if arg.kind == LATENT:
            parsed.append(_latent(arg.name, values[place:]))
            return parsed
        if arg.kind == PAIRS:
            parsed.append(_pairs(arg, values[place:]))
            return parsed
        if arg.kind == MESSAGE:
            parsed.append(_message(values[place:]))
            return parsed
        if place < len(values):
            parsed.append(_check(arg, values[place]))
        elif arg.default is REQUIRED:
            expected = " ".join(a.text for a in row.args)
            raise UserError(f"{arg.name} is missing: {row.address} {expected}")
        else:
            parsed.append(arg.default)
    if len(values) > len(row.args):
        expected = " ".join(a.text for a in row.args) or "no arguments"
        raise UserError(f"too many arguments: {row.address} takes {expected}")
    return parsed


def _check(arg: Arg, value: Value) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if arg.choices and value not in arg.choices:
        raise UserError(f"{arg.name} must be one of: {', '.join(arg.choices)}")
    if arg.kind == ANY and isinstance(value, str) and len(value) <= MAX_ANY:
        return value
    if arg.kind == TEXT and isinstance(value, str) and 0 < len(value) <= MAX_TEXT:
        return value
    if arg.kind in (SLOT, NOTE_ID) and isinstance(value, str) and 0 < len(value) <= MAX_TEXT:
        return value
    if arg.kind == TEXT or not number or not math.isfinite(value):  # type: ignore[arg-type]
        words = "a word or a number"
        wanted = {TEXT: "a word", SLOT: words, NOTE_ID: "a number or a word", ANY: words}
        raise UserError(f"{arg.name} must be {wanted.get(arg.kind, 'a finite number')}")
    assert isinstance(value, (int, float))
    if arg.kind in (SLOT, NOTE_ID):
        whole = int(value) if value == int(value) else value
        return f"{whole}" if arg.kind == SLOT else whole
    if not arg.low <= value <= arg.high:
        raise UserError(f"{arg.name} must be {arg.low:.10g} to {arg.high:.10g}, not {value:g}")
    if arg.kind == INTEGER:
        if value != int(value):
            raise UserError(f"{arg.name} must be a whole number, not {value:g}")
        return int(value)
    return float(value)


def _pairs(arg: Arg, values: tuple[Value, ...]) -> dict[str, Any]:
    """The pairs whose keys are understood; whoever sends them sends many others too."""
    if len(values) % 2:
        raise UserError(f"{arg.name} must be pairs of a key and its value; the last key has none")
    known = {key.name: key for key in arg.keys}
    if not all(isinstance(key, str) for key in values[::2]):
        raise UserError(f"{arg.name} must be pairs of a key and its value; a key must be a word")
    pairs = zip(values[::2], values[1::2], strict=True)
    return {str(key): _check(known[str(key)], value) for key, value in pairs if key in known}


def _message(values: tuple[Value, ...]) -> Message:
    """A message inside of another one; the first slash of its address may be missing."""
    if not values or not isinstance(values[0], str) or not 0 < len(values[0]) <= MAX_TEXT:
        raise UserError("a message inside of another one begins with its address")
    return Message("/" + values[0].removeprefix("/"), values[1:])


def _latent(name: str, values: tuple[Value, ...]) -> NDArray[np.float32]:
    if len(values) == 1 and isinstance(values[0], bytes):
        if len(values[0]) % 4:
            raise UserError(f"{name}: the blob must hold big-endian float32 numbers")
        latent = np.frombuffer(values[0], ">f4").astype(np.float32)
    elif values and all(isinstance(v, (int, float)) for v in values):
        latent = np.array(values, np.float32)
    else:
        raise UserError(f"{name} must be numbers, or one blob of big-endian float32")
    if not np.isfinite(latent).all():
        raise UserError(f"{name} has numbers that are not finite")
    return latent
