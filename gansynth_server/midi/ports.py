"""MIDI inputs: found by part of their name, and opened again when they come back.

All goes through mido, so ``MIDO_BACKEND`` chooses another backend, for example
``mido.backends.rtmidi/UNIX_JACK``.
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
"""Interval (s) at which the list of devices is checked."""

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
    """Names of the MIDI inputs; UserError if MIDI cannot be used here."""
    try:
        return list(dict.fromkeys(mido().get_input_names()))
    except UserError:
        raise
    # RtMidi raises exceptions of several kinds
    except Exception as error:
        raise UserError(f"MIDI cannot be used here: {error}") from error


def list_ports() -> str:
    """All inputs, one per line, as ``--list-midi`` shows them."""
    return "\n".join(names()) or "no MIDI inputs; --midi virtual makes one"


class MidiInput:
    """A MIDI input, and the thread that handles its messages.

    Args:
        wanted: the input's name or a part of it, or ``virtual`` for a new one that
            other programs can connect to.
        take: called with each message, on the thread.
        gone: called when the device has vanished, on the thread.

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
        """Name of the wanted input, None for a virtual one; UserError if there is none."""
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
            # closing a device that has vanished may fail
            with contextlib.suppress(Exception):
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
        """Notice that the device vanished, or came back."""
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
