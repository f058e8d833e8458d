"""Pure Data without a screen or a sound card, run by a test that talks to it meanwhile."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.support.packages import missing
from tests.support.paths import PATCHES, PD
from tests.support.pd_window import Window

RATE = 48000
BENCH = PD / "bench.pd"
REMOTE = PD / "remote.pd"

COMPLAINTS = re.compile(r"error|couldn't create|no method|no such|bad arguments|failed|\.\.\. you")


def require_pd() -> None:
    """Skips the test where Pd is not installed; on CI the test fails instead."""
    if shutil.which("pd") is None:
        missing("Pure Data", "puredata-core")


@cache
def _has_sigmund() -> bool:
    """Whether Pd finds ``[sigmund~]``, which Debian keeps apart from Pd's core."""
    with TemporaryDirectory() as folder:
        patch = Path(folder) / "sigmund.pd"
        patch.write_text("#N canvas 0 0 100 100 12;\n#X obj 10 10 sigmund~;\n")
        with Pd(patch, "pd quit") as pd:
            pd.exit_status()
        return not pd.complaints


def require_sigmund() -> None:
    """Skips the test where Pd or its [sigmund~] is not installed; on CI the test fails instead."""
    require_pd()
    if not _has_sigmund():
        missing("Pd's [sigmund~]", "puredata-extra")


class Pd:
    """A Pd with one patch open, in real time; leaving the context ends it.

    What it printed is in ``lines``.
    """

    def __init__(
        self,
        patch: Path,
        *sends: str,
        path: Path = PATCHES,
        also: Path | None = None,
        window: Window | None = None,
    ) -> None:
        require_pd()
        flags = [*(window.flags if window else ["-nogui"]), "-noprefs", "-nosound"]
        flags += ["-r", str(RATE), "-sleepgrain", "1"]
        messages = [word for send in sends for word in ("-send", send)]
        opened = ["-open", str(patch), *(("-open", str(also)) if also else ())]
        self.lines: list[str] = []
        self._heard = threading.Condition()
        self._from = 0
        self._process = subprocess.Popen(
            ["pd", *flags, "-path", str(path), *opened, *messages],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._heard:
                self.lines.append(line.rstrip("\n"))
                self._heard.notify_all()

    def wait(self, text: str, timeout: float = 15.0) -> str:
        """The next line that is, or begins with, this text; AssertionError if none comes."""
        patience = time.monotonic() + timeout
        with self._heard:
            while True:
                while self._from < len(self.lines):
                    line = self.lines[self._from]
                    self._from += 1
                    if line == text or line.startswith(text + " "):
                        return line
                left = patience - time.monotonic()
                assert left > 0, f"Pd never said {text!r}, but:\n{self.stderr}"
                self._heard.wait(left)

    def said(self, text: str) -> list[str]:
        """All lines so far that are, or begin with, this text."""
        return [line for line in self.lines if line == text or line.startswith(text + " ")]

    @property
    def stderr(self) -> str:
        """All that Pd has printed so far."""
        return "\n".join(self.lines)

    @property
    def complaints(self) -> list[str]:
        """The lines that tell of something wrong in a patch."""
        return [line for line in self.lines if COMPLAINTS.search(line)]

    def exit_status(self, timeout: float = 10.0) -> int:
        """Waits until Pd ends by itself."""
        status = self._process.wait(timeout)
        self._reader.join(timeout)
        return status

    def end(self) -> str:
        """Ends Pd and returns what it printed."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        return self.stderr


class Led(Pd):
    """A Pd that a test leads over a socket: one of its patches connects to port 57181 of the text.

    Args:
        led: the file that this patch is written to, with a free port in it.
    """

    def __init__(
        self,
        patch: Path,
        text: str,
        led: Path,
        path: Path = PATCHES,
        window: Window | None = None,
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as door:
            led.write_text(text.replace("57181", str(door.getsockname()[1])))
            also = None if led == patch else led
            super().__init__(patch, path=path, also=also, window=window)
            door.settimeout(15)
            try:
                self._control, _ = door.accept()
            except OSError:
                raise AssertionError(f"Pd did not open its patches:\n{self.end()}") from None

    def send(self, *messages: str) -> None:
        """Sends Pd messages, in their order."""
        self._control.sendall("".join(f"{message};\n" for message in messages).encode())

    def settle(self) -> None:
        """Returns when Pd has dealt with all that was sent before."""
        self.send("echo done")
        self.wait("echo: done")

    def record(self, file: Path) -> None:
        """Starts recording, as 32-bit floats."""
        self.send(f"record open -bytes 4 {file}", "record start")

    def recorded(self, file: Path) -> NDArray[np.float32]:
        """Stops recording and returns what was recorded."""
        self.send("record stop")
        return self._written(file)

    def array(self, name: str, file: Path) -> NDArray[np.float32]:
        """The samples of a Pd array."""
        self.send(f"save {name} {file}")
        self.wait("saved:")
        return self._written(file)

    def _written(self, file: Path) -> NDArray[np.float32]:
        self.settle()
        size, patience = -1, time.monotonic() + 10
        while size != file.stat().st_size or size == 0:  # [writesf~] writes on a thread of its own
            assert time.monotonic() < patience
            size = file.stat().st_size
            time.sleep(0.2)
        samples, rate = soundfile.read(file, dtype="float32")
        assert rate == RATE
        return np.asarray(samples, np.float32)

    def end(self) -> str:
        if hasattr(self, "_control"):
            self._control.close()
        return super().end()


class Bench(Led):
    """``bench.pd``: ``[gansynth~ port block ahead]``, arrays and a recorder, led by ``send``.

    The messages: ``gansynth MESSAGE`` goes into the abstraction, ``record``
    into ``[writesf~]``, ``pd`` to Pd itself; ``shape`` sets an array and
    ``save ARRAY FILE`` writes one. The abstraction's messages are printed.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        block: int = 512,
        ahead: int = 32,
        *,
        path: Path = PATCHES,
        text: str | None = None,
    ) -> None:
        text = (text or BENCH.read_text()).replace("57180 512 4", f"{port} {block} {ahead}")
        super().__init__(folder / "bench.pd", text, folder / "bench.pd", path)


class Player(Led):
    """A patch for people, played by ``remote.pd``: ``send("NAME message")`` goes to its receives.

    Its ``[gansynth~]`` look for their server at the given port, and blocks of
    341 ms leave the machine time.
    """

    def __init__(self, folder: Path, patch: str, port: int, window: Window | None = None) -> None:
        patches = folder / "patches"
        if not patches.exists():
            shutil.copytree(PATCHES, patches)
            core = patches / "gansynth-core~.pd"
            shutil.copy(REMOTE.parent / "sopi.pd", patches)
            text = core.read_text().replace("msg 160 184 57180;", f"msg 160 184 {port};")
            core.write_text(text.replace("msg 346 184 4;", "msg 346 184 32;"))
        self.name = patch
        super().__init__(patches / patch, REMOTE.read_text(), folder / "remote.pd", patches, window)

    def click(self, x: int, y: int) -> None:
        """Clicks with the mouse on the patch."""
        at = f"{x} {y} 1 0"
        self.send(f"pd-{self.name} mouse {at}", f"pd-{self.name} mouseup {at}")
