"""Real-time tests are taken again where the machine stood still, and only then."""

from tests.support.paths import ROOT

pytest_plugins = ["pytester"]

TESTS = """
import os, signal, time
import pytest
pytestmark = pytest.mark.real_time
takes = []

def watches():
    me = os.getpid()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if parent == me:
            yield int(pid)

def test_stalled_once():
    takes.append(1)
    if len(takes) == 1:
        for pid in watches():
            os.kill(pid, signal.SIGSTOP)
        time.sleep(0.2)
        for pid in watches():
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.05)
    assert len(takes) > 1

def test_wrong():
    takes.clear()
    takes.append(2)
    assert sum(takes) == 3, f"takes {takes}"
"""


def test_only_what_stalled_is_taken_again(pytester):
    pytester.makeini("[pytest]\nmarkers = real_time: timed")
    pytester.syspathinsert(ROOT)
    pytester.makeconftest("from tests.support.real_time import pytest_pyfunc_call")
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1)
