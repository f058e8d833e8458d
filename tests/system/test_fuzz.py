"""The fuzzer: a short run of it against the real server."""

import pytest

from gansynth_server.bench import fuzz
from gansynth_server.errors import UserError
from tests.support.client import Client
from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = str(tmp_path_factory.mktemp("root"))
    with ServerProcess("--output", "none", "--rate-limit", "0", "--root", root) as process:
        yield process
        assert process.process.poll() is None, process.errors


def test_a_run_leaves_the_server_alive_and_its_sound_whole(server):
    figures = fuzz.run(server.port, 11, 2000)
    assert figures.sent == 2000 and figures.replies["/fail"] > 100
    assert figures.blocks > 10 and figures.silent == 0
    handled = figures.after["handled_total"] - figures.before["handled_total"]
    assert handled > 500 and figures.after["bad_total"] > figures.before["bad_total"]
    assert figures.after["spoilt_total"] == 0
    peer = Client(server.port)
    assert peer.ask("/version")[1] == "gansynth-server"
    peer.close()
    # what the server could not foresee would be an exception in its log
    assert not any("Traceback" in line or "the server failed" in line for line in server.errors)


def test_a_server_that_ends_is_a_finding(monkeypatch):
    monkeypatch.setattr(fuzz, "REPLY_TIMEOUT_S", 1.0)
    with ServerProcess("--output", "none", "--rate-limit", "0") as process:

        def end_it(done):
            if done > 200:
                process.process.kill()

        with pytest.raises(UserError, match=r"ended|answer|come"):
            fuzz.run(process.port, 1, 10**6, end_it)
