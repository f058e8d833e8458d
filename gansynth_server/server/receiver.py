"""The OSC thread: datagrams in, messages handled each at its time."""

from __future__ import annotations

import logging
import selectors
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.handlers import Handlers
from gansynth_server.handlers.request import Request
from gansynth_server.net.access import Access
from gansynth_server.net.admission import LOGIN, Admission
from gansynth_server.net.listener import Listener
from gansynth_server.net.sessions import Session, Sessions
from gansynth_server.osc.codec import (
    Message,
    OscError,
    Refused,
    Source,
    TimedMessage,
    decode,
    encode,
)
from gansynth_server.osc.dispatch import dispatch
from gansynth_server.osc.scheduler import Scheduler, Waiting
from gansynth_server.osc.schema import Row
from gansynth_server.recording.client_state import Words, flat
from gansynth_server.recording.messages import recorded
from gansynth_server.server.clock import MessageClock, TagTime
from gansynth_server.server.osc_log import OscLog
from gansynth_server.synth.render_lock import RenderLock
from gansynth_server.util.fair_queue import FairQueue
from gansynth_server.util.threads import raise_priority

MAX_DATAGRAM = 65536
TIME_SLICE_S = 0.001
"""Time (s) of decoding datagrams, and of handling messages, before the socket is polled again,
so that stream pulls are not delayed."""
BLOCK_TIMEOUT_S = 0.008
"""Time (s) that a message waits for the current block; then messages have a time slice."""
BURST = 1024
"""Datagrams that are read from the socket before any is decoded: more than its queue holds."""
MAX_INBOX, MAX_INBOX_PER_CLIENT, MAX_INBOX_BYTES = 65536, 20_000, 32 << 20
"""Datagrams that may wait to be decoded, of all clients and of one, and bytes of all; further
ones are lost, and the client is told how many."""
AHEAD_S = 10.0
"""Time (s) ahead from which a time tag is taken for that of a wrong clock."""
MAX_BAD = 16
"""Parts of a packet that are refused one by one."""
MAX_UNPULLED = 20_000
"""Commands that may wait for a stream that is not pulled."""
SWEEP_PERIOD_S = 1.0
"""Time (s) from one look for silent sessions to the next."""
PULL = b"/stream/pull\0"
"""Beginning of the datagrams that no other may hold up."""

_log = logging.getLogger(__name__)
_in = logging.getLogger("gansynth_server.osc.in")
_out = logging.getLogger("gansynth_server.osc.out")


