"""A queue that serves its owners round-robin."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _OwnerQueue(Generic[T]):
    items: deque[tuple[T, int]] = field(default_factory=deque)
    size: int = 0


class FairQueue(Generic[T]):
    """A queue that serves its owners round-robin, and each owner's items first in, first out.

    Args:
        most: items that may wait, in all.
        share: items of one owner that may wait.
        size: total size of the items that may wait; one owner may have a quarter of it.
    """

    def __init__(self, most: int, share: int, size: int) -> None:
        self._most, self._share, self._size = most, share, size
        self._lines: OrderedDict[Hashable, _OwnerQueue[T]] = OrderedDict()
        self._count = 0
        self._total = 0

    def __len__(self) -> int:
        return self._count

    @property
    def owners(self) -> int:
        """Number of owners that have items waiting."""
        return len(self._lines)

    def put(self, owner: Hashable, item: T, size: int = 0) -> bool:
        """Queue an item; False where there is no room for it."""
        line = self._lines.get(owner)
        waiting, waiting_size = (len(line.items), line.size) if line else (0, 0)
        if (
            self._count >= self._most
            or waiting >= self._share
            or self._total + size > self._size
            or waiting_size + size > self._size // 4
        ):
            return False
        if line is None:
            line = self._lines[owner] = _OwnerQueue()
        line.items.append((item, size))
        line.size += size
        self._count += 1
        self._total += size
        return True

    def take(self) -> T:
        """Remove and return the next item of the owner whose turn it is; KeyError if none waits."""
        if not self._lines:
            raise KeyError("nothing waits")
        owner, line = next(iter(self._lines.items()))
        item, size = line.items.popleft()
        line.size -= size
        self._count -= 1
        self._total -= size
        if line.items:
            self._lines.move_to_end(owner)
        else:
            del self._lines[owner]
        return item
