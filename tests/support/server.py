"""The one starter of real gansynth-servers, each in its own process."""

from __future__ import annotations

import re
import subprocess
import sys
import threading

START = "from gansynth_server.cli import server; server()"


class ServerProcess:
    """Starts a server on a free port and waits for its ready line."""

    started = 0
    """How many this process has started."""

    def __init__(self, *flags: str, port: int = 0) -> None:
        ServerProcess.started += 1
        command = [sys.executable, "-c", START, "--port", str(port), "--seed", "1", *flags]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.lines: list[str] = []
        self.errors: list[str] = []
        threading.Thread(target=self._collect_errors, daemon=True).start()
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("gansynth-server ready"):
                break
        else:
            raise AssertionError(f"no ready line: {self.lines} {self.errors}")
        found = re.search(r"port (\d+)", self.lines[-1])
        assert found is not None
        self.port = int(found.group(1))

    def _collect_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line)

    @property
    def complaints(self) -> list[str]:
        """The lines on stderr that are no failures of clients and no holding up of the sound."""
        told = ("gansynth_server.failures", "watchdog")
        return [line for line in self.errors if not any(word in line for word in told)]

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.stop()


def run_server(*flags: str) -> subprocess.CompletedProcess[str]:
    """Runs a server that is to end by itself: what it said, and its exit status."""
    return subprocess.run(
        [sys.executable, "-c", START, *flags], capture_output=True, text=True, timeout=60
    )
