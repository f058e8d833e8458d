"""JSON with arrays of numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np


def dumps(content: Any) -> bytes:
    """Write JSON of tables, lists, texts, numbers, and arrays [N] of finite numbers, with the
    fewest digits that give the same numbers again."""
    return json.dumps(content, ensure_ascii=False, default=_numbers).encode()


def _numbers(array: np.ndarray[Any, Any]) -> list[float]:
    return [float(text) for text in array.astype("U")]


def loads(data: bytes) -> Any:
    """Read the content of JSON; ValueError where it is none."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
