"""Schema of the message table, and the check of a message against its row.

Numbers may be sent as i, f, d or h (Pure Data sends floats only), and as T and F, which are 1 and
0; N stands for what is left out, and I alone is a bang, a message without arguments. A button of a
tablet sends its value, 1 and then 0, behind whatever it was told to send: one number more than a
message takes has it act, or do nothing at 0. Replies hold i, f, s and b.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.osc.codec import Arg as Value
from gansynth_server.osc.codec import Message
from gansynth_server.util.beats import Beats

NUMBER, INTEGER, TEXT, SLOT, NOTE_ID, LATENT = "number", "integer", "text", "slot", "id", "latent"
ANY, PAIRS, MESSAGE = "any", "pairs", "message"
LENGTH, RATE = "length", "rate"
"""Seconds, or times a second; or beats, as 2b or 1/4b: once in so many, for a rate."""
REQUIRED: Any = object()
MAX_INTEGER = 2**24
"""Largest integer up to which float32, Pure Data's only number, is exact."""
MAX_TEXT = 256
"""Characters of a word."""
MAX_ANY = 32768
"""Characters of a text that may be the content of a file."""
_NUMERAL = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
"""Words that are numbers."""
_BEATS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(?:/(\d{1,9}))?b(?:eats?)?", re.ASCII)
MAX_BEATS = 4096.0


class ButtonReleasedError(UserError):
    """A button that was let go sends its message with a 0 behind it: nothing is to be done."""


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
        if self.kind in (LENGTH, RATE):
            text += " or beats (2b)"
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
    values = _without_button(row, values)
    parsed: list[Any] = []
    for place, arg in enumerate(row.args):
        if arg.kind in _REST:
            return [*parsed, _REST[arg.kind](arg, values[place:])]
        # N, as OSCQuery's clients send it, is an argument that is left out
        if place < len(values) and values[place] is not None:
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


def _without_button(row: Row, values: tuple[Value, ...]) -> tuple[Value, ...]:
    """Return the arguments of a message without what is no argument: a bang, trailing N, and the
    value of a button.

    A number more than a message takes is a button's; and, where the first argument is a slot that
    may be left out, a number alone, for only words name slots there.

    Raises:
        ButtonReleasedError: the button was let go.
    """
    if values in ((math.inf,), (None,)):  # I ("Infinitum") or N, alone
        return ()
    if any(arg.kind in _REST for arg in row.args):
        return values
    while values and values[-1] is None:
        values = values[:-1]
    optional_slot = bool(row.args) and row.args[0].kind == SLOT
    optional_slot = optional_slot and row.args[0].default is not REQUIRED
    spare = len(values) == len(row.args) + 1 or (optional_slot and len(values) == 1)
    if not spare or not isinstance(values[-1], (int, float)) or not math.isfinite(values[-1]):
        return values
    if values[-1] == 0:
        raise ButtonReleasedError(f"{row.address} with a 0 behind it does nothing")
    return values[:-1]


def _check(arg: Arg, value: Value) -> Any:
    if arg.choices and value not in arg.choices:
        raise UserError(f"{arg.name} must be one of: {', '.join(arg.choices)}")
    return _KINDS[arg.kind](arg, value)


def _is_word(value: Value) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT


def _finite(arg: Arg, value: Value, wanted: str = "a finite number") -> int | float:
    if isinstance(value, (int, float)) and math.isfinite(value):
        return int(value) if isinstance(value, bool) else value
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


def _length(arg: Arg, value: Value) -> float | Beats:
    found = _BEATS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return _number(arg, value, "a finite number, or beats as 2b or 1/4b")
    number = float(found[1]) / float(found[2] or 1) if float(found[2] or 1) else 0.0
    if not 0 <= number <= MAX_BEATS or (number == 0 and arg.kind == RATE):
        raise UserError(f"{arg.name} of {value!r} is none; up to {MAX_BEATS:g} beats are taken")
    return Beats(number)


def _text(arg: Arg, value: Value) -> str:
    if _is_word(value):
        return value
    raise UserError(f"{arg.name} must be a word")


def _slot(arg: Arg, value: Value) -> str:
    return str(value if _is_word(value) else whole(_finite(arg, value, "a word or a number")))


def _note_id(arg: Arg, value: Value) -> Value:
    if not _is_word(value):
        return whole(_finite(arg, value, "a number or a word"))
    # a tablet's label sends "60" and means the note 60
    return whole(float(value)) if _NUMERAL.fullmatch(value) else value


def _any(arg: Arg, value: Value) -> Value:
    if isinstance(value, str) and len(value) <= MAX_ANY:
        return value
    return _number(arg, value, "a word or a number")


def whole(number: int | float) -> int | float:
    """Return an int where the number is whole: Pd sends 60 as 60.0."""
    return int(number) if number == int(number) else number


class Pairs(dict[str, Any]):
    """Checked pairs; ``remarks`` say which values were changed to be within their ranges."""

    def __init__(self) -> None:
        super().__init__()
        self.remarks: dict[str, str] = {}
        """By key."""


def _pairs(arg: Arg, values: tuple[Value, ...]) -> Pairs:
    """Check pairs of keys and values.

    Unknown keys, of which pattern languages send many, are left out, as are those without a value
    (N). A number out of range is taken as the nearest one within: a note that is played otherwise
    than it was meant is better than none.
    """
    while values and values[-1] is None and len(values) % 2:
        values = values[:-1]
    if len(values) % 2:
        raise UserError(f"{arg.name} must be pairs of a key and its value; the last key has none")
    known = {key.name: key for key in arg.keys}
    if not all(isinstance(key, str) for key in values[::2]):
        raise UserError(f"{arg.name} must be pairs of a key and its value; a key must be a word")
    found = Pairs()
    for word, value in zip(values[::2], values[1::2], strict=True):
        key = str(word) if isinstance(word, str) else ""
        if key not in known or value is None:
            continue
        fitting = _fitting(known[key], value)
        if fitting is None:
            found.remarks[key] = f"{key} is no number; it is left out"
            continue
        numbers = isinstance(value, (int, float)) and isinstance(fitting, (int, float))
        if numbers and fitting != value:
            found.remarks[key] = f"{key} {value!r} is out of range; {fitting!r} is taken"
        found[key] = _check(known[key], fitting)
    return found


def _fitting(key: Arg, value: Value) -> Value:
    """Return a key's value as its kind needs it: a number within range, a number's word; None for
    what is no number at all (NaN)."""
    if key.kind == TEXT and isinstance(value, (int, float)) and math.isfinite(value):
        return str(whole(value))  # sounds may be called 808
    if key.kind not in (NUMBER, INTEGER, ANY):
        return value
    if isinstance(value, str):
        if key.kind == ANY or not _NUMERAL.fullmatch(value):
            return value
        value = float(value)
    if not isinstance(value, (int, float)):
        return value
    if math.isnan(value):
        return None
    number = min(max(value, key.low), key.high)
    return round(number) if key.kind == INTEGER else number


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
    elif values and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
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
    LENGTH: _length,
    RATE: _length,
}
"""Checks of one value, by kind of argument."""
_REST: dict[str, Callable[[Arg, tuple[Value, ...]], Any]] = {
    LATENT: _latent,
    PAIRS: _pairs,
    MESSAGE: _message,
}
"""Checks of the kinds that take all values that are left."""
