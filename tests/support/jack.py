"""A sound card for tests: JACK with a driver that only keeps time."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.support.packages import missing

RATE = 48000
PERIOD = 256


class Jack:
    """A jackd beside the user's own, for this process and its children; not yet started."""

    def __init__(self) -> None:
        self._server = f"test-{uuid.uuid4().hex[:8]}"
        os.environ["JACK_DEFAULT_SERVER"] = self._server
        os.environ["JACK_NO_START_SERVER"] = "1"
        os.environ["JACK_NO_AUDIO_RESERVATION"] = "1"

        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        driver = ["-d", "dummy", "-r", str(RATE), "-p", str(PERIOD)]
        self._process = subprocess.Popen(
            ["jackd", "-n", self._server, "-r", *driver],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        patience = time.monotonic() + 20
        while "system:playback_1" not in jack_ports():
            assert self._process.poll() is None, "jackd ended at once"
            assert time.monotonic() < patience, "jackd does not answer"
            time.sleep(0.1)

    def end(self) -> None:
        """Ends jackd; to its clients it is a sound card whose plug is pulled."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        for left in Path("/dev/shm").glob(f"jack_sem.*_{self._server}_*"):
            left.unlink(missing_ok=True)  # of clients that had no time to clean up


def jack_ports() -> list[str]:
    """The names of all ports."""
    listing = subprocess.run(["jack_lsp"], capture_output=True, text=True, timeout=20)
    return listing.stdout.split()


def run_with_jack(body: Callable[[Jack], Any], timeout: float = 120.0) -> Any:
    """Calls ``body(jack)``, a module's function, in a new process; its result comes as JSON.

    PortAudio sees JACK where the body starts it before importing sounddevice.
    Where jackd is missing the test is skipped, but on CI it fails.
    """
    if shutil.which("jackd") is None or shutil.which("jack_connect") is None:
        missing("jackd", "jackd2")
    child = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, body.__module__, body.__name__],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise
    assert child.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


if __name__ == "__main__":
    server = Jack()
    atexit.register(server.end)  # runs after the exit handler of sounddevice, which comes later
    print(json.dumps(getattr(import_module(sys.argv[1]), sys.argv[2])(server)))
