"""The fuzzer: its traffic, and a short run of it against the real server."""

import itertools
import random

import pytest

from gansynth_server.bench import fuzz
from gansynth_server.bench.mutations import LARGEST, datagrams, real
from gansynth_server.cli.fuzz import FuzzCommand
from gansynth_server.errors import UserError
from gansynth_server.osc.codec import OscError, decode
from gansynth_server.osc.table import TABLE
from tests.server_fixture import Peer, ServerProcess


def first(seed, count):
    return list(itertools.islice(datagrams(seed), count))


def test_the_same_seed_is_the_same_traffic():
    assert first(3, 300) == first(3, 300)
    assert first(3, 300) != first(4, 300)


def test_all_kinds_of_traffic_come():
    good = bad = 0
    addresses = set()
    for datagram in first(1, 4000):
        assert len(datagram) <= LARGEST and b"/quit" not in datagram
        try:
            addresses |= {message.address for _, message in decode(datagram)}
            good += 1
        except OscError:
            bad += 1
    assert good > 1000 and bad > 800
    named = {row.address for row in TABLE} - {"/quit", "/dump"}
    assert named <= addresses and len(addresses - named) > 200


def test_the_stock_is_good():
    for datagram in real(random.Random(1)):
        decode(datagram)


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
    peer = Peer(server.port)
    assert peer.ask("/version")[1] == "gansynth-server"
    peer.close()
    # what the server could not foresee would be an exception in its log
    assert not any("Traceback" in line or "the server failed" in line for line in server.errors)


def test_a_server_that_ends_is_a_finding(monkeypatch):
    monkeypatch.setattr(fuzz, "PATIENCE", 1.0)
    with ServerProcess("--output", "none", "--rate-limit", "0") as process:

        def end_it(done):
            if done > 200:
                process.process.kill()

        with pytest.raises(UserError, match=r"ended|answer|come"):
            fuzz.run(process.port, 1, 10**6, end_it)


def test_bad_flags():
    with pytest.raises(UserError, match="--datagrams"):
        FuzzCommand(datagrams=0).run()
