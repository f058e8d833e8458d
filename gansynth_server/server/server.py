"""The server: puts the rooms together.

Threads:

    osc      takes datagrams from the engine, checks them, changes latents and notes, replies
    render   asks the render process for notes, in batches
    timbre   asks for the frames of notes whose latent moves
    notify   tells clients of notes that began and ended
    file     reads and writes clients' files in --root
    sound    asks for spectra and sounds as a whole
    search   asks for searches of latents
    load     asks for checkpoints
    record   writes a recording, or the sound file that is the output
    log      writes the log
    midi     plays what a MIDI device sends, with --midi
    oscquery answers OSCQuery, with --oscquery (and one thread per connection)
    metrics  answers Prometheus, with --metrics (and one thread per connection)
    page     starts the page's process again when it ends, with --page
    main     waits for the end

Sound is made in a process of its own (:mod:`gansynth_server.engine.loop`), which nothing here can
delay. The networks live in another (:mod:`gansynth_server.render.process`), which renders, loads
checkpoints, and does what takes long; with --workers in several (
:mod:`gansynth_server.render.pool`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from gansynth_server import handlers
from gansynth_server.audio.sound_file import FORMATS
from gansynth_server.engine.commands import Frames, Timed
from gansynth_server.engine.events import (
    Block,
    Ended,
    Event,
    Late,
    Pulled,
    Ran,
    Started,
    Tapped,
    Untapped,
)
from gansynth_server.engine.handle import BusHandle
from gansynth_server.engine.process import EngineProcess
from gansynth_server.errors import RenderError, UserError
from gansynth_server.handlers import sessions
from gansynth_server.instrument.client import ActiveNote, Client
from gansynth_server.instrument.instrument import Instrument
from gansynth_server.midi.player import MidiPlayer
from gansynth_server.midi.ports import MidiInput
from gansynth_server.net.access import Access
from gansynth_server.net.sessions import Session, Sessions, Stream
from gansynth_server.net.tcp import TcpSource
from gansynth_server.options import ServerOptions
from gansynth_server.osc.codec import Message, Source, encode
from gansynth_server.page.process import PageProcess
from gansynth_server.recording.files import Files
from gansynth_server.recording.output_file import OutputFile
from gansynth_server.recording.recorder import Recorder
from gansynth_server.render.model import Model
from gansynth_server.render.models import Models
from gansynth_server.render.pool import start
from gansynth_server.render.remote import RemoteModel
from gansynth_server.render.renderer import Renderer
from gansynth_server.server.background import Background
from gansynth_server.server.clock import MessageClock
from gansynth_server.server.metrics import Metrics, resident_mb
from gansynth_server.server.oscquery import OscQuery
from gansynth_server.server.prometheus import PrometheusExporter
from gansynth_server.server.receiver import Receiver
from gansynth_server.server.render_worker import serve
from gansynth_server.server.startup import bind, check, places, warm_up
from gansynth_server.spectral.arena import Arena, SharedSpectra
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.util.sandbox import SandboxedFolder

FADE_TIMEOUT_S = 0.1
"""Time (s) at the end in which all sound should fade out."""
RENDER_TIMEOUT_S = 0.3
"""Time (s) at the end for the current render, before it is broken off."""
PASSWORD = "GANSYNTH_PASSWORD"
"""Environment variable of the password."""
NOTES_PER_VOICE = 4
"""Notes that a client may have begun and not ended, for each of --max-voices."""

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
        self._listener = bind(options)  # before anything is loaded: a taken port is told at once
        self.port = self._listener.port
        password = options.password or os.environ.get(PASSWORD)
        access = Access(self._listener.hosts[0], options.allow, password)
        check(options)
        self._saved = sessions.saved(options.session)
        spectra = SharedSpectra(places(options))
        self._arena = Arena(spectra)
        # these begin at the same time
        self.engine = EngineProcess(options, self._listener.udp, spectra, self._arena)
        self.render_process = start(options, serve, spectra)
        self.page: PageProcess | None = None
        if options.page is not None:
            self.page = PageProcess(options, self.port, access, password)
        self.root = SandboxedFolder(options.root)
        self._sessions = Sessions(
            *(options.max_clients, self._add_client, self._busy, self._on_forgotten),
            options.client_timeout,
            forget_stream=self.close_stream,
        )
        self.models = Models(
            lambda name: RemoteModel(self.render_process, name),
            most=options.models_mb << 20,
            used=self._used_models,
            dropped=self._drop,
        )
        self._output = self.engine.opened()
        self._file: OutputFile | None = None
        if Path(options.output).suffix.lower() in FORMATS:
            path = Path(options.output)
            self._file = OutputFile(path, self._output.rate, self._output.channels)
        self.main_bus = self.engine.open_main(
            self._output.rate, self._output.channels, options.max_voices
        )
        self.model = self._first_model()
        self.remarks = [line for line in (access.remark, spectra.remark, self.model.remark) if line]
        """Lines for the user about how the server was set up."""
        self.remarks += self._output.remarks
        self._renderer = Renderer(
            *(self._arena, options.cache_mb, self._tell_frames), threads=self.render_process.workers
        )
        self._events: queue.SimpleQueue[tuple[Event, ActiveNote] | None] = queue.SimpleQueue()
        self._clock = MessageClock()
        self.instrument = Instrument(
            self._renderer,
            int(time.time()) if options.seed is None else options.seed,
            *(self._tell, self._tell_frames, self._clock),
            most_notes=NOTES_PER_VOICE * options.max_voices,
        )
        self.background = Background(self.instrument)
        self._recorders: dict[int, Recorder] = {}  # by their rings
        self._stopping = threading.Event()
        self._end: queue.SimpleQueue[None] = queue.SimpleQueue()
        warm_up(self.model, self._renderer)
        self._receiver = Receiver(
            *(self.engine, self._listener, access, self._sessions, handlers.live(self)),
            on_event=self._on_event,
            on_lost=self._on_lost,
            clock=self._clock,
            seed=lambda: self.instrument.seed(None),
            recorder=self.recorder,
            rate=options.rate_limit,
            discard_late=options.discard_late,
        )
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for name, run in (
                ("notify", self._run_notify),
                ("osc", lambda: self._receiver.run(self._stopping)),
            )
        ]
        self._extras: list[OscQuery | PrometheusExporter | MidiInput | PageProcess] = []
        if options.oscquery is not None:
            self._extras.append(OscQuery(options.bind, options.oscquery, self.port))
        if options.metrics is not None:
            allows = access.local if access.asks_password else access.allows
            self._extras.append(
                PrometheusExporter(options.bind, options.metrics, self.metrics, allows)
            )
        if options.midi is not None:
            self._extras.append(MidiInput(options.midi, self.midi.take, self.midi.silence))
        if self.page is not None:
            self.page.opened()
            self._extras.append(self.page)
        self.remarks += [extra.remark for extra in self._extras]

    def start(self) -> None:
        """Begin: from now on messages are received and sound is rendered."""
        if self._file is not None:
            self._file.start(self.engine.open_tap(self.main_bus))
        self.engine.go()
        self.instrument.morpher.start()
        for thread in self._threads:
            thread.start()

    def ready_line(self) -> str:
        """Return the last line of the start, for people and scripts."""
        model, info = self.model, self.model.backend.info
        latency = 1000 * (self._output.latency + self.main_bus.delay)
        return (
            f"gansynth-server ready: {self._listener.remark}, checkpoint {model.checkpoint.name}, "
            f"latent {model.latent_size}, pitches {model.pitches[0]}-{model.pitches[-1]}, "
            f"backend {info.name} {info.precision}, output {self._output.output}, "
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
        return self._output.output

    def quit(self) -> None:
        """Ask the server to end; any thread, also from a signal handler."""
        # not an event: its lock might be held by what the signal has interrupted
        self._end.put(None)

    def stop(self) -> None:
        """Fade the sound out and end all threads and processes."""
        self.engine.fade(FADE_TIMEOUT_S)
        for recorder in list(self._recorders.values()):
            recorder.stop()
            recorder.join()
        if self._file is not None:
            self._file.stop()
        self._stopping.set()
        self._listener.wake()  # the osc thread then sees that it is over
        self._events.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=1)
        for extra in self._extras:
            extra.stop()
        self.background.stop()
        self._renderer.stop(RENDER_TIMEOUT_S)
        self.engine.stop()
        self.render_process.stop()
        self._renderer.stop()
        self.instrument.morpher.stop()
        self._listener.close()

    # what the handlers need; any thread

    @cached_property
    def midi(self) -> MidiPlayer:
        """The player of MIDI, a client of its own; made when it is first needed."""
        return MidiPlayer(self.instrument, self._add_client(0))

    @property
    def sounding(self) -> int:
        return int(sum(state.sounding for state in self.engine.states()))

    @property
    def waiting(self) -> int:
        waiting = sum(state.waiting for state in self.engine.states())
        return self._renderer.waiting + int(waiting)

    @property
    def clients(self) -> int:
        return len(self._sessions)

    @property
    def underruns(self) -> int:
        """Late blocks, of the output and of all streams."""
        totals = self.engine.totals()
        return int(totals.underruns + totals.late)

    @property
    def failed(self) -> int:
        """What clients were told by ``/fail`` that it cannot be."""
        return self._receiver.failed

    def metrics(self) -> Metrics:
        """Return a snapshot of all that is counted."""
        states, totals, counts = self.engine.states(), self.engine.totals(), self._receiver.counts
        renders = self.render_process.pids
        return Metrics(
            clients=self.clients,
            streams=self._sessions.streams,
            voices=self.sounding,
            waiting=self.waiting,
            load=max(state.load for state in states),
            load_peak=max(state.load_peak for state in states),
            follow_rate=self.instrument.morpher.rate,
            scheduled=len(self._receiver.scheduler),
            memory_mb=resident_mb(os.getpid(), self.engine.pid, *renders),
            engine_memory_mb=resident_mb(self.engine.pid),
            render_memory_mb=resident_mb(*renders),
            longest_stall_ms=1000 * totals.longest,
            stalls_total=int(totals.stalls),
            underruns_total=self.underruns,
            blocks_total=int(totals.blocks),
            spoilt_total=int(sum(state.non_finite for state in states)),
            shed_total=int(sum(state.sheds for state in states)),
            engine_starts_total=self.engine.starts,
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

    def stream(self, id: int) -> Stream:
        """Return the stream of this number; UserError if there is none."""
        return self._sessions.stream(id)

    def open_stream(
        self, session: Session, rate: int, block: int, ahead: int, channels: int
    ) -> None:
        """Give a session a stream, in place of the one that it has; clients that have joined that
        one stay with it."""
        bus = self.engine.open_bus(rate, channels, self.options.max_voices)
        if session.stream is not None:
            self._move(session.stream.bus, bus)
        stream = session.stream = Stream(bus, block, ahead)
        session.client.set_bus(bus)
        self._serve(session, stream)

    def _serve(self, session: Session, stream: Stream) -> None:
        """Have the engine answer the pulls of a session."""
        source = session.source
        reply = None if isinstance(source, TcpSource) else session.reply_source
        self.engine.open_stream(stream.id, source, reply, stream.bus, stream.block, stream.ahead)

    def reply_to(self, session: Session, port: int) -> None:
        """Send a session's replies, and its blocks, to another UDP port of its host."""
        session.reply_port = port
        if session.stream is not None:
            self._serve(session, session.stream)

    def close_stream(self, session: Session) -> None:
        """End the stream of a session, if it has one."""
        if session.stream is not None:
            self._move(session.stream.bus, self.main_bus)
            session.stream = None

    def _move(self, old: BusHandle, new: BusHandle) -> None:
        """Close a bus, and have all clients heard on another."""
        for session in self._sessions.heard_on(old):
            session.client.set_bus(new)
        self.engine.close_bus(old)

    def clients_on(self, bus: BusHandle) -> list[Client]:
        """Return the clients that are heard on a bus."""
        return [session.client for session in self._sessions.heard_on(bus)]

    def pull(self, session: Session, number: int) -> None:
        """Render a block of a session's stream and send it."""
        if session.stream is not None:
            session.stream.pulled = True
            self.engine.pull(session.stream.id, number)

    def record(self, bus: BusHandle, files: Files, done: Callable[[float, int, str], None]) -> None:
        """Begin to record a bus; UserError if too much is recorded already."""
        tap = self.engine.open_tap(bus)
        recorder = Recorder(bus, tap, files, self.model.checkpoint.name, done)
        self._recorders[tap.number] = recorder
        recorder.start(self.clients_on(bus), self.instrument.time(None))

    def recorder(self, bus: BusHandle) -> Recorder | None:
        """Return what records a bus, if anything does."""
        return next((r for r in list(self._recorders.values()) if r.bus is bus), None)

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
        heard = not client.bus.idle
        return (heard and bool(client.alive)) or self._receiver.scheduler.waits(session)

    def _on_forgotten(self, session: Session) -> None:
        """End the client and the stream of a session that is forgotten."""
        if session.own is not None:
            session.client.set_bus(self.main_bus)
            session.client, session.own = session.own, None
        self._receiver.scheduler.clear(session)
        self.instrument.remove_client(session.client)
        self.close_stream(session)

    def _tell_frames(self, spectrum: Spectrum) -> None:
        frames = Frames(spectrum.slot, spectrum.ready, spectrum.region)
        self.engine.post(Timed(frames, None, 0))

    def _on_event(self, event: Event) -> None:
        """Take note of what the engine tells; the OSC thread."""
        match event:
            case Pulled(id):
                session = self._sessions.pulling(id)
                if session is not None and session.stream is not None:
                    session.stream.pulled = True
                    session.heard(0, self._clock())
                    session.prove(True)
            case Block(id, datagram):
                session = self._sessions.pulling(id)
                if session is not None:
                    self.send(session.source, datagram)
            case Ran(ring, released=note) if ring in self._recorders:
                self._recorders[ring].hear(event, self.instrument.note(note))
            case Tapped(ring) if ring in self._recorders:
                self._recorders[ring].hear(event, None)
            case Untapped(ring) if ring in self._recorders:
                self._recorders.pop(ring).hear(event, None)
            case _:
                played = self.instrument.hear(event)
                if played is not None:
                    self._events.put((event, played))

    def _on_lost(self) -> None:
        """Start another engine; the OSC thread."""
        if self._stopping.is_set():
            return
        for recorder in list(self._recorders.values()):
            recorder.end()
        self._recorders.clear()
        with self.instrument.lock:  # no note begins meanwhile
            try:
                self.engine.replace()
                if self._file is not None:
                    self._file.start(self.engine.open_tap(self.main_bus))
            except UserError as error:
                _log.error("%s: the server ends", error)
                self.quit()
            clients = self.instrument.end_all()
        for client in clients:
            why = "the sound engine had ended and was started again: your notes are over"
            self._tell(client, "/fail", "/note", why)

    def _run_notify(self) -> None:
        while (item := self._events.get()) is not None:
            event, played = item
            session = self._sessions.of(played.client)
            match event:
                case Started() if session is not None and session.notified:
                    self.send(session.source, encode("/note/start", played.id))
                case Ended(_, late):
                    if late:
                        _log.info("note %s: %d frames were rendered too late", played.id, late)
                    if session is not None and session.notified:
                        self.send(session.source, encode("/note/end", played.id))
                case Late(_, seconds) if session is not None:
                    self._receiver.late(session, seconds)

    def _tell(self, client: Client, address: str, *args: Any) -> None:
        session = self._sessions.of(client)
        if session is not None:
            self.send(session.source, encode(address, *args))
