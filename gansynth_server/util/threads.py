"""Which threads go first: sound before everything, the network's arithmetic after it.

Whoever holds the interpreter lock holds up the sound, so no thread that runs
Python goes behind the others for good, lest it be set aside with the lock in
its hand. What goes behind are stretches of native code that have let it go.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache

AHEAD, NORMAL, BEHIND = -11, 0, 5
"""Niceness."""
RANK = 70
"""Real-time priority of the sound, 1…99; what brings it its messages comes one behind."""
ALL_PAGES = 1 | 2 | 4
"""MCL_CURRENT, MCL_FUTURE and MCL_ONFAULT: all pages, each once it is used."""

SWITCH_INTERVAL = 0.0001
"""Seconds; a block lets the interpreter lock go at a hundred arrays, and waits so long for it at
each while another thread is busy. With Python's own 5 ms that is half a second."""

_realtime = False


def switch_often() -> None:
    """Has threads of this process take turns often enough for sound."""
    sys.setswitchinterval(SWITCH_INTERVAL)


def use_realtime() -> str:
    """Has threads that are raised from now on run in real time, and locks the memory.

    Returns:
        A line for the user: what was granted, or what was refused and how to have it.
    """
    global _realtime
    if not hasattr(os, "sched_setscheduler"):
        return "--realtime is for Linux; going on without it"
    refused = []
    try:
        _in_thread(lambda: _schedule(RANK))
        _realtime = True
    except OSError as error:
        refused.append(f"real-time priority ({error.strerror}: allow it with ulimit -r {RANK})")
    reason = _lock_memory()
    if reason:
        refused.append(f"locked memory ({reason}: allow it with ulimit -l unlimited)")
    if refused:
        return f"--realtime: the system refuses {' and '.join(refused)}; going on without"
    return f"real time: priority {RANK}, memory locked"


def raise_priority(behind: int = 0) -> None:
    """Puts the calling thread before others where the system allows it (Linux, as a rule root).

    Args:
        behind: ranks behind the sound itself, where there is real time.
    """
    _keep_to_threads()
    if _realtime:
        with contextlib.suppress(OSError):
            _schedule(RANK - behind)
    else:
        _set_niceness(AHEAD)


def normal_priority() -> None:
    """Puts the calling thread where others are, whatever thread it was started by."""
    _keep_to_threads()
    if _may_change():
        _set_niceness(NORMAL)


def _keep_to_threads() -> None:
    """Has PyTorch use no more cores for the calling thread than --threads: OpenMP, which
    counts for each thread by itself, takes all of them until PyTorch is asked there."""
    torch = sys.modules.get("torch")  # who only talks to a server need not load it
    if torch is not None:
        torch.get_num_threads()


@contextlib.contextmanager
def behind_others() -> Iterator[None]:
    """Has the calling thread, and those that it starts, go after the others for a while.

    For native code that lets go of the interpreter lock. Where the system would
    not raise the thread again, nothing is changed.
    """
    if not _may_change():
        yield
        return
    _set_niceness(BEHIND)
    try:
        yield
    finally:
        _set_niceness(NORMAL)


@cache
def _may_change() -> bool:
    """Whether a thread that was put behind others can be put back."""
    if sys.platform != "linux":
        return False

    def there_and_back() -> None:
        for value in (BEHIND, NORMAL):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), value)

    try:
        _in_thread(there_and_back)
    except OSError:
        return False
    return True


def _in_thread(run: Callable[[], None]) -> None:
    """Calls something on a thread of its own, which ends; its OSError comes back."""
    failure: list[OSError] = []

    def guarded() -> None:
        try:
            run()
        except OSError as error:
            failure.append(error)

    thread = threading.Thread(target=guarded, name="trial")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def _schedule(rank: int) -> None:
    # what such a thread starts is not in real time
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    os.sched_setscheduler(threading.get_native_id(), policy, os.sched_param(rank))


def _lock_memory() -> str:
    """Keeps all memory of this process from being swapped out; why not, if it cannot be."""
    try:
        mlockall = ctypes.CDLL(None, use_errno=True).mlockall
    except (OSError, AttributeError):
        return "there is no mlockall"
    return "" if mlockall(ALL_PAGES) == 0 else os.strerror(ctypes.get_errno())


def _set_niceness(value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), value)
