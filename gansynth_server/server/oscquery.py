"""Others find the server and what it understands: OSCQuery over HTTP, announced by mDNS.

Only GET is answered, from a tree made once; whoever is slow or comes in a
crowd is sent away. The address is that of the OSC port (``--bind``).
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit

from gansynth_server import __version__
from gansynth_server.errors import UserError
from gansynth_server.osc.table import TABLE
from gansynth_server.server.namespace import KNOWN, SUPPORTED, find, namespace

PATIENCE = 5.0
"""Seconds for a request to come in whole, and for the next one on the same connection."""
CROWD = 16
"""Connections at once."""
NAME = "gansynth-server"

_log = logging.getLogger(__name__)


class Discovery:
    """The HTTP server and the announcement; both live until :meth:`stop`.

    Args:
        bind: address to listen on.
        port: of HTTP; 0 takes a free one.
        osc_port: what is told to those who ask.

    Raises:
        UserError: the port cannot be had.
    """

    def __init__(self, bind: str, port: int, osc_port: int) -> None:
        host = {
            "NAME": f"{NAME} {__version__}",
            "EXTENSIONS": {
                **dict.fromkeys(SUPPORTED, True),
                **dict.fromkeys(("VALUE", "LISTEN", "PATH_CHANGED"), False),
            },
            "OSC_PORT": osc_port,
            "OSC_TRANSPORT": "UDP",
        }
        try:
            self._http = _Http(bind, port, host)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise UserError(
                f"TCP port {port} on {bind} cannot be opened ({why}); choose another --oscquery"
            ) from error
        self.port: int = self._http.server_address[1]
        self._thread = threading.Thread(
            target=self._http.serve_forever, name="oscquery", daemon=True
        )
        self._thread.start()
        self.remark = f"OSCQuery: http://{_url_host(bind)}:{self.port}"
        if find_spec("zeroconf") is None:
            self.remark += " (not announced: pip install 'gansynth-server[discovery]')"
        self._zeroconf: Any = None
        # asking whether the names are free takes seconds
        self._announcing = threading.Thread(
            target=self._announce, args=(bind, osc_port), name="announce", daemon=True
        )
        self._announcing.start()

    def stop(self) -> None:
        """Withdraws the announcement and closes the port."""
        self._announcing.join(timeout=PATIENCE)
        if self._zeroconf is not None:
            self._zeroconf.close()  # says goodbye for its services
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(timeout=PATIENCE)

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
        for kind, port in (("_oscjson._tcp.local.", self.port), ("_osc._udp.local.", osc_port)):
            info = ServiceInfo(
                kind,
                f"{NAME} {osc_port}.{kind}",
                port=port,
                parsed_addresses=_addresses() if everywhere else [bind],
                server=f"{NAME}-{osc_port}.local.",
            )
            self._zeroconf.register_service(info, allow_name_change=True)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, bind: str, port: int, host: dict[str, Any]) -> None:
        self.address_family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self.host = host
        self.root = namespace(TABLE)
        self._room = threading.BoundedSemaphore(CROWD)
        super().__init__((bind, port), _Request)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("OSCQuery: a request from %s failed", client_address, exc_info=True)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = f"{NAME}/{__version__}"
    sys_version = ""
    timeout = PATIENCE
    server: _Http

    def do_GET(self) -> None:
        status, found = self._find()
        body = b"" if status == HTTPStatus.NO_CONTENT else json.dumps(found).encode()
        self.send_response(status)
        if body:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _find(self) -> tuple[HTTPStatus, Any]:
        url = urlsplit(self.path)
        attribute = unquote(url.query)
        if attribute == "HOST_INFO":
            return HTTPStatus.OK, self.server.host
        node = find(self.server.root, unquote(url.path))
        if node is None:
            return HTTPStatus.NOT_FOUND, {"error": f"no message {unquote(url.path)}"}
        if not attribute:
            return HTTPStatus.OK, node
        if attribute not in KNOWN:
            return HTTPStatus.BAD_REQUEST, {"error": f"no attribute {attribute}"}
        if attribute not in ("FULL_PATH", "CONTENTS", "TYPE", *SUPPORTED):
            return HTTPStatus.NO_CONTENT, None
        return HTTPStatus.OK, {attribute: node[attribute]} if attribute in node else {}

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug("OSCQuery: %s " + format, self.client_address[0], *args)


def _addresses() -> list[str]:
    """Of this machine's network interfaces."""
    import ifaddr

    found = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    return [ip for ip in found if isinstance(ip, str)]


def _url_host(bind: str) -> str:
    return f"[{bind}]" if ":" in bind else bind
