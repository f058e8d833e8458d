"""The log: lines throttled, written from a thread of its own, by levels."""

import io
import logging
import sys
import threading

from gansynth_server.server import log
from gansynth_server.server.log import LogThrottle


def line(text, level=logging.WARNING, name="gansynth_server.server.receiver", **extra):
    record = logging.LogRecord(name, level, "file.py", 1, text, None, None)
    record.__dict__.update(extra)
    return record


def test_a_flood_of_lines_becomes_a_count():
    now = [0.0]
    throttle = LogThrottle(lambda: now[0])
    passed = []
    for n in range(10_000):
        now[0] = n / 1000
        passed.append(throttle.passes(line("bad datagram")))
    written = [hidden for hidden in passed if hidden is not None]
    assert len(written) == 10 and sum(written) + 10 == 10_000 - passed[::-1].index(written[-1])
    assert throttle.spared == 9990


def test_kinds_and_sources_do_not_hide_each_other():
    throttle = LogThrottle(lambda: 0.0)
    assert throttle.passes(line("a")) == 0 and throttle.passes(line("a")) is None
    assert throttle.passes(line("b")) == 0
    assert throttle.passes(line("a", source="10.0.0.1")) == 0
    assert throttle.passes(line("a", source="10.0.0.1")) is None
    assert throttle.passes(line("a", name="gansynth_server.clients")) == 0


def test_ten_thousand_sources_are_a_handful_too():
    throttle = LogThrottle(lambda: 0.0)
    passed = [throttle.passes(line("refused", source=n)) for n in range(10_000)]
    assert sum(hidden is not None for hidden in passed) == log.MAX_LINES


def test_a_terminal_that_stands_still_holds_nobody_up(monkeypatch):
    stuck = threading.Event()

    class Pipe(io.StringIO):
        def write(self, text):
            stuck.wait(20)
            return len(text)

    monkeypatch.setattr(sys, "stderr", Pipe())
    writer = log.Writer(LogThrottle())
    writer.setFormatter(logging.Formatter("%(message)s"))
    for n in range(100):
        writer.emit(line(f"line {n}"))  # would hang here
    stuck.set()
    writer.close()
