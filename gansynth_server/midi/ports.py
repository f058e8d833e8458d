"""MIDI devices: found by part of their name, and opened again when they come back.

Everything goes through mido, so ``MIDO_BACKEND`` chooses another sound system,
for example ``mido.backends.rtmidi/UNIX_JACK``.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from gansynth_server.errors import UserError

NAME = "gansynth-server"
VIRTUAL = "virtual"
LOOK = 2.0
"""Seconds between two looks at what devices there are."""

_log = logging.getLogger(__name__)


def mido() -> Any:
    """The mido module with a backend; UserError says how to get it."""
    import mido

    try:
        mido.backend.load()
    except ImportError as error:
        raise UserError(
            "live MIDI needs python-rtmidi: pip install 'gansynth-server[midi]' (where there is "
            "no wheel of it for this Python, pip compiles it)"
        ) from error
    return mido


def names() -> list[str]:
    """The MIDI inputs that there are; UserError if MIDI cannot be used here."""
    try:
        return list(dict.fromkeys(mido().get_input_names()))
    except UserError:
        raise
    except Exception as error:  # RtMidi's own, of several kinds
        raise UserError(f"MIDI cannot be used here: {error}") from error


def list_ports() -> str:
    """All inputs, one a line, as ``--list-midi`` shows them."""
    return "\n".join(names()) or "no MIDI inputs; --midi virtual makes one"


class MidiInput:
    """One input, and the thread that plays what comes in.

    Args:
        wanted: the input's name or a part of it, or ``virtual`` for a new one that
            others can connect to.
        take: is given each message, on the thread.
        gone: is called when the device has vanished, on the thread.

    Raises:
        UserError: there is no such input, or it cannot be opened.
    """

    def __init__(self, wanted: str, take: Callable[[Any], None], gone: Callable[[], None]) -> None:
        self._wanted = wanted
        self._take = take
        self._gone = gone
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._port: Any = None
        name = self._find()
        self._open(name)
        self.remark = f"MIDI: {name or f'{NAME}, a new input'}"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="midi", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._messages.put(None)
        self._thread.join(timeout=5)
        self._close()

    def _find(self) -> str | None:
        """The name of the input that is meant, None for a virtual one."""
        if self._wanted == VIRTUAL:
            return None
        there = names()
        found = [name for name in there if self._wanted.lower() in name.lower()]
        if not found:
            known = ", ".join(there) or "none"
            raise UserError(f"no MIDI input called {self._wanted!r}; there are: {known}")
        return self._wanted if self._wanted in found else found[0]

    def _open(self, name: str | None) -> None:
        made = {"virtual": True} if name is None else {}
        try:
            self._port = mido().open_input(
                name or NAME, client_name=NAME, callback=self._messages.put, **made
            )
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"MIDI input {name or VIRTUAL} cannot be opened: {error}") from error

    def _close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            with contextlib.suppress(Exception):  # of a device that is not there any more
                port.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                message = self._messages.get(timeout=LOOK)
            except queue.Empty:
                self._look()
                continue
            if message is not None:
                try:
                    self._take(message)
                except Exception:
                    _log.exception("a MIDI message failed: %s", message)

    def _look(self) -> None:
        """Notices that the device went, or came back."""
        try:
            name = self._find()
        except UserError:
            if self._port is not None:
                _log.warning("MIDI: %s is gone; it is opened again when it is back", self._wanted)
                self._close()
                self._gone()
            return
        if self._port is None:
            try:
                self._open(name)
                _log.warning("MIDI: %s is back", name)
            except UserError as error:
                _log.info("%s", error)
