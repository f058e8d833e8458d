"""What the watchdog says of sound that was held up."""

import threading

import pytest

from gansynth_server.audio.block_timer import BlockTimer
from gansynth_server.engine.watchdog import LIMIT_S, Watchdog


class Clock:
    now = 1.0

    def __call__(self):
        return self.now


def test_the_watchdog_says_what_held_the_sound_up(caplog):
    clock = Clock()
    pulse = BlockTimer("the output", clock)
    dog = Watchdog([pulse], clock=clock)
    release, inside = threading.Event(), threading.Event()

    def slow_mixing():
        pulse.begin(clock.now + 0.005)
        inside.set()
        release.wait(20)

    audio = threading.Thread(target=slow_mixing)
    audio.start()
    inside.wait(20)
    with caplog.at_level("INFO", "gansynth_server.engine.watchdog"):
        dog.look(clock.now, 0.0)
        clock.now += 0.005 + LIMIT_S / 2
        dog.look(clock.now, 0.0)
        assert not dog.stalls
        clock.now += 0.040
        dog.look(clock.now, 0.0)
        release.set()
        audio.join()
        pulse.end(clock.now + 0.010)
        clock.now += 0.001
        dog.look(clock.now, 0.0)
    assert dog.stalls == 1 and dog.longest == pytest.approx(0.045)
    (text,) = caplog.messages
    assert "the output was held up for 45 ms" in text and "slow_mixing" in text


def test_a_busy_machine_is_told_from_a_busy_thread(caplog):
    clock = Clock()
    pulse = BlockTimer("a stream", clock)
    dog = Watchdog([pulse], clock=clock)
    with caplog.at_level("INFO", "gansynth_server.engine.watchdog"):
        pulse.begin(clock.now)
        clock.now += 0.3
        dog.look(clock.now, overslept=0.29)
        pulse.end()
        dog.look(clock.now, 0.0)
    assert "the machine was busy" in caplog.messages[0] and caplog.records[0].levelname == "WARNING"
