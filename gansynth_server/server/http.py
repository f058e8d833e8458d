"""The small HTTP server that OSCQuery and the Prometheus exporter stand on: GET, and no more."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.version import __version__

HTTP_TIMEOUT_S = 5.0
"""Seconds for a request to come in whole, and for the next one on the same connection."""
MAX_CONNECTIONS = 16
"""Connections at once; further ones are closed."""


@dataclass(frozen=True)
class Page:
    """The answer to a GET; one without a body has no content type."""

    status: HTTPStatus
    body: bytes = b""
    content_type: str = ""


class HttpServer:
    """Answers GET requests until :meth:`stop`, each connection on a thread of its own.

    Args:
        bind: address to listen on.
        port: 0 takes a free one.
        flag: of the command line that sets the port, named where it cannot be opened.
        page: returns the page of a path with its query; any thread.
        log: is told of each request, at level debug.
        allows: whether a host may ask; others are disconnected.

    Raises:
        UserError: the port cannot be opened.
    """

    def __init__(
        self,
        bind: str,
        port: int,
        flag: str,
        page: Callable[[str], Page],
        log: logging.Logger,
        allows: Callable[[str], bool] = lambda host: True,
    ) -> None:
        try:
            self._http = _Http(bind, port)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise UserError(
                f"TCP port {port} on {bind} cannot be opened ({why}); choose another {flag}"
            ) from error
        self._http.page, self._http.log, self._http.allows = page, log, allows
        self.port: int = self._http.server_address[1]
        host = f"[{bind}]" if ":" in bind else bind
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, name=flag.lstrip("-"), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(timeout=HTTP_TIMEOUT_S)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    page: Callable[[str], Page]
    log: logging.Logger
    allows: Callable[[str], bool]

    def __init__(self, bind: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((bind, port), _Request)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return self.allows(client_address[0])

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # as a rule the client has gone, which is no error of ours
        self.log.debug("a request from %s failed", client_address, exc_info=True)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = f"gansynth-server/{__version__}"
    sys_version = ""
    timeout = HTTP_TIMEOUT_S
    server: _Http

    def do_GET(self) -> None:
        page = self.server.page(self.path)
        self.send_response(page.status)
        if page.content_type:
            self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body)

    def log_message(self, format: str, *args: Any) -> None:
        self.server.log.debug("%s " + format, self.client_address[0], *args)
