"""Failures where the user looks: on the terminal, one line for each kind and sender.

Tablets and pattern languages show no replies, so a ``/fail`` that only they are sent is seen by
no one.
"""

from __future__ import annotations

import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable

from gansynth_server.osc.codec import OscError, Source, decode

REPEAT_S = 10.0
"""Time (s) after which a failure that goes on is told again, with its number."""
MAX_KINDS = 512
"""Kinds and senders that are remembered; the one that was told longest ago is forgotten."""
MAX_SHOWN = 300
_TOLD = (b"/fail\0", b"/warning\0")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")

_log = logging.getLogger("gansynth_server.failures")


class FailureLog:
    """Tells failures once for each kind and sender, and again while they go on; any thread.

    A kind is an address and a sentence, whatever the numbers in it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kinds: OrderedDict[tuple[Source, str, str], tuple[float, int]] = OrderedDict()
        self.count = 0
        """Failures so far, told or not."""

    def sent(self, source: Source, datagram: bytes) -> None:
        """Take note of a reply that is sent, if it says that something failed."""
        if not datagram.startswith(_TOLD):
            return
        try:
            ((_, message),) = decode(datagram)
        except (OscError, ValueError):
            return
        if message.address == "/fail":
            self.count += 1
        address, why = ([str(arg) for arg in message.args] + ["", ""])[:2]
        self.tell(source, address, why)

    def tell(self, source: Source, address: str, why: str) -> None:
        """Log a failure, unless one of its kind was told just before."""
        kind = source, address, _NUMBER.sub("#", why)
        now = self._clock()
        told, hidden = self._kinds.pop(kind, (-REPEAT_S, 0))
        if now - told < REPEAT_S:
            self._kinds[kind] = told, hidden + 1
            return
        self._kinds[kind] = now, 0
        if len(self._kinds) > MAX_KINDS:
            self._kinds.popitem(last=False)
        more = f" (and {hidden} more like it)" if hidden else ""
        # printable, so that no sender writes what a terminal would take for commands
        shown = f"{address}: {why}"[:MAX_SHOWN].encode("unicode_escape").decode()
        where = f"{source[0]}:{source[1]}"
        _log.warning("%s %s%s", where, shown, more, extra={"source": kind})
