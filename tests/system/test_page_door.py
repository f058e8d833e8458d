"""The door for browsers, by real sockets: what it serves, and whom it lets in."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from gansynth_server.cli import _with_page_port
from gansynth_server.errors import UserError
from gansynth_server.latent import timbre_map
from gansynth_server.model import checkpoint
from gansynth_server.page.door import OPEN_TIMEOUT_S
from gansynth_server.page.files import CONTENT_TYPES, FOLDER
from gansynth_server.util.threads import PAGE
from tests.support.client import Client, encode
from tests.support.page import connected, logged_in, page_of
from tests.support.server import ServerProcess, run_server

exceptions = pytest.importorskip("websockets.exceptions")

LITE = ("--output", "none", "--checkpoint", "all_instruments_lite", "--backend", "eager")


@pytest.fixture(scope="module")
def page(server):
    return page_of(server)


def get(page, path, host=None):
    """The answer to a GET, its body read."""
    door = http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)
    door.putrequest("GET", path, skip_host=True)
    for value in [f"127.0.0.1:{page.port}"] if host is None else host:
        door.putheader("Host", value)
    door.endheaders()
    answer = door.getresponse()
    answer.body = answer.read()
    door.close()
    return answer


def refused(page, **changes):
    """The status with which a WebSocket is refused."""
    with pytest.raises(exceptions.InvalidStatus) as info, connected(page, **changes):
        pass
    return info.value.response.status_code


# files


def test_every_file_of_the_page_is_served_with_its_kind_and_a_policy(page):
    for path in [file for file in FOLDER.rglob("*") if file.is_file()]:
        answer = get(page, f"/{path.relative_to(FOLDER)}")
        assert answer.status == 200 and answer.body == path.read_bytes()
        assert answer.headers["Content-Type"] == CONTENT_TYPES[path.suffix]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self';") and "unsafe" not in policy
        assert f"connect-src 'self' ws://127.0.0.1:{page.port};" in policy
    assert get(page, "/").body == (FOLDER / "index.html").read_bytes()
    assert get(page, "/?x=1").status == 200


def test_the_page_is_light_and_asks_no_other_machine():
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 300_000
    for file in files:
        found = set(re.findall(r"https?://[^\s\"')]+", file.read_text()))
        assert found <= {"http://www.w3.org/2000/svg"}, file


@pytest.mark.parametrize(
    "path", ["/nothing", "/../door.py", "/%2e%2e/door.py", "//etc/passwd", "/static", "/main.js/"]
)
def test_nothing_else_is_served(page, path):
    assert get(page, path).status == 404


def test_the_map_of_a_checkpoint(page):
    answer = get(page, "/map.json?checkpoint=all_instruments_lite")
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    content = json.loads(answer.body)
    atlas = timbre_map.load(checkpoint.describe("all_instruments_lite"))
    np.testing.assert_allclose(content["x"], atlas.places[:, 0], atol=1e-4)
    np.testing.assert_allclose(content["y"], atlas.places[:, 1], atol=1e-4)
    assert content["nearest"] == atlas.nearest.tolist()
    assert [preset["name"] for preset in content["presets"]] == list(atlas.presets)
    brighter = content["measures"][0]
    assert brighter["name"] == "brighter" and brighter["words"] == ["dark", "bright"]
    order = np.argsort(atlas.measures[:, 0], kind="stable")
    assert np.diff(np.array(brighter["ranks"])[order]).min() >= 0
    assert json.loads(get(page, "/map.json").body)["checkpoint"] == "all_instruments"


def test_a_map_is_found_by_a_name_and_no_path(page):
    folder = checkpoint.locate("all_instruments_lite")
    for name in (folder, "../all_instruments_lite", "nothing", "all_instruments_lite/"):
        assert get(page, f"/map.json?checkpoint={name}").status == 404


# who is let in


@pytest.mark.parametrize("form", [[], ["evil.example:{}"], ["127.0.0.1"], ["127.0.0.1:1"]])
def test_requests_to_another_host_are_refused(page, form):
    hosts = [value.format(page.port) for value in form]
    assert get(page, "/", hosts).status in (400, 421)
    assert get(page, "/map.json", hosts).status in (400, 421)


def test_requests_to_two_hosts_are_refused(page):
    hosts = [f"127.0.0.1:{page.port}", "evil.example"]
    assert get(page, "/", hosts).status in (400, 421)


def test_the_page_may_be_called_localhost(page):
    assert get(page, "/", [f"localhost:{page.port}"]).status == 200
    assert get(page, "/", [f"LOCALHOST:{page.port}"]).status == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", None, "https://127.0.0.1:{}", "http://127.0.0.1",
     "http://localhost:{}", "http://127.0.0.1:{}/", "http://127.0.0.1:{}.evil.example"],
)  # fmt: skip
def test_sockets_of_other_sites_are_refused(page, origin):
    assert refused(page, origin=origin and origin.format(page.port)) == 403


def test_a_name_that_was_made_to_mean_this_machine_is_refused(page):
    host = f"evil.example:{page.port}"
    headers = {"Host": host}
    raw = socket.create_connection(("127.0.0.1", page.port), timeout=10)
    lines = [
        "GET /osc HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"Origin: http://{host}",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ]
    raw.sendall("\r\n".join(lines).encode())
    assert b" 421 " in raw.recv(100)
    raw.close()


@pytest.mark.parametrize(
    "first",
    [encode("/login", "wrong"), encode("/login"), encode("/version"), b"", b"\0" * 64, "text"],
)
def test_without_the_token_nothing_reaches_the_server(server, page, peer, first):
    before = peer.status()[3], dict(pairs(peer.ask("/metrics")))["datagrams_total"]
    with connected(page) as browser:
        browser.send(first)
        with contextlib.suppress(exceptions.ConnectionClosed):
            browser.send(encode("/note", 60, 100))
        with pytest.raises(exceptions.ConnectionClosed) as info:
            browser.recv(timeout=10)
    assert info.value.rcvd.code == 1008
    clients, datagrams = peer.status()[3], dict(pairs(peer.ask("/metrics")))["datagrams_total"]
    assert clients == before[0]
    assert datagrams == before[1] + 2  # our own questions


def pairs(reply):
    return zip(reply[1::2], reply[2::2], strict=True)


def test_a_browser_without_a_word_is_sent_away(page):
    with connected(page) as browser:
        begun = time.monotonic()
        with pytest.raises(exceptions.ConnectionClosed):
            browser.recv(timeout=3 * OPEN_TIMEOUT_S)
        assert time.monotonic() - begun < 2 * OPEN_TIMEOUT_S


def test_the_token_is_long_and_of_this_start_alone(page):
    assert len(page.token) >= 22


# packets


def test_a_frame_is_a_packet_and_a_browser_is_a_client(page, peer):
    with logged_in(page) as one, logged_in(page) as other:
        assert one.ask("/version") == peer.ask("/version")
        one.send("/z/random", "mine", 5)
        assert one.ask("/z/get", "mine")[:2] == ("/z", "mine")
        assert other.ask("/z/get", "mine")[:2] == ("/fail", "/z/get")
        assert one.ask("/nothing")[:2] == ("/fail", "/nothing")


def test_blocks_come_as_they_are(page, peer):
    with logged_in(page) as browser:
        _, _, stream, latency = browser.ask("/stream/open", 48000, 512, 4, 2)
        assert latency > 40
        browser.send("/note", 60, 100)
        heard = []
        for number in range(60):
            browser.send("/stream/pull", number, stream)
            datagram = browser.socket.recv(timeout=10)
            assert datagram.startswith(b"#bundle\0") and len(datagram) == 5176
            heard.append(np.frombuffer(datagram[-2048:], ">f4"))
            time.sleep(512 / 48000)
        browser.send("/stream/pull", 59, stream)
        assert browser.socket.recv(timeout=10) == datagram
    assert np.abs(heard).max() > 0.01


def test_what_is_no_packet_ends_the_connection(page):
    for frame, code in (("text", 1003), (b"\0" * 70000, 1009)):
        with logged_in(page) as browser:
            browser.socket.send(frame)
            with pytest.raises(exceptions.ConnectionClosed) as info:
                browser.receive()
            assert info.value.rcvd.code == code


def test_bytes_that_are_no_osc_are_the_servers_to_answer(page):
    with logged_in(page) as browser:
        browser.socket.send(b"\xff" * 100)
        assert browser.receive()[0] == "/fail"
        assert browser.ask("/version")[0] == "/version.reply"


def test_the_notes_of_a_browser_that_leaves_are_silenced(page, peer):
    with logged_in(page) as browser:
        browser.send("/hold", 1)
        browser.send("/note", 60, 100)
        until(lambda: peer.status()[1] == 1)
    until(lambda: peer.status()[1] == 0)


def until(happened, seconds=20):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


# limits, and the process


def test_connections_are_bounded():
    with ServerProcess(*LITE, "--page", "0", "--max-clients", "2") as server:
        page = page_of(server)
        with logged_in(page), logged_in(page):
            assert refused(page) == 503
            assert get(page, "/").status == 200  # files go on
        until(lambda: _lets_in(page))
        # and so are those that say nothing at all
        idle = [socket.create_connection(("127.0.0.1", page.port)) for _ in range(100)]
        until(lambda: any(_closed(one) for one in idle), 4)
        for one in idle:
            one.close()
        until(lambda: _lets_in(page))
        assert "".join(server.complaints) == ""


def _lets_in(page):
    try:
        with logged_in(page):
            return True
    except (exceptions.WebSocketException, OSError, AssertionError):
        return False  # the server remembers those that have gone for some seconds


def _closed(one):
    one.setblocking(False)
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def children(pid, name):
    """The processes of a name that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        comm, rest = re.fullmatch(r"\d+ \((.*)\) (.*)", text.strip(), re.DOTALL).groups()
        if comm == name and int(rest.split()[1]) == pid and rest[0] != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_page_that_dies_comes_back_and_one_without_a_server_ends():
    with ServerProcess(*LITE, "--page", "0") as server:
        page, pid = page_of(server), server.process.pid
        (first,) = children(pid, PAGE)
        with Client(server.port) as peer:
            peer.send("/hold", 1)
            peer.send("/note", 60, 100)
            until(lambda: peer.status()[1] == 1)
            os.kill(first, signal.SIGKILL)
            until(lambda: _lets_in(page))  # at the same link
            assert peer.status()[1] == 1
        (second,) = children(pid, PAGE)
        assert second != first
        with connected(page) as browser:
            browser.send(encode("/login", page.token))
            assert browser.recv(timeout=10)
            server.process.kill()
            with pytest.raises(exceptions.ConnectionClosed):
                browser.recv(timeout=10)
        until(lambda: not Path(f"/proc/{second}").exists())


