"""The queue of messages: order, bounds, fairness."""

import pytest

from gansynth_server.errors import UserError
from gansynth_server.osc.codec import Message
from gansynth_server.osc.scheduler import HORIZON, LEAD, MAX_BYTES_PER_CLIENT, Scheduler

A, B = "a", "b"  # clients


def message(n: int) -> Message:
    return Message("/note", (n,))


def taken(scheduler: Scheduler, now: float) -> list[int]:
    numbers = []
    while (waiting := scheduler.take(now)) is not None:
        numbers.append(waiting.message.args[0])
    return numbers


def test_order_of_time_then_arrival():
    s = Scheduler()
    for n, when in enumerate([105, 101, 101, None, 100.1, None]):
        s.put(A, message(n), when, 100)
    assert s.pause(100) == 0
    assert taken(s, 100) == [3, 5, 4]
    assert s.pause(100) == pytest.approx(1 - LEAD)
    assert taken(s, 101 - LEAD - 0.001) == []
    assert taken(s, 101 - LEAD) == [1, 2]
    assert taken(s, 1e9) == [0]
    assert s.pause(0) is None


def test_bounds_of_the_queue():
    s = Scheduler(most=5, share=3)
    for n in range(3):
        s.put(A, message(n), 110, 100)
    with pytest.raises(UserError, match="3 of a client"):
        s.put(A, message(3), 110, 100)
    for n in range(4, 7):
        s.put(A, message(n), None, 100)  # what is for now is counted by itself
    with pytest.raises(UserError, match="3 of a client"):
        s.put(A, message(7), None, 100)
    s.put(B, message(8), 110, 100)
    s.put(B, message(9), 110, 100)
    with pytest.raises(UserError, match="5 in all"):
        s.put("c", message(10), 110, 100)
    assert taken(s, 100) == [4, 5, 6]
    with pytest.raises(UserError, match="61 s ahead"):
        s.put(B, message(11), 100 + HORIZON + 1, 100)
    assert taken(s, 110) == [0, 1, 2, 8, 9] and len(s) == 0


def test_clear_forgets_what_one_client_sent_for_later():
    s = Scheduler(share=3)
    for n, (who, when) in enumerate([(A, 110), (B, 110), (A, None), (A, 109)]):
        s.put(who, message(n), when, 100)
    s.clear(A)
    assert taken(s, 200) == [2, 1]
    for n in range(3):
        s.put(A, message(n), 110, 100)  # none of its share is taken


def test_messages_for_now_come_in_turns():
    scheduler = Scheduler()
    for n in range(1000):
        scheduler.put("flood", Message(f"/f{n}", ()), None, 0.0)
    for n in range(3):
        scheduler.put("other", Message(f"/o{n}", ()), None, 0.0)
    order = [scheduler.take(0.0).message.address for _ in range(1003)]
    assert [order.index(f"/o{n}") for n in range(3)] == [1, 3, 5]
    assert [address for address in order if address.startswith("/f")] == [
        f"/f{n}" for n in range(1000)
    ]
    assert not scheduler.waits("flood") and not len(scheduler)


def test_bytes_that_wait_are_bounded():
    scheduler = Scheduler()
    part = MAX_BYTES_PER_CLIENT // 100
    for owner in "abcd":
        for _ in range(100):
            scheduler.put(owner, Message("/a", ()), 50.0, 0.0, part)
        with pytest.raises(UserError, match="MB of a client"):
            scheduler.put(owner, Message("/a", ()), 50.0, 0.0, part)
    with pytest.raises(UserError, match="MB in all"):
        scheduler.put("e", Message("/a", ()), 50.0, 0.0, part)
    scheduler.clear("a")
    scheduler.put("e", Message("/a", ()), 50.0, 0.0, part)
