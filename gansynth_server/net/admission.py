"""Admission of datagrams and messages, by host, password and rate; others are told why not."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable

from gansynth_server.errors import UserError
from gansynth_server.net.access import Access
from gansynth_server.net.failure_log import FailureLog
from gansynth_server.net.rate_limit import RateLimit
from gansynth_server.net.sessions import FACTOR, Session, Sessions
from gansynth_server.osc.codec import Message, OscError, Source, decode, encode

LOGIN = b"/login\0"
"""Beginning of a datagram that logs in."""
MAX_LOGIN_BYTES = 512
"""Bytes of such a datagram."""

_log = logging.getLogger("gansynth_server.clients")


class Admission:
    """Decides on each datagram before it is decoded; used by the OSC thread.

    Args:
        send: sends a datagram without asking whether it may be sent.
        rate: messages a second of one source; 0 is no limit.
        clock: time (s).
    """

    def __init__(
        self,
        access: Access,
        sessions: Sessions,
        send: Callable[[Source, bytes], None],
        rate: float,
        clock: Callable[[], float],
    ) -> None:
        self._access, self._sessions, self._send, self._clock = access, sessions, send, clock
        self._limit = RateLimit(rate)
        self.failures = FailureLog()
        self.counts: Counter[str] = Counter()
        """Datagrams that came (``in``), those not handled (``refused``, ``limited``), and
        complaints that were not sent (``spared``)."""

    def admits(self, source: Source, size: int) -> bool:
        """Return whether a datagram of so many bytes may be decoded."""
        self.counts["in"] += 1
        if not self._access.allows(source[0]):
            self.counts["refused"] += 1
            _log.warning("refused %s: not in --allow", source[0], extra={"source": source[0]})
            return False
        if self._limit.datagram(self._limited_source(source), size, self._clock()):
            return True
        self._limited(source, size)
        return False

    def session(self, source: Source, datagram: bytes) -> Session | None:
        """Return the session of a datagram; None for a source that has to log in, and was told so.

        Raises:
            UserError: there is no room for another client.
        """
        session = self._sessions.get(source)
        if session is None:
            local = self._access.local(source[0])
            if not local and self._access.must_log_in(source[0]):
                if not self._logs_in(source, datagram):
                    return None
                local = True  # a password proves the address as well
            session = self._sessions.at(source, proven=local)
        session.heard(len(datagram), self._clock())
        return session

    def handles(self, source: Source, size: int, messages: int) -> bool:
        """Return whether so many messages of one datagram may be handled."""
        if self._limit.messages(self._limited_source(source), messages, self._clock()):
            return True
        self._limited(source, size)
        return False

    def complain(self, source: Source, heard: int, address: str, why: str) -> None:
        """Tell a source what is wrong with its datagrams, once a second.

        Args:
            heard: bytes that it sent; an unproven address is sent a few times as many at most.
        """
        spared = self._limit.complaint(self._limited_source(source), self._clock())
        if spared is None:
            self.counts["spared"] += 1
            return
        if spared:
            why += f" (and {spared} more since the last /fail)"
        self.failures.tell(source, address, why)
        self._answer(source, heard, encode("/fail", address[:256], why))

    def _answer(self, source: Source, heard: int, datagram: bytes) -> None:
        """Answer a source that may have no session."""
        session = self._sessions.get(source)
        if session is not None:
            may = session.affords(len(datagram))
        else:
            may = self._access.local(source[0]) or len(datagram) <= FACTOR * heard
        if may:
            self._send(source if session is None else session.reply_source, datagram)

    def _limited(self, source: Source, size: int) -> None:
        self.counts["limited"] += 1
        self.complain(source, size, "rate", "too many messages: send fewer, or raise --rate-limit")

    def _limited_source(self, source: Source) -> Hashable:
        """Return what is limited: here every program, elsewhere every machine."""
        # on another machine a port is free to have, so each more would be a rate of its own
        return source if self._access.local(source[0]) else source[0]

    def _logs_in(self, source: Source, datagram: bytes) -> bool:
        """Return whether a datagram has the password; if not, its sender is told."""
        size = len(datagram)
        if not datagram.startswith(LOGIN) or size > MAX_LOGIN_BYTES:
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
    """Return the word that came with /login; a number as Pd would write it."""
    word = message.args[0] if message.args else ""
    return f"{word:g}" if isinstance(word, float) else str(word)
