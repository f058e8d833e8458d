"""The server: puts the rooms together.

Threads:

    osc      receives datagrams, checks them, changes latents and notes, replies
    render   asks the render process for notes, in batches
    timbre   asks for the frames of notes whose latent moves
    stream   renders the blocks that clients pull, and sends them
    output   renders the main bus for the sound card, the file or nothing
    notify   tells clients of notes that began and ended
    file     reads and writes clients' files in --root
    sound    asks for spectra and sounds as a whole
    search   asks for searches of latents
    load     asks for checkpoints
    log      writes the log
    watchdog watches whether an audio thread is held up, and by what
    midi     plays what a MIDI device sends, with --midi
    oscquery answers OSCQuery, with --oscquery (and one thread per connection)
    metrics  answers Prometheus, with --metrics (and one thread per connection)
    main     waits for the end

Sound is rendered on ``stream`` and ``output`` alone. They take nothing from
the others but posted commands, so that no datagram, render or load holds them up.
The networks live in a second process (:mod:`gansynth_server.render.process`),
which renders, loads checkpoints, and does what takes long.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from functools import cached_property
from typing import Any

from gansynth_server import handlers
from gansynth_server.audio.block_timer import BlockTimer, Watched
from gansynth_server.audio.open import open_output
from gansynth_server.audio.sample_clock import ClockLink
from gansynth_server.errors import RenderError, UserError
from gansynth_server.handlers import sessions
from gansynth_server.instrument.client import Client
from gansynth_server.instrument.instrument import Instrument
from gansynth_server.midi.player import MidiPlayer
from gansynth_server.midi.ports import MidiInput
from gansynth_server.net.access import Access
from gansynth_server.net.sessions import Session, Sessions
from gansynth_server.net.stream_renderer import StreamRenderer
from gansynth_server.net.streams import PullStream
from gansynth_server.options import ServerOptions
from gansynth_server.osc.codec import Message, Source, encode
from gansynth_server.recording.recorder import Recorder
from gansynth_server.render.model import Model
from gansynth_server.render.models import Models
from gansynth_server.render.process import RenderProcess
from gansynth_server.render.remote import RemoteModel
from gansynth_server.render.renderer import Renderer
from gansynth_server.server.background import Background
from gansynth_server.server.clock import MessageClock
from gansynth_server.server.metrics import Metrics, resident_mb
from gansynth_server.server.oscquery import OscQuery
from gansynth_server.server.prometheus import PrometheusExporter
from gansynth_server.server.receiver import Receiver
from gansynth_server.server.render_worker import serve
from gansynth_server.server.startup import bind, check, warm_up
from gansynth_server.server.watchdog import Watchdog
from gansynth_server.spectral.inverse import check_rate
from gansynth_server.synth.bank import Bank
from gansynth_server.synth.bus import Bus, bank_rate
from gansynth_server.synth.note import Note
from gansynth_server.synth.render_lock import RenderLock
from gansynth_server.util.sandbox import SandboxedFolder
from gansynth_server.util.threads import set_threads, switch_often, use_realtime

FADE_TIMEOUT_S = 0.1
"""Time (s) at the end in which all sound should fade out."""
RENDER_TIMEOUT_S = 0.3
"""Time (s) at the end for the current render, before it is broken off."""
PASSWORD = "GANSYNTH_PASSWORD"
"""Environment variable of the password."""
NOTES_PER_VOICE = 4
"""Notes that a client may have begun and not ended, for each of --max-voices."""

MAX_ROWS = 1024
"""Notes of all listeners of a rate that may sound at once."""

_log = logging.getLogger(__name__)


class Server:
    """A running server.

    Args:
        options: see :class:`ServerOptions`.
        spared: returns how many lines of the log were not written.

    Raises:
        UserError: the port, the checkpoint, the device or the output cannot be opened.
    """

    def __init__(self, options: ServerOptions, spared: Callable[[], int] = lambda: 0) -> None:
        self.options = options
        self._spared = spared
        switch_often()
        # before anything is loaded, so that a taken port is told at once
        with bind(options) as probe:
            password = options.password or os.environ.get(PASSWORD)
            access = Access(probe.getsockname()[0], options.allow, password)
        check(options)
        self._saved = sessions.saved(options.session)
        self.render_process = RenderProcess(options, serve)
        set_threads(1)  # of this process, which renders sound and runs no network
        self.root = SandboxedFolder(options.root)
        self._output, remark = open_output(
            options.output,
            rate=options.rate,
            blocksize=options.blocksize,
            device=options.device,
            channels=options.channels,
        )
        check_rate(self._output.rate)
        self._sessions = Sessions(
            *(options.max_clients, self._add_client, self._busy, self._on_forgotten),
            options.client_timeout,
        )
        self.models = Models(
            lambda name: RemoteModel(self.render_process, name),
            most=options.models_mb << 20,
            used=self._used_models,
            dropped=self._drop,
        )
        self.model = self._first_model()
        self.remarks = [line for line in (access.remark, remark, self.model.remark) if line]
        """Lines for the user about how the server was set up."""
        if options.realtime:
            self.remarks.append(use_realtime())
        self._render_lock = RenderLock()
        self._banks: dict[int, Bank] = {}
        self._buses: weakref.WeakSet[Bus] = weakref.WeakSet()
        self._events: queue.SimpleQueue[tuple[str | float, Note] | None] = queue.SimpleQueue()
        self.main_bus = self.new_bus(self._output.rate, self._output.channels)
        self._renderer = Renderer(options.cache_mb << 20)
        seed = int(time.time()) if options.seed is None else options.seed
        self._clock = MessageClock()
        most_notes = NOTES_PER_VOICE * options.max_voices
        self.instrument = Instrument(
            self._renderer, seed, self._tell, self._clock, most_notes=most_notes
        )
        self.background = Background(self.instrument, self._render_lock.pause)
        self._stream_renderer = StreamRenderer(self.send, self._render_lock)
        self._stopping = threading.Event()
        self._end: queue.SimpleQueue[None] = queue.SimpleQueue()
        warm_up(self.model, self._renderer, self._output.rate)
        self._socket = bind(options)
        self.port: int = self._socket.getsockname()[1]
        self._receiver = Receiver(
            *(self._socket, access, self._sessions, handlers.live(self)),
            clock=self._clock,
            render_lock=self._render_lock,
            seed=lambda: self.instrument.seed(None),
            rate=options.rate_limit,
            discard_late=options.discard_late,
        )
        self._output_timer = BlockTimer("the output")
        self._watchdog = Watchdog([self._output_timer, self._stream_renderer.timer])
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for name, run in (
                ("stream", self._stream_renderer.run),
                ("notify", self._run_notify),
                ("osc", lambda: self._receiver.run(self._stopping)),
            )
        ]
        self._extras: list[OscQuery | PrometheusExporter | MidiInput] = []
        if options.oscquery is not None:
            self._extras.append(OscQuery(options.bind, options.oscquery, self.port))
        if options.metrics is not None:
            allows = access.local if access.asks_password else access.allows
            self._extras.append(
                PrometheusExporter(options.bind, options.metrics, self.metrics, allows)
            )
        if options.midi is not None:
            self._extras.append(MidiInput(options.midi, self.midi.take, self.midi.silence))
        self.remarks += [extra.remark for extra in self._extras]

    def start(self) -> None:
        """Start the threads: from now on messages are received and sound is rendered."""
        gc.collect()
        gc.freeze()  # collections need not look at what lives as long as the server
        self._output.start(Watched(self.main_bus, self._output.rate, self._output_timer))
        self.instrument.morpher.start()
        for thread in self._threads:
            thread.start()
        self._watchdog.start()

    def ready_line(self) -> str:
        """Return the last line of the start, for people and scripts."""
        model, info = self.model, self.model.backend.info
        latency = 1000 * (self._output.latency + self.main_bus.delay)
        return (
            f"gansynth-server ready: {self._socket.remark}, checkpoint {model.checkpoint.name}, "
            f"latent {model.latent_size}, pitches {model.pitches[0]}-{model.pitches[-1]}, "
            f"backend {info.name} {info.precision}, output {self._output.name}, "
            f"rate {self._output.rate} Hz, latency {latency:.1f} ms"
        )

    def wait(self) -> None:
        """Wait until the server is asked to end."""
        while True:
            with contextlib.suppress(queue.Empty):
                # in turns, so that signals are handled on every system
                self._end.get(timeout=0.5)
                return

    @property
    def output_name(self) -> str:
        """The output of the main bus, in words."""
        return self._output.name

    def quit(self) -> None:
        """Ask the server to end; any thread, also from a signal handler."""
        # not an event: its lock might be held by what the signal has interrupted
        self._end.put(None)

    def stop(self) -> None:
        """Fade the sound out and end all threads."""
        self._watchdog.stop()
        buses = list(self._buses)
        for bus in buses:
            bus.end()
        deadline = time.monotonic() + FADE_TIMEOUT_S  # streams may be pulled no more
        while not all(bus.over for bus in buses) and time.monotonic() < deadline:
            time.sleep(0.005)
        self._output.stop()
        for tap in [bus.tap for bus in list(self._buses)]:
            if isinstance(tap, Recorder):
                tap.stop()
                tap.join()
        self._stopping.set()  # not before the fades, which are pulled
        # wakes the socket's thread, which then sees that it is over
        self.send(self._socket.getsockname(), b"")
        self._stream_renderer.stop()
        self._events.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=1)
        for extra in self._extras:
            extra.stop()
        self.background.stop()
        self._renderer.stop(RENDER_TIMEOUT_S)
        self.render_process.stop()
        self._renderer.stop()
        self.instrument.morpher.stop()
        self._socket.close()

    # what the handlers need; any thread

    @cached_property
    def midi(self) -> MidiPlayer:
        """The player of MIDI, a client of its own; made when it is first needed."""
        return MidiPlayer(self.instrument, self._add_client(0))

    @property
    def sounding(self) -> int:
        return sum(bus.voices.sounding for bus in list(self._buses))

    @property
    def waiting(self) -> int:
        return self._renderer.waiting + sum(len(b.voices.waiting) for b in list(self._buses))

    @property
    def clients(self) -> int:
        return len(self._sessions)

    @property
    def underruns(self) -> int:
        """Late blocks, of the output and of all streams."""
        return self._output.underruns + self._stream_renderer.late

    @property
    def failed(self) -> int:
        """What clients were told by ``/fail`` that it cannot be."""
        return self._receiver.failed

    def metrics(self) -> Metrics:
        """Return a snapshot of all that is counted."""
        buses, counts = list(self._buses), self._receiver.counts
        return Metrics(
            clients=self.clients,
            streams=self._sessions.streams,
            voices=self.sounding,
            waiting=self.waiting,
            load=max(bus.load.average for bus in buses),
            load_peak=max(bus.load.peak for bus in buses),
            follow_rate=self.instrument.morpher.rate,
            scheduled=len(self._receiver.scheduler),
            memory_mb=resident_mb(os.getpid(), self.render_process.pid),
            longest_stall_ms=1000 * self._watchdog.longest,
            stalls_total=self._watchdog.stalls,
            underruns_total=self.underruns,
            blocks_total=self._stream_renderer.blocks,
            spoilt_total=sum(bus.voices.non_finite for bus in buses),
            shed_total=sum(bus.voices.sheds for bus in buses),
            datagrams_total=counts["in"],
            handled_total=counts["handled"],
            failed_total=counts["failed"],
            bad_total=counts["bad"],
            late_total=counts["late"],
            lost_total=counts["lost"],
            limited_total=counts["limited"],
            refused_total=counts["refused"],
            withheld_total=counts["withheld"],
            log_lines_spared_total=self._spared(),
        )

    def figures(self) -> dict[str, float]:
        """Return all that is counted, by name."""
        return self.metrics().values()

    def dump(self, level: int) -> None:
        """Log what comes in: 1 messages, 2 bytes, 0 nothing."""
        self._receiver.dump.level = level

    def send(self, source: Source, datagram: bytes) -> None:
        self._receiver.send(source, datagram)

    def schedule(self, session: Session, message: Message, when: float) -> None:
        """Handle a client's message at a time; UserError if it is too far ahead."""
        self._receiver.scheduler.put(session, message, when, self.instrument.time(None))

    def clear_scheduled(self, session: Session) -> None:
        """Forget what a client has sent for later; the OSC thread alone."""
        self._receiver.scheduler.clear(session)

    def stream(self, id: int) -> PullStream:
        """Return the stream of this number; UserError if there is none."""
        return self._sessions.stream(id)

    def move(self, old: Bus, new: Bus) -> None:
        """Give all clients of a bus another, and count no voices of the old one any more."""
        # cycles keep it alive until a collection of garbage
        self._buses.discard(old)
        for session in self._sessions.heard_on(old):
            session.client.set_bus(new)
        if isinstance(old.tap, Recorder):
            old.tap.stop()

    def clients_on(self, bus: Bus) -> list[Client]:
        """Return the clients that are heard on a bus."""
        return [session.client for session in self._sessions.heard_on(bus)]

    def new_bus(self, rate: int, channels: int) -> Bus:
        bus = Bus(
            rate,
            self.options.max_voices,
            on_start=lambda note: self._events.put(("/note/start", note)),
            on_end=lambda note: self._events.put(("/note/end", note)),
            on_late=lambda note, seconds: self._events.put((seconds, note)),
            link=ClockLink(bank_rate(rate)),
            channels=channels,
            render_lock=self._render_lock,
            bank=self._bank(bank_rate(rate)),
        )
        self._buses.add(bus)
        return bus

    def _bank(self, rate: int) -> Bank:
        """Return the bank that all listeners of a rate share."""
        if rate not in self._banks:
            self._banks[rate] = Bank(rate, MAX_ROWS)
        return self._banks[rate]

    def pull(self, source: Source, stream: PullStream, number: int) -> None:
        self._stream_renderer.put(source, stream, number)

    # the threads

    def _add_client(self, number: int) -> Client:
        client = self.instrument.add_client(number, self.model, self.main_bus)
        if self._saved is not None:
            sessions.begin(self, self._saved, client)
        return client

    def _first_model(self) -> Model:
        try:
            return self.models.get(sessions.checkpoint_of(self.options, self._saved))
        except RenderError as error:
            raise UserError(f"{self.options.checkpoint} does not work here: {error}") from error

    def _drop(self, model: Model) -> None:
        self._renderer.drop(model.backend)
        model.close()

    def _used_models(self) -> list[Model]:
        clients = self._sessions.clients()
        playing = [played.model for client in clients for played in list(client.notes.values())]
        return [*(client.model for client in clients), *playing]

    def _busy(self, session: Session) -> bool:
        """Return whether notes of a session are heard, or something waits for its time."""
        client = session.own or session.client
        heard = not client.bus.link.idle
        return (heard and bool(client.alive)) or self._receiver.scheduler.waits(session)

    def _on_forgotten(self, session: Session) -> None:
        """End the client and the stream of a session that is forgotten."""
        if session.own is not None:
            session.client.set_bus(self.main_bus)
            session.client, session.own = session.own, None
        self._receiver.scheduler.clear(session)
        self.instrument.remove_client(session.client)
        if session.stream is not None:
            self.move(session.stream.bus, self.main_bus)
            session.stream = None

    def _run_notify(self) -> None:
        while (event := self._events.get()) is not None:
            what, note = event
            if what == "/note/end":
                self.instrument.on_note_ended(note)
                if note.late:
                    _log.info("note %s: %d frames were rendered too late", note.id, note.late)
            session = self._sessions.of(note.owner)
            if session is not None and isinstance(what, float):
                self._receiver.late(session, what)
            elif session is not None and session.notified:
                self.send(session.source, encode(str(what), note.id))

    def _tell(self, client: Client, address: str, *args: Any) -> None:
        session = self._sessions.of(client)
        if session is not None:
            self.send(session.source, encode(address, *args))
