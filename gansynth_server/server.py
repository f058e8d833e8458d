"""The server: puts the rooms together.

Which thread runs what:

    osc      receives datagrams, checks them, changes latents and notes, replies
    render   runs the network, in batches
    stream   renders the blocks that clients pull, and sends them
    output   renders the main bus for the sound card, the file or nothing
    notify   tells clients of notes that began and ended
    load     loads a checkpoint, one thread each time
    main     waits for the end

Sound is rendered on ``stream`` and ``output`` alone. They take nothing from
the others but posted commands, so no datagram, render or load holds them up.
"""

from __future__ import annotations

import gc
import logging
import queue
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable

from gansynth_server.api import Model
from gansynth_server.audio.output import open_output
from gansynth_server.audio.stream import PullStream
from gansynth_server.errors import UserError
from gansynth_server.handlers import Handlers, Peer, Source
from gansynth_server.instrument import Client, Instrument
from gansynth_server.models import Models
from gansynth_server.options import ServerOptions
from gansynth_server.osc.codec import encode
from gansynth_server.osc.dispatch import dispatch
from gansynth_server.osc.spec import Row
from gansynth_server.render.renderer import Renderer
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.note import Note, NoteId

DATAGRAM = 65536
BUFFER = 1 << 20  # bytes of the socket's queues, for bursts
SWITCH_INTERVAL = 0.0005  # seconds; Python's 5 ms would let a busy thread starve the sound

_log = logging.getLogger(__name__)


