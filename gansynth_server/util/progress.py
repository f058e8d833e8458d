"""Progress bars on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def track(items: Sequence[T], what: str) -> Iterable[T]:
    """Yield items under a progress bar on standard error, if that is a terminal."""
    from rich import progress
    from rich.console import Console

    return progress.track(
        items, what, console=Console(stderr=True), disable=not sys.stderr.isatty()
    )
