"""The engine in a process of its own, as the server has it."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.process import BaseProcess
from typing import Any

from gansynth_server.engine.commands import (
    CloseBus,
    CloseStream,
    CloseTap,
    Command,
    Fade,
    Go,
    OpenBus,
    OpenStream,
    OpenTap,
    Pull,
    Quit,
    Timed,
    Took,
)
from gansynth_server.engine.engine import BusState
from gansynth_server.engine.events import Event, Freed, Opened, Refused
from gansynth_server.engine.gauges import Gauges, Totals
from gansynth_server.engine.handle import BusHandle
from gansynth_server.engine.inside import run
from gansynth_server.engine.record_socket import RecordSocket
from gansynth_server.engine.setup import RINGS, EngineSetup, SharedRings
from gansynth_server.engine.tap import EngineTap
from gansynth_server.errors import UserError
from gansynth_server.options import ServerOptions
from gansynth_server.osc.codec import Source
from gansynth_server.spectral.arena import Arena, SharedSpectra
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.bus import GAIN

START_TIMEOUT_S = 60.0
HUNG_S = 2.0
"""Time (s) in which commands must find room; then the process counts as hung and is replaced."""
MAIN = 0
"""Number of the bus that the output plays."""

_log = logging.getLogger(__name__)


class EngineProcess:
    """The process that sounds; its methods may be called by any thread, ``receive`` by one.

    When it ends, for whatever reason, ``receive`` starts another one with the same buses and
    streams, silent until new notes come.

    Args:
        sockets: the bound UDP sockets, which the process reads.
        spectra: see :class:`Arena`, whose ``arena`` counts what is lent.
    """

    def __init__(
        self,
        options: ServerOptions,
        sockets: Sequence[socket.socket],
        spectra: SharedSpectra,
        arena: Arena,
    ) -> None:
        self.starts = 0
        """Times that it was started."""
        self._arena = arena
        self._gauges, self._rings = Gauges(options.max_clients + 1), SharedRings()
        self._lock = threading.RLock()
        self._held: list[Timed] | None = None  # what is sent together
        self._buses: dict[int, OpenBus] = {}
        self._streams: dict[int, OpenStream] = {}
        self._free = deque(range(MAIN + 1, options.max_clients + 1))
        self._free_rings = deque(range(RINGS))
        self._lent: Counter[int] = Counter()
        self._gone = self._stopped = False
        self._records, theirs = RecordSocket.pair()
        self._setup = EngineSetup(
            options, theirs, tuple(sockets), spectra, self._gauges, self._rings
        )
        self._process = self._spawn()
        atexit.register(self._kill)  # it does not listen to SIGTERM

    @property
    def pid(self) -> int | None:
        """Process id of the current engine."""
        return self._process.pid

    def fileno(self) -> int:
        return self._records.fileno()

    def opened(self) -> Opened:
        """Wait until the process is ready; UserError if its output cannot be opened."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                records = self._records.receive()
            except EOFError as error:
                raise UserError("the sound engine ended as it began; see the log") from error
            for record in records:
                if isinstance(record, Refused):
                    raise UserError(record.why)
                if isinstance(record, Opened):
                    return record
            time.sleep(0.002)
        raise UserError(f"the sound engine did not begin within {START_TIMEOUT_S:g} s")

    def go(self) -> None:
        """Begin: hear the socket, and play the main bus."""
        self._gone = True
        self.post(Timed(Go(MAIN)))

    # commands

    def post(self, timed: Timed) -> None:
        """Send a command."""
        with self._lock:
            if self._held is not None:
                self._held.append(timed)
                return
            self._send([timed])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send all commands that are posted meanwhile together, so that they take effect
        together; for one thread at a time."""
        with self._lock:
            self._held = []
        try:
            yield
        finally:
            with self._lock:
                held, self._held = self._held, None
                if held:
                    self._send(held)

    def flush(self) -> None:
        """Send what is held back by :meth:`together` so far: a reply must not overtake it."""
        with self._lock:
            if self._held:
                held, self._held = self._held, []
                self._send(held)

    def _command(self, command: Command) -> None:
        self.post(Timed(command, None, 0))

    def _send(self, commands: list[Timed]) -> None:
        try:
            self._records.put(commands)
            if self._records.waiting and not self._records.flush(HUNG_S):
                _log.error("the sound engine hangs: it is ended")
                self._process.kill()
        except OSError:
            pass  # it has ended, which is noticed where its events are received

    def open_main(self, rate: int, channels: int, voices: int) -> BusHandle:
        """Open the bus that the output plays."""
        return self._open(MAIN, rate, channels, voices)

    def open_bus(self, rate: int, channels: int, voices: int) -> BusHandle:
        """Open a bus; UserError if there is no room for another."""
        with self._lock:
            if not self._free:
                raise UserError(f"all {len(self._buses)} streams are taken; raise --max-clients")
            return self._open(self._free.popleft(), rate, channels, voices)

    def _open(self, number: int, rate: int, channels: int, voices: int) -> BusHandle:
        with self._lock:
            opened = self._buses[number] = OpenBus(number, rate, channels, voices, GAIN)
        self._command(opened)

        def state() -> BusState:
            return self._gauges.bus(number)

        return BusHandle(number, rate, channels, voices, self.post, state, self._lend)

    def close_bus(self, bus: BusHandle) -> None:
        """Close a bus and its streams; a second time does nothing."""
        with self._lock:
            if self._buses.pop(bus.number, None) is None:
                return
            for stream in [s for s, form in self._streams.items() if form.bus == bus.number]:
                self.close_stream(stream)
            self._command(CloseBus(bus.number))
            self._free.append(bus.number)

    def open_stream(
        self,
        id: int,
        source: Source,
        reply: Source | None,
        bus: BusHandle,
        block: int,
        ahead: int,
    ) -> None:
        """Answer the pulls of a stream (see :class:`OpenStream`)."""
        form = self._streams[id] = OpenStream(id, source, reply, bus.number, block, ahead)
        self._command(form)

    def close_stream(self, id: int) -> None:
        """Answer no further pulls of a stream."""
        if self._streams.pop(id, None) is not None:
            self._command(CloseStream(id))

    def pull(self, id: int, number: int) -> None:
        """Render and send a block of a stream."""
        self._command(Pull(id, number))

    def open_tap(self, bus: BusHandle) -> EngineTap:
        """Copy the sound of a bus into a ring.

        Raises:
            UserError: too many are copied already.
        """
        with self._lock:
            if not self._free_rings:
                raise UserError(f"{RINGS} sounds are recorded already; /record/stop ends one")
            number = self._free_rings.popleft()
        ring = self._rings.new(number, bus.channels)
        self._command(OpenTap(bus.number, number))
        return EngineTap(
            *(number, ring),
            close=lambda: self._command(CloseTap(number)),
            free=lambda: self._free_rings.append(number),
        )

    def took(self, count: int) -> None:
        """Have so many further datagrams sent."""
        self._command(Took(count))

    def totals(self) -> Totals:
        """Return what is counted for all buses together."""
        return self._gauges.totals()

    def states(self) -> list[BusState]:
        """Return all buses as they are just now."""
        with self._lock:
            numbers = list(self._buses)
        return [self._gauges.bus(number) for number in numbers]

    # spectra

    def _lend(self, spectrum: Spectrum) -> None:
        with self._lock:
            self._arena.use(spectrum)
            self._lent[spectrum.slot] += 1

    def _freed(self, slot: int) -> None:
        with self._lock:
            if self._lent[slot]:
                self._lent[slot] -= 1
                self._arena.drop(self._arena.get(slot))

    # events

    def receive(self) -> list[Event]:
        """Return what the engine has told.

        Raises:
            EOFError: it has ended; :meth:`replace` starts another.
        """
        events: list[Any] = self._records.receive()
        for event in events:
            if isinstance(event, Freed):
                self._freed(event.slot)
        return events

    def replace(self) -> None:
        """Start another engine after the last one has ended, with the same buses and streams.

        Raises:
            UserError: it does not begin.
        """
        if self._stopped:
            return
        code = self._kill()
        _log.warning("the sound engine ended with %s: it is started again", code)
        with self._lock:
            for slot in list(self._lent.elements()):
                self._freed(slot)
            try:
                self._begin_again(self._setup.options)
            except UserError as error:
                _log.error("%s; going on with streams only", error)
                self._kill()
                self._begin_again(self._without_output())
            kept: list[Command] = [*self._buses.values(), *self._streams.values()]
            self._send([Timed(command, None, 0) for command in kept])
            if self._gone:
                self.go()

    def _begin_again(self, options: ServerOptions) -> None:
        """Start a process over new records; UserError if it does not begin."""
        self._records.close()
        self._records, theirs = RecordSocket.pair()
        self._setup = replace(self._setup, options=options, records=theirs)
        self._process = self._spawn()
        self.opened()

    def _without_output(self) -> ServerOptions:
        """Return the options without the output that cannot be opened again."""
        main = self._buses[MAIN]
        return replace(
            self._setup.options, output="none", device=None, rate=main.rate, channels=main.channels
        )

    def _spawn(self) -> BaseProcess:
        self.starts += 1
        context = multiprocessing.get_context("spawn")
        process = context.Process(
            target=run, args=(self._setup,), name="gansynth-engine", daemon=True
        )
        process.start()
        self._setup.records.close()  # or its end would not be noticed
        return process

    # the end

    def fade(self, seconds: float) -> None:
        """Fade all sound out, for good, and wait for that at most so long (s)."""
        self._command(Fade())
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # a stream that is pulled no more does not fade
            now = time.monotonic()
            if all(state.over or state.link.idle(now) for state in self.states()):
                return
            time.sleep(0.005)

    def stop(self) -> None:
        """End the process, at once if it does not by itself."""
        self._stopped = True
        atexit.unregister(self._kill)
        self._command(Quit())
        self._process.join(timeout=1.5)
        self._kill()

    def _kill(self) -> int | None:
        self._process.kill()
        self._process.join(timeout=2)
        return self._process.exitcode
