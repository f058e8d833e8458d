"""What the system says to real-time scheduling, and what the user is told."""

from gansynth_server.util import threads
from gansynth_server.util.threads import use_realtime


def test_what_the_system_refuses_is_said_with_the_way_out(monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(threads.os, "sched_setscheduler", refused)
    monkeypatch.setattr(threads, "_lock_memory", lambda: "Cannot allocate memory")
    line = use_realtime()
    assert "ulimit -r" in line and "ulimit -l" in line and "\n" not in line
    monkeypatch.delattr(threads.os, "sched_setscheduler")
    assert "going on without" in use_realtime()
