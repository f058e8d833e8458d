"""Threads for what takes time: turns of clients, and bounds."""

from __future__ import annotations

import threading
from functools import partial

from gansynth_server.handlers.host import Task
from gansynth_server.server.background import WorkThread


def test_owners_come_in_turns_each_in_its_order() -> None:
    thread, go, done = WorkThread(Task.FILE), threading.Event(), list[str]()
    assert thread.put("first", lambda: bool(go.wait()))
    for owner, count in (("a", 3), ("b", 1), ("c", 2)):
        for number in range(count):
            assert thread.put(owner, partial(done.append, f"{owner}{number}"))
    go.set()
    thread.stop(finish=True)
    assert done == ["a0", "b0", "c0", "a1", "c1", "a2"]


def test_what_is_not_to_be_finished_is_left() -> None:
    thread, go, done = WorkThread(Task.LOAD), threading.Event(), list[int]()
    thread.put("a", lambda: bool(go.wait()))
    thread.put("a", partial(done.append, 1))
    thread.stop(finish=False)
    go.set()
    thread._thread.join(5)
    assert not thread._thread.is_alive()
    assert not done


def test_so_many_wait_and_no_more() -> None:
    thread, go, begun = WorkThread(Task.SOUND), threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        go.wait()

    thread.put("a", block)
    assert begun.wait(5)
    assert all(thread.put("a", int) for _ in range(Task.SOUND.most))
    assert not thread.put("a", int)
    assert thread.put("b", int)
    go.set()
    thread.stop(finish=True)
