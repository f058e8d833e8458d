"""Progress bars on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

T = TypeVar("T")


def bar(*columns: ProgressColumn, **options: Any) -> Progress:
    """Make a progress bar on standard error, which is shown only on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not sys.stderr.isatty(), **options)


def track(items: Iterable[T], what: str, total: float | None = None) -> Iterator[T]:
    """Yield the items under a progress bar; ``total`` is their number where it is not known."""
    with bar() as progress:
        yield from progress.track(items, total, description=what)


@contextmanager
def counting(what: str, total: float) -> Iterator[Callable[[], None]]:
    """Show a progress bar that each call of the result moves on by one."""
    with bar() as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)
