"""The door for browsers: files of the page, the timbre map, and a WebSocket for OSC.

A page of another site may send requests here from its visitor's browser, so a request must name
this machine (``Host``), and one for the socket must come from this page (``Origin``). Programs can
write what they like into both: they need the token.
"""

from __future__ import annotations

import http
import logging
import socket
import ssl
import weakref
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.sync.server import ServerConnection, serve

from gansynth_server.errors import UserError
from gansynth_server.net.access import Access
from gansynth_server.page.bridge import MAX_DATAGRAM, carry
from gansynth_server.page.files import File, read_files
from gansynth_server.page.map_file import MapFiles
from gansynth_server.page.setup import PageSetup

SOCKET = "/osc"
"""Path of the WebSocket."""
OPEN_TIMEOUT_S = 5.0
"""Time (s) for a request to come in whole."""
MAX_REQUESTS = 64
"""Connections at once besides those of browsers that play; a browser opens six."""
SECURITY = (
    "default-src 'self'; connect-src 'self' {socket}; img-src 'self' blob: data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
)
HEADERS = {
    "Cache-Control": "no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger(__name__)
_socket_log = _log.getChild("socket")
# the library complains of each odd request, which any program can send
_socket_log.setLevel(logging.CRITICAL)


class Door:
    """Listens until the process ends.

    Raises:
        UserError: the port cannot be opened, or the certificate is none.
    """

    def __init__(self, setup: PageSetup) -> None:
        options = setup.options
        self._setup = setup
        self._files = read_files()
        self._maps = MapFiles(options.checkpoint)
        self._most = options.max_clients
        context = _context(options.page_cert, options.page_key)
        self._scheme = "http" if context is None else "https"
        listening = _listen(options.bind, setup.port)
        self.port: int = listening.getsockname()[1]
        self._names = _names(listening.getsockname()[0])
        access = Access(listening.getsockname()[0], options.allow, setup.password or None)
        self._server = serve(
            lambda browser: carry(browser, setup.server, setup.token, setup.password),
            sock=listening,
            ssl=context,
            process_request=self._answer,
            create_connection=_bounded(access, options.max_clients + MAX_REQUESTS),
            compression=None,
            max_size=MAX_DATAGRAM,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=1.0,
            server_header="gansynth-server",
            logger=_socket_log,
        )

    def run(self) -> None:
        """Answer browsers; does not return."""
        self._server.serve_forever()

    def _answer(self, browser: ServerConnection, request: Request) -> Response | None:
        """Return the answer to a request; None lets a browser in."""
        hosts = {f"{name}:{self.port}" for name in (*self._names, _local_address(browser))}
        given = request.headers.get_all("Host")
        if len(given) != 1 or given[0].lower() not in hosts:
            return _refuse(http.HTTPStatus.MISDIRECTED_REQUEST, "this is not the page's address")
        url = urlsplit(request.path)
        if url.path == SOCKET:
            return self._refuse_socket(request, given[0])
        file = self._file(url.path, url.query)
        if file is None:
            return _refuse(http.HTTPStatus.NOT_FOUND, "there is no such file")
        return _response(http.HTTPStatus.OK, file, self._security(given[0]))

    def _refuse_socket(self, request: Request, host: str) -> Response | None:
        """Return why a browser gets no socket; None if it does."""
        if request.headers.get_all("Origin") != [f"{self._scheme}://{host}"]:
            return _refuse(http.HTTPStatus.FORBIDDEN, "this socket is for the page alone")
        # the browser that asks is not among them yet
        if len(self._server.connections) >= self._most:
            return _refuse(http.HTTPStatus.SERVICE_UNAVAILABLE, "all places are taken")
        return None

    def _file(self, path: str, query: str) -> File | None:
        if path == "/map.json":
            return self._maps.file(parse_qs(query).get("checkpoint", [""])[0])
        return self._files.get(path)

    def _security(self, host: str) -> str:
        # not every browser takes 'self' for the scheme of sockets too
        scheme = self._scheme.replace("http", "ws")
        return SECURITY.format(socket=f"{scheme}://{host}")


def _bounded(access: Access, most: int) -> type[ServerConnection]:
    """Return what makes connections, except for hosts that may not come and for one too many."""
    present: weakref.WeakSet[ServerConnection] = weakref.WeakSet()

    def make(sock: socket.socket, *args: Any, **kwargs: Any) -> ServerConnection:
        # raised before any thread is started, these make the library close the connection
        if not access.allows(sock.getpeername()[0]):
            raise ConnectionRefusedError("not in --allow")
        if sum(one.protocol.state is not State.CLOSED for one in list(present)) >= most:
            raise ConnectionRefusedError("too many connections")
        made = ServerConnection(sock, *args, **kwargs)
        present.add(made)
        return made

    return cast("type[ServerConnection]", make)


def _listen(bind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    try:
        return socket.create_server((bind, port), family=family)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(
            f"TCP port {port} on {bind} cannot be opened ({why}); choose another --page"
        ) from error


def _context(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ValueError) as error:  # of these is ssl.SSLError
        raise UserError(f"--page-cert {cert} with --page-key {key}: {error}") from error
    return context


def _names(bound: str) -> frozenset[str]:
    """Return the names of this machine that a request may ask for, besides its address."""
    # names that others may give an address must not be among them: they could be made to mean it
    if bound.startswith("127.") or bound == "::1":
        return frozenset({"localhost"})
    name = socket.gethostname().lower()
    return frozenset({name, f"{name}.local", socket.getfqdn().lower()})


def _local_address(browser: ServerConnection) -> str:
    """Return the address at which a browser has reached this machine, as it writes it."""
    address: str = browser.local_address[0].partition("%")[0]
    address = address.removeprefix("::ffff:")
    return f"[{address}]" if ":" in address else address


def _refuse(status: http.HTTPStatus, why: str) -> Response:
    return _response(status, File(f"{why}\n".encode(), "text/plain; charset=utf-8"), "")


def _response(status: http.HTTPStatus, file: File, security: str) -> Response:
    headers = Headers(HEADERS)
    if security:
        headers["Content-Security-Policy"] = security
    headers["Content-Type"] = file.content_type
    headers["Content-Length"] = str(len(file.body))
    headers["Connection"] = "close"
    return Response(status.value, status.phrase, headers, file.body)
