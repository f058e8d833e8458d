"""Priorities: the sound before everything, long searches behind it; names of processes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from gansynth_server.errors import UserError

AHEAD, SECOND, BEHIND = -11, -6, 5
"""Niceness of the thread that makes sound, of those that carry it, and of work that takes a
minute."""
ENGINE, RENDER, PAGE = "gansynth-engine", "gansynth-render", "gansynth-page"
"""Names of the processes, of up to 15 letters."""
RANK = 70
"""Real-time priority (1…99) of the engine's thread."""
ALL_PAGES = 1 | 2 | 4
"""MCL_CURRENT, MCL_FUTURE and MCL_ONFAULT: all pages, each once it is used."""

_realtime = False


def use_realtime() -> str:
    """Run threads that are raised from now on in real time, and lock the memory.

    Returns:
        A line for the user: what was granted, or what was refused and how to allow it.
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


def name_process(name: str) -> None:
    """Name this process in lists of processes, where the system lets it (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def raise_priority() -> None:
    """Raise the calling thread above others where the system allows it (Linux, usually as root)."""
    if _realtime:
        with contextlib.suppress(OSError):
            _schedule(RANK)
    else:
        _set_niceness(AHEAD)


def follow_sound() -> None:
    """Put the calling thread, and those that it starts, ahead of all but the sound (Linux, usually
    as root)."""
    _set_niceness(SECOND)


def lower_priority() -> None:
    """Put the calling thread, and those that it starts, behind all others (Linux)."""
    _set_niceness(BEHIND)


def _in_thread(run: Callable[[], None]) -> None:
    """Call ``run`` on a thread of its own and wait for it; raise its OSError here."""
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
    # SCHED_RESET_ON_FORK: threads that this one starts do not run in real time
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    os.sched_setscheduler(threading.get_native_id(), policy, os.sched_param(rank))


def _lock_memory() -> str:
    """Keep all memory of this process from being swapped out; return why not, or ""."""
    try:
        mlockall = ctypes.CDLL(None, use_errno=True).mlockall
    except (OSError, AttributeError):
        return "there is no mlockall"
    return "" if mlockall(ALL_PAGES) == 0 else os.strerror(ctypes.get_errno())


def _set_niceness(value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), value)


def check_threads(threads: int) -> None:
    """Raise UserError for a number of threads out of range."""
    if not 0 <= threads <= 1024:
        raise UserError(f"--threads must be 0 (all cores but one) to 1024, not {threads}")


def set_threads(threads: int) -> None:
    """Set the CPU threads of PyTorch, 0 for all cores but one; UserError out of range."""
    check_threads(threads)
    import torch

    # one core stays free, so the sound need not wait for the network
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 2) - 1))
