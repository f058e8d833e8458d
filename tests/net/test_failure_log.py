"""Failures on the terminal: one line for each kind and sender."""

import logging

import pytest

from gansynth_server.net.failure_log import MAX_KINDS, REPEAT_S, FailureLog
from gansynth_server.osc.codec import encode

TABLET, TIDAL = ("192.168.1.7", 9000), ("127.0.0.1", 6010)


class Watch:
    def __init__(self, caplog):
        self.now = 0.0
        self.log = FailureLog(lambda: self.now)
        self._caplog = caplog

    def told(self, source, *words):
        """What is written when something is sent."""
        self._caplog.clear()
        self.log.sent(source, encode(*words))
        assert all(record.levelno == logging.WARNING for record in self._caplog.records)
        return [record.getMessage() for record in self._caplog.records]


@pytest.fixture
def watch(caplog):
    return Watch(caplog)


def test_a_failure_is_told_once_for_each_kind_and_sender(watch):
    assert watch.told(TABLET, "/fail", "/note", "pitch must be 0 to 127, not 130") == [
        "192.168.1.7:9000 /note: pitch must be 0 to 127, not 130"
    ]
    assert watch.told(TABLET, "/fail", "/note", "pitch must be 0 to 127, not 131.5") == []
    assert len(watch.told(TIDAL, "/fail", "/note", "pitch must be 0 to 127, not 130")) == 1
    assert len(watch.told(TABLET, "/fail", "/note", "velocity is missing")) == 1
    assert len(watch.told(TABLET, "/fail", "/note/hz", "velocity is missing")) == 1
    assert watch.log.count == 5


def test_one_that_goes_on_is_told_again_with_its_number(watch):
    for n in range(1000):
        watch.now = n * REPEAT_S / 500
        told = watch.told(TABLET, "/fail", "/note", "no")
        assert len(told) == (n % 500 == 0)
    assert told == []
    watch.now = 3 * REPEAT_S
    assert watch.told(TABLET, "/fail", "/note", "no") == [
        "192.168.1.7:9000 /note: no (and 499 more like it)"
    ]


def test_warnings_are_told_and_not_counted(watch):
    assert len(watch.told(TIDAL, "/warning", "/dirt/play", "gain -0.5 is out of range")) == 1
    assert watch.log.count == 0


@pytest.mark.parametrize("words", [("/done", "/note"), ("/status.reply", 1), ("/failure", "x")])
def test_other_replies_are_not(watch, words):
    assert watch.told(TABLET, *words) == [] and watch.log.count == 0


def test_nothing_reaches_the_terminal_that_it_would_obey(watch):
    (line,) = watch.told(TABLET, "/fail", "/\x1b[2J\r\n", "x" * 5000)
    assert line.isprintable() and len(line) < 400


def test_what_is_remembered_is_bounded(watch):
    for n in range(3 * MAX_KINDS):
        watch.log.tell((f"10.0.{n // 256}.{n % 256}", 1), "/a", "no")
    assert len(watch.log._kinds) == MAX_KINDS
