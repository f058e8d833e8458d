"""What can be seen of a running server: its figures, its log, and what holds the sound up."""

import io
import logging
import re
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np
import pytest

from gansynth_server.audio.block_timer import BlockTimer, Watched
from gansynth_server.errors import UserError
from gansynth_server.server import log
from gansynth_server.server.log import LogThrottle
from gansynth_server.server.metrics import Metrics
from gansynth_server.server.watchdog import LIMIT_S, Watchdog
from tests.support.server import Peer, ServerProcess
from tests.system.test_server import run


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
from gansynth_server.server import log
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


def test_levels_of_single_loggers():
    for text in ("nothing=debug", "osc.in=loud", "osc.in"):
        with pytest.raises(UserError, match="--log"):
            log.set_up(0, [text])
    done = run("--port", "0", "--log", "osc.in=loud")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "debug" in done.stderr


class Clock:
    now = 1.0

    def __call__(self):
        return self.now


def test_the_watchdog_says_what_held_the_sound_up(caplog):
    clock = Clock()
    pulse = BlockTimer("the output", clock)
    dog = Watchdog([pulse], clock=clock)
    release, inside = threading.Event(), threading.Event()

    def slow_mixing():
        pulse.begin(clock.now + 0.005)
        inside.set()
        release.wait(20)

    audio = threading.Thread(target=slow_mixing)
    audio.start()
    inside.wait(20)
    with caplog.at_level("INFO", "gansynth_server.server.watchdog"):
        dog.look(clock.now, 0.0)
        clock.now += 0.005 + LIMIT_S / 2
        dog.look(clock.now, 0.0)
        assert not dog.stalls
        clock.now += 0.040
        dog.look(clock.now, 0.0)
        release.set()
        audio.join()
        pulse.end(clock.now + 0.010)
        clock.now += 0.001
        dog.look(clock.now, 0.0)
    assert dog.stalls == 1 and dog.longest == pytest.approx(0.045)
    (text,) = caplog.messages
    assert "the output was held up for 45 ms" in text and "slow_mixing" in text


def test_a_busy_machine_is_told_from_a_busy_thread(caplog):
    clock = Clock()
    pulse = BlockTimer("a stream", clock)
    dog = Watchdog([pulse], clock=clock)
    with caplog.at_level("INFO", "gansynth_server.server.watchdog"):
        pulse.begin(clock.now)
        clock.now += 0.3
        dog.look(clock.now, overslept=0.29)
        pulse.end()
        dog.look(clock.now, 0.0)
    assert "the machine was busy" in caplog.messages[0] and caplog.records[0].levelname == "WARNING"


def test_a_steady_source_is_never_late_and_a_late_one_is():
    class ConstantPath:
        def render(self, frames):
            return np.zeros((1, frames), np.float32)

    pulse = BlockTimer("the output")
    source = Watched(ConstantPath(), 48000, pulse)
    for _ in range(5):
        source.render(4800)
        assert pulse.behind(time.monotonic()) < 0
    assert pulse.longest < 0.1
    time.sleep(0.5)
    assert pulse.behind(time.monotonic()) > 0.2
    source.render(4800)
    assert pulse.longest > 0.2


@pytest.fixture(scope="module")
def server():
    with ServerProcess("--output", "none", "--metrics", "0", "--log", "osc.in=debug") as process:
        yield process
        assert process.process.poll() is None, process.errors


def scrape(server):
    pytest.importorskip("prometheus_client")
    url = next(found[0] for text in server.lines if (found := re.search(r"http://\S+", text)))
    with urllib.request.urlopen(url, timeout=10) as page:
        assert page.headers["Content-Type"].startswith("text/plain")
        text = page.read().decode()
    return {
        name: float(value)
        for name, value in re.findall(r"^gansynth_(\w+) (\S+)$", text, re.MULTILINE)
    }


def test_prometheus_and_osc_tell_the_same(server):
    peer = Peer(server.port)
    peer.send("/nothing")
    assert peer.receive()[0] == "/fail"
    reply = peer.ask("/metrics")
    told = dict(zip(reply[1::2], reply[2::2], strict=True))
    scraped = scrape(server)
    assert set(told) == set(scraped) == set(Metrics.__dataclass_fields__)
    assert told["failed_total"] == scraped["failed_total"] >= 1
    assert told["clients"] == scraped["clients"] >= 1
    assert scraped["handled_total"] >= 1 and scraped["memory_mb"] > 50
    peer.close()


def test_single_loggers_and_dump(server):
    peer = Peer(server.port)
    before = len(server.errors)
    peer.send("/dump", 1)
    peer.send("/z/random", "loud", 7)
    peer.send("/dump", 0)
    peer.send("/z/random", "quiet", 8)
    assert peer.ask("/version")[0] == "/version.reply"
    for _ in range(100):
        text = "".join(server.errors[before:])
        if "/version" in text:
            break
        time.sleep(0.1)
    assert '[ "/z/random", "loud", 7 ]' in text and '"quiet"' not in text.replace("['quiet'", "")
    assert "gansynth_server.osc.in" in text and "/z/random ['quiet', 8" in text
    peer.close()


def test_metrics_port_taken():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("--port", "0", "--output", "none", "--metrics", str(taken.getsockname()[1]))
    assert done.returncode == 1 and "--metrics" in done.stderr and done.stderr.count("\n") == 1
