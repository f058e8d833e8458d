"""Render tasks, in the order in which their next slices are rendered."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable
from itertools import count

from gansynth_server.render.jobs import AHEAD, NEW, REST, RenderTask
from gansynth_server.render.spectrum_cache import Key

MAX_STALE = 64
"""Entries of an owner that may be out of date before they are looked through."""
_Heap = list[tuple[float, int, RenderTask]]


class RenderQueue:
    """Tasks by rank; within a rank the owners in turns, each with its own by when their next
    frames are due. For one thread at a time.

    One task per key is open. Pushed again, it has another place. A task that
    several owners wait for comes when the first of them has its turn.
    """

    def __init__(self) -> None:
        self._open: dict[Key, RenderTask] = {}
        self._ranks: dict[int, OrderedDict[Hashable, _Heap]]
        self._ranks = {rank: OrderedDict() for rank in (NEW, REST, AHEAD)}
        self._entries = count()

    def get(self, key: Key) -> RenderTask | None:
        """Return the open task of a key, queued or busy."""
        return self._open.get(key)

    def open(self, task: RenderTask) -> None:
        self._open[task.key] = task
        self.push(task)

    def close(self, task: RenderTask) -> None:
        """Remove a task, if it is not removed already."""
        if self._open.get(task.key) is task:
            del self._open[task.key]
        task.entry = -1

    def push(self, task: RenderTask) -> None:
        task.entry = next(self._entries)
        owners = self._ranks[task.rank]
        for owner in task.owners:
            heap = owners.setdefault(owner, [])
            if len(heap) > MAX_STALE + 2 * len(self._open):  # most of them are out of date
                heap[:] = [entry for entry in heap if entry[2].entry == entry[1]]
                heapq.heapify(heap)
            heapq.heappush(heap, (task.due, task.entry, task))

    def top(self) -> RenderTask | None:
        """Return the next task."""
        first = self._first()
        return None if first is None else first[2]

    def take(self) -> list[RenderTask]:
        """Return the next tasks that can be rendered together, at least one; they are busy now."""
        first = self._first()
        assert first is not None
        key, part, rank = first[2].key, first[2].part, first[2].rank
        tasks: list[RenderTask] = []
        while (
            first is not None
            and len(tasks) < part.batch
            and (first[2].key[0], first[2].part, first[2].rank) == (key[0], part, rank)
        ):
            owners, owner, task = first
            task.busy, task.entry = True, -1
            owners.move_to_end(owner)
            tasks.append(task)
            first = self._first()
        return tasks

    def stale(self) -> list[RenderTask]:
        """Return rests that no job wants any more, of those that are their owners' next; busy now.

        While heads keep coming no rest has its turn, and these would pile up.
        """
        found = []
        for heap in self._ranks[REST].values():
            task = heap[0][2] if heap else None
            if (
                task is not None
                and task.entry == heap[0][1]
                and task.ready
                and not any(job.wanted() for job in task.jobs)
            ):
                heapq.heappop(heap)
                task.busy, task.entry = True, -1
                found.append(task)
        return found

    def _first(self) -> tuple[OrderedDict[Hashable, _Heap], Hashable, RenderTask] | None:
        """Return the next task, with its rank's owners and the one whose turn it is; remove
        entries that are out of date."""
        for owners in self._ranks.values():
            while owners:
                owner, heap = next(iter(owners.items()))
                while heap and heap[0][2].entry != heap[0][1]:
                    heapq.heappop(heap)
                if heap:
                    return owners, owner, heap[0][2]
                del owners[owner]
        return None
