"""What handlers need of the server, or of the score, that runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Protocol

from gansynth_server.engine.handle import BusHandle
from gansynth_server.handlers.request import Request
from gansynth_server.instrument.client import Client
from gansynth_server.instrument.instrument import Instrument
from gansynth_server.midi.player import MidiPlayer
from gansynth_server.net.sessions import Session, Stream
from gansynth_server.options import ServerOptions
from gansynth_server.osc.codec import Message
from gansynth_server.recording.files import Files
from gansynth_server.recording.recorder import Recorder
from gansynth_server.render.model import Model
from gansynth_server.render.models import Models
from gansynth_server.render.process import RenderService
from gansynth_server.util.sandbox import SandboxedFolder


class Task(Enum):
    """Kinds of background work, each with a thread of its own."""

    FILE = "file"
    """A file is read or written."""
    SOUND = "sound"
    """A spectrum or a sound is rendered as a whole."""
    SEARCH = "search"
    """The latent of a recorded note is searched."""
    LOAD = "load"
    """A checkpoint is loaded."""

    @property
    def most(self) -> int:
        """How many tasks of one client may wait."""
        return {Task.SOUND: 8, Task.SEARCH: 4}.get(self, 32)


class BackgroundWork(Protocol):
    """Runs what takes time (see :class:`Background`)."""

    def run(
        self, request: Request, address: str, work: Callable[[], None], task: Task = Task.FILE
    ) -> None:
        """Run some work, now or later; its UserError becomes a ``/fail``."""
        ...


class Host(Protocol):
    """A server, or a score that is rendered: all that messages about notes and latents need."""

    @property
    def instrument(self) -> Instrument: ...

    @property
    def models(self) -> Models: ...

    @property
    def root(self) -> SandboxedFolder: ...

    @property
    def background(self) -> BackgroundWork: ...


class LiveHost(Host, Protocol):
    """A running server: what the messages need that are marked ``live`` in the table."""

    @property
    def options(self) -> ServerOptions: ...

    @property
    def port(self) -> int:
        """UDP port of the socket."""
        ...

    @property
    def model(self) -> Model:
        """The checkpoint that the server was started with."""
        ...

    @property
    def render_process(self) -> RenderService: ...

    @property
    def midi(self) -> MidiPlayer: ...

    @property
    def main_bus(self) -> BusHandle:
        """The bus of the output, heard by clients without a stream."""
        ...

    @property
    def sounding(self) -> int:
        """Voices of all buses."""
        ...

    @property
    def waiting(self) -> int:
        """Notes that are to be rendered or to begin."""
        ...

    @property
    def clients(self) -> int: ...

    @property
    def underruns(self) -> int:
        """Late blocks, of the output and of all streams."""
        ...

    @property
    def failed(self) -> int:
        """What clients were told by ``/fail`` that it cannot be."""
        ...

    def figures(self) -> Mapping[str, float]:
        """Return all that is counted, by name."""
        ...

    def dump(self, level: int) -> None:
        """Log what comes in: 1 messages, 2 bytes, 0 nothing."""
        ...

    def quit(self) -> None:
        """Ask the server to end."""
        ...

    def schedule(self, session: Session, message: Message, when: float) -> None:
        """Handle a client's message at a time; UserError if it is too far ahead."""
        ...

    def clear_scheduled(self, session: Session) -> None:
        """Forget what a client has sent for later."""
        ...

    def open_stream(
        self, session: Session, rate: int, block: int, ahead: int, channels: int
    ) -> None:
        """Give a session a stream, in place of the one that it has; clients that have joined that
        one stay with it."""
        ...

    def close_stream(self, session: Session) -> None:
        """End the stream of a session, if it has one."""
        ...

    def reply_to(self, session: Session, port: int) -> None:
        """Send a session's replies to another UDP port of its host."""
        ...

    def clients_on(self, bus: BusHandle) -> list[Client]:
        """Return the clients that are heard on a bus."""
        ...

    def stream(self, id: int) -> Stream:
        """Return the stream of this number; UserError if there is none."""
        ...

    def pull(self, session: Session, number: int) -> None:
        """Render a block of a session's stream and send it."""
        ...

    def record(self, bus: BusHandle, files: Files, done: Callable[[float, int, str], None]) -> None:
        """Begin to record a bus; UserError if that cannot be."""
        ...

    def recorder(self, bus: BusHandle) -> Recorder | None:
        """Return what records a bus, if anything does."""
        ...
