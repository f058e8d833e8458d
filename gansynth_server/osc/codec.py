"""Codec of OSC packets: bytes to messages and back, without sockets.

Quotations are from the OpenSound Control 1.0 specification. All type tags are decoded, the
brackets of arrays being left out. What senders do differently is tolerated where it means one thing
only: zeros behind the end, an empty element of a bundle, padding that is too long. Only i, f, s and
b are sent, because Pure Data's ``[oscparse]`` skips T, F and N and misreads what follows d and h.
Strings are UTF-8. NaN and infinity pass: ranges are checked by :mod:`~gansynth_server.osc.schema`.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Arg: TypeAlias = int | float | str | bytes | bool | None
TimedMessage: TypeAlias = "tuple[float | None, Message]"
Source: TypeAlias = tuple[str, int]
"""Address and port that a packet came from."""

MAX_ARGS = 16384
"""Arguments of a message; a UDP datagram holds fewer floats."""
MAX_MESSAGES = 1024
"""Messages of a packet, its bundles included."""
MAX_DEPTH = 8
"""Depth of nested bundles."""
MAX_ATOMS = 4096
"""Arguments of a packet; a run of floats or ints is read at once, and counts as one."""

_BUNDLE = b"#bundle\0"
UNIX_EPOCH = 2208988800 << 32
"""1970 in time tags: units of 2^-32 s since 1900."""
_FLOAT32 = np.dtype(">f4")
_TAG_RUNS = re.compile("f{2,}|i{2,}|.", re.DOTALL)
_SIZES = {**dict.fromkeys("ifcrm", 4), **dict.fromkeys("htd", 8), **dict.fromkeys("TFNI", 0)}
"""Bytes of the arguments whose size is known without reading them."""
MAX_PADDING = 64
"""Zero bytes that may be too many before the type tags, or behind them."""
_Reader: TypeAlias = Callable[[bytes, int], tuple[Arg, int]]


class OscError(ValueError):
    """The bytes are not OSC, exceed a limit, or the value cannot be sent."""


class PacketLimitError(OscError):
    """A packet holds more than is decoded: all of it is refused."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; its address may be a pattern."""

    address: str
    args: tuple[Arg, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A part of a packet that is no message: its address, ``osc`` if it has none, and why."""

    address: str
    why: str


def decode(
    datagram: bytes, epoch: int = UNIX_EPOCH, bad: list[Refused] | None = None
) -> list[TimedMessage]:
    """Decode the messages of one packet, each with its time (s) or None for at once.

    A bundle due before the bundle around it takes the time of the latter: "the
    OSC Time Tag of the enclosed bundle must be greater than or equal to the OSC
    Time Tag of the enclosing bundle".

    Args:
        bad: is appended those elements of bundles that cannot be read, so that the others can be
            used; None refuses the packet for them.

    Raises:
        OscError: for anything wrong in the packet, or beyond the limits; no other exception is
            raised.
    """
    packet = _Packet(epoch, bad)
    _decode_packet(datagram, packet, None, 0)
    return packet.messages


@dataclass(slots=True)
class _Packet:
    """The part of a packet that has been decoded so far."""

    epoch: int
    bad: list[Refused] | None = None
    messages: list[TimedMessage] = field(default_factory=list)
    elements: int = 0
    atoms: int = 0
    """Of all messages, counted before they are read."""


def _decode_packet(data: bytes, packet: _Packet, due: float | None, depth: int) -> None:
    # "The size of an OSC packet is always a multiple of 4", like each atom's: padding ends inside.
    if not data or len(data) % 4:
        raise OscError(f"packet of {len(data)} bytes, which is no positive multiple of 4")
    if not data.startswith(_BUNDLE):
        packet.messages.append((due, _decode_message(data, packet)))
        return
    if depth == MAX_DEPTH:
        raise PacketLimitError(f"bundles nested more than {MAX_DEPTH} deep")
    if len(data) < 16:
        raise OscError("bundle without a time tag")
    time = _seconds(int.from_bytes(data[8:16], "big"), packet.epoch)
    if due is not None and (time is None or time < due):
        time = due
    # list: all elements are counted before any is decoded
    for element in list(_elements(data, packet)):
        try:
            _decode_packet(element, packet, time, depth + 1)
        except PacketLimitError:
            raise
        except OscError as error:
            _refuse(packet, element, error)


def _elements(data: bytes, packet: _Packet) -> Iterator[bytes]:
    position = 16
    while position < len(data):
        start = position + 4
        size = int.from_bytes(data[position:start], "big", signed=True)
        position = start + size
        if size == 0:
            continue  # some senders fill bundles up, or send empty ones
        if size < 0 or position > len(data):
            what = f"bundle element of {size} bytes where {len(data) - start} are left"
            _refuse(packet, b"", OscError(what))
            return
        packet.elements += 1
        if packet.elements > MAX_MESSAGES:
            raise PacketLimitError(f"more than {MAX_MESSAGES} messages in one packet")
        yield data[start:position]


def _refuse(packet: _Packet, element: bytes, error: OscError) -> None:
    """Take note of an element that cannot be read, or raise its error where all must be."""
    if packet.bad is None:
        raise error
    # where the address can be read, the sender knows it again
    address = element[:256].partition(b"\0")[0].decode(errors="replace")
    packet.bad.append(Refused(address if address.startswith("/") else "osc", str(error)))


def _decode_message(data: bytes, packet: _Packet) -> Message:
    address, position = _string(data, 0)
    if not address.startswith("/"):
        raise OscError(f"address {address[:80]!r} does not begin with '/'")
    # "some older implementations of OSC may omit the OSC Type Tag string"
    position = _skip_zeros(data, position)
    if position == len(data):
        return Message(address, ())
    try:
        return Message(address, _decode_args(data, position, packet))
    except struct.error as error:
        raise OscError(f"{address[:80]!r}: ends before its last argument") from error
    except PacketLimitError as error:
        raise PacketLimitError(f"{address[:80]!r}: {error}") from error
    except OscError as error:
        raise OscError(f"{address[:80]!r}: {error}") from error


def _skip_zeros(data: bytes, position: int) -> int:
    """Return the place of the next word that is not 0, or the end of the data."""
    if not data[position : position + 4].strip(b"\0"):  # which is rare
        rest = data[position:].lstrip(b"\0")
        position = len(data) - (len(rest) + 3) // 4 * 4
    return position


def _decode_args(data: bytes, position: int, packet: _Packet) -> tuple[Arg, ...]:
    tags, position = _string(data, position)
    if not tags.startswith(","):
        raise OscError("arguments without a type tag string")
    if len(tags) > MAX_ARGS + 1:
        raise PacketLimitError(f"{len(tags) - 1} arguments, at most {MAX_ARGS} are taken")
    runs = _TAG_RUNS.findall(tags, 1)
    packet.atoms += len(runs)
    if packet.atoms > MAX_ATOMS:
        raise PacketLimitError(
            f"more than {MAX_ATOMS} arguments of other kinds than floats in a row"
        )
    args, end = _read_args(data, position, runs)
    if any(data[end:]):
        shifted = _without_padding(data, position, tags)
        if shifted is None:
            raise OscError(f"{len(data) - end} bytes follow the last argument")
        args, _ = _read_args(data, shifted, runs)
    return args


def _read_args(data: bytes, position: int, runs: list[str]) -> tuple[tuple[Arg, ...], int]:
    """Read the arguments of type tags; return them and the place behind the last."""
    args: list[Arg] = []
    for run in runs:
        if len(run) > 1:
            args += struct.unpack_from(f">{len(run)}{run[0]}", data, position)
            position += 4 * len(run)
        elif run in _READERS:
            arg, position = _READERS[run](data, position)
            args.append(arg)
        elif run not in "[]":  # what is inside of an array counts
            raise OscError(f"type tag {run!r} is not supported")
    return tuple(args), position


def _without_padding(data: bytes, position: int, tags: str) -> int | None:
    """Return where the arguments begin if the zeros before them are too many; else None."""
    sizes = [_SIZES.get(tag) for tag in tags[1:] if tag not in "[]"]
    if None in sizes:
        return None
    start = len(data) - sum(size or 0 for size in sizes)
    extra = data[position:start]
    return start if 0 < len(extra) <= MAX_PADDING and not any(extra) else None


def _string(data: bytes, start: int) -> tuple[str, int]:
    # "non-null ASCII characters followed by a null, followed by 0-3 additional null characters"
    end = data.find(0, start)
    if end < 0:
        raise OscError("string without its closing null")
    try:
        return data[start:end].decode(), (end | 3) + 1
    except UnicodeDecodeError as error:
        raise OscError("string is not UTF-8") from error


def _blob(data: bytes, start: int) -> tuple[bytes, int]:
    # "An int32 size count, followed by that many 8-bit bytes of arbitrary binary data"
    (size,) = struct.unpack_from(">i", data, start)
    start += 4
    if not 0 <= size <= len(data) - start:
        raise OscError(f"blob of {size} bytes where {len(data) - start} are left")
    return data[start : start + size], start + size + -size % 4


def _seconds(time_tag: int, epoch: int = UNIX_EPOCH) -> float | None:
    # 1 is "a special case meaning 'immediately.'"; some senders write 0
    return None if time_tag <= 1 else (time_tag - epoch) / 2**32


def _character(code: int) -> str:
    if not 0 < code < 128:
        raise OscError(f"character {code} is not ASCII")
    return chr(code)


def _fixed(layout: str, convert: Callable[[Any], Arg] = lambda value: value) -> _Reader:
    atom = struct.Struct(layout)

    def read(data: bytes, start: int) -> tuple[Arg, int]:
        return convert(atom.unpack_from(data, start)[0]), start + atom.size

    return read


_READERS: dict[str, _Reader] = {
    "i": _fixed(">i"),
    "f": _fixed(">f"),
    "s": _string,
    "b": _blob,
    "h": _fixed(">q"),
    "t": _fixed(">Q", _seconds),
    "d": _fixed(">d"),
    "S": _string,
    "c": _fixed(">I", _character),
    "r": _fixed(">I"),  # RGBA in one number
    "m": _fixed(">4s"),  # MIDI: port id, status, data 1, data 2
    "T": lambda data, start: (True, start),
    "F": lambda data, start: (False, start),
    "N": lambda data, start: (None, start),
    "I": lambda data, start: (math.inf, start),  # "Infinitum"
}


def encode(address: str, *args: Arg | np.generic | NDArray[Any]) -> bytes:
    """Encode a message: bool and int within int32 as i, other numbers as f, str as s, bytes as b.

    An array [N] of numbers becomes N f. Numbers beyond float32 become ±infinity,
    and unpaired surrogates, as in undecodable file names, '?'.

    Raises:
        OscError: for None, other types or shapes, a null character, an address without its '/'.
    """
    if not address.startswith("/"):
        raise OscError(f"address {address!r} does not begin with '/'")
    encoded = [_encode_arg(arg) for arg in args]
    tags = "," + "".join(tag for tag, _ in encoded)
    return b"".join((_padded(address), _padded(tags), *(data for _, data in encoded)))


def _encode_arg(arg: object) -> tuple[str, bytes]:
    if isinstance(arg, np.ndarray):
        if arg.ndim != 1 or arg.dtype.kind not in "biuf":
            raise OscError(f"cannot send an array {arg.dtype}{list(arg.shape)}")
        with np.errstate(over="ignore"):
            return "f" * arg.size, arg.astype(_FLOAT32).tobytes()
    if isinstance(arg, (int, np.integer, np.bool_)) and -(2**31) <= int(arg) < 2**31:
        return "i", struct.pack(">i", int(arg))
    if isinstance(arg, (int, float, np.integer, np.floating)):
        try:
            return "f", struct.pack(">f", arg)
        except (OverflowError, struct.error):
            return "f", struct.pack(">f", math.inf if arg > 0 else -math.inf)
    if isinstance(arg, str):
        return "s", _padded(arg)
    if isinstance(arg, bytes):
        return "b", struct.pack(">i", len(arg)) + arg + bytes(-len(arg) % 4)
    raise OscError(f"cannot send {type(arg).__name__}")


def _padded(text: str) -> bytes:
    data = text.encode(errors="replace")
    if 0 in data:
        raise OscError("a string cannot hold a null character")
    return data + bytes(4 - len(data) % 4)


def encode_bundle(time: float | None, *messages: bytes) -> bytes:
    """Encode a bundle of encoded messages or bundles, due at a Unix time (s), or at once for None.

    Raises:
        OscError: for a time outside of 1900…2036, which a time tag cannot hold.
    """
    try:
        due = struct.pack(">Q", 1 if time is None else round(time * 2**32) + UNIX_EPOCH)
    except (ValueError, OverflowError, struct.error) as error:
        raise OscError(f"time {time} is not within 1900…2036") from error
    elements = (struct.pack(">i", len(message)) + message for message in messages)
    return b"".join((_BUNDLE, due, *elements))


def encode_block(address: str, heads: tuple[float, ...], samples: NDArray[np.float32]) -> bytes:
    """Encode a message of f alone, for audio: heads (integers up to 2^24), then samples [N]."""
    prefix, pack_heads = _block_prefix(address, len(heads), samples.size)
    return prefix + pack_heads(*heads) + samples.astype(_FLOAT32).tobytes()


@lru_cache(maxsize=64)
def _block_prefix(address: str, heads: int, samples: int) -> tuple[bytes, Callable[..., bytes]]:
    tags = "," + "f" * (heads + samples)
    return _padded(address) + _padded(tags), struct.Struct(f">{heads}f").pack
