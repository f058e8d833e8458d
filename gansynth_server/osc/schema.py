"""Schema of the message table, and the check of a message against its row.

Numbers may be sent as i or f (Pure Data sends floats only); replies hold i, f, s and b.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.osc.codec import Arg as Value
from gansynth_server.osc.codec import Message

NUMBER, INTEGER, TEXT, SLOT, NOTE_ID, LATENT = "number", "integer", "text", "slot", "id", "latent"
ANY, PAIRS, MESSAGE = "any", "pairs", "message"
REQUIRED: Any = object()
MAX_INTEGER = 2**24
"""Largest integer up to which float32, Pure Data's only number, is exact."""
MAX_TEXT = 256
"""Characters of a word."""
MAX_ANY = 32768
"""Characters of a text that may be the content of a file."""


@dataclass(frozen=True)
class Arg:
    """One argument: its name, the values that it may have, and its default."""

    name: str
    kind: str = NUMBER
    low: float = -math.inf
    high: float = math.inf
    default: Any = REQUIRED
    choices: tuple[str, ...] = ()
    """Values that a word may have; empty allows any."""
    keys: tuple[Arg, ...] = ()
    """Known keys of pairs, and the values that they may have."""

    @property
    def text(self) -> str:
        """Text of the argument in the message table."""
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
    """Reached by its own address only, never by a pattern that matches it."""
    live: bool = False
    """Answered by a running server alone; left out of scores and recordings."""

    @property
    def method(self) -> str:
        """Name of the handler's method: /z/set → z_set."""
        return self.address[1:].replace("/", "_")


def live(*rows: Row) -> tuple[Row, ...]:
    """Mark rows as answered by a running server alone."""
    return tuple(replace(row, live=True) for row in rows)


SLOT_ARG = Arg("slot", SLOT)
ID_ARG = Arg("id", NOTE_ID)
PITCH_ARG = Arg("pitch", NUMBER, 0, 127)
NAME_ARG = Arg("name", TEXT)


def parse(row: Row, values: tuple[Value, ...]) -> list[Any]:
    """Check the arguments of a message against its row and fill in what was left out.

    Returns:
        One value per argument: float, int, str, a float32 array for a latent,
        or a dict of the known pairs; a slot is always a str, and a note's id an
        int where it is whole.

    Raises:
        UserError: says which argument is wrong, and what it may be.
    """
    # OSCQuery's clients send N where there are no arguments
    if values == (None,):
        values = ()
    parsed: list[Any] = []
    for place, arg in enumerate(row.args):
        if arg.kind in _REST:
            return [*parsed, _REST[arg.kind](arg, values[place:])]
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
    if arg.choices and value not in arg.choices:
        raise UserError(f"{arg.name} must be one of: {', '.join(arg.choices)}")
    return _KINDS[arg.kind](arg, value)


def _is_word(value: Value) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT


def _finite(arg: Arg, value: Value, wanted: str = "a finite number") -> int | float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise UserError(f"{arg.name} must be {wanted}")


def _number(arg: Arg, value: Value, wanted: str = "a finite number") -> float:
    number = _finite(arg, value, wanted)
    if not arg.low <= number <= arg.high:
        raise UserError(f"{arg.name} must be {arg.low:.10g} to {arg.high:.10g}, not {number:g}")
    return float(number)


def _integer(arg: Arg, value: Value) -> int:
    number = _number(arg, value)
    if number != int(number):
        raise UserError(f"{arg.name} must be a whole number, not {number:g}")
    return int(number)


def _text(arg: Arg, value: Value) -> str:
    if _is_word(value):
        return value
    raise UserError(f"{arg.name} must be a word")


def _slot(arg: Arg, value: Value) -> str:
    return str(value if _is_word(value) else whole(_finite(arg, value, "a word or a number")))


def _note_id(arg: Arg, value: Value) -> Value:
    return value if _is_word(value) else whole(_finite(arg, value, "a number or a word"))


def _any(arg: Arg, value: Value) -> Value:
    if isinstance(value, str) and len(value) <= MAX_ANY:
        return value
    return _number(arg, value, "a word or a number")


def whole(number: int | float) -> int | float:
    """Return an int where the number is whole: Pd sends 60 as 60.0."""
    return int(number) if number == int(number) else number


def _pairs(arg: Arg, values: tuple[Value, ...]) -> dict[str, Any]:
    """Check pairs of keys and values; unknown keys, of which pattern languages send many, are
    left out."""
    if len(values) % 2:
        raise UserError(f"{arg.name} must be pairs of a key and its value; the last key has none")
    known = {key.name: key for key in arg.keys}
    if not all(isinstance(key, str) for key in values[::2]):
        raise UserError(f"{arg.name} must be pairs of a key and its value; a key must be a word")
    pairs = zip(values[::2], values[1::2], strict=True)
    return {str(key): _check(known[str(key)], value) for key, value in pairs if key in known}


def _message(arg: Arg, values: tuple[Value, ...]) -> Message:
    """Check a message inside of another one; the first slash of its address may be missing."""
    if not values or not _is_word(values[0]):
        raise UserError("a message inside of another one begins with its address")
    return Message("/" + values[0].removeprefix("/"), values[1:])


def _latent(arg: Arg, values: tuple[Value, ...]) -> NDArray[np.float32]:
    if len(values) == 1 and isinstance(values[0], bytes):
        if len(values[0]) % 4:
            raise UserError(f"{arg.name}: the blob must hold big-endian float32 numbers")
        latent = np.frombuffer(values[0], ">f4").astype(np.float32)
    elif values and all(isinstance(v, (int, float)) for v in values):
        latent = np.array(values, np.float32)
    else:
        raise UserError(f"{arg.name} must be numbers, or one blob of big-endian float32")
    if not np.isfinite(latent).all():
        raise UserError(f"{arg.name} has numbers that are not finite")
    return latent


_KINDS: dict[str, Callable[[Arg, Value], Any]] = {
    NUMBER: _number,
    INTEGER: _integer,
    TEXT: _text,
    SLOT: _slot,
    NOTE_ID: _note_id,
    ANY: _any,
}
"""Checks of one value, by kind of argument."""
_REST: dict[str, Callable[[Arg, tuple[Value, ...]], Any]] = {
    LATENT: _latent,
    PAIRS: _pairs,
    MESSAGE: _message,
}
"""Checks of the kinds that take all values that are left."""
