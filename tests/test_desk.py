"""One mixes at a time, first come, first served; too much is told from standing still."""

import threading
import time

from gansynth_server.synth.render_lock import FULL, SPELL, Desk


class Time:
    """Clocks that are moved by hand."""

    def __init__(self) -> None:
        self.now = self.worked = 0.0

    def pass_(self, seconds: float, worked: float | None = None) -> None:
        self.now += seconds
        self.worked += seconds if worked is None else worked


def clocked():
    clock = Time()
    return clock, Desk(lambda: clock.now, lambda: clock.worked)


def turn(desk, clock, who, seconds, worked=None):
    with desk.of(who):
        clock.pass_(seconds, worked)


class Bus:
    pass


def test_first_come_first_served():
    desk, order, inside = Desk(), [], []
    waiting = threading.Semaphore(0)

    def take(n):
        waiting.release()
        with desk.of(take):
            inside.append(n)
            assert len(inside) == 1
            order.append(n)
            time.sleep(0.001)
            inside.remove(n)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(20)]
    with desk.of(desk):
        for thread in threads:
            thread.start()
            waiting.acquire()
            time.sleep(0.01)  # until it waits
        assert not order
    for thread in threads:
        thread.join(timeout=10)
    assert order == list(range(20))


def test_who_comes_again_and_again_lets_the_others_in():
    desk, over, turns = Desk(), threading.Event(), [0, 0]

    def take(n):
        while not over.is_set():
            with desk.of(take):
                turns[n] += 1
                time.sleep(0.001)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    over.set()
    for thread in threads:
        thread.join(timeout=10)
    assert min(turns) > 0.4 * max(turns) > 10


def test_a_turn_that_fails_is_over():
    desk = Desk()
    for _ in range(2):
        try:
            with desk.of(desk):
                raise ValueError
        except ValueError:
            pass


def test_a_pause_comes_once_all_have_had_their_turns():
    desk, asked = Desk(), threading.Semaphore(0)
    turns, over = [], threading.Event()

    def take():
        asked.release()
        with desk.of(desk):
            turns.append(desk.pause(0))

    assert desk.pause(0)
    with desk.of(desk):
        assert not desk.pause(0.001)
        thread = threading.Thread(target=take)
        thread.start()
        asked.acquire()
        time.sleep(0.01)  # until it waits
        waiting = threading.Thread(target=lambda: desk.pause(10) and over.set())
        waiting.start()
        assert not over.wait(0.01)
    assert over.wait(10) and turns == [False]
    thread.join()
    waiting.join()


def test_too_much_is_said_of_who_takes_the_most():
    clock, desk = clocked()
    loud, soft = Bus(), Bus()
    for _ in range(100):
        turn(desk, clock, loud, 0.008)
        turn(desk, clock, soft, 0.002)
        assert not desk.too_much(soft)
    assert desk.too_much(loud)
    desk.eased()
    assert not desk.too_much(loud)
    turn(desk, clock, loud, SPELL / 10)
    assert not desk.too_much(loud)  # a while has to pass


def test_time_left_and_standing_still_are_not_too_much():
    clock, desk = clocked()
    bus = Bus()
    for _ in range(100):
        turn(desk, clock, bus, 0.009)
        clock.pass_(0.01 * (1 / FULL - 0.9))
    assert not desk.too_much(bus)
    for _ in range(100):
        turn(desk, clock, bus, 0.01, worked=0.001)
    assert not desk.too_much(bus)


def test_who_has_gone_is_forgotten():
    clock, desk = clocked()
    gone, here = Bus(), Bus()
    for _ in range(50):
        turn(desk, clock, gone, 0.009)
        turn(desk, clock, here, 0.001)
    assert not desk.too_much(here)
    del gone
    turn(desk, clock, here, 0.001)
    assert desk.too_much(here)
