"""A server in a process of its own, and questions that it may be too busy to answer at once."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gansynth_server.client import Client, Message, NoReplyError
from gansynth_server.errors import UserError
from gansynth_server.server.metrics import resident_mb

START = "from gansynth_server.cli import server; server()"


def children(process: int) -> list[int]:
    """List the processes that one has started, where the system tells them in /proc."""
    return [
        int(child)
        for task in Path(f"/proc/{process}/task").glob("*/children")
        for child in task.read_text().split()
    ]


def name(process: int) -> str:
    """Return the name of a process; "" where the system does not tell it in /proc."""
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


class ServerProcess:
    """A server of its own, on a free port; ``seconds`` is its start until it is ready.

    Args:
        flags: of the server.
        env: its environment; None is this process's.
        log: file for what it writes to stderr; None is a temporary one.

    Raises:
        UserError: it does not start; says what it wrote.
    """

    def __init__(
        self, flags: Sequence[str], env: dict[str, str] | None = None, log: Path | None = None
    ) -> None:
        command = [sys.executable, "-c", START, "--port", "0", "--output", "none", *flags]
        begun = time.perf_counter()
        # a file, for a pipe that is not read would hold the server up once it is full
        self._log = tempfile.TemporaryFile("w+") if log is None else log.open("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._log, text=True, env=env
        )
        assert self._process.stdout is not None
        self.line = ""
        for line in self._process.stdout:
            self.line = line.strip()
            if line.startswith("gansynth-server ready"):
                break
        else:
            self._log.seek(0)
            raise UserError(f"the server did not start: {self._log.read().strip()}")
        self.seconds = time.perf_counter() - begun
        found = re.search(r"port (\d+)", self.line)
        assert found is not None
        self.port = int(found.group(1))

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def megabytes(self) -> float | None:
        """Return the resident memory (MB) with the render process's, where /proc tells it."""
        return resident_mb(self._process.pid, *children(self._process.pid)) or None

    def processes(self) -> dict[str, int]:
        """Return the process ids of its parts by their names, that of the server itself first."""
        own = self._process.pid
        return {"server": own, **{name(child): child for child in children(own)}}

    @property
    def errors(self) -> list[str]:
        """Return the lines on stderr so far."""
        self._log.seek(0)
        return self._log.readlines()

    def stop(self) -> int:
        """End it by SIGTERM and return the exit status; a second time does nothing."""
        if self._process.returncode is None:
            self._process.terminate()
            assert self._process.stdout is not None
            self._process.stdout.close()
        return self._process.wait(timeout=30)


def ask_again(client: Client, address: str, *args: Any) -> Message:
    """Ask each second until the reply comes, for as long as the client's timeout.

    A server that gets more datagrams than it can take loses some.

    Raises:
        RequestError: the server refuses it.
        NoReplyError: it has ended or hangs.
    """
    for _ in range(1, round(client.timeout)):
        with suppress(NoReplyError):
            return client.ask(address, *args, timeout=1.0)
    return client.ask(address, *args, timeout=1.0)