def test_the_door_needs_neither_pytorch_nor_the_table():
    code = (
        "import sys; from gansynth_server.page import bridge, door, inside, map_file;"
        "map_file.MapFiles('all_instruments').file('');"
        "print(sorted({'torch', 'gansynth_server.osc.table'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_a_port_that_is_taken_and_settings_that_do_not_fit():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run_server("--port", "0", *LITE, "--page", port)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "--page" in done.stderr and port in done.stderr
    done = run_server("--port", "0", *LITE, "--page", "0", "--page-cert", "a.pem")
    assert done.returncode == 1 and "--page-key" in done.stderr and done.stderr.count("\n") == 1
    done = run_server("--port", "0", *LITE, "--page", "0", "--page-cert", "a", "--page-key", "b")
    assert done.returncode == 1 and "--page-cert" in done.stderr and done.stderr.count("\n") == 1


def test_beyond_this_machine_with_a_certificate_and_the_servers_password(tmp_path):
    cert, key = make_certificate(tmp_path)
    flags = ("--bind", "0.0.0.0", "--password", "open sesame", "--page", "0")
    with ServerProcess(*LITE, *flags, "--page-cert", cert, "--page-key", key) as server:
        page = page_of(server)
        assert page.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=cert)
        trusting.check_hostname = False
        from websockets.sync.client import connect

        origin = f"https://127.0.0.1:{page.port}"
        url = f"wss://127.0.0.1:{page.port}/osc"
        with connect(url, ssl=trusting, origin=origin, compression=None) as browser:
            browser.send(encode("/login", page.token))
            assert browser.recv(timeout=10) == encode("/done", "/login")


