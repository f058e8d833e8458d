"""Tests in real time, on machines that now and then stand still.

A test that is marked ``real_time`` counts every block of sound. Where a
virtual machine's host takes a core away for longer than the stream's cushion,
blocks are late whatever the program does. So while such a test runs, one idle
process per core watches the clock. A failure during which a core stood still
says nothing, and the test is taken again; a failure while all cores ran is a
failure at once, and so is the last take.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any, Self

import pytest

STILL = 0.03
"""Seconds without a wake-up that count as standing still; the shortest cushion is 43 ms."""
TAKES = 8

WATCH = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
last = time.monotonic()
while os.getppid() == int(sys.argv[3]):
    time.sleep(0.002)
    now = time.monotonic()
    if now - last > float(sys.argv[2]):
        print(round(now - last, 3), flush=True)
    last = now
"""


class Stillness:
    """How long each core stood still within a ``with`` block: seconds in ``gaps``."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-S", "-c", WATCH]
        self._watches = [
            subprocess.Popen(
                [*command, str(core), str(STILL), str(os.getpid())],
                stdout=subprocess.PIPE,
                text=True,
            )
            for core in sorted(os.sched_getaffinity(0))
        ]
        time.sleep(0.1)
        self.gaps: list[float] = []
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(STILL)
        for watch in self._watches:
            watch.terminate()
            said, _ = watch.communicate()
            self.gaps += [float(line) for line in said.split()]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Calls a ``real_time`` test up to :data:`TAKES` times."""
    if pyfuncitem.get_closest_marker("real_time") is None:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in names}
    for take in range(1, TAKES + 1):
        with Stillness() as stillness:
            try:
                pyfuncitem.obj(**arguments)
                return True
            except AssertionError as error:
                failure = error
        if not stillness.gaps or take == TAKES:
            raise failure
        print(f"take {take} is void: a core stood still for {max(stillness.gaps)} s", flush=True)
    return True
