"""The window that Pd believes it has: it answers when a patch asks for a file."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path

ASKED = re.compile(rb"pdtk_(?:save|open)panel \{?(\w+)\}?")
FONTS = "8 5 9 10 6 12 12 7 14 16 10 19 24 14 29 36 22 44 " * 2
"""Sizes, widths and heights of Pd's fonts, plain and zoomed."""


class Window:
    """Takes the place of ``pd-gui``; every dialog is answered with one file.

    Args:
        file: what people choose.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._door = socket.create_server(("127.0.0.1", 0))
        self.flags = ["-stderr", "-guiport", str(self._door.getsockname()[1])]
        """For the command line of Pd."""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._door.accept()
        with self._door, connection:
            connection.sendall(f"pd init {self._file.parent} 0 {FONTS};\n".encode())
            rest = b""
            while came := connection.recv(65536):
                *lines, rest = (rest + came).split(b"\n")
                for line in lines:
                    if asked := ASKED.search(line):
                        connection.sendall(b"%s callback %s;\n" % (asked[1], bytes(self._file)))
                    if b"pdtk_ping" in line:
                        connection.sendall(b"pd ping;\n")
