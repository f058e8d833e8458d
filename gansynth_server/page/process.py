"""The page's process, as the server has it."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import secrets
import socket
import threading
from dataclasses import replace
from multiprocessing.process import BaseProcess

from gansynth_server.errors import UserError
from gansynth_server.net.access import Access
from gansynth_server.options import ServerOptions
from gansynth_server.page.inside import run
from gansynth_server.page.setup import PageSetup, Ready, Refused
from gansynth_server.util.extras import require

START_TIMEOUT_S = 60.0
PAUSE_S = 1.0
"""Time (s) before a process that has ended is started again, so that it cannot end in a loop."""
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses of all interfaces → how this machine reaches a socket that is bound to them."""

_log = logging.getLogger(__name__)


class PageProcess:
    """The process that browsers talk to; started again when it dies, until :meth:`stop`.

    Each browser is one more UDP client of the server, so nothing else here knows of them.

    Args:
        port: UDP port of the server.
        access: of the server: the door must be let in like any other client.

    Raises:
        UserError: what ``--page`` needs is missing, or the settings do not fit together.
    """

    def __init__(
        self, options: ServerOptions, port: int, access: Access, password: str | None
    ) -> None:
        require("websockets", "--page", "page")
        host = ANYWHERE.get(options.bind, options.bind)
        if (options.page_cert is None) != (options.page_key is None):
            raise UserError("--page-cert and --page-key belong together: give both or neither")
        if not access.allows(host):
            raise UserError(f"--page plays from {host}: add it to --allow")
        assert options.page is not None
        self._pipe, theirs = multiprocessing.Pipe()
        self._setup = PageSetup(
            options,
            options.page,
            (host, port),
            secrets.token_urlsafe(16),
            password or "",
            theirs,
        )
        self._stopped = threading.Event()
        self._process = self._spawn()
        self._thread = threading.Thread(target=self._keep, name="page", daemon=True)
        atexit.register(self._process.kill)

    @property
    def pid(self) -> int | None:
        """Process id of the current process."""
        return self._process.pid

    @property
    def remark(self) -> str:
        """A line for the user."""
        return f"page: {self.link}"

    @property
    def link(self) -> str:
        """What a browser has to open, once :meth:`opened` has returned; secret, for its token."""
        options = self._setup.options
        host = options.bind
        if host in ANYWHERE:
            host = socket.gethostname()
        host = f"[{host}]" if ":" in host else host
        scheme = "http" if options.page_cert is None else "https"
        return f"{scheme}://{host}:{self._setup.port}/#{self._setup.token}"

    def opened(self) -> None:
        """Wait until the door listens; UserError if it cannot."""
        answer = self._answer()
        if isinstance(answer, Refused):
            raise UserError(answer.why)
        # another one is to be found at the same link
        self._setup = replace(self._setup, port=answer.port)
        self._thread.start()

    def stop(self) -> None:
        """End the process."""
        self._stopped.set()
        self._pipe.close()
        self._process.join(timeout=1.0)
        self._process.kill()
        atexit.unregister(self._process.kill)

    def _answer(self) -> Ready | Refused:
        if self._pipe.poll(START_TIMEOUT_S):
            try:
                answer: Ready | Refused = self._pipe.recv()
                return answer
            except EOFError:
                return Refused("the page's process ended as it began; see the log")
        return Refused(f"the page's process did not begin within {START_TIMEOUT_S:g} s")

    def _keep(self) -> None:
        """Start another process whenever the last one has ended."""
        while True:
            self._process.join()
            if self._stopped.wait(PAUSE_S):
                return
            _log.warning("the page's process ended: it is started again")
            atexit.unregister(self._process.kill)
            self._pipe.close()
            self._pipe, theirs = multiprocessing.Pipe()
            self._setup = replace(self._setup, pipe=theirs)
            self._process = self._spawn()
            atexit.register(self._process.kill)
            answer = self._answer()
            if isinstance(answer, Refused) and not self._stopped.is_set():
                _log.error("%s", answer.why)

    def _spawn(self) -> BaseProcess:
        context = multiprocessing.get_context("spawn")
        process = context.Process(
            target=run, args=(self._setup,), name="gansynth-page", daemon=True
        )
        process.start()
        self._setup.pipe.close()  # or its end would not be noticed
        return process
