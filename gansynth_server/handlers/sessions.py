"""Sessions: all that a client has set, in a file; and what its slots held before.

A session is a list of messages that set a client to the same, as a recording has them at its
beginning. Latents that move are kept as they are at that moment.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gansynth_server.errors import UserError
from gansynth_server.handlers.host import Host
from gansynth_server.handlers.latents import LatentMessages
from gansynth_server.handlers.notes import NoteMessages
from gansynth_server.handlers.request import Request
from gansynth_server.handlers.tempo import TempoMessages
from gansynth_server.instrument.client import Client
from gansynth_server.instrument.instrument import Instrument
from gansynth_server.latent.files import MAX_BYTES
from gansynth_server.latent.history import Step
from gansynth_server.latent.slots import Path as LatentPath
from gansynth_server.net.sessions import Session
from gansynth_server.options import DEFAULT_CHECKPOINT, ServerOptions
from gansynth_server.osc.codec import Message
from gansynth_server.osc.dispatch import dispatch
from gansynth_server.osc.schema import Row
from gansynth_server.recording.client_state import flat, state
from gansynth_server.util import json_text

_log = logging.getLogger(__name__)

SUFFIX = ".json"
FORMAT = 1
"""Number of the format, which files have as ``session``."""
MAX_MESSAGES = 8192
_LOAD, _SET = "/checkpoint/load", "/z/set"
ADDRESSES = frozenset(
    (
        *(_SET, "/z/follow", "/envelope", "/hold", "/hold/region", "/velocity/curve", "/pressure"),
        *("/pedal", "/choke", "/tuning", "/hallucinate/melody", "/tempo"),
    )
)
"""Messages that a session may hold besides that of its checkpoint."""


def encode(client: Client, now: float, stream: tuple[float, ...] | None) -> bytes:
    """Return the content of a session's file.

    Args:
        now: time (s) of the latents.
        stream: rate, block, ahead and channels of the client's stream.
    """
    messages = [[words[0], *flat(words[1:])] for words in state(client, now)]
    if client.melody:
        messages.append(["/hallucinate/melody", *client.melody])
    content = {
        "session": FORMAT,
        "checkpoint": client.model.checkpoint.name,
        "from": {slot: str(client.latents.path(slot, now)) for slot in client.latents},
        "stream": None if stream is None else list(stream),
        "messages": messages,
    }
    return json_text.dumps(content) + b"\n"


class SavedSession:
    """The content of a session's file.

    Raises:
        UserError: it is none, or holds what no session does; names the file.
    """

    def __init__(self, name: str, data: bytes) -> None:
        self._name = name
        try:
            content = json_text.loads(data)
            if content["session"] != FORMAT:
                raise ValueError(f"its format is {content['session']!r}, not {FORMAT}")
            self.checkpoint = str(content["checkpoint"])
            self.stream = tuple(float(value) for value in content.get("stream") or ())
            self._origins = {str(k): str(v) for k, v in dict(content.get("from") or {}).items()}
            self._messages = [_message(words) for words in content["messages"]]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{name} is no session: {reason.partition(chr(10))[0]}") from error
        if len(self._messages) > MAX_MESSAGES:
            raise UserError(f"{name} is no session: more than {MAX_MESSAGES} messages")

    def apply(self, instrument: Instrument, groups: Iterable[object], session: Session) -> int:
        """Set a session's client to what was saved; return the number of its slots.

        Its checkpoint is that of the session already.

        Raises:
            UserError: a message cannot be handled here; those before it were.
        """
        groups, slots = tuple(groups), 0
        request = Request(session, lambda source, datagram: None)

        def handle(row: Row, args: list[Any]) -> None:
            method = next(getattr(g, row.method) for g in groups if hasattr(g, row.method))
            method(request, *args)

        def fail(address: str, why: str) -> None:
            raise UserError(f"{self._name}: {address}: {why}")

        for message in self._messages:
            if message.address == _LOAD:
                continue
            if message.address not in ADDRESSES:
                raise UserError(f"{self._name} is no session: it holds {message.address}")
            if message.address != _SET:
                dispatch(message, handle, fail)
                continue
            slot, z = str(message.args[0]), np.array(message.args[1:], np.float32)
            if not np.isfinite(z).all():
                raise UserError(f"{self._name}: slot {slot!r} has numbers that are not finite")
            origin = self._origins.get(slot, f"session {self._name}")
            instrument.set_latent(session.client, slot, z, None, origin)
            slots += 1
        return slots


def _message(words: Any) -> Message:
    if not isinstance(words, list) or not words or not isinstance(words[0], str):
        raise ValueError("a message is a list of its address and arguments")
    if not all(isinstance(word, (int, float, str)) for word in words):
        raise ValueError(f"{words[0]} has an argument that is no number and no word")
    return Message(words[0], tuple(words[1:]))


class SessionMessages:
    def __init__(self, host: Host) -> None:
        self._host, self._instrument = host, host.instrument
        self._root, self._background = host.root, host.background

    def session_save(self, request: Request, file: str) -> None:
        _check_name(file)
        client, stream = request.client, request.session.stream
        form = None if stream is None else stream.form
        slots, now = len(list(client.latents)), self._instrument.time(request.when)

        def save() -> None:
            self._root.write(file, encode(client, now, form))
            request.reply("/done", "/session/save", file, slots)

        self._background.run(request, "/session/save", save)

    def session_load(self, request: Request, file: str) -> None:
        _check_name(file)

        def load() -> None:
            saved = SavedSession(file, self._root.read(file, MAX_BYTES))
            slots = restore(self._host, saved, request.session)
            request.reply("/done", "/session/load", file, slots)
            if saved.stream:
                request.reply("/session/stream", *saved.stream)

        # where files are written, so that one just saved is there
        self._background.run(request, "/session/load", load)

    def undo(self, request: Request) -> None:
        self._step(request, request.client.latents.history.undo(), back=True)

    def redo(self, request: Request) -> None:
        self._step(request, request.client.latents.history.redo(), back=False)

    def _step(self, request: Request, step: Step[LatentPath], back: bool) -> None:
        client, path = request.client, step.before if back else step.after
        with client.lock, client.latents.history.paused():
            if path is not None:
                self._instrument.set_path(client, step.slot, path, request.when)
            elif step.slot not in (client.slot, *client.followed):
                # one that notes are played from, or follow, keeps what it has
                client.latents.remove(step.slot)
        request.reply("/done", "/undo" if back else "/redo", step.slot)


class _Melody:
    """Sets the melody of hallucinations."""

    def hallucinate_melody(self, request: Request, pitches: Any) -> None:
        request.client.set_melody(tuple(pitches.tolist()))


def restore(host: Host, saved: SavedSession, session: Session) -> int:
    """Set a client to a saved session, its checkpoint first; return the number of its slots.

    Raises:
        UserError: the checkpoint cannot be had, or a message cannot be handled.
    """
    if session.client.model.checkpoint.name != saved.checkpoint:
        model = host.models.get(saved.checkpoint)
        host.instrument.set_checkpoint(session.client, model)
    groups = LatentMessages(host), NoteMessages(host), TempoMessages(host), _Melody()
    return saved.apply(host.instrument, groups, session)


def saved(path: str | None) -> SavedSession | None:
    """Read the file of ``--session``, if it is given; UserError where it cannot be read."""
    if path is None:
        return None
    try:
        data = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise UserError(f"--session {path} cannot be read: {error.strerror or error}") from error
    return SavedSession(path, data)


def checkpoint_of(options: ServerOptions, saved: SavedSession | None) -> str:
    """Return the checkpoint to start with: the session's, unless the options name one."""
    named = options.checkpoint
    return named if saved is None or named != DEFAULT_CHECKPOINT else saved.checkpoint


def begin(host: Host, saved: SavedSession, client: Client) -> None:
    """Have a new client begin with a saved session, as far as its checkpoint allows.

    What cannot be set is logged: the client is there nevertheless.
    """
    if client.model.checkpoint.name != saved.checkpoint:
        return
    try:
        restore(host, saved, Session(("session", client.number), client, 0.0))
    except UserError as error:
        _log.warning("--session: %s", error)
    client.latents.history.clear()


def _check_name(file: str) -> None:
    if not file.lower().endswith(SUFFIX):
        raise UserError(f"a session is kept in a {SUFFIX} file, not in {file!r}")
