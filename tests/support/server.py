"""A real gansynth-server in its own process, and peers to talk to it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

START = "from gansynth_server.cli import server; server()"


class ServerProcess:
    """Starts a server on a free port and waits for its ready line."""

    def __init__(self, *flags: str, port: int = 0) -> None:
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


class Peer:
    """An independent OSC client: python-osc's codec on a plain socket."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))

    def send(self, address: str, *args: object) -> None:
        builder = OscMessageBuilder(address)
        for value in args:
            builder.add_arg(value)
        self.socket.send(builder.build().dgram)

    def receive(self, timeout: float = 10) -> tuple[object, ...]:
        """The next reply as (address, *arguments); TimeoutError when none comes."""
        self.socket.settimeout(timeout)
        message = OscMessage(self.socket.recv(65536))
        return (message.address, *message.params)

    def ask(self, address: str, *args: object) -> tuple[object, ...]:
        """Sends and returns the reply."""
        self.send(address, *args)
        return self.receive()

    def until(self, address: str, timeout: float = 20) -> tuple[object, ...]:
        """The next reply of one address; others are dropped."""
        while (reply := self.receive(timeout))[0] != address:
            pass
        return reply

    def close(self) -> None:
        self.socket.close()