def make_certificate(folder):
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
               "-subj", "/CN=page", "-out", cert, "-keyout", key]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl, to make a certificate")
    return cert, key


def test_page_alone_means_the_usual_port():
    assert _with_page_port(["--page"]) == ["--page", "57181"]
    assert _with_page_port(["--page", "--seed", "1"]) == ["--page", "57181", "--seed", "1"]
    assert _with_page_port(["--page", "0", "--page-cert", "a"]) == [
        "--page",
        "0",
        "--page-cert",
        "a",
    ]


def test_play_opens_the_page_in_the_users_browser(tmp_path):
    told, script = tmp_path / "told", tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {told}.part && mv {told}.part {told}\n')
    script.chmod(0o755)
    command = [sys.executable, "-m", "gansynth_server.cli", "play", "--page"]
    command += ["--checkpoint", "all_instruments_lite"]
    environment = {**os.environ, "BROWSER": f"{script} %s"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        until(told.exists, 60)
        link = told.read_text().strip()
        assert process.stdout.readline() == f"page: {link}\n"
        with urllib.request.urlopen(link, timeout=10) as answer:
            assert answer.status == 200 and b"gansynth" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0


def test_an_extra_that_is_missing_is_named(monkeypatch):
    from gansynth_server.net.access import Access
    from gansynth_server.options import ServerOptions
    from gansynth_server.page.process import PageProcess

    monkeypatch.setitem(sys.modules, "websockets", None)
    with pytest.raises(UserError, match=r"gansynth-server\[page\]"):
        PageProcess(ServerOptions(page=0), 1, Access("127.0.0.1"), None)
