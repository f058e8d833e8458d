"""Blocks in real time without a sound card."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from gansynth_server.audio import paced
from gansynth_server.audio.open import open_output
from gansynth_server.audio.paced import NullOutput
from tests.support.sound_loop import playing
from tests.support.sound_sources import Constant, Tone


class FakeTime:
    """A clock that only moves when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(paced, "time", SimpleNamespace(monotonic=lambda: self.now))

    def play(self, output: NullOutput, blocks: int, work: float = 0.0) -> int:
        """Put blocks, each as soon as it is wanted; how often that took a sleep."""
        slept = 0
        for _ in range(blocks):
            while not output.wanted(self.now):
                pause = output.pause(self.now)
                assert pause > 0
                self.now += pause + 0.0003  # every sleep is a little too long
                slept += 1
            assert output.pause(self.now) == 0
            self.now += work
            output.put(np.zeros((output.channels, output.blocksize), np.float32))
        return slept


def test_due_times_do_not_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime(monkeypatch)
    output = NullOutput(rate=48000, blocksize=256)
    output.start()
    assert fake.play(output, 10_001, work=0.002) == 10_000
    assert fake.now - 100 == pytest.approx(10_000 * 256 / 48000, abs=0.003)
    assert output.underruns == 0


def test_a_short_hold_up_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime(monkeypatch)
    output = NullOutput(rate=1000, blocksize=100)
    output.start()
    fake.now += 0.55
    assert fake.play(output, 6) == 0
    assert fake.play(output, 1) == 1
    assert fake.now == pytest.approx(100.6, abs=0.001)
    assert output.underruns == 0


def test_a_stall_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime(monkeypatch)
    output = NullOutput(rate=1000, blocksize=100)
    output.start()
    fake.now += 7.0
    assert fake.play(output, 1) == 0
    assert output.underruns == 1
    assert fake.play(output, 1) == 1
    assert fake.now == pytest.approx(107.1, abs=0.001)
    assert output.underruns == 1


def test_nothing_is_wanted_before_the_start_and_after_the_end() -> None:
    output = NullOutput(rate=48000, blocksize=256)
    for _ in range(2):
        assert not output.wanted(time.monotonic())
        assert output.pause(time.monotonic()) > 0
        output.stop()
        output.start()
        assert output.wanted(time.monotonic())
        output.stop()


def test_none_keeps_time_without_a_thread() -> None:
    output, line = open_output("none", rate=48000, blocksize=None)
    assert (line, output.blocksize, output.channels) == (None, 1024, 2)
    source, threads = Tone(output.rate), threading.active_count()
    begin = time.monotonic()
    with playing(output, source):
        time.sleep(1.0)
        assert threading.active_count() == threads + 1  # the test's loop
    asked = source.frames / output.rate - output.latency  # it is one block ahead
    assert asked == pytest.approx(time.monotonic() - begin, rel=0.05)
    assert source.threads == {"sound-loop"}
    assert output.underruns == 0


def test_sixty_outputs_share_one_loop() -> None:
    outputs = [NullOutput(rate=48000, blocksize=256) for _ in range(60)]
    sources = [Constant() for _ in outputs]
    for output in outputs:
        output.start()
    begin = time.monotonic()
    while (now := time.monotonic()) < begin + 0.5:
        for output, source in zip(outputs, sources, strict=True):
            if output.wanted(now):
                output.put(source.render(256))
        time.sleep(min(output.pause(now) for output in outputs))
    assert all(abs(source.blocks - 0.5 * 48000 / 256) < 10 for source in sources)