class Server:
    """A running server.

    Args:
        options: see :class:`ServerOptions`.

    Raises:
        UserError: the port, the checkpoint, the device or the output cannot be had.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        sys.setswitchinterval(SWITCH_INTERVAL)
        _bind(options).close()  # a taken port is told before anything is loaded
        self._output, self.remark = open_output(
            options.output, rate=options.rate, blocksize=options.blocksize, device=options.device
        )
        self.models = Models(options.torch_device, options.threads)
        self.model = self.models.get(options.checkpoint)
        self._buses: weakref.WeakSet[Bus] = weakref.WeakSet()
        self._events: queue.SimpleQueue[tuple[str, Note] | None] = queue.SimpleQueue()
        self.main_bus = self.new_bus(self._output.rate)
        self._renderer = Renderer()
        seed = int(time.time()) if options.seed is None else options.seed
        self.instrument = Instrument(self._renderer, seed, self._note_failed)
        self._handlers = Handlers(self)
        self._peers: dict[Source, Peer] = {}
        self._numbers = 0
        self._late = 0
        self._bad = 0
        self._pulls: queue.SimpleQueue[tuple[Source, PullStream, int, float] | None]
        self._pulls = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._warm_up()
        self._socket = _bind(options)
        self.port: int = self._socket.getsockname()[1]
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for name, run in (
                ("stream", self._run_stream),
                ("notify", self._run_notify),
                ("osc", self._run_osc),
            )
        ]

    def start(self) -> None:
        """Starts the clocks and opens the ears."""
        self._output.start(self.main_bus)
        gc.collect()
        gc.freeze()  # what lives for ever need not be looked at while sound is made
        for thread in self._threads:
            thread.start()

    def ready_line(self) -> str:
        """The last line of the start, for people and scripts."""
        model = self.model
        latency = 1000 * (self._output.latency + self.main_bus.delay)
        return (
            f"gansynth-server ready: port {self.port}, checkpoint {model.checkpoint.name}, "
            f"latent {model.latent_size}, pitches {model.pitches[0]}-{model.pitches[-1]}, "
            f"backend {model.backend.name}, output {self._output.name}, "
            f"latency {latency:.1f} ms"
        )

    def wait(self) -> None:
        """Returns when somebody wants the server to end."""
        self._stopping.wait()

    def quit(self) -> None:
        """Asks the server to end; may be called from anywhere, also from a signal handler."""
        self._stopping.set()

    def stop(self) -> None:
        """Ends all threads and fades the sound out."""
        self._stopping.set()
        self._output.stop()
        # wakes the socket's thread, which then sees that it is over
        self.send(self._socket.getsockname(), b"")
        self._pulls.put(None)
        self._events.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=5)
        self._renderer.stop()
        self._socket.close()

    # what the handlers need; any thread

    @property
    def sounding(self) -> int:
        return sum(bus.voices.sounding for bus in list(self._buses))

    @property
    def waiting(self) -> int:
        return self._renderer.waiting + sum(len(b.voices.waiting) for b in list(self._buses))

    @property
    def clients(self) -> int:
        return len(self._peers)

    @property
    def underruns(self) -> int:
        """Blocks that came too late, of the output and of all streams."""
        return self._output.underruns + self._late

    def send(self, source: Source, datagram: bytes) -> None:
        try:
            self._socket.sendto(datagram, source)
        except OSError as error:
            _log.debug("cannot answer %s:%s: %s", *source[:2], error)

    def new_bus(self, rate: int) -> Bus:
        bus = Bus(
            rate,
            self.options.max_voices,
            on_start=lambda note: self._events.put(("/note/start", note)),
            on_end=lambda note: self._events.put(("/note/end", note)),
        )
        self._buses.add(bus)
        return bus

    def pull(self, source: Source, stream: PullStream, number: int) -> None:
        self._pulls.put((source, stream, number, time.monotonic()))

    # the threads

    def _run_osc(self) -> None:
        while not self._stopping.is_set():
            try:
                datagram, source = self._socket.recvfrom(DATAGRAM)
            except OSError:  # an answer that nobody was there to hear
                continue
            if self._stopping.is_set():
                return
            try:
                self._receive(datagram, source)
            except Exception:
                _log.exception("a datagram of %d bytes failed", len(datagram))

    def _receive(self, datagram: bytes, source: Source) -> None:
        def fail(address: str, why: str) -> None:
            self._bad += 1
            _log.info("%s:%s %s: %s", *source[:2], address, why)
            self.send(source, encode("/fail", address[:256], why))

        try:
            peer = self._peer(source)
        except UserError as error:
            fail("client", str(error))
            return

        def handle(row: Row, args: list[object]) -> None:
            if row.address != "/stream/pull" or _log.isEnabledFor(logging.DEBUG - 1):
                _log.debug("%s:%s %s %.200s", *source[:2], row.address, args)
            self._handlers(peer, row, args)

        dispatch(datagram, handle, fail)

    def _peer(self, source: Source) -> Peer:
        peer = self._peers.get(source)
        if peer is None:
            if len(self._peers) >= self.options.max_clients:
                self._drop_one()
            self._numbers += 1
            client = self.instrument.join(self._numbers, self.model, self.main_bus)
            peer = self._peers[source] = Peer(source, client, 0.0)
            _log.info("client %d is %s:%s", self._numbers, *source[:2])
        peer.seen = time.monotonic()
        return peer

    def _drop_one(self) -> None:
        """Forgets the client that was silent longest, among those that play nothing."""
        idle = [peer for peer in self._peers.values() if not peer.client.notes]
        if not idle:
            raise UserError(
                f"all {self.options.max_clients} clients are playing; raise --max-clients"
            )
        oldest = min(idle, key=lambda peer: peer.seen)
        del self._peers[oldest.source]

    def _run_stream(self) -> None:
        while (pull := self._pulls.get()) is not None:
            source, stream, number, asked = pull
            try:
                self.send(source, stream.answer(number))
            except Exception:
                _log.exception("a block failed")
            if time.monotonic() - asked > stream.block * stream.ahead / stream.bus.rate:
                self._late += 1

    def _run_notify(self) -> None:
        while (event := self._events.get()) is not None:
            address, note = event
            if address == "/note/end":
                self.instrument.ended(note)
            peer = self._peer_of(note.owner)
            if peer is not None and peer.notified:
                self.send(peer.source, encode(address, note.id))

    def _note_failed(self, client: Client, why: str, id: NoteId) -> None:
        peer = self._peer_of(client)
        if peer is not None:
            self.send(peer.source, encode("/fail", "/note", f"{id}: {why}"))

    def _peer_of(self, client: object) -> Peer | None:
        return next((p for p in list(self._peers.values()) if p.client is client), None)

    def _warm_up(self) -> None:
        """Runs the whole way once, so that the first note is as fast as the second."""
        bus = Bus(self._output.rate, 2)
        warm(self.model, bus)


def warm(model: Model, bus: Bus) -> None:
    """Renders and plays short notes of a model into a bus that nobody hears."""
    import numpy as np

    z = np.zeros((model.backend.batch, model.latent_size), np.float32) + 1
    for count in (1, model.backend.batch):
        spectra = model.backend.render(z[:count], np.zeros(count, np.int64))
    pitch = model.pitches[0]
    bus.start(Note(None, 0, pitch + 0.1, 100, pitch, spectrum=spectra[0]))
    for _ in range(4):
        bus.render(2048)


def _bind(options: ServerOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.bind else socket.AF_INET
    ears = socket.socket(family, socket.SOCK_DGRAM)
    try:
        ears.bind((options.bind, options.port))
    except OSError as error:
        ears.close()
        raise UserError(
            f"UDP port {options.port} on {options.bind} cannot be opened ({error.strerror}): "
            "is another gansynth-server running? End it, or choose another --port"
        ) from error
    except OverflowError as error:
        ears.close()
        raise UserError(f"--port must be 0 to 65535, not {options.port}") from error
    for queue_ in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        ears.setsockopt(socket.SOL_SOCKET, queue_, BUFFER)
    return ears


def serve(options: ServerOptions, say: Callable[[str], None] = print) -> None:
    """Runs a server until it is told to end by /quit, Ctrl-C or SIGTERM."""
    import signal

    server = Server(options)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.quit())
    server.start()
    if server.remark:
        say(server.remark)
    say(server.ready_line())
    try:
        while not server._stopping.wait(0.5):  # a plain wait would not hear signals everywhere
            pass
    finally:
        server.stop()
