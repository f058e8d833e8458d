"""What the OSC thread does: datagrams in, messages handled each at its time."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.handlers import Handlers
from gansynth_server.handlers.call import Call
from gansynth_server.net.access import Access
from gansynth_server.net.admission import LOGIN, Gate
from gansynth_server.net.rate_limit import Turns
from gansynth_server.net.sessions import Peer, Peers, Source
from gansynth_server.osc.codec import Message, OscError, TimedMessage, decode, encode
from gansynth_server.osc.dispatch import dispatch
from gansynth_server.osc.scheduler import Scheduler, Waiting
from gansynth_server.osc.schema import Row
from gansynth_server.recording.client_state import Words, flat
from gansynth_server.recording.messages import recorded
from gansynth_server.server.clock import TagTime
from gansynth_server.server.message_clock import MessageClock
from gansynth_server.server.osc_log import Dump
from gansynth_server.synth.render_lock import Desk
from gansynth_server.util.threads import raise_priority

DATAGRAM = 65536
SPELL = 0.001
"""Seconds of looking at datagrams, and of handling messages, after which the socket is looked at
again: a pull may be there."""
PATIENCE = 0.008
"""Seconds that a message waits for the block in hand at most; then it has a spell as its turn."""
BURST = 64
"""Datagrams that are taken from the socket at one go."""
INBOX, INBOX_SHARE, INBOX_BYTES = 1024, 512, 8 << 20
"""Datagrams that may wait to be looked at, of all and of one client, and bytes of all; further
ones are lost, as they would be on the wire."""
MOST_UNPULLED = 20_000
"""Commands that may wait for a stream which nobody pulls."""
SWEEP = 1.0
"""Seconds from one look for silent clients to the next."""
PULL = b"/stream/pull\0"
"""What a datagram begins with that no other may hold up."""

_log = logging.getLogger(__name__)
_in = logging.getLogger("gansynth_server.osc.in")
_out = logging.getLogger("gansynth_server.osc.out")


class Receiver:
    """Receives datagrams and handles their messages, all on the thread that calls ``run``.

    Pulls are handled first, then messages for now, each client's in the order of
    their arrival and the clients in turns, and those with a time a little before
    it. Handling takes turns with receiving, so however much comes, the sound of
    others is asked for in time; and it waits while a block is being rendered,
    which would take several times as long beside it.

    Args:
        ears: a bound UDP socket.
        clock: the instrument's.
        desk: where the sound is made that goes first.
        seed: draws one for what is random.
        rate: messages a second of one source; 0 is no limit.
        discard_late: messages that come after their time are dropped.
    """

    def __init__(
        self,
        ears: socket.socket,
        access: Access,
        peers: Peers,
        handlers: Handlers,
        clock: MessageClock,
        desk: Desk,
        seed: Callable[[], int],
        rate: float = 0,
        discard_late: bool = False,
    ) -> None:
        self._ears, self._peers, self._handlers = ears, peers, handlers
        self._clock, self._seed, self._discard_late = clock, seed, discard_late
        self._desk, self._granted = desk, 0.0
        self._tags = TagTime(clock)
        self._gate = Gate(access, peers, self._send, rate, clock)
        self.scheduler = Scheduler()
        self.dump = Dump()
        self._inbox: Turns[tuple[bytes, Source]] = Turns(INBOX, INBOX_SHARE, INBOX_BYTES)
        self._told: tuple[Peer, float] | None = None
        self._swept = clock()

    @property
    def counts(self) -> Counter[str]:
        """Of datagrams and messages: see :class:`Gate`; ``lost`` for want of room, ``bad`` as OSC,
        ``handled``, ``failed``, ``late``, ``withheld`` answers to strangers."""
        return self._gate.counts

    def send(self, source: Source, datagram: bytes) -> None:
        """Sends a reply, unless its receiver is a stranger and it is too much; any thread."""
        peer = self._peers.get(source)
        if peer is not None and not peer.affords(len(datagram)):
            self.counts["withheld"] += 1
            return
        self._send(source, datagram)

    def _send(self, source: Source, datagram: bytes) -> None:
        if _out.isEnabledFor(logging.DEBUG):
            _out.debug("%s:%s %d bytes %.60r", *source[:2], len(datagram), datagram)
        try:
            self._ears.sendto(datagram, source)
        except OSError as error:
            _out.debug("cannot answer %s:%s: %s", *source[:2], error)

    def run(self, stopping: threading.Event) -> None:
        """Receives until told to stop, which is seen with the next datagram."""
        raise_priority(behind=1)  # pulls come this way
        with selectors.DefaultSelector() as selector:
            selector.register(self._ears, selectors.EVENT_READ)
            while True:
                ready = selector.select(self._pause())
                for _ in range(BURST):
                    if not ready:
                        break
                    self._receive()
                    ready = selector.select(0)
                if stopping.is_set():
                    return
                self._look()
                self._handle_due()
                self._sweep()

    def _pause(self) -> float:
        if self._inbox:
            return 0.0
        pause = self.scheduler.pause(self._clock())
        return SWEEP if pause is None else min(SWEEP, pause)

    def _sweep(self) -> None:
        now = self._clock()
        if now - self._swept >= SWEEP:
            self._swept = now
            try:
                self._peers.sweep()
            except Exception:
                _log.exception("a silent client could not be forgotten")

    def _receive(self) -> None:
        try:
            datagram, source = self._ears.recvfrom(DATAGRAM)
        except OSError:  # an answer that nobody was there to hear
            return
        if not self._gate.admits(source, len(datagram)):
            return
        if datagram.startswith(PULL):
            self._guarded(datagram, source)
        elif not self._inbox.put(source, (datagram, source), len(datagram)):
            self.counts["lost"] += 1

    def _look(self) -> None:
        """Looks at a datagram of each client, as far as there is time."""
        begun = self._clock()
        for _ in range(self._inbox.owners):
            self._let_sound_pass()
            self._guarded(*self._inbox.take())
            if self._clock() - begun > SPELL:
                break

    def _let_sound_pass(self) -> None:
        """Waits for the end of the block in hand, unless it has done so in vain just now."""
        if self._clock() >= self._granted and not self._desk.pause(PATIENCE):
            self._granted = self._clock() + SPELL

    def _guarded(self, datagram: bytes, source: Source) -> None:
        try:
            peer = self._gate.peer(source, datagram)
            if peer is not None:
                self._take_in(peer, datagram)
        except OscError as error:
            self.counts["bad"] += 1
            why = f"not an OSC packet: {error}"
            self._gate.complain(source, len(datagram), "osc", why)
        except UserError as error:
            self._gate.complain(source, len(datagram), "client", str(error))
        except Exception:
            _log.exception("a datagram of %d bytes failed", len(datagram))

    def _take_in(self, peer: Peer, datagram: bytes) -> None:
        messages = decode(datagram, self._tags.epoch)
        if not self._gate.handles(peer.source, len(datagram), len(messages)):
            return
        if self.dump.level and not datagram.startswith(LOGIN):
            self.dump(peer.source, datagram, messages)
        if datagram.startswith(PULL):
            self._handle(peer, messages[0][1], None)
        else:
            self._schedule(peer, messages, len(datagram))

    def _schedule(self, peer: Peer, messages: list[TimedMessage], size: int) -> None:
        now = self._clock()
        for seconds, message in messages:
            when = None if seconds is None else self._tags(seconds)
            try:
                self.scheduler.put(peer, message, when, now, size // len(messages))
            except UserError as error:  # the rest of the packet would fare no better
                self._fail(peer, message.address, str(error))
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
        self.counts["late"] += 1
        if peer.notified:
            self.send(peer.source, encode("/late", seconds))

    def _handle(self, peer: Peer, message: Message, when: float | None) -> None:
        if message.address == "/fail":  # of another server: two would never end to answer
            return

        def handle(row: Row, args: list[Any]) -> None:
            pull = row.address == "/stream/pull"
            if not pull:
                self._let_sound_pass()
            if not pull or _in.isEnabledFor(logging.DEBUG - 1):
                shown = "…" if row.address == "/login" else args
                _in.debug("%s:%s %s %.200s", *peer.source[:2], row.address, shown)
            self.counts["handled"] += 1
            bus = peer.client.bus
            if (
                bus.waiting > MOST_UNPULLED
                and bus.link.still
                and not row.address.startswith("/stream/")
            ):
                raise UserError(
                    "too much waits for your stream, which nobody pulls: pull it (in Pd: switch "
                    "DSP on), or leave it with /stream/close"
                )
            words = self._drawn(row, message.args, args)
            try:
                with self._clock.held() as now, recorded(peer.client, words, now, when):
                    self._handlers(Call(peer, self.send, when), row, args)
            except UserError:
                raise
            except Exception as error:
                _log.exception("%s failed", row.address)
                raise UserError(f"the server failed: {error!r}") from error

        dispatch(message, handle, lambda address, why: self._fail(peer, address, why))

    def _drawn(self, row: Row, given: tuple[Any, ...], args: list[Any]) -> Words:
        """Fills in the seed that was left out; the message as it can be written down."""
        places = [n for n, arg in enumerate(row.args) if arg.name == "seed" and args[n] is None]
        for place in places:
            args[place] = self._seed()
        plain = all(type(value) in (int, float, str) for value in given)
        return (row.address, *(given if plain and not places else flat(args)))

    def _fail(self, peer: Peer, address: str, why: str) -> None:
        self.counts["failed"] += 1
        host, port = peer.source[:2]
        _in.info("%s:%s %s: %s", host, port, address[:256], why, extra={"source": host})
        self.send(peer.source, encode("/fail", address[:256], why))
