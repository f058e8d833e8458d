"""Devices, networks and clocks that fail while the server plays."""

import signal
import time
from typing import Any

import numpy as np

from tests.support.client import Client
from tests.support.jack import Jack, run_with_jack
from tests.support.puller import Puller
from tests.support.server import ServerProcess


def lose_jack(jack: Jack) -> dict[str, Any]:
    """A server on JACK with a stream beside it; JACK ends, and comes back."""
    jack.start()
    with ServerProcess("--output", "soundcard") as server:
        puller = Puller(server.port)
        puller.send("/hold", 1)
        puller.send("/note", 60, 100)
        puller.pull_until(lambda: puller.status()[1] == 1)
        puller.listen(50)
        before = len(puller.blocks)
        jack.end()
        puller.pull_until(lambda: any("is gone" in line for line in server.errors))
        puller.listen(200)
        loud = [float(np.abs(block).max()) for block in puller.blocks[before:]]
        jack.start()
        puller.listen(50)
        voices = puller.status()[1]
        return {
            "loud": min(loud),
            "blocks": len(loud),
            "voices": voices,
            "errors": [line for line in server.errors if "audio." in line],
            "exit": server.stop(),
        }


def test_streams_and_messages_go_on_when_jack_dies():
    result = run_with_jack(lose_jack)
    assert result["loud"] > 1e-4 and result["blocks"] >= 200
    assert result["voices"] == 1 and result["exit"] == 0
    assert len(result["errors"]) == 1 and "is gone" in result["errors"][0]


def test_a_pd_that_restarts_or_changes_its_rate_is_served_again():
    with ServerProcess("--output", "none") as server:
        for rate, block in ((48000, 512), (44100, 64), (96000, 1024), (48000, 512)):
            puller = Puller(server.port)
            puller.stream = puller.ask("/stream/open", rate, block, 4)[2]
            puller.send("/note", 60, 100)
            patience = time.monotonic() + 30
            while np.abs(pull(puller, block)).max() < 1e-4:
                assert time.monotonic() < patience
            puller.close()  # dies without a word
        again = Puller(server.port)
        first = again.stream
        again.pull()
        second = again.ask("/stream/open", 48000, 512, 4)[2]
        assert second != first
        again.send("/stream/pull", 1.0, float(first))
        assert again.receive()[0] == "/fail"
        assert not [line for line in server.errors if "watchdog" not in line]


def pull(puller, block):
    puller.send("/stream/pull", float(puller.number), float(puller.stream))
    puller.number += 1
    while not (datagram := puller.socket.recv(65536)).startswith(b"/b\0"):
        pass
    return np.frombuffer(datagram[-4 * block :], ">f4")


def test_a_suspended_server_goes_on_and_bursts_nothing():
    with ServerProcess("--output", "none") as server:
        puller = Puller(server.port)
        puller.send("/hold", 1)
        puller.send("/note", 60, 100)
        puller.pull_until(lambda: puller.status()[1] == 1)
        puller.listen(20)
        server.process.send_signal(signal.SIGSTOP)
        number = puller.number
        asked = list(range(number, number + 280))  # three seconds of Pd, which does not wait
        for k in asked:
            puller.send("/stream/pull", float(k), puller.stream)
            time.sleep(0.01)
        server.process.send_signal(signal.SIGCONT)
        puller.number = asked[-1] + 1
        got = 0
        puller.socket.settimeout(1.0)
        try:
            while True:
                got += puller.socket.recv(65536).startswith(b"/b\0")
        except TimeoutError:
            pass
        assert got <= len(asked)  # each block once
        assert np.abs(puller.listen(20)).max() > 1e-4
        assert puller.status()[1] == 1
        assert server.stop() == 0


def test_real_time_is_granted_or_refused_in_one_line():
    with ServerProcess("--output", "none", "--realtime") as server:
        (line,) = [line for line in server.lines if "real" in line and "ready" not in line]
        assert "priority 70" in line or ("refuses" in line and "going on without" in line)
        assert Client(server.port).ask("/version")[1] == "gansynth-server"
        assert not [line for line in server.errors if "watchdog" not in line]
