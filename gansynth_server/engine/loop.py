"""The engine's one thread: it hears, does what it is told, and renders all that is due together."""

from __future__ import annotations

import logging
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.block_timer import BlockTimer
from gansynth_server.audio.output import Output
from gansynth_server.engine.commands import (
    CloseBus,
    CloseStream,
    Fade,
    Go,
    OpenBus,
    OpenStream,
    Pull,
    Quit,
    Timed,
    Took,
)
from gansynth_server.engine.engine import Engine
from gansynth_server.engine.events import Block, Event, Heard, Lost, Pulled
from gansynth_server.engine.gauges import Gauges, Totals
from gansynth_server.engine.overload import Overload
from gansynth_server.engine.record_socket import RecordSocket
from gansynth_server.engine.streams import PullRequest, PullStream, read_pull
from gansynth_server.engine.udp import UdpSockets
from gansynth_server.osc.codec import Source
from gansynth_server.synth.bus import Bus
from gansynth_server.util.fair_queue import FairQueue

BURST = 64
"""Datagrams that are read before anything is rendered."""
MAX_UNTAKEN = 8
"""Datagrams that the server has and did not take yet: what comes from another client waits for so
many at most."""
MAX_INBOX, MAX_INBOX_PER_CLIENT, MAX_INBOX_BYTES = 65536, 20_000, 32 << 20
"""Datagrams that may wait for that, of all clients and of one, and bytes of all; further ones are
lost, and the client is told how many."""
PART = 512
"""Most frames rendered at once, so that no listener waits long for its own."""
MAX_WAITING = 64
"""Blocks that a stream may be asked for and that are not sent yet."""
FEW = 2
"""Streams up to which a block is rendered as soon as it is asked for."""
GATHER = 0.25
"""Share of a stream's cushion (its blocks ahead but one) that a block waits for others at most."""
MAX_GATHER_S = 0.008
ACTIVE_S = 1.0
"""Time (s) since its last pull in which a stream counts as active."""
IDLE_S = 0.5
"""Longest time (s) that nothing is looked at, and from one report of all buses to the next."""
PILED_S = 0.1
"""Time (s) from one report of the buses whose commands pile up to the next."""

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Due:
    """A block that is being rendered, in parts."""

    bus: Bus
    frames: int
    deliver: Callable[[NDArray[np.float32]], None]
    wanted: float
    """When (s) it was asked for."""
    parts: list[NDArray[np.float32]] = field(default_factory=list)
    done: int = 0


