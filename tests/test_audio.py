"""Facts about rings and clocks, and the outputs that are no sound card."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from numpy.typing import NDArray

from gansynth_server.audio import Output, open_output, paced
from gansynth_server.audio.ring import Ring
from gansynth_server.errors import UserError
from tests.audio import Tone, counting, wait_until

# The ring


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


# The clock


class FakeTime:
    """A clock that only moves when told to, and an event that sleeps on it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.slept = 0
        monkeypatch.setattr(paced, "time", SimpleNamespace(monotonic=lambda: self.now))

    def wait(self, seconds: float) -> bool:
        assert seconds > 0
        self.now += seconds + 0.0003  # every sleep is a little too long
        self.slept += 1
        return False


def test_pacer_does_not_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    fake: Any = FakeTime(monkeypatch)
    pacer = paced.Pacer(48000)
    for _ in range(10_000):
        fake.now += 0.002  # the work
        assert pacer.wait(256, fake)
    assert fake.now - 100 == pytest.approx(10_000 * 256 / 48000, abs=0.001)


def test_pacer_makes_up_for_a_short_hold_up(monkeypatch: pytest.MonkeyPatch) -> None:
    fake: Any = FakeTime(monkeypatch)
    pacer = paced.Pacer(1000)
    fake.now += 0.55
    assert all(pacer.wait(100, fake) for _ in range(5))
    assert fake.slept == 0
    assert pacer.wait(100, fake)
    assert fake.now == pytest.approx(100.6, abs=0.001)


def test_pacer_skips_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    fake: Any = FakeTime(monkeypatch)
    pacer = paced.Pacer(1000)
    fake.now += 7.0
    assert not pacer.wait(100, fake)
    assert pacer.wait(100, fake)
    assert fake.now == pytest.approx(107.1, abs=0.001)


# File and null


def play(output: Output, seconds: float) -> Tone:
    """Plays for about ``seconds``; what was asked for must have taken real time."""
    source = Tone(output.rate)
    begin = time.monotonic()
    output.start(source)
    time.sleep(seconds)
    output.stop()
    elapsed = time.monotonic() - begin
    asked = source.frames / output.rate - output.latency  # it is one block ahead
    assert asked == pytest.approx(elapsed, rel=0.05)
    assert len(source.threads) == 1
    assert threading.current_thread().name not in source.threads
    return source


@pytest.mark.parametrize(("suffix", "tolerance"), [("wav", 0.0), ("flac", 2**-23)])
def test_a_file_holds_what_the_source_gave(tmp_path: Path, suffix: str, tolerance: float) -> None:
    path = tmp_path / f"take.{suffix}"
    output, line = open_output(str(path), rate=16000, blocksize=200, device=None)
    source = play(output, 1.5)
    samples, rate = soundfile.read(path, dtype="float32")
    assert (line, rate, output.rate, output.latency) == (None, 16000, 16000, 200 / 16000)
    assert str(path) in output.name
    assert output.underruns == 0
    np.testing.assert_allclose(
        samples, np.concatenate(source.blocks, axis=1)[0], rtol=0, atol=tolerance
    )


def test_an_ogg_file_sounds_like_the_source(tmp_path: Path) -> None:
    path = tmp_path / "take.OGG"
    source = play(open_output(str(path))[0], 1.0)
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == 48000
    assert len(samples) == source.frames
    assert np.abs(samples - np.concatenate(source.blocks, axis=1)[0]).max() < 0.05


def test_null_keeps_time_and_can_be_started_again() -> None:
    output, line = open_output("none", rate=48000, blocksize=None)
    assert line is None
    output.stop()
    for _ in range(2):
        play(output, 1.0)
        output.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("audio-")]


def test_a_failing_source_is_silence_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    class Failing:
        def render(self, frames: int) -> NDArray[np.float32]:
            calls.append(frames)
            raise RuntimeError("a bug in the synth")

    output, _ = open_output("none", rate=16000, blocksize=64)
    output.start(Failing())
    assert wait_until(lambda: len(calls) >= 5)
    output.stop()
    lines = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert 1 <= len(lines) < len(calls)


def test_a_recording_that_breaks_off_does_not_stop_the_clock(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output: Any = open_output(str(tmp_path / "take.wav"))[0]

    def full(block: NDArray[np.float32]) -> None:
        raise OSError("No space left on device")

    output._file.write = full
    source = Tone(output.rate)
    output.start(source)
    assert wait_until(lambda: len(source.blocks) >= 10)
    output.stop()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "No space left" in caplog.text


@pytest.mark.parametrize("name", ["take.mp3", "take", "sound card"])
def test_an_unknown_output_names_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"auto, soundcard, none .*\.wav, \.flac, \.ogg"):
        open_output(str(tmp_path / name))
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*nowhere.take\.wav"):
        open_output(str(tmp_path / "nowhere" / "take.wav"))


@pytest.mark.parametrize("setting", [{"rate": 0}, {"rate": -1}, {"blocksize": 0}])
def test_impossible_settings_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="out of range"):
        open_output("none", **setting)
