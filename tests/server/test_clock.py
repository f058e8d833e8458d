"""Time tags against two clocks of the machine."""

import pytest

from gansynth_server.server.clock import TagTime


def test_time_tags_keep_distances_until_the_clock_is_set():
    now, wall, slow = 50.0, 1.7e9 + 0.5, 0.0

    def clock() -> float:
        nonlocal now
        now += slow / 2
        return now

    tags = TagTime(clock, lambda: wall)
    assert tags.epoch == 2208988800 + 1_700_000_000 << 32
    assert tags(3) == 52.5
    wall += 0.004  # NTP, or noise
    assert tags(4) == 53.5
    slow = 0.5  # a thread that was not let run between the looks at the clocks
    assert tags(5) == 54.5
    slow = 0.0
    wall = 1.7e9 + 100  # the clock was set
    assert tags(103) == pytest.approx(now + 3)
