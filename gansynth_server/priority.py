"""Which threads go first: sound before everything, the network after it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading


def raise_priority() -> None:
    """Puts the calling thread before others where the system allows it (Linux, as a rule root)."""
    _set_niceness(-11)


def lower_priority() -> None:
    """Puts the calling thread, and those that it starts, after the others (Linux)."""
    _set_niceness(5)


def _set_niceness(value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), value)
