"""The queue between a thread that makes sound and one that plays it."""

from __future__ import annotations

import threading
import time
from collections import deque

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from numpy.typing import NDArray

from gansynth_server.audio.ring import Ring
from tests.support.sound_sources import counting


class RingMachine(RuleBasedStateMachine):
    """A ring behaves as a queue that takes whole blocks and pads with zeros."""

    @initialize(capacity=st.integers(1, 40))
    def create(self, capacity: int) -> None:
        self.ring = Ring(capacity)
        self.queue: deque[float] = deque()
        self.next = 1
        self.underruns = 0

    @rule(count=st.integers(0, 50))
    def write(self, count: int) -> None:
        fits = count <= self.ring.capacity - len(self.queue)
        assert self.ring.write(counting(self.next, count)[None]) == fits
        if fits:
            self.queue.extend(counting(self.next, count))
            self.next += count

    @rule(count=st.integers(0, 50), stride=st.integers(1, 3))
    def read(self, count: int, stride: int) -> None:
        out = np.full((count, stride), -1, dtype=np.float32)
        taken = [self.queue.popleft() for _ in range(min(count, len(self.queue)))]
        missing = count - len(taken)
        assert self.ring.read_into(out.T[:1]) == missing
        assert out[:, 0].tolist() == taken + [0.0] * missing
        assert (out[:, 1:] == -1).all()
        self.underruns += missing > 0

    @invariant()
    def agrees(self) -> None:
        assert self.ring.fill == len(self.queue)
        assert self.ring.space == self.ring.capacity - len(self.queue)
        assert self.ring.underruns == self.underruns


TestRingMachine = RingMachine.TestCase
TestRingMachine.settings = settings(max_examples=50)


def test_ring_keeps_order_between_two_threads() -> None:
    ring, total = Ring(700), 200_000
    blocks = [counting(start, 100) for start in range(0, total, 100)]

    def write() -> None:
        for block in blocks:
            while not ring.write(block[None]):
                time.sleep(0)

    writer = threading.Thread(target=write)
    writer.start()
    heard: list[NDArray[np.float32]] = []
    while sum(map(len, heard)) < total:
        out = np.empty(64, dtype=np.float32)
        heard.append(out[: 64 - ring.read_into(out[None])])
    writer.join()
    assert np.array_equal(np.concatenate(heard), counting(0, total))
