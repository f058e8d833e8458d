"""OSCQuery by a real HTTP client, and the announcement by a real mDNS browser."""

import contextlib
import http.client
import json
import re
import socket
import threading
import urllib.error
import urllib.request

import pytest

from gansynth_server.osc.table import ROWS, TABLE
from gansynth_server.server.http import MAX_CONNECTIONS
from gansynth_server.server.oscquery import NAME, namespace


@pytest.fixture(scope="module")
def url(server):
    (line,) = [line for line in server.lines if line.startswith("OSCQuery: ")]
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found is not None and "not announced" not in line
    return found[0]


def get(url):
    """Status and JSON, None where there is no content."""
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            text = reply.read()
            assert not text or reply.headers["Content-Type"] == "application/json"
            return reply.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or "null")


def methods(node):
    if node["ACCESS"]:
        yield node
    for inside in node.get("CONTENTS", {}).values():
        yield from methods(inside)


def test_the_root_shows_the_whole_table(url):
    status, root = get(url + "/")
    assert status == 200 and root == namespace(TABLE) and root["FULL_PATH"] == "/"
    assert {node["FULL_PATH"] for node in methods(root)} == set(ROWS)
    for node in methods(root):
        assert node["ACCESS"] == 2 and ROWS[node["FULL_PATH"]].help in node["DESCRIPTION"]


def test_a_message_with_its_types_and_ranges(url):
    status, note = get(url + "/note")
    assert status == 200
    assert note["FULL_PATH"] == "/note" and note["TYPE"] == "ff"
    assert note["RANGE"] == [{"MIN": 0, "MAX": 127}] * 2
    assert [form["TYPE"] for form in note["OVERLOADS"]] == ["ffs", "ffss"]
    assert note["CONTENTS"]["off"]["FULL_PATH"] == "/note/off"
    assert get(url + "/allnotesoff")[1]["TYPE"] == "N"
    assert "12tet" in get(url + "/tuning")[1]["OVERLOADS"][0]["RANGE"][0]["VALS"]


def test_containers_are_no_methods(url):
    status, node = get(url + "/z")
    assert status == 200 and node["ACCESS"] == 0 and "TYPE" not in node
    assert node["FULL_PATH"] == "/z" and "get" in node["CONTENTS"]


def test_attributes_one_by_one(url):
    assert get(url + "/note?TYPE") == (200, {"TYPE": "ff"})
    assert get(url + "/note?RANGE")[1] == {"RANGE": [{"MIN": 0, "MAX": 127}] * 2}
    assert get(url + "/note?FULL_PATH")[1] == {"FULL_PATH": "/note"}
    assert get(url + "/z?TYPE") == (200, {})  # as the proposal's own example
    assert get(url + "/note?VALUE") == (204, None)  # it can be set, and not read
    assert get(url + "/note?TAGS") == (204, None)
    assert get(url + "/note?NONSENSE")[0] == 400
    assert get(url + "/nope")[0] == get(url + "/note/off/x?TYPE")[0] == 404


def test_host_info_names_the_osc_port(url, server):
    status, info = get(url + "/wherever?HOST_INFO")
    assert status == 200 and NAME in info["NAME"]
    assert (info["OSC_PORT"], info["OSC_TRANSPORT"]) == (server.port, "UDP")
    assert info["EXTENSIONS"]["RANGE"] is True and info["EXTENSIONS"]["LISTEN"] is False


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_only_get_is_answered(url, method):
    request = urllib.request.Request(url + "/note", method=method, data=b"x")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 501


def test_what_is_not_http_or_too_long_does_no_harm(url):
    port = int(url.rsplit(":", 1)[1])
    for sent in (
        b"\0" * 4096,
        b"GET\r\n\r\n",
        b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"GET /%ff%00/../.. HTTP/1.1\r\n\r\n",
        b"GET //evil HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
            wire.sendall(sent)
            wire.shutdown(socket.SHUT_WR)
            answer = wire.recv(4096)
            assert b" 200 " not in answer.split(b"\r\n")[0]
    assert get(url + "/note?TYPE")[0] == 200


def test_a_crowd_is_sent_away_and_others_are_served_after_it(url):
    port = int(url.rsplit(":", 1)[1])
    crowd = [
        socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(MAX_CONNECTIONS)
    ]
    try:
        late = socket.create_connection(("127.0.0.1", port), timeout=10)
        late.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with late, contextlib.suppress(ConnectionResetError):
            assert late.recv(100) == b""
    finally:
        for wire in crowd:
            wire.close()
    for _ in range(100):  # until their threads have seen that they left
        try:
            assert get(url + "/note?TYPE")[0] == 200
            break
        except (urllib.error.URLError, ConnectionError, http.client.HTTPException):
            threading.Event().wait(0.05)
    else:
        raise AssertionError("nobody is served any more")


def test_it_is_announced_where_it_is_bound(url, server):
    zeroconf = pytest.importorskip("zeroconf")
    found: dict[str, object] = {}
    seen = threading.Event()

    def on_change(zeroconf, service_type, name, state_change):
        if name.startswith(f"{NAME} {server.port}."):
            found[service_type] = zeroconf.get_service_info(service_type, name)
            if len(found) == 2:
                seen.set()

    kinds = ["_oscjson._tcp.local.", "_osc._udp.local."]
    browser = zeroconf.Zeroconf(interfaces=["127.0.0.1"])
    try:
        zeroconf.ServiceBrowser(browser, kinds, handlers=[on_change])
        assert seen.wait(20), found
        for kind, port in zip(kinds, (int(url.rsplit(":", 1)[1]), server.port), strict=True):
            assert found[kind].port == port
            assert found[kind].parsed_addresses() == ["127.0.0.1"]
    finally:
        browser.close()


def test_the_sound_is_still_there(peer):
    assert peer.ask("/version")[1] == NAME
