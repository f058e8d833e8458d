"""The queue of sound between two processes."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import deque
from multiprocessing.sharedctypes import RawArray
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from numpy.typing import NDArray

from gansynth_server.audio.shared_ring import SharedRing

TOTAL = 200_000


def stereo(start: int, count: int) -> NDArray[np.float32]:
    """Frames [2, count] that are counted: on the left up, on the right down."""
    numbers = np.arange(start, start + count, dtype=np.float32)
    return np.stack([numbers, -numbers])


class RingMachine(RuleBasedStateMachine):
    """Two sides of one memory behave as a queue that takes whole blocks and counts the others."""

    @initialize(capacity=st.integers(1, 40), spare=st.integers(0, 1))
    def create(self, capacity: int, spare: int) -> None:
        memory = np.zeros(SharedRing.size(2, capacity) + spare, np.float32)
        self.writer, self.reader = SharedRing(memory, 2), SharedRing(memory, 2)
        self.capacity = capacity
        self.queue: deque[int] = deque()
        self.next = 1
        self.lost = 0

    @rule(count=st.integers(0, 50))
    def write(self, count: int) -> None:
        fits = count <= self.capacity - len(self.queue)
        assert self.writer.write(stereo(self.next, count)) == fits
        if fits:
            self.queue.extend(range(self.next, self.next + count))
            self.next += count
        else:
            self.lost += count

    @rule()
    def read(self) -> None:
        sound = self.reader.read()
        assert sound.dtype == np.float32
        assert sound.tolist() == [list(self.queue), [-number for number in self.queue]]
        self.queue.clear()
        assert not np.shares_memory(sound, self.reader._samples)

    @invariant()
    def agrees(self) -> None:
        for side in (self.writer, self.reader):
            assert side.capacity == self.capacity
            assert side.fill == len(self.queue)
            assert side.lost == self.lost


TestRingMachine = RingMachine.TestCase
TestRingMachine.settings = settings(max_examples=50)


def write_all(memory: Any) -> None:
    """Write ``TOTAL`` frames in blocks of 100, each as soon as there is room."""
    ring = SharedRing(np.frombuffer(memory, np.float32), 2)
    for start in range(0, TOTAL, 100):
        while ring.capacity - ring.fill < 100:
            time.sleep(0)
        assert ring.write(stereo(start, 100))


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_frames_keep_their_order_between_two_sides(kind: str) -> None:
    memory = RawArray("f", SharedRing.size(2, 700))
    ring = SharedRing(np.frombuffer(memory, np.float32), 2)
    if kind == "thread":
        writer: Any = threading.Thread(target=write_all, args=(memory,))
    else:
        writer = multiprocessing.get_context("spawn").Process(target=write_all, args=(memory,))
    writer.start()
    patience = time.monotonic() + 60
    heard: list[NDArray[np.float32]] = []
    while sum(block.shape[1] for block in heard) < TOTAL:
        assert time.monotonic() < patience
        heard.append(ring.read())
        time.sleep(0.0005)
    writer.join()
    assert np.array_equal(np.concatenate(heard, axis=1), stereo(0, TOTAL))
    assert (ring.fill, ring.lost) == (0, 0)


def test_memory_that_is_no_ring_is_refused() -> None:
    for memory in (
        np.zeros(SharedRing.size(2, 1) - 1, np.float32),
        np.zeros(100, np.float64),
        np.zeros((2, 100), np.float32),
        np.zeros(200, np.float32)[::2],
    ):
        with pytest.raises(ValueError, match="18 contiguous float32"):
            SharedRing(memory, 2)
