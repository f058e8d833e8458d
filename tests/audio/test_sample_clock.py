"""The link between a clock and a listener's samples, by simulation."""

import random

import numpy as np
import pytest

from gansynth_server.audio import sample_clock
from gansynth_server.audio.sample_clock import DEAD_BAND, ClockLink

RATE = 48000


class Stream:
    """A listener that asks for blocks on a clock of its own, which is late as told.

    Args:
        drift: by how much its clock is faster, as a share.
    """

    def __init__(self, drift: float = 0.0, block: int = 512, start: float = 1000.0) -> None:
        self.now = start
        self.link = ClockLink(RATE, lambda: self.now)
        self.asked = 0
        self.block = block
        self.rate = RATE * (1 + drift)
        self.origin = start
        self.random = random.Random(3)

    def due(self) -> float:
        """When the next block would be asked for, were nothing late."""
        return self.origin + (self.asked + self.block) / self.rate

    def ask(self, late: float) -> None:
        self.now = max(self.now, self.due() + late)
        self.asked += self.block
        self.link.rendered(self.asked)

    def run(self, seconds: float, late=lambda r: r.uniform(0.001, 0.030)) -> None:
        """Some seconds, with so much lateness for each block."""
        end = self.due() + seconds
        while self.due() < end:
            self.ask(late(self.random))

    def true(self, seconds: float) -> float:
        """The sample that is rendered at a time by a listener that is never late."""
        return (seconds - self.origin) * self.rate

    def error(self) -> float:
        """Seconds by which the link is ahead of the listener just now."""
        return (self.link.sample(self.now) - self.true(self.now)) / self.rate


def test_before_the_first_block_all_is_at_once():
    stream = Stream()
    assert stream.link.sample(stream.now + 5) == 0


def test_distances_are_exact_under_jitter():
    stream = Stream()
    stream.run(2)
    samples, times = [], []
    for n in range(200):
        times.append(stream.now + 0.25 + random.Random(n).random() * 0.1)
        samples.append(stream.link.sample(times[-1]))
        stream.run(0.05)
    apart = np.array(samples) - samples[0] - RATE * (np.array(times) - times[0])
    assert np.abs(apart).max() <= 1
    assert -0.002 < stream.error() <= 0  # the earliest of many blocks is hardly late


def test_what_is_sent_two_milliseconds_ahead_is_in_time():
    stream = Stream()
    stream.run(3)
    for _ in range(500):
        stream.run(0.01)
        assert stream.link.sample(stream.now + DEAD_BAND) >= stream.asked


@pytest.mark.parametrize("drift", [100e-6, -100e-6, 0.0])
def test_ten_minutes_of_a_card_that_drifts(drift):
    stream = Stream(drift)
    stream.run(2)
    worst, steepest = 0.0, 0.0
    for _ in range(600):
        before, now = stream.link.sample(stream.now), stream.now
        stream.run(1.0)
        worst = max(worst, abs(stream.error()))
        steps = stream.link.sample(stream.now) - before - RATE * (stream.now - now)
        steepest = max(steepest, abs(steps) / RATE)
    assert worst < DEAD_BAND + 0.002
    assert steepest < 0.7e-3  # per second: led back, not thrown
    if not drift:
        assert steepest <= 1 / RATE


def test_bursts_after_hold_ups_change_nothing():
    stream = Stream()
    stream.run(8)
    kept = stream.link.sample(2000.0)
    for hold_up in (0.02, 0.08, 0.3, 0.9):
        held = stream.now + hold_up
        while stream.due() < held:  # what was missed comes at once
            stream.ask(max(0.0, held - stream.due()) + stream.asked % 7 * 1e-4)
        stream.run(3)
        assert stream.link.sample(2000.0) == kept


@pytest.mark.parametrize("gone", [0.06, 0.5, 0.9, 30.0])
def test_a_stream_that_stood_still_is_found_again_at_once(gone):
    stream = Stream()
    stream.run(10)
    stream.origin += gone  # DSP off and on: nothing is made up for
    stream.now += gone
    if gone > 1:
        assert stream.link.sample(stream.now + 0.1) == stream.asked
    stream.ask(0.005)
    assert abs(stream.error()) < 0.006
    stream.run(1.5)
    assert abs(stream.error()) < 0.002
    kept = stream.link.sample(2000.0)
    stream.run(20)
    assert stream.link.sample(2000.0) == kept


def test_blocks_that_are_skipped_for_good_are_followed():
    stream = Stream()
    stream.run(10)
    stream.origin -= 0.2  # a card that takes 0.2 s of sound at once
    stream.run(1.5)
    assert abs(stream.error()) < 0.002


def test_a_card_that_fills_its_ring_first():
    stream = Stream(block=256)
    for _ in range(4):
        stream.asked += 256
        stream.link.rendered(stream.asked)
    stream.origin -= 4 * 256 / RATE
    stream.run(1.5, lambda r: r.uniform(0.0, 0.002))
    assert abs(stream.error()) < 0.001
    kept = stream.link.sample(2000.0)
    stream.run(60, lambda r: r.uniform(0.0, 0.002))
    assert stream.link.sample(2000.0) == kept


@pytest.mark.parametrize("jump", [-3600.0, -1.0, 1.0, 3600.0, 1e9])
def test_a_clock_that_jumps_stalls_nothing(jump):
    now = 1000.0
    linked = ClockLink(48000, lambda: now)
    sample = 0
    for step in range(400):
        now += 0.01 + (jump if step == 200 else 0)
        sample += 480
        linked.rendered(sample)
    ahead = linked.sample(now + 0.1) - sample
    assert abs(ahead - 4800) <= sample_clock.JUMP * 48000
    assert linked.sample(now - 1e6) <= sample
