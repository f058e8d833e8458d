"""Under full load, silence comes at once and the end is silent."""

import signal
import time

import numpy as np
import pytest

from tests.support.puller import BLOCK, Puller
from tests.support.server import ServerProcess
from tests.support.sounds import roughness

RATE = 48000


def crowd(puller, notes=32):
    """As many notes as there are voices, with more to be rendered than can be."""
    for n in range(notes):
        puller.send("/z/random", f"s{n}", n)
        puller.send("/note", 30 + n, 110, n, f"s{n}")


def test_panic_under_full_load_is_heard_within_a_block(server):
    with Puller(server.port) as puller:
        puller.send("/hold", 1)
        crowd(puller)
        puller.pull_until(lambda: int(puller.status()[1]) >= 16)  # others wait to be rendered
        assert np.abs(puller.listen(4)).max() > 1e-3
        puller.send("/allsoundoff")
        puller.send("/sync", 5)
        while puller.receive() != ("/synced", 5):  # handled: the next block hears of it
            pass
        block = puller.pull()
        assert not block[round(0.008 * RATE) :].any()  # 5 ms of fade, 1.5 ms of the limiter
        assert not puller.listen(100).any()  # nothing that was being rendered comes after it


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_silently_under_full_load(number):
    with ServerProcess("--output", "none", "--max-voices", "32") as server:
        puller = Puller(server.port)
        puller.send("/hold", 1)
        crowd(puller, 64)
        puller.pull_until(lambda: int(puller.status()[1]) >= 8)
        puller.listen(20)
        server.process.send_signal(number)
        # the last pull may come to a socket that is read no more
        puller.timeout = 2.0
        try:
            while True:
                puller.pull()
                time.sleep(0.002)
        except OSError:  # it is gone
            pass
        sound = puller.sound
        assert np.abs(sound).max() > 1e-3
        assert not sound[-16:].any()  # silence came before the end
        assert roughness(sound[-40 * BLOCK :]) < 1e-4  # and by no jump
        assert server.process.wait(timeout=20) == 0
        assert not server.complaints
