"""Traffic: notes that keep voices sounding, and random messages of the whole table."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from gansynth_server.client import Client
from gansynth_server.osc.codec import encode
from gansynth_server.osc.schema import ANY, INTEGER, LATENT, NOTE_ID, PAIRS, SLOT, TEXT, Arg, Row
from gansynth_server.osc.table import TABLE

LEFT_OUT = ("/quit", "/stream/", "/midi/join", "/checkpoint/load", "/dump")
"""Messages left out: they end the server, take its client off the bus that is listened to, are
sent apart, or fill the log."""
WORDS = ("z", "a", "b", "all", "violin", "flute", "sine", "gain", "bend", "nonsense", "ü", "*")
WILD = (float("nan"), float("inf"), -1e30, 1e30, -1, 2**31 - 1, "", "x" * 300, b"\0\1\2", None)
NUMBERS = 200
"""Bound (±) of numbers that have none of their own."""


class SteadyNotes:
    """Notes that keep a number of voices sounding, each started again in its turn.

    Args:
        seconds: until a voice's next note, less than a note lasts.
        seed: of random pitches and velocities; None gives each voice a key of its own, so that
            its notes are rendered once.
    """

    def __init__(self, voices: int, seconds: float, seed: int | None = None) -> None:
        self._voices, self._seconds = voices, seconds
        self._random = None if seed is None else random.Random(seed)
        self._played = 0

    def play(self, client: Client, now: float) -> None:
        """Start the notes that are due, so many seconds after the first."""
        while (self._played - self._voices) * self._seconds < now * self._voices:
            voice = self._played % self._voices
            pitch, velocity = 36 + voice % 40, 100
            if self._random is not None:
                pitch, velocity = self._random.randint(24, 84), self._random.randint(30, 127)
            client.note(pitch, velocity, id=voice)
            self._played += 1


class Traffic:
    """Random messages without end, any row of the table as likely as any other.

    Args:
        seed: the same seed gives the same traffic.
        wild: share of messages with an argument that is out of place.
        broken: share of datagrams with some bytes changed.
        latent_size: of the checkpoint.
    """

    def __init__(
        self, seed: int, wild: float = 0.05, broken: float = 0.02, latent_size: int = 256
    ) -> None:
        self._random = random.Random(seed)
        self._wild, self._broken, self._latent_size = wild, broken, latent_size
        self._rows = [row for row in TABLE if not row.address.startswith(LEFT_OUT)]

    def datagram(self) -> bytes:
        """Return the next message, encoded."""
        draw = self._random
        row = draw.choice(self._rows)
        args = self._args(row)
        if args and draw.random() < self._wild:
            args[draw.randrange(len(args))] = draw.choice(WILD)
        data = bytearray(encode(row.address, *[a for a in args if a is not None]))
        if draw.random() < self._broken:
            for _ in range(draw.randint(1, 8)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            del data[draw.randint(1, len(data)) :]
        return bytes(data)

    def _args(self, row: Row) -> list[Any]:
        args: list[Any] = []
        for arg in row.args:
            if arg.default is None and self._random.random() < 0.5:
                break
            args += self._values(arg)
        return args

    def _values(self, arg: Arg) -> list[Any]:
        draw = self._random
        if arg.choices:
            return [draw.choice(arg.choices)]
        if arg.kind == LATENT:
            seed = draw.randrange(2**32)
            z = np.random.default_rng(seed).standard_normal(self._latent_size).astype(">f4")
            return [z.tobytes()]
        if arg.kind == PAIRS:
            keys = draw.sample(arg.keys, draw.randint(1, len(arg.keys)))
            return [value for key in keys for value in (key.name, *self._values(key))]
        if arg.kind in (TEXT, SLOT, ANY):
            return [draw.choice(WORDS)]
        if arg.kind == NOTE_ID:
            return [draw.choice((draw.randint(0, 127), "all"))]
        low, high = max(arg.low, -NUMBERS), min(arg.high, NUMBERS)
        value = draw.uniform(min(low, high), high)
        return [round(value) if arg.kind == INTEGER else value]
