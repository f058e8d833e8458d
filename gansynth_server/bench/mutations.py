"""Datagrams as real clients send them, and mutations of them."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

import numpy as np

from gansynth_server.bench.traffic import Traffic
from gansynth_server.osc.codec import OscError, encode, encode_bundle
from gansynth_server.osc.table import TABLE

LARGEST = 60_000
"""Most bytes of a datagram."""
RANDOM = 100
"""Random messages in the stock."""
_NUMBERS = (
    *(b"\x7f\xc0\0\0", b"\x7f\x80\0\0", b"\xff\x80\0\0", b"\x7f\x7f\xff\xff", b"\x80\0\0\0"),
    *(b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\x3f\x80\0\0"),
)
"""NaN, infinities, the largest and smallest numbers, as floats or ints."""
_TIMES = (0, 1, 2**64 - 1, 2**63, 1 << 32)
_PIECES = (b"*", b"?", b"{a,b}", b"[!a-z]", b"[", b"{", b"/", b"//", b"#bundle\0", b"\xff", b"\0")
_TAGS = b"ifsbhtdSccrmTFNI[]"
_QUIET = (b"/quit", b"/dump", b"/reply/to")
"""Messages left out, which would end the server, fill its log, or send its answers elsewhere."""


def real(rng: random.Random) -> list[bytes]:
    """Return a stock of good datagrams: every message's example, random ones, bundles, pulls."""
    stock = [encode(row.address, *row.example) for row in TABLE if row.address != "/quit"]
    traffic = Traffic(rng.getrandbits(32), broken=0.0)
    stock += [traffic.datagram() for _ in range(RANDOM)]
    stock += [
        encode("/z/set", "z", np.array([rng.gauss(0, 1) for _ in range(256)], np.float32)),
        encode("/dirt/play", "_id_", "1", "cps", 0.5, "s", "z", "note", 5.0, "orbit", 0),
        encode("/stream/open", 48000.0, 512.0, 4.0),
        encode("/stream/pull", 3.0, 123456.0),
        encode("/z/save", "a.json"),
        encode("/z/load", "../../etc/passwd"),
        encode("/tuning", "scl", "! a.scl\n!\na\n 2\n!\n 3/2\n 2/1\n"),
        encode("/{note,status}*", 1),
        encode("/*/*"),
    ]
    for _ in range(8):
        stock.append(encode_bundle(None, *rng.sample(stock, 3)))
        stock.append(encode_bundle(rng.uniform(0, 2e9), *rng.sample(stock, 2)))
    stock.append(encode_bundle(None, encode_bundle(None, encode_bundle(None, stock[0]))))
    return stock


def datagrams(seed: int) -> Iterator[bytes]:
    """Yield datagrams without end: one in eight good, the others mutated up to four times."""
    rng = random.Random(seed)
    stock = real(rng)
    while True:
        data = rng.choice(stock)
        if rng.random() > 0.125:
            for _ in range(rng.randint(1, 4)):
                data = rng.choice(_MUTATIONS)(data, rng, stock)
        if not any(word in data for word in _QUIET):
            yield data[:LARGEST]


def _flip(data: bytes, rng: random.Random, stock: list[bytes]) -> bytes:
    if not data:
        return data
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def _cut(data: bytes, rng: random.Random, stock: list[bytes]) -> bytes:
    return data[: rng.randint(0, len(data))]


def _cut_words(data: bytes, rng: random.Random, stock: list[bytes]) -> bytes:
    first, last = sorted(4 * rng.randint(0, len(data) // 4) for _ in range(2))
    return data[:first] + data[last:]


def _splice(data: bytes, rng: random.Random, stock: list[bytes]) -> bytes:
    other = rng.choice(stock)
    return data[: 4 * rng.randint(0, len(data) // 4)] + other[4 * rng.randint(0, len(other) // 4) :]


def _number(data: bytes, rng: random.Random, stock: list[bytes]) -> bytes:
    place = 4 * rng.randint(0, max(0, len(data) // 4 - 1))
    return data[:place] + rng.choice(_NUMBERS) + data[place + 4 :]


def _insert(data: bytes, rng: random.Random, stock: list[bytes]) -> bytes:
    place = rng.randint(0, len(data))
    piece = rng.choice(_PIECES) * rng.choice((1, 1, 1, 4, 40))
    return data[:place] + piece + data[place:]


def _tag(data: bytes, rng: random.Random, stock: list[bytes]) -> bytes:
    place = data.find(b",") + 1
    if not 0 < place < len(data):
        return data
    place = min(place + rng.randrange(4), len(data) - 1)
    return data[:place] + bytes([rng.choice(_TAGS)]) + data[place + 1 :]


def _pattern(data: bytes, rng: random.Random, stock: list[bytes]) -> bytes:
    """Return a datagram's arguments under an address pattern."""
    end = data.find(b",")
    if not data.startswith(b"/") or end < 0:
        return data
    wild = "".join(rng.choice(("*", "?", "/", "{a,no}", "[!x]", "note", "z")) for _ in range(20))
    try:
        return encode("/" + wild[: rng.randint(0, 60)])[:-4] + data[end:]
    except OscError:
        return data


def _bundle(data: bytes, rng: random.Random, stock: list[bytes]) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 9, 30))):
        time = rng.choice((*_TIMES, rng.getrandbits(64)))
        data = b"#bundle\0" + struct.pack(">Qi", time, len(data)) + data
    return data


def _crowd(data: bytes, rng: random.Random, stock: list[bytes]) -> bytes:
    count = 2000 if rng.random() < 0.01 else rng.randint(2, 6)
    count = min(count, 1 + 20_000 // (len(data) + 4))
    return encode_bundle(None, *[data] * count)


def _grow(data: bytes, rng: random.Random, stock: list[bytes]) -> bytes:
    return data + rng.randbytes(rng.choice((1, 4, 16, 256, 1024)))


_MUTATIONS: tuple[Callable[[bytes, random.Random, list[bytes]], bytes], ...] = (
    *(_flip, _flip, _cut, _cut_words, _splice, _number, _number, _insert),
    *(_tag, _pattern, _bundle, _crowd, _grow),
)