class Receiver:
    """Receives datagrams and handles their messages, all on the thread that calls ``run``.

    Pulls are handled first, then messages for now, each client's in the order of
    their arrival and the clients in turns, and those with a time a little before
    it. Handling takes turns with receiving, so however much comes, the blocks of
    other clients are asked for in time; and it waits while a block is being
    rendered, which would take several times as long beside it.

    Args:
        sock: what the server listens on.
        clock: the instrument's.
        render_lock: held while blocks are rendered.
        seed: draws a seed for messages that were sent without one.
        rate: messages a second of one source; 0 is no limit.
        discard_late: whether messages that come after their time are dropped.
    """

    def __init__(
        self,
        sock: Listener,
        access: Access,
        sessions: Sessions,
        handlers: Handlers,
        clock: MessageClock,
        render_lock: RenderLock,
        seed: Callable[[], int],
        rate: float = 0,
        discard_late: bool = False,
    ) -> None:
        self._socket, self._sessions, self._handlers = sock, sessions, handlers
        self._clock, self._seed, self._discard_late = clock, seed, discard_late
        self._render_lock, self._granted = render_lock, 0.0
        self._tags = TagTime(clock)
        self._admission = Admission(access, sessions, self._send, rate, clock)
        self.scheduler = Scheduler()
        self.dump = OscLog()
        self._inbox: FairQueue[tuple[bytes, Source]] = FairQueue(
            MAX_INBOX, MAX_INBOX_PER_CLIENT, MAX_INBOX_BYTES
        )
        self._lost: Counter[Source] = Counter()
        self._told: tuple[Session, float] | None = None
        self._swept = clock()

    @property
    def counts(self) -> Counter[str]:
        """Counts of datagrams and messages: see :class:`Admission`; ``lost`` for want of room,
        ``bad`` OSC, ``handled``, ``failed``, ``late``, replies ``withheld`` from unproven
        addresses."""
        return self._admission.counts

    @property
    def failed(self) -> int:
        """Number of ``/fail`` that clients were to be sent."""
        return self._admission.failures.count

    def send(self, source: Source, datagram: bytes) -> None:
        """Send a reply, unless it is too large for an unproven address; any thread."""
        session = self._sessions.get(source)
        self._admission.failures.sent(source, datagram)
        if session is not None and not session.affords(len(datagram)):
            self.counts["withheld"] += 1
            return
        self._send(source if session is None else session.reply_source, datagram)

    def _send(self, source: Source, datagram: bytes) -> None:
        if _out.isEnabledFor(logging.DEBUG):
            _out.debug("%s:%s %d bytes %.60r", *source[:2], len(datagram), datagram)
        try:
            self._socket.sendto(datagram, source)
        except OSError as error:
            _out.debug("cannot answer %s:%s: %s", *source[:2], error)

    def run(self, stopping: threading.Event) -> None:
        """Receive until told to stop, which is noticed with the next datagram."""
        raise_priority(behind=1)  # pulls come this way
        with selectors.DefaultSelector() as selector:
            for sock in self._socket.sockets:
                selector.register(sock, selectors.EVENT_READ)
            while True:
                ready = selector.select(self._pause())
                for _ in range(BURST):
                    if not ready:
                        break
                    self._receive()
                    ready = selector.select(0)
                if stopping.is_set():
                    return
                self._decode_waiting()
                self._handle_due()
                self._tell_lost()
                self._sweep()

    def _pause(self) -> float:
        if self._inbox:
            return 0.0
        pause = self.scheduler.pause(self._clock())
        return SWEEP_PERIOD_S if pause is None else min(SWEEP_PERIOD_S, pause)

    def _sweep(self) -> None:
        now = self._clock()
        if now - self._swept >= SWEEP_PERIOD_S:
            self._swept = now
            try:
                self._sessions.sweep()
            except Exception:
                _log.exception("a silent client could not be forgotten")

    def _receive(self) -> None:
        try:
            datagram, source = self._socket.recvfrom(MAX_DATAGRAM)
        except OSError:  # a reply has met a closed port
            return
        if not self._admission.admits(source, len(datagram)):
            return
        if datagram.startswith(PULL):
            self._guarded(datagram, source)
        elif not self._inbox.put(source, (datagram, source), len(datagram)):
            self._lost[source] += 1
        dropped = self._socket.take_dropped()
        if dropped:
            self._lost[source] += dropped

    def _tell_lost(self) -> None:
        """Tell clients how much of theirs found no room, once no more of it is waiting."""
        if self._inbox or not self._lost:
            return
        for source, count in self._lost.items():
            session = self._sessions.get(source)
            self.counts["lost"] += count
            if count and session is not None:
                self._fail(session, "osc", f"{count} messages were lost: send fewer at once")
        self._lost.clear()

    def _decode_waiting(self) -> None:
        """Decode a datagram of each client, as far as there is time."""
        begun = self._clock()
        for _ in range(self._inbox.owners):
            self._let_sound_pass()
            self._guarded(*self._inbox.take())
            if self._clock() - begun > TIME_SLICE_S:
                break

    def _let_sound_pass(self) -> None:
        """Wait for the end of the current block, unless that was in vain just now."""
        if self._clock() >= self._granted and not self._render_lock.pause(BLOCK_TIMEOUT_S):
            self._granted = self._clock() + TIME_SLICE_S

    def _guarded(self, datagram: bytes, source: Source) -> None:
        try:
            session = self._admission.session(source, datagram)
            if session is not None:
                self._decode(session, datagram)
        except OscError as error:
            self.counts["bad"] += 1
            why = f"not an OSC packet: {error}"
            self._admission.complain(source, len(datagram), "osc", why)
        except UserError as error:
            self._admission.complain(source, len(datagram), "client", str(error))
        except Exception:
            _log.exception("a datagram of %d bytes failed", len(datagram))

    def _decode(self, session: Session, datagram: bytes) -> None:
        bad: list[Refused] = []
        messages = decode(datagram, self._tags.epoch, bad)
        self.counts["bad"] += len(bad)
        for refused in bad[:MAX_BAD]:
            self._fail(session, refused.address, f"not an OSC message: {refused.why}")
        if not messages or not self._admission.handles(
            session.source, len(datagram), len(messages)
        ):
            return
        if self.dump.level and not datagram.startswith(LOGIN):
            self.dump(session.source, datagram, messages)
        if datagram.startswith(PULL):
            self._handle(session, messages[0][1], None)
        else:
            self._schedule(session, messages, len(datagram))

    def _schedule(self, session: Session, messages: list[TimedMessage], size: int) -> None:
        now = self._clock()
        for seconds, message in messages:
            when = None if seconds is None else self._tags(seconds)
            if when is not None and when - now > AHEAD_S:
                self._ahead(session, when, now)
            try:
                self.scheduler.put(session, message, when, now, size // len(messages))
            except UserError as error:  # the rest of the packet would fare no better
                self._fail(session, message.address, str(error))
                return

    def _handle_due(self) -> None:
        begun = now = self._clock()
        while now - begun < TIME_SLICE_S and (waiting := self.scheduler.take(now)) is not None:
            try:
                self._handle_waiting(waiting, now)
            except Exception:
                _log.exception("%s failed", waiting.message.address)
            now = self._clock()

    def _handle_waiting(self, waiting: Waiting, now: float) -> None:
        session, when = waiting.owner, waiting.when
        assert isinstance(session, Session)
        if when is not None and when < now:
            if self._told != (session, when):  # once for a bundle
                self._told = session, when
                self.late(session, now - when)
            if self._discard_late:
                return
            when = None  # "the OSC Time Tag is before the current time": at once
        self._handle(session, waiting.message, when)

    def late(self, session: Session, seconds: float) -> None:
        """Tell a client that is notified that something came too late; any thread."""
        self.counts["late"] += 1
        if session.notified:
            self.send(session.source, encode("/late", seconds))

    def _ahead(self, session: Session, when: float, now: float) -> None:
        """Tell a client that its clock is probably ahead, once for a bundle."""
        if self._told == (session, when):
            return
        self._told, seconds = (session, when), when - now
        why = (
            f"its time tags are {seconds:.1f} s ahead, until then it waits: are both clocks right?"
        )
        self._admission.failures.tell(session.source, "/late", why)
        if session.notified:
            self.send(session.source, encode("/late", seconds, "ahead"))

    def _handle(self, session: Session, message: Message, when: float | None) -> None:
        # of another server: two servers would answer each other without end
        if message.address == "/fail":
            return

        def handle(row: Row, args: list[Any]) -> None:
            pull = row.address == "/stream/pull"
            if not pull:
                self._let_sound_pass()
            if not pull or _in.isEnabledFor(logging.DEBUG - 1):
                shown = "…" if row.address == "/login" else args
                _in.debug("%s:%s %s %.200s", *session.source[:2], row.address, shown)
            self.counts["handled"] += 1
            bus = session.client.bus
            if (
                bus.waiting > MAX_UNPULLED
                and bus.link.idle
                and not row.address.startswith("/stream/")
            ):
                raise UserError(
                    "too much waits for your stream, which nobody pulls: pull it (in Pd: switch "
                    "DSP on), or leave it with /stream/close"
                )
            drawn = self._draw_seeds(row, args)
            words = partial(_words, row, args if drawn else message.args)
            try:
                with self._clock.held() as now, recorded(session.client, row, words, now, when):
                    self._handlers(Request(session, self.send, when), row, args)
            except UserError:
                raise
            except Exception as error:
                _log.exception("%s failed", row.address)
                raise UserError(f"the server failed: {error!r}") from error

        dispatch(message, handle, lambda address, why: self._fail(session, address, why))

    def _draw_seeds(self, row: Row, args: list[Any]) -> bool:
        """Fill in seeds that were left out; return whether there were any."""
        places = [n for n, arg in enumerate(row.args) if arg.name == "seed" and args[n] is None]
        for place in places:
            args[place] = self._seed()
        return bool(places)

    def _fail(self, session: Session, address: str, why: str) -> None:
        self.counts["failed"] += 1
        self.send(session.source, encode("/fail", address[:256], why))


def _words(row: Row, args: Sequence[Any]) -> Words:
    """Return a message as it is recorded; its arguments are as they came, or checked ones."""
    plain = all(type(value) in (int, float, str) for value in args)
    return (row.address, *(args if plain else flat(args)))
