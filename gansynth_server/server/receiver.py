"""The OSC thread: datagrams from the engine, messages handled each at its time."""

from __future__ import annotations

import logging
import select
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gansynth_server.engine.events import Event, Heard, Lost
from gansynth_server.engine.handle import BusHandle
from gansynth_server.engine.process import EngineProcess
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
from gansynth_server.recording.recorder import Recorder
from gansynth_server.server.clock import MessageClock, TagTime
from gansynth_server.server.osc_log import OscLog

TIME_SLICE_S = 0.005
"""Time (s) of handling messages before further ones are taken, so that no client's wait behind
those of another."""
AHEAD_S = 20.0
"""Time (s) ahead from which a time tag is taken for that of a wrong clock."""
MAX_BAD = 16
"""Parts of a packet that are refused one by one."""
MAX_UNPULLED = 20_000
"""Commands that may wait for a stream that is not pulled."""
SWEEP_PERIOD_S = 1.0
"""Time (s) from one look for silent sessions to the next."""

_log = logging.getLogger(__name__)
_in = logging.getLogger("gansynth_server.osc.in")
_out = logging.getLogger("gansynth_server.osc.out")


class Receiver:
    """Takes the datagrams that the engine hears and handles their messages, all on the thread that
    calls ``run``.

    The clients' datagrams come in turns, and so do their messages for now, each client's in the
    order of their arrival; those with a time are handled a little before it.

    Args:
        engine: hears the sockets, and takes all commands of one message together.
        listener: what the server listens on, for connections and replies.
        on_event: is told what else the engine tells.
        on_lost: is called where the engine has ended; it starts another.
        clock: the instrument's.
        seed: draws a seed for messages that were sent without one.
        recorder: returns what records a bus.
        rate: messages a second of one source; 0 is no limit.
        discard_late: whether messages that come after their time are dropped.
    """

    def __init__(
        self,
        engine: EngineProcess,
        listener: Listener,
        access: Access,
        sessions: Sessions,
        handlers: Handlers,
        on_event: Callable[[Event], None],
        on_lost: Callable[[], None],
        clock: MessageClock,
        seed: Callable[[], int],
        recorder: Callable[[BusHandle], Recorder | None],
        rate: float = 0,
        discard_late: bool = False,
    ) -> None:
        self._engine, self._on_event, self._on_lost = engine, on_event, on_lost
        self._listener, self._sessions, self._handlers = listener, sessions, handlers
        self._clock, self._seed, self._discard_late = clock, seed, discard_late
        self._recorder = recorder
        self._tags = TagTime(clock)
        self._admission = Admission(access, sessions, self._send, rate, clock)
        self.scheduler = Scheduler()
        self.dump = OscLog()
        self._told: tuple[Session, float] | None = None
        self._swept = clock()

    @property
    def counts(self) -> Counter[str]:
        """Counts of datagrams and messages: see :class:`Admission`; ``bad`` OSC, ``handled``,
        ``failed``, ``late``, ``lost`` for want of room, replies ``withheld`` from unproven
        addresses."""
        return self._admission.counts

    @property
    def failed(self) -> int:
        """Number of ``/fail`` that clients were to be sent."""
        return self._admission.failures.count

    def send(self, source: Source, datagram: bytes) -> None:
        """Send a reply, unless it is too large for an unproven address; any thread."""
        self._engine.flush()
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
            self._listener.sendto(datagram, source)
        except OSError as error:
            _out.debug("cannot answer %s:%s: %s", *source[:2], error)

    def run(self, stopping: threading.Event) -> None:
        """Receive until told to stop, which is noticed with the next datagram."""
        while not stopping.is_set():
            taken = 0
            ends: list[EngineProcess | Listener] = [self._engine, self._listener]
            ready = select.select(ends, [], [], self._pause())[0]
            if self._listener in ready:
                for packet, source in self._listener.receive():
                    self._admit(packet, source)
            if self._engine in ready:
                taken = self._receive()
            self._handle_due()
            if taken:
                self._engine.took(taken)
            self._sweep()

    def _receive(self) -> int:
        """Take what the engine tells; return how many datagrams there were."""
        try:
            events = self._engine.receive()
        except EOFError:
            self._on_lost()
            return 0
        taken = 0
        for event in events:
            match event:
                case Heard(datagrams):
                    taken += len(datagrams)
                    for datagram, source in datagrams:
                        self._admit(datagram, source)
                case Lost(source, count):
                    self._tell_lost(source, count)
                case _:
                    self._on_event(event)
        return taken

    def _admit(self, packet: bytes, source: Source) -> None:
        """Decode a packet, and do what it asks for before the next one is looked at."""
        if self._admission.admits(source, len(packet)):
            self._guarded(packet, source)
        self._handle_due()

    def _tell_lost(self, source: Source, count: int) -> None:
        """Tell a client how much of its own found no room."""
        session = self._sessions.get(source)
        self.counts["lost"] += count
        if session is not None:
            self._fail(session, "osc", f"{count} messages were lost: send fewer at once")

    def _pause(self) -> float:
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
            shown = "…" if row.address == "/login" else args
            _in.debug("%s:%s %s %.200s", *session.source[:2], row.address, shown)
            self.counts["handled"] += 1
            bus = session.client.bus
            if (
                bus.state.commands > MAX_UNPULLED
                and bus.idle
                and not row.address.startswith("/stream/")
            ):
                raise UserError(
                    "too much waits for your stream, which nobody pulls: pull it (in Pd: switch "
                    "DSP on), or leave it with /stream/close"
                )
            drawn = self._draw_seeds(row, args)
            words = partial(_words, row, () if drawn else message.args, args)
            try:
                with (
                    self._engine.together(),
                    self._clock.held() as now,
                    recorded(self._recorder(bus), session.client, row, words, now, when),
                ):
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


def _words(row: Row, came: Sequence[Any], checked: Sequence[Any]) -> Words:
    """Return a message as it is recorded: its arguments as they came where they are plain, else as
    they were checked."""
    plain = len(came) > 0 and all(type(value) in (int, float, str) for value in came)
    return (row.address, *(came if plain else flat(checked)))
