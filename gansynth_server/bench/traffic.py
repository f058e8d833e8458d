"""Random messages, drawn from the whole table: sensible, wild, and broken."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from gansynth_server.osc.codec import encode
from gansynth_server.osc.schema import ANY, INTEGER, LATENT, NOTE_ID, PAIRS, SLOT, TEXT, Arg, Row
from gansynth_server.osc.table import TABLE

LEFT_OUT = ("/quit", "/stream/", "/midi/join", "/checkpoint/load", "/dump")
"""What ends the server, takes its client away from the sound that is listened to, is sent
apart, or fills the log."""
WORDS = ("z", "a", "b", "all", "violin", "flute", "sine", "gain", "bend", "nonsense", "ü", "*")
WILD = (float("nan"), float("inf"), -1e30, 1e30, -1, 2**31 - 1, "", "x" * 300, b"\0\1\2", None)
NUMBERS = 200
"""Where a number has no bound of its own, it is drawn from ± this."""


class Traffic:
    """An endless source of datagrams.

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
        """The next one, as likely of any row as of any other."""
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
