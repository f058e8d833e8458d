"""The door: which datagrams are looked at, whose messages are handled, and who is told why not."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable

from gansynth_server.errors import UserError
from gansynth_server.net.access import Access
from gansynth_server.net.rate_limit import RateLimit
from gansynth_server.net.sessions import FACTOR, Peer, Peers, Source
from gansynth_server.osc.codec import Message, OscError, decode, encode

LOGIN = b"/login\0"
"""What a datagram of someone who has to log in begins with."""
MOST_LOGIN = 512
"""Bytes of such a datagram."""

_log = logging.getLogger("gansynth_server.clients")


class Gate:
    """Looks at each datagram before anything else does; used by the OSC thread.

    Args:
        send: sends a datagram without asking whether it may be sent.
        rate: messages a second of one source; 0 is no limit.
        clock: seconds.
    """

    def __init__(
        self,
        access: Access,
        peers: Peers,
        send: Callable[[Source, bytes], None],
        rate: float,
        clock: Callable[[], float],
    ) -> None:
        self._access, self._peers, self._send, self._clock = access, peers, send, clock
        self._limit = RateLimit(rate)
        self.counts: Counter[str] = Counter()
        """Datagrams that came (``in``), and those not handled: ``refused``, ``limited``;
        complaints that were not sent (``spared``)."""

    def admits(self, source: Source, size: int) -> bool:
        """Whether a datagram of so many bytes may be looked at."""
        self.counts["in"] += 1
        if not self._access.allows(source[0]):
            self.counts["refused"] += 1
            _log.warning("refused %s: not in --allow", source[0], extra={"source": source[0]})
            return False
        if self._limit.datagram(self._who(source), size, self._clock()):
            return True
        self._limited(source, size)
        return False

    def peer(self, source: Source, datagram: bytes) -> Peer | None:
        """Who sent a datagram; None for someone who is not in, and was told how to get in.

        Raises:
            UserError: there is no room for another client.
        """
        peer = self._peers.get(source)
        if peer is None:
            local = self._access.local(source[0])
            if not local and self._access.must_log_in(source[0]):
                if not self._logs_in(source, datagram):
                    return None
                local = True  # whoever knows the password is believed as well
            peer = self._peers.at(source, proven=local)
        peer.heard(len(datagram), self._clock())
        return peer

    def handles(self, source: Source, size: int, messages: int) -> bool:
        """Whether so many messages of one datagram may be handled."""
        if self._limit.messages(self._who(source), messages, self._clock()):
            return True
        self._limited(source, size)
        return False

    def complain(self, source: Source, heard: int, address: str, why: str) -> None:
        """Tells a source what is wrong with its datagrams, once a second.

        Args:
            heard: bytes that it sent; strangers are answered with a few times as many at most.
        """
        spared = self._limit.complaint(self._who(source), self._clock())
        if spared is None:
            self.counts["spared"] += 1
            return
        if spared:
            why += f" (and {spared} more since the last /fail)"
        _log.info("%s:%s %s: %s", *source[:2], address, why, extra={"source": source[0]})
        self.answer(source, heard, encode("/fail", address[:256], why))

    def answer(self, source: Source, heard: int, datagram: bytes) -> None:
        """Answers someone who may be no peer."""
        peer = self._peers.get(source)
        if peer is not None:
            may = peer.affords(len(datagram))
        else:
            may = self._access.local(source[0]) or len(datagram) <= FACTOR * heard
        if may:
            self._send(source, datagram)

    def _limited(self, source: Source, size: int) -> None:
        self.counts["limited"] += 1
        self.complain(source, size, "rate", "too many messages: send fewer, or raise --rate-limit")

    def _who(self, source: Source) -> Hashable:
        """Here every program is one source, elsewhere every machine: ports cost nothing."""
        return source if self._access.local(source[0]) else source[0]

    def _logs_in(self, source: Source, datagram: bytes) -> bool:
        """Whether a datagram has the password; if not, its sender is told."""
        size = len(datagram)
        if not datagram.startswith(LOGIN) or size > MOST_LOGIN:
            self.counts["refused"] += 1
            self.complain(source, size, "/login", "log in first: /login password")
            return False
        try:
            ((_, message),) = decode(datagram)
            self._access.check(source[0], _password(message), self._clock())
        except (UserError, OscError, ValueError) as error:
            self.counts["refused"] += 1
            _log.warning("%s: login failed: %s", source[0], error, extra={"source": source[0]})
            self.complain(source, size, "/login", str(error))
            return False
        _log.warning("%s:%s logged in", *source[:2], extra={"source": source[0]})
        return True


def _password(message: Message) -> str:
    """The word that came with /login; a number as Pd would write it."""
    word = message.args[0] if message.args else ""
    return f"{word:g}" if isinstance(word, float) else str(word)
