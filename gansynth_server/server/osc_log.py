"""A log of what comes in, as scsynth's ``/dumpOSC`` prints it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from gansynth_server.osc.codec import Arg, Message, Source, TimedMessage

CONTENT = 1
"""Level at which messages are shown; at a higher one their bytes are."""
MAX_PER_SECOND = 200
"""Datagrams a second that are shown; the others are counted."""
MAX_ARGS = 32
"""Arguments of a message that are shown."""
MAX_BYTES = 512
"""Bytes of a datagram that are shown."""
_WIDTH = 16

_log = logging.getLogger("gansynth_server.dump")


class OscLog:
    """Logs datagrams: with level 1 their messages, with 2 their bytes, with 0 nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.level = 0
        self._clock = clock
        self._second = 0
        self._shown = 0
        self._hidden = 0

    def __call__(self, source: Source, datagram: bytes, messages: list[TimedMessage]) -> None:
        second = int(self._clock())
        if second != self._second:
            self._second, self._shown = second, 0
        if self._shown >= MAX_PER_SECOND:
            self._hidden += 1
            return
        self._shown += 1
        lines = [f"({self._hidden} not shown)"] if self._hidden else []
        self._hidden = 0
        if self.level == CONTENT:
            lines += (_text(when, message) for when, message in messages[:MAX_PER_SECOND])
        else:
            lines += _hex(datagram)
        for line in lines:
            _log.warning("%s:%s %s", *source[:2], line)


def _text(when: float | None, message: Message) -> str:
    args = [_arg(arg) for arg in message.args[:MAX_ARGS]]
    if len(message.args) > MAX_ARGS:
        args.append(f"… {len(message.args)} in all")
    text = f"[ {', '.join([_arg(message.address), *args])} ]"
    return text if when is None else f"{text} at {when:.6f}"


def _arg(arg: Arg) -> str:
    if isinstance(arg, bytes):
        return f"DATA[{len(arg)}]"
    if isinstance(arg, str):
        return '"' + arg[:256].encode("unicode_escape").decode() + '"'
    return f"{arg:g}" if isinstance(arg, float) else str(arg)


def _hex(datagram: bytes) -> list[str]:
    lines = [f"size {len(datagram)}"]
    for start in range(0, min(len(datagram), MAX_BYTES), _WIDTH):
        row = datagram[start : start + _WIDTH]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:6d}  {row.hex(' '):<{3 * _WIDTH}} |{shown}|")
    return lines
