"""The log: lines throttled, written from a thread of its own, by levels."""

import io
import logging
import subprocess
import sys
import threading

from gansynth_server.util import log
from gansynth_server.util.log import LogThrottle


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
    handler = log.LogHandler(LogThrottle())
    for n in range(100):
        handler.emit(line(f"line {n}"))  # would hang here
    stuck.set()
    handler.close()


def test_what_does_not_fit_in_the_queue_is_counted(monkeypatch):
    stuck, written = threading.Event(), []

    class Pipe(io.StringIO):
        def write(self, text):
            stuck.wait(20)
            written.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stderr", Pipe())
    throttle = LogThrottle()
    handler = log.LogHandler(throttle)
    for n in range(log.MAX_WAITING + 100):
        handler.emit(line(f"line {n}"))
    assert 99 <= throttle.spared <= 100  # one of them may be in the thread's hand
    stuck.set()
    handler.close()
    assert len(written) == log.MAX_WAITING + 100 - throttle.spared
    assert written[0].endswith("receiver: line 0\n")


def test_the_count_of_a_flood_is_written():
    now = [0.0]
    handler = log.LogHandler(LogThrottle(lambda: now[0]))
    handler.close()  # so that the lines stay in the queue
    while not handler._lines.empty():
        handler._lines.get()
    for now[0] in (0.0, 0.1, 0.2, 1.5):
        handler.handle(line("bad datagram"))
    texts = [handler._lines.get().getMessage() for _ in range(handler._lines.qsize())]
    assert len(texts) == 2 and texts[0].endswith("receiver: bad datagram")
    assert texts[1].endswith("receiver: bad datagram (and 2 more like it)")


BLOCKED = """
import logging
from gansynth_server.util import log
log.set_up(1)
for n in range(300):
    logging.getLogger("gansynth_server.dump").warning("line %d %s", n, "x" * 1000)
"""


def test_a_process_whose_stderr_is_not_read_ends_all_the_same():
    with subprocess.Popen([sys.executable, "-c", BLOCKED], stderr=subprocess.PIPE) as process:
        try:
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