class EngineLoop:
    """Runs an engine in real time until the server says so, or is gone.

    Args:
        records: commands in, events out.
        udp: pulls of blocks are answered here, all else goes to the server.
    """

    def __init__(
        self,
        engine: Callable[[Callable[[Event], None]], Engine],
        records: RecordSocket,
        udp: UdpSockets,
        output: Output,
        gauges: Gauges,
    ) -> None:
        self._events: list[Event] = []
        self._engine = engine(self._events.append)
        self._records, self._udp, self._output, self._gauges = records, udp, output, gauges
        self._streams: dict[int, PullStream] = {}
        self._pulls: dict[PullStream, deque[PullRequest]] = {}
        self._active: dict[PullStream, float] = {}  # when each was pulled last
        self._due: list[_Due] = []
        self._playing: Bus | None = None
        self._overload = Overload()
        self._passed = 0.0  # end of the last pass
        self._reported = self._piled = 0.0
        self._inbox: FairQueue[tuple[bytes, Source]] = FairQueue(
            MAX_INBOX, MAX_INBOX_PER_CLIENT, MAX_INBOX_BYTES
        )
        self._untaken = 0
        self._lost: Counter[Source] = Counter()
        self._late = self._blocks = 0
        self._over = False
        self.timer = BlockTimer("the sound")

    def run(self, totals: Callable[[], tuple[int, float]]) -> None:
        """Run.

        Args:
            totals: returns how many blocks were held up, and the longest time (s).
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._records, selectors.EVENT_READ)
            while not self._over:
                ready = {key.fileobj for key, _ in selector.select(self._pause())}
                if self._records in ready:
                    self._take_commands(selector)
                for sock in self._udp.sockets:
                    if sock in ready:
                        self._hear(sock)
                self._hand_over()
                self._collect()
                if self._due:
                    self._render()
                    held_up, longest = totals()
                    counts = self._output.underruns, self._late, self._blocks
                    self._gauges.set_totals(Totals(*counts, held_up, longest))
                self._report_others()
                self._tell()
        self._output.stop()

    def fade(self) -> None:
        """Let the output fade out: the server has gone."""
        self._engine.post(Timed(Fade()))
        deadline = time.monotonic() + 0.1
        while (
            self._playing is not None
            and not self._playing.over
            and (now := time.monotonic()) < deadline
        ):
            if self._output.wanted(now):
                self._output.put(self._playing.render(self._output.blocksize))
            else:
                time.sleep(min(self._output.pause(now), 0.01))
        self._output.stop()

    # what comes

    def _pause(self) -> float:
        """Return the time (s) for which nothing is due."""
        if self._due:
            return 0.0
        now, pause = time.monotonic(), IDLE_S
        if self._playing is not None:
            pause = min(pause, self._output.pause(now))
        if self._pulls:
            pause = min(pause, self._gather_until() - now)
        return max(0.0, pause)

    def _take_commands(self, selector: selectors.BaseSelector) -> None:
        for record in self._records.receive():
            try:
                self._take(record, selector)
            except Exception:  # what comes next is taken nevertheless
                _log.exception("%s failed", type(record.command).__name__)

    def _take(self, timed: Timed, selector: selectors.BaseSelector) -> None:
        match timed.command:
            case OpenStream() as form:
                self._streams[form.stream] = PullStream(form, self._engine.buses[form.bus])
            case CloseStream(number):
                stream = self._streams.pop(number, None)
                if stream is not None:
                    self._forget(lambda other: other is stream)
            case Pull(number, block):
                if number in self._streams:
                    self._ask(self._streams[number], block)
            case Took(count):
                self._untaken -= count
            case Go(bus):
                for sock in self._udp.sockets:
                    selector.register(sock, selectors.EVENT_READ)
                self._playing = self._engine.buses[bus]
                self._output.start()
            case Quit():
                self._over = True
            case OpenBus(bus):
                self._engine.post(timed)
                self._gauges.set_bus(bus, self._engine.state(bus))
            case CloseBus(number):
                closed = self._engine.buses.get(number)
                self._due = [due for due in self._due if due.bus is not closed]
                self._forget(lambda stream: stream.bus is closed)
                self._engine.post(timed)
            case _:
                self._engine.post(timed)

    def _forget(self, of: Callable[[PullStream], bool]) -> None:
        """Forget what some streams were asked for."""
        for stream in [stream for stream in {**self._active, **self._pulls} if of(stream)]:
            self._active.pop(stream, None)
            self._pulls.pop(stream, None)

    def _hear(self, sock: socket.socket) -> None:
        """Read datagrams: pulls are answered soon, all else waits for the server."""
        for _ in range(BURST):
            try:
                datagram, source, lost = self._udp.receive(sock)
            except BlockingIOError:
                break
            except OSError:
                continue
            if lost:
                self._lost[source] += lost
            pull = read_pull(datagram)
            stream = None if pull is None else self._streams.get(pull[1])
            if pull is not None and stream is not None and stream.form.source == source:
                self._ask(stream, pull[0])
            elif not self._inbox.put(source, (datagram, source), len(datagram)):
                self._lost[source] += 1

    def _hand_over(self) -> None:
        """Tell the server of datagrams, the clients in turns, as fast as it takes them."""
        heard = []
        while self._inbox and self._untaken < MAX_UNTAKEN:
            heard.append(self._inbox.take())
            self._untaken += 1
        if heard:
            self._events.append(Heard(heard))
        if self._lost and not self._inbox:
            self._events += [Lost(source, count) for source, count in self._lost.items()]
            self._lost.clear()

    def _ask(self, stream: PullStream, number: int) -> None:
        now = time.monotonic()
        if now - stream.told >= ACTIVE_S:
            stream.told = now
            self._events.append(Pulled(stream.form.stream))
        self._active[stream] = now
        waiting = self._pulls.setdefault(stream, deque())
        if len(waiting) < MAX_WAITING:
            waiting.append(PullRequest(stream, number, now))

    # what is due

    def _gather_until(self) -> float:
        """Return when (s) streams are rendered.

        With many streams a pass waits a little for further pulls, because its cost hardly
        depends on how many blocks it renders.
        """
        if len(self._active) <= FEW or len(self._pulls) >= len(self._active):
            return 0.0
        least = min(stream.cushion - stream.period for stream in self._active)
        return self._passed + min(MAX_GATHER_S, GATHER * least)

    def _collect(self) -> None:
        """Add the blocks that are due now to those being rendered, one of each listener."""
        now = time.monotonic()
        busy = {due.bus for due in self._due}
        bus = self._playing
        if bus is not None and bus not in busy and self._output.wanted(now):
            self._due.append(_Due(bus, self._output.blocksize, self._output.put, now))
        if not self._pulls or now < self._gather_until():
            return
        self._active = {s: at for s, at in self._active.items() if now - at < ACTIVE_S}
        for stream, waiting in list(self._pulls.items()):
            while waiting and stream.bus not in busy:
                request = waiting.popleft()
                known = stream.known(request.number)
                if known is None:
                    busy.add(stream.bus)
                    send = self._sender(request)
                    self._due.append(_Due(stream.bus, stream.form.block, send, request.asked))
                else:
                    self._send(request, known)
            if not waiting:
                del self._pulls[stream]

    def _render(self) -> None:
        """Render a part of all blocks that are due, and deliver those that are whole."""
        self.timer.begin(min(due.wanted + due.frames / due.bus.rate for due in self._due))
        self._overload.begin()
        sounds = self._engine.render(
            [(due.bus, min(PART, due.frames - due.done)) for due in self._due]
        )
        self._overload.end([due.bus for due in self._due])
        culprit = self._overload.culprit()
        if isinstance(culprit, Bus):
            culprit.shed()
        for due, sound in zip(self._due, sounds, strict=True):
            due.parts.append(sound)
            due.done += sound.shape[1]
        whole = [due for due in self._due if due.done == due.frames]
        self._due = [due for due in self._due if due.done < due.frames]
        for due in whole:
            one = len(due.parts) == 1
            due.deliver(due.parts[0] if one else np.concatenate(due.parts, axis=1))
        self.timer.end()
        self._passed = time.monotonic()
        self._report({due.bus for due in whole})

    def _sender(self, request: PullRequest) -> Callable[[NDArray[np.float32]], None]:
        def send(sound: NDArray[np.float32]) -> None:
            self._send(request, request.stream.encode(request.number, sound))

        return send

    def _send(self, request: PullRequest, datagram: bytes) -> None:
        stream = request.stream
        if stream.form.reply is None:
            self._events.append(Block(stream.form.stream, datagram))
        else:
            self._udp.send(datagram, stream.form.reply)
        self._blocks += 1
        self._late += time.monotonic() - request.asked > stream.cushion

    # what is told

    def _report(self, buses: set[Bus]) -> None:
        marks = {stream.bus: stream.mark for stream in self._streams.values()}
        for number, bus in self._engine.buses.items():
            if bus in buses:
                block, before = marks.get(bus, (0, 0))
                state = self._engine.state(number)._replace(block=block, before=before)
                self._gauges.set_bus(number, state)

    def _report_others(self) -> None:
        """Report buses that are not rendered, from time to time."""
        now, buses = time.monotonic(), self._engine.buses.values()
        if now - self._reported > IDLE_S:
            self._reported = self._piled = now
            self._report(set(buses))
        elif now - self._piled > PILED_S:
            self._piled = now
            self._report({bus for bus in buses if bus.waiting})

    def _tell(self) -> None:
        if self._events:
            self._records.put(self._events)
            self._events.clear()
        elif self._records.waiting:
            self._records.flush()
