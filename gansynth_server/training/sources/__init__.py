"""Where notes to train on come from: a module for each, which fills a Writer."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

PITCHES = range(24, 85)
"""The generator's 61 pitches."""
PEAK = 0.5
"""Of notes whose level means nothing: those of soundfonts and of recordings."""
SILENT = 1e-4
"""A peak under which a note is left out as silent."""


def track(items: Sequence[T], what: str) -> Iterable[T]:
    """The items under a progress bar on standard error, if that is a terminal."""
    from rich import progress
    from rich.console import Console

    return progress.track(
        items, what, console=Console(stderr=True), disable=not sys.stderr.isatty()
    )
