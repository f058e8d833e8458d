"""What the OSC thread does: datagrams in, messages handled each at its time."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from gansynth_server.clock import MessageClock
from gansynth_server.errors import UserError
from gansynth_server.handlers import Handlers
from gansynth_server.handlers.call import Call
from gansynth_server.osc.clock import TagTime
from gansynth_server.osc.codec import Message, OscError, decode, encode
from gansynth_server.osc.dispatch import dispatch
from gansynth_server.osc.row import Row
from gansynth_server.osc.scheduler import Scheduler, Waiting
from gansynth_server.peers import Peer, Peers, Source
from gansynth_server.priority import raise_priority
from gansynth_server.recording.messages import flat, recorded
from gansynth_server.recording.state import Words

DATAGRAM = 65536
SPELL = 0.002
"""Seconds of handling messages, after which the socket is looked at again: a pull may be there."""
BURST = 64
"""Datagrams that are taken from the socket at one go."""
INBOX = 1024
"""Datagrams that may wait to be looked at; further ones are lost, as they would be on the wire."""
PULL = b"/stream/pull\0"
"""What a datagram begins with that no other may hold up."""

_log = logging.getLogger(__name__)


class Receiver:
    """Receives datagrams and handles their messages, all on the thread that calls ``run``.

    Pulls are handled first, then messages for now in the order of their
    arrival, and those with a time a little before it. Handling takes turns with
    receiving, so however much comes, the sound of others is asked for in time.

    Args:
        ears: a bound UDP socket.
        clock: the instrument's.
        seed: draws one for what is random.
        discard_late: messages that come after their time are dropped.
    """

    def __init__(
        self,
        ears: socket.socket,
        peers: Peers,
        handlers: Handlers,
        clock: MessageClock,
        seed: Callable[[], int],
        discard_late: bool = False,
    ) -> None:
        self._ears, self._peers, self._handlers = ears, peers, handlers
        self._clock, self._seed, self._discard_late = clock, seed, discard_late
        self._tags = TagTime(clock)
        self.scheduler = Scheduler()
        self._inbox: deque[tuple[bytes, Source]] = deque()
        self._told: tuple[Peer, float] | None = None

    def send(self, source: Source, datagram: bytes) -> None:
        """Sends a reply; may be called from any thread."""
        try:
            self._ears.sendto(datagram, source)
        except OSError as error:
            _log.debug("cannot answer %s:%s: %s", *source[:2], error)

    def run(self, stopping: threading.Event) -> None:
        """Receives until told to stop, which is seen with the next datagram."""
        raise_priority()  # pulls come this way
        with selectors.DefaultSelector() as selector:
            selector.register(self._ears, selectors.EVENT_READ)
            while True:
                ready = selector.select(0 if self._inbox else self.scheduler.pause(self._clock()))
                for _ in range(BURST):
                    if not ready:
                        break
                    self._receive()
                    ready = selector.select(0)
                if stopping.is_set():
                    return
                if self._inbox:
                    self._guarded(*self._inbox.popleft())
                self._handle_due()

    def _receive(self) -> None:
        try:
            datagram, source = self._ears.recvfrom(DATAGRAM)
        except OSError:  # an answer that nobody was there to hear
            return
        if datagram.startswith(PULL):
            self._guarded(datagram, source)
        elif len(self._inbox) < INBOX:
            self._inbox.append((datagram, source))

    def _guarded(self, datagram: bytes, source: Source) -> None:
        try:
            self._queue(datagram, source)
        except (OscError, UserError) as error:
            self._fail(source, "osc" if isinstance(error, OscError) else "client", str(error))
        except Exception:
            _log.exception("a datagram of %d bytes failed", len(datagram))

    def _queue(self, datagram: bytes, source: Source) -> None:
        peer = self._peers.at(source)
        try:
            messages = decode(datagram, self._tags.epoch)
        except OscError as error:
            raise OscError(f"not an OSC packet: {error}") from error
        if datagram.startswith(PULL):
            self._handle(peer, messages[0][1], None)
            return
        now = self._clock()
        for seconds, message in messages:
            when = None if seconds is None else self._tags(seconds)
            try:
                self.scheduler.put(peer, message, when, now)
            except UserError as error:  # the rest of the packet would fare no better
                self._fail(source, message.address, str(error))
                return

    def _handle_due(self) -> None:
        begun = now = self._clock()
        while now - begun < SPELL and (waiting := self.scheduler.take(now)) is not None:
            try:
                self._handle_waiting(waiting, now)
            except Exception:
                _log.exception("%s failed", waiting.message.address)
            now = self._clock()

    def _handle_waiting(self, waiting: Waiting, now: float) -> None:
        peer, when = waiting.owner, waiting.when
        assert isinstance(peer, Peer)
        if when is not None and when < now:
            if self._told != (peer, when):  # once for a bundle
                self._told = peer, when
                self.late(peer, now - when)
            if self._discard_late:
                return
            when = None  # "the OSC Time Tag is before the current time": at once
        self._handle(peer, waiting.message, when)

    def late(self, peer: Peer, seconds: float) -> None:
        """Tells a peer that wants to know it that something came too late; any thread."""
        if peer.notified:
            self.send(peer.source, encode("/late", seconds))

    def _handle(self, peer: Peer, message: Message, when: float | None) -> None:
        def handle(row: Row, args: list[Any]) -> None:
            if row.address != "/stream/pull" or _log.isEnabledFor(logging.DEBUG - 1):
                _log.debug("%s:%s %s %.200s", *peer.source[:2], row.address, args)
            words = self._drawn(row, message.args, args)
            try:
                with self._clock.held() as now, recorded(peer.client, words, now, when):
                    self._handlers(Call(peer, self.send, when), row, args)
            except UserError:
                raise
            except Exception as error:
                _log.exception("%s failed", row.address)
                raise UserError(f"the server failed: {error!r}") from error

        dispatch(message, handle, lambda address, why: self._fail(peer.source, address, why))

    def _drawn(self, row: Row, given: tuple[Any, ...], args: list[Any]) -> Words:
        """Fills in the seed that was left out; the message as it can be written down."""
        places = [n for n, arg in enumerate(row.args) if arg.name == "seed" and args[n] is None]
        for place in places:
            args[place] = self._seed()
        plain = all(type(value) in (int, float, str) for value in given)
        return (row.address, *(given if plain and not places else flat(args)))

    def _fail(self, source: Source, address: str, why: str) -> None:
        _log.info("%s:%s %s: %s", *source[:2], address, why)
        self.send(source, encode("/fail", address[:256], why))
