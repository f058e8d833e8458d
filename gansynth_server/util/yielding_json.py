"""Long Python work in small steps, between which the sound goes first; and JSON that way.

The json module's C code holds the interpreter lock, and so the sound, for as
long as it takes: a tenth of a second for a thousand latents.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from json.decoder import JSONArray  # type: ignore[attr-defined]
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any, TypeVar

import numpy as np

SHORT = 2**14
"""Characters that C code may read at one go."""

T = TypeVar("T")

PATIENCE = 0.005
"""Seconds that a step waits at most."""

wait: ContextVar[Callable[[float], object]] = ContextVar("wait", default=lambda seconds: None)
"""Waits until no sound is in the making, so many seconds at most; each thread sets its own."""


def steps(things: Iterable[T]) -> Iterator[T]:
    """The same things, with a wait before each."""
    for thing in things:
        wait.get()(PATIENCE)
        yield thing


def dumps(content: Any) -> bytes:
    """JSON of tables, lists, texts and numbers, and of arrays [N] of finite numbers, which are
    written with the fewest digits that give the same ones again."""
    return "".join(_pieces(content)).encode()


def _pieces(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for n, (key, value) in steps(enumerate(content.items())):
            yield f"{', ' if n else '{'}{_text(str(key))}: "
            yield from _pieces(value)
        yield "}" if content else "{}"
    elif isinstance(content, list | tuple):
        for n, value in steps(enumerate(content)):
            yield ", " if n else "["
            yield from _pieces(value)
        yield "]" if content else "[]"
    elif isinstance(content, np.ndarray):
        yield f"[{', '.join(content.astype('U').tolist())}]"
    else:
        yield _text(content)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def loads(data: bytes) -> Any:
    """What JSON says; ValueError if it is none."""
    try:
        return json.loads(data, cls=_Patient if len(data) > SHORT else None)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


class _Patient(json.JSONDecoder):
    """Reads in Python all but short lists of plain values."""

    def __init__(self) -> None:
        super().__init__()
        self.parse_array = _array
        self.scan_once = py_make_scanner(self)


def _array(
    place: tuple[str, int], scan_once: Callable[[str, int], tuple[Any, int]]
) -> tuple[list[Any], int]:
    """The list that begins before a place of a text, and where it ends."""
    wait.get()(PATIENCE)
    text, begin = place
    end = text.find("]", begin, begin + SHORT) + 1
    part = text[begin:end]
    if end and not any(mark in part for mark in '[{"'):
        return json.loads(f"[{part}"), end
    found: tuple[list[Any], int] = JSONArray(place, scan_once)
    return found
