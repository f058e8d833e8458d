"""Which blocks are late."""

import threading

from gansynth_server.audio.block_timer import BlockTimer


def test_a_steady_loop_is_never_late_and_a_late_one_is() -> None:
    now = 0.0
    timer = BlockTimer("the output", lambda: now)
    assert timer.behind(100.0) == 0.0  # no block yet
    for block in range(5):
        now = 0.1 * block
        timer.begin(now + 0.1)
        assert timer.behind(now) < 0
        timer.end(now + 0.2)
    assert timer.thread == threading.get_ident()
    assert timer.longest == 0.0
    assert timer.behind(now + 0.7) > 0.4
    timer.begin(timer.due)
    now += 0.7
    timer.end()
    assert timer.longest > 0.4
    assert timer.behind(now) == 0.0  # it is not known when the next is due
