"""A queue in which owners take turns."""

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
    """A queue in which owners come in turns, each with its items in their order.

    Args:
        most: items that may wait, in all.
        share: items that may wait, of one owner.
        size: of the items that may wait, in all; an owner has a quarter of it.
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
        """Who has something waiting."""
        return len(self._lines)

    def put(self, owner: Hashable, item: T, size: int = 0) -> bool:
        """Queues an item; False where there is no room for it."""
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
        """The next item of the owner whose turn it is; KeyError if there is none."""
        owner, line = next(iter(self._lines.items())) if self._lines else (None, None)
        if line is None:
            raise KeyError("nothing waits")
        item, size = line.items.popleft()
        line.size -= size
        self._count -= 1
        self._total -= size
        if line.items:
            self._lines.move_to_end(owner)
        else:
            del self._lines[owner]
        return item
