"""Long Python work in steps that yield to the sound, and JSON read and written that way.

The json module's C code holds the interpreter lock, and so delays the sound, for
its whole run: a tenth of a second for a thousand latents.
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
"""Characters that C code may read at once."""

T = TypeVar("T")

STEP_TIMEOUT_S = 0.005
"""Longest wait (s) before a step."""

wait: ContextVar[Callable[[float], object]] = ContextVar("wait", default=lambda seconds: None)
"""Function that waits until no sound is being mixed, at most so many seconds; each thread sets
its own."""


def steps(things: Iterable[T]) -> Iterator[T]:
    """Yield things, waiting for the sound before each."""
    for thing in things:
        wait.get()(STEP_TIMEOUT_S)
        yield thing


def dumps(content: Any) -> bytes:
    """Write JSON of tables, lists, texts, numbers, and arrays [N] of finite numbers, with the
    fewest digits that give the same numbers again."""
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
    """Read the content of JSON; ValueError where it is none."""
    try:
        return json.loads(data, cls=_YieldingDecoder if len(data) > SHORT else None)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


class _YieldingDecoder(json.JSONDecoder):
    """A decoder in Python, but for short lists of plain values."""

    def __init__(self) -> None:
        super().__init__()
        self.parse_array = _array
        self.scan_once = py_make_scanner(self)


def _array(
    place: tuple[str, int], scan_once: Callable[[str, int], tuple[Any, int]]
) -> tuple[list[Any], int]:
    """Read the list that begins before a place of a text; return it and where it ends."""
    wait.get()(STEP_TIMEOUT_S)
    text, begin = place
    end = text.find("]", begin, begin + SHORT) + 1
    part = text[begin:end]
    if end and not any(mark in part for mark in '[{"'):
        return json.loads(f"[{part}"), end
    found: tuple[list[Any], int] = JSONArray(place, scan_once)
    return found
