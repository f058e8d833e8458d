"""OSCQuery: the table of messages as JSON over HTTP, and the server announced by mDNS.

https://github.com/Vidvox/OSCQueryProposal
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Iterable
from http import HTTPStatus
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit

from gansynth_server.osc.schema import (
    INTEGER,
    LATENT,
    LENGTH,
    NUMBER,
    PAIRS,
    RATE,
    REQUIRED,
    Arg,
    Row,
)
from gansynth_server.osc.table import TABLE
from gansynth_server.server.http import HTTP_TIMEOUT_S, HttpServer, Page
from gansynth_server.version import __version__

NAME = "gansynth-server"
SUPPORTED = ("ACCESS", "DESCRIPTION", "RANGE", "OVERLOADS")
"""The proposal's optional attributes that nodes have."""
_SHOWN = {"FULL_PATH", "CONTENTS", "TYPE", *SUPPORTED}
_KNOWN = {*_SHOWN, "VALUE", "TAGS", "EXTENDED_TYPE", "UNIT", "CRITICAL", "CLIPMODE", "HTML"}
_CONTAINER, _SET = 0, 2  # of ACCESS: no value; may be set and not read
_TYPES = {NUMBER: "f", LENGTH: "f", RATE: "f", INTEGER: "i", LATENT: "b"}

Node = dict[str, Any]

_log = logging.getLogger(__name__)


class OscQuery:
    """The HTTP server and the announcement; both live until :meth:`stop`.

    Args:
        bind: address to listen on.
        port: of HTTP; 0 takes a free one.
        osc_port: UDP port of the OSC socket.

    Raises:
        UserError: the port cannot be opened.
    """

    def __init__(self, bind: str, port: int, osc_port: int) -> None:
        root, host = namespace(TABLE), _host_info(osc_port)
        self._http = HttpServer(
            bind, port, "--oscquery", lambda path: _page(root, host, path), _log
        )
        self.remark = f"OSCQuery: {self._http.url}"
        if find_spec("zeroconf") is None:
            self.remark += " (not announced: pip install 'gansynth-server[discovery]')"
        self._zeroconf: Any = None
        # asking whether the names are free takes seconds
        self._announcing = threading.Thread(
            target=self._announce, args=(bind, osc_port), name="announce", daemon=True
        )
        self._announcing.start()

    def stop(self) -> None:
        """Withdraw the announcement and close the port."""
        self._announcing.join(timeout=HTTP_TIMEOUT_S)
        if self._zeroconf is not None:
            self._zeroconf.close()  # says goodbye for its services
        self._http.stop()

    def _announce(self, bind: str, osc_port: int) -> None:
        try:
            self._register(bind, osc_port)
        except ImportError:
            pass  # as the remark says
        except Exception as error:  # no network, no multicast, or the name is taken
            _log.warning("OSCQuery is not announced: %s", str(error) or type(error).__name__)

    def _register(self, bind: str, osc_port: int) -> None:
        from zeroconf import InterfaceChoice, ServiceInfo, Zeroconf

        everywhere = bind in ("0.0.0.0", "::")
        self._zeroconf = Zeroconf(interfaces=InterfaceChoice.All if everywhere else [bind])
        services = ("_oscjson._tcp.local.", self._http.port), ("_osc._udp.local.", osc_port)
        for kind, port in services:
            info = ServiceInfo(
                kind,
                f"{NAME} {osc_port}.{kind}",
                port=port,
                parsed_addresses=_addresses() if everywhere else [bind],
                server=f"{NAME}-{osc_port}.local.",
            )
            self._zeroconf.register_service(info, allow_name_change=True)


def _addresses() -> list[str]:
    """Return the addresses of this machine's network interfaces."""
    import ifaddr

    found = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    return [ip for ip in found if isinstance(ip, str)]


# pages


def _host_info(osc_port: int) -> Node:
    return {
        "NAME": f"{NAME} {__version__}",
        "EXTENSIONS": {
            **dict.fromkeys(SUPPORTED, True),
            **dict.fromkeys(("VALUE", "LISTEN", "PATH_CHANGED"), False),
        },
        "OSC_PORT": osc_port,
        "OSC_TRANSPORT": "UDP",
    }


def _page(root: Node, host: Node, path: str) -> Page:
    url = urlsplit(path)
    address, attribute = unquote(url.path), unquote(url.query)
    node = find(root, address)
    if attribute == "HOST_INFO":
        return _json(HTTPStatus.OK, host)
    if node is None:
        return _json(HTTPStatus.NOT_FOUND, {"error": f"no message {address}"})
    if not attribute:
        return _json(HTTPStatus.OK, node)
    if attribute not in _KNOWN:
        return _json(HTTPStatus.BAD_REQUEST, {"error": f"no attribute {attribute}"})
    if attribute not in _SHOWN:
        return Page(HTTPStatus.NO_CONTENT)
    return _json(HTTPStatus.OK, {attribute: node[attribute]} if attribute in node else {})


def _json(status: HTTPStatus, content: Node) -> Page:
    return Page(status, json.dumps(content).encode(), "application/json")


# the tree of nodes


def namespace(table: Iterable[Row]) -> Node:
    """Return the root node of a table, with all others inside of it."""
    root: Node = {
        "FULL_PATH": "/",
        "ACCESS": _CONTAINER,
        "DESCRIPTION": NAME,
        "CONTENTS": {},
    }
    for row in table:
        node, path = root, ""
        for name in row.address[1:].split("/"):
            path += f"/{name}"
            inside = node.setdefault("CONTENTS", {})
            node = inside.setdefault(name, {"FULL_PATH": path, "ACCESS": _CONTAINER})
        node.update(_method(row))
    return root


def find(root: Node, path: str) -> Node | None:
    """Return the node at an address; None where there is none."""
    node: Node | None = root
    for name in path.strip("/").split("/") if path.strip("/") else []:
        node = None if node is None else node.get("CONTENTS", {}).get(name)
    return node


def _method(row: Row) -> Node:
    """Return what a row adds to its node: the shortest form, the longer ones as overloads."""
    reply = f" Replies {row.reply.replace('`', '')}." if row.reply else ""
    usage = ", ".join(arg.text for arg in row.args)
    shortest, *longer = [_form(row.args[:count]) for count in _counts(row)]
    node: Node = {
        "ACCESS": _SET,
        "DESCRIPTION": f"{row.help}.{reply}" + (f" Arguments: {usage}." if usage else ""),
        **shortest,
    }
    if longer:
        node["OVERLOADS"] = longer
    return node


def _counts(row: Row) -> range:
    """Return how many arguments a message may have; of pairs, which no tag can tell, none."""
    most = len(row.args) - any(arg.kind == PAIRS for arg in row.args)
    least = sum(arg.default is REQUIRED and arg.kind != PAIRS for arg in row.args)
    return range(least, most + 1)


def _form(args: tuple[Arg, ...]) -> Node:
    if not args:
        return {"TYPE": "N"}  # nothing to send: a button
    return {
        "TYPE": "".join(_TYPES.get(arg.kind, "s") for arg in args),
        "RANGE": [_range(arg) for arg in args],
    }


def _range(arg: Arg) -> Node | None:
    limits: Node = {}
    if arg.choices:
        limits["VALS"] = list(arg.choices)
    if math.isfinite(arg.low):
        limits["MIN"] = arg.low
    if math.isfinite(arg.high):
        limits["MAX"] = arg.high
    return limits or None
