"""What can be seen of a running server: its figures and its log."""

import re
import time
import urllib.request

import pytest

from gansynth_server.errors import UserError
from gansynth_server.server.metrics import Metrics
from gansynth_server.util import log
from tests.support.client import Client
from tests.support.server import ServerProcess, run_server


def test_levels_of_single_loggers():
    for text in ("nothing=debug", "osc.in=loud", "osc.in"):
        with pytest.raises(UserError, match="--log"):
            log.set_up(0, [text])
    done = run_server("--port", "0", "--log", "osc.in=loud")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "debug" in done.stderr


def scrape(server):
    pytest.importorskip("prometheus_client")
    url = next(
        found[1] for text in server.lines if (found := re.search(r"metrics: (http://\S+)", text))
    )
    with urllib.request.urlopen(url, timeout=10) as page:
        assert page.headers["Content-Type"].startswith("text/plain")
        text = page.read().decode()
    return {
        name: float(value)
        for name, value in re.findall(r"^gansynth_(\w+) (\S+)$", text, re.MULTILINE)
    }


def test_prometheus_and_osc_tell_the_same(server, peer):
    peer.send("/nothing")
    assert peer.receive()[0] == "/fail"
    reply = peer.ask("/metrics")
    told = dict(zip(reply[1::2], reply[2::2], strict=True))
    scraped = scrape(server)
    assert set(told) == set(scraped) == set(Metrics.__dataclass_fields__)
    assert told["failed_total"] == scraped["failed_total"] >= 1
    assert told["clients"] == scraped["clients"] >= 1
    assert scraped["handled_total"] >= 1 and scraped["memory_mb"] > 50


def test_single_loggers_and_dump():
    with (
        ServerProcess("--output", "none", "--log", "osc.in=debug") as server,
        Client(server.port) as peer,
    ):
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
        assert '[ "/z/random", "loud", 7 ]' in text and '"quiet"' not in text.replace(
            "['quiet'", ""
        )
        assert "gansynth_server.osc.in" in text and "/z/random ['quiet', 8" in text


def test_metrics_port_taken():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run_server(
            "--port", "0", "--output", "none", "--metrics", str(taken.getsockname()[1])
        )
    assert done.returncode == 1 and "--metrics" in done.stderr and done.stderr.count("\n") == 1
