"""A server with two render processes, either of which is killed while notes keep coming."""

import os
import signal
import time

from gansynth_server.bench.process import children, name
from gansynth_server.client import Client
from gansynth_server.util.threads import RENDER
from tests.support.server import ServerProcess

NOTES = 60


def renders(server: ServerProcess) -> list[int]:
    return [pid for pid in children(server.process.pid) if name(pid) == RENDER]


def test_no_note_is_lost_and_none_fails(tiny):
    with ServerProcess("--output", "none", "--workers", "2", "--max-voices", "128") as server:
        assert len(renders(server)) == 2
        with Client(port=server.port, timeout=20) as client:
            stream = client.stream(48000, 512, 4)
            client.notify()
            started: set[int] = set()
            for number in range(NOTES):
                client.random("z", number)
                client.note(40 + number % 40, 100, number)
                if number in (10, 40):
                    os.kill(renders(server)[-1], signal.SIGKILL)
                stream.read_block()
            deadline = time.monotonic() + 60
            while len(started) < NOTES:
                assert time.monotonic() < deadline, (len(started), client.failures)
                stream.read_block()
                while (event := client.receive()) is not None:
                    if event.address == "/note/start":
                        started.add(int(event.args[0]))
            assert not client.failures
            while len(renders(server)) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert not any("Traceback" in line for line in server.errors)
