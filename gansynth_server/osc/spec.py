"""Every message that the server understands: the one table.

Checking of arguments, the README's table and the help come from it. Numbers
may be sent as i or f (Pure Data sends floats only); replies hold i, f, s and b.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.osc.codec import Arg as Value

NUMBER, INTEGER, TEXT, SLOT, NOTE_ID, LATENT = "number", "integer", "text", "slot", "id", "latent"
REQUIRED: Any = object()
MAX_INTEGER = 2**24
"""Pure Data holds whole numbers exactly up to here."""
MAX_TEXT = 256


@dataclass(frozen=True)
class Arg:
    """One argument: what it is called, what it may be, and what it is when left out."""

    name: str
    kind: str = NUMBER
    low: float = -math.inf
    high: float = math.inf
    default: Any = REQUIRED

    @property
    def text(self) -> str:
        """As the message table shows it."""
        text = self.name
        if math.isfinite(self.low) and self.high < MAX_INTEGER:
            text += f" {self.low:g}…{self.high:g}"
        if self.kind == LATENT:
            text = "blob or floats"
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


_SLOT = Arg("slot", SLOT)
_ID = Arg("id", NOTE_ID)
_PITCH = Arg("pitch", NUMBER, 0, 127)
_VELOCITY = Arg("velocity", NUMBER, 0, 127)
_NOTE = (Arg("id", NOTE_ID, default=None), Arg("slot", SLOT, default="z"))
_STREAM = Arg("stream-id", INTEGER, 1, MAX_INTEGER)
_NAME = Arg("name", TEXT)

TABLE: tuple[Row, ...] = (
    Row(
        "/status",
        (),
        "`/status.reply` voices waiting clients load peak rate underruns",
        "voices sounding, notes waiting to be rendered, clients, mixing load average % and "
        "peak %, sample rate, underruns",
    ),
    Row("/version", (), "`/version.reply` name major minor patch", "what this server is"),
    Row(
        "/sync",
        (Arg("id", INTEGER, -MAX_INTEGER, MAX_INTEGER, 0),),
        "`/synced` id",
        "answers once all that this client asked for before is done",
        (7,),
    ),
    Row(
        "/notify",
        (Arg("on", INTEGER, 0, 1, 1),),
        "`/done /notify` clientID maxClients",
        "1 registers for `/note/start id`, `/note/end id` and `/checkpoint name`",
        (1,),
    ),
    Row("/quit", (), "`/done /quit`", "ends the server", exact=True),
    Row(
        "/z/set",
        (_SLOT, Arg("latent", LATENT)),
        "",
        "stores a latent: one blob of big-endian float32 (fast) or the numbers themselves",
        ("z", *[0.5] * 256),
    ),
    Row("/z/get", (_SLOT,), "`/z` slot floats…", "the latent of a slot", ("z",)),
    Row(
        "/z/random",
        (
            Arg("slot", SLOT, default="z"),
            Arg("seed", INTEGER, 0, MAX_INTEGER, None),
            Arg("spread", NUMBER, 0, 100, 1.0),
        ),
        "",
        "draws a latent from N(0, 1)·spread; the same seed gives the same latent",
        ("z", 1, 1.0),
    ),
    Row(
        "/z/slerp",
        (Arg("to", SLOT), Arg("a", SLOT), Arg("b", SLOT), Arg("amount", NUMBER, 0, 1)),
        "",
        "spherical interpolation from slot a (0) to slot b (1) into a slot",
        ("c", "z", "z", 0.5),
    ),
    Row(
        "/z/preset",
        (_SLOT, _NAME),
        "",
        "a named timbre of the checkpoint",
        ("z", "violin"),
    ),
    Row(
        "/note",
        (_PITCH, _VELOCITY, *_NOTE),
        "",
        "starts a note (velocity 0 releases it); the id is the pitch when left out; "
        "fractional pitches are fine",
        (60, 100),
    ),
    Row(
        "/note/hz",
        (Arg("frequency", NUMBER, 8, 12544), _VELOCITY, *_NOTE),
        "",
        "the same with a frequency in Hz, which is then the id when left out",
        (440.0, 100),
    ),
    Row("/note/off", (_ID,), "", "releases a note", (60,)),
    Row("/allnotesoff", (), "", "releases all notes of this client"),
    Row("/allsoundoff", (), "", "silences all notes of this client at once"),
    Row(
        "/checkpoint/load",
        (_NAME,),
        "`/done /checkpoint/load` name",
        "this client's notes come from another checkpoint; sounding ones go on",
        ("all_instruments",),
    ),
    Row("/checkpoint/list", (), "`/checkpoint/list.reply` names…", "the checkpoints there are"),
    Row(
        "/checkpoint/info",
        (),
        "`/checkpoint/info.reply` name latent-size lowest-pitch highest-pitch presets…",
        "what this client's checkpoint is, with the names of its presets",
    ),
    Row(
        "/synthesize",
        (Arg("array", TEXT), _PITCH, Arg("slot", SLOT, default="z")),
        "`/synthesized` array samples rate chunks",
        "renders a whole note at 16 kHz for a Pd array, to be fetched in chunks",
        ("sound", 60),
    ),
    Row(
        "/synthesize/get",
        (Arg("array", TEXT), Arg("chunk", INTEGER, 0, 1000)),
        "`/chunk` array chunk onset floats…",
        "one chunk of the note that was synthesized under this name",
        ("sound", 0),
    ),
    Row(
        "/stream/open",
        (
            Arg("rate", NUMBER, 16000, 192000),
            Arg("block", INTEGER, 16, 4096),
            Arg("ahead", INTEGER, 1, 64),
        ),
        "`/done /stream/open` stream-id latency-ms",
        "this client's notes sound in its own stream, pulled block by block",
        (48000, 512, 4),
    ),
    Row(
        "/stream/pull",
        (Arg("block-number", INTEGER, 0, MAX_INTEGER), _STREAM),
        "`/b` k onset floats…",
        "block k of the stream; onset is (k mod 64)·block; asked again, the same block",
    ),
    Row("/stream/close", (), "`/done /stream/close`", "ends the stream"),
)

ROWS = {row.address: row for row in TABLE}


def parse(row: Row, values: tuple[Value, ...]) -> list[Any]:
    """Checks the arguments of a message against its row and fills in what was left out.

    Returns:
        One value per argument: float, int, str, or a float32 array for a
        latent; a slot is always a str, and a note's id an int where it is whole.

    Raises:
        UserError: says which argument is wrong, and what it may be.
    """
    parsed: list[Any] = []
    for place, arg in enumerate(row.args):
        if arg.kind == LATENT:
            parsed.append(_latent(values[place:]))
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
    if arg.kind == TEXT and isinstance(value, str) and 0 < len(value) <= MAX_TEXT:
        return value
    if arg.kind in (SLOT, NOTE_ID) and isinstance(value, str) and 0 < len(value) <= MAX_TEXT:
        return value
    if arg.kind == TEXT or not number or not math.isfinite(value):  # type: ignore[arg-type]
        wanted = {TEXT: "a word", SLOT: "a word or a number", NOTE_ID: "a number or a word"}
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


def _latent(values: tuple[Value, ...]) -> NDArray[np.float32]:
    if len(values) == 1 and isinstance(values[0], bytes):
        if len(values[0]) % 4:
            raise UserError("the blob of a latent must hold big-endian float32 numbers")
        latent = np.frombuffer(values[0], ">f4").astype(np.float32)
    elif values and all(isinstance(v, (int, float)) for v in values):
        latent = np.array(values, np.float32)
    else:
        raise UserError("a latent is one blob of big-endian float32, or its numbers")
    if not np.isfinite(latent).all():
        raise UserError("the latent holds numbers that are not finite")
    return latent


def markdown() -> str:
    """The table as the README shows it."""
    lines = ["| message | arguments | reply | does |", "|---|---|---|---|"]
    for row in TABLE:
        args = ", ".join(arg.text for arg in row.args) or "–"
        lines.append(f"| `{row.address}` | {args} | {row.reply or '–'} | {row.help} |")
    return "\n".join(lines) + "\n"
