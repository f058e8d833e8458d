"""What each OSC message does: one method per row of the table, one module per group of messages.

The methods run on the OSC thread and only start what takes time; replies
go to the sender alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gansynth_server.handlers.arrays import ArrayMessages
from gansynth_server.handlers.follow import FollowMessages
from gansynth_server.handlers.hallucination import HallucinationMessages
from gansynth_server.handlers.host import Host, LiveHost
from gansynth_server.handlers.latents import InversionMessages, LatentMessages
from gansynth_server.handlers.midi import MidiMessages
from gansynth_server.handlers.notes import NoteMessages
from gansynth_server.handlers.patterns import PatternMessages
from gansynth_server.handlers.request import Request
from gansynth_server.handlers.server import CheckpointMessages, ServerMessages
from gansynth_server.handlers.sessions import SessionMessages
from gansynth_server.handlers.streams import StreamMessages
from gansynth_server.handlers.tempo import BeatMessages, TempoMessages
from gansynth_server.osc.schema import Row
from gansynth_server.osc.table import TABLE

PLAYING = (
    LatentMessages,
    NoteMessages,
    HallucinationMessages,
    PatternMessages,
    CheckpointMessages,
    SessionMessages,
    TempoMessages,
    FollowMessages,
)
"""Handlers of messages that change what is heard: in a score too."""
LIVE = (
    *(ServerMessages, MidiMessages, ArrayMessages, InversionMessages, StreamMessages),
    BeatMessages,
)
"""Handlers of the rows marked ``live``."""


class Handlers:
    """The methods of rows, by their names (see :attr:`Row.method`).

    Args:
        groups: objects with these methods.
        rows: all that must have one; messages of other rows do nothing.

    Raises:
        LookupError: a row has no method, or two.
    """

    def __init__(self, groups: Iterable[object], rows: Iterable[Row]) -> None:
        groups = tuple(groups)
        self._methods = {}
        for row in rows:
            found = [getattr(group, row.method) for group in groups if hasattr(group, row.method)]
            if len(found) != 1:
                raise LookupError(f"{row.address} has {len(found)} handlers")
            self._methods[row.address] = found[0]

    def __call__(self, request: Request, row: Row, args: list[Any]) -> None:
        """Run one message; UserError when it asks for what cannot be."""
        method = self._methods.get(row.address)
        if method is not None:
            method(request, *args)


def live(host: LiveHost) -> Handlers:
    """Make the handlers of all rows."""
    groups = [*(group(host) for group in PLAYING), *(group(host) for group in LIVE)]
    return Handlers(groups, TABLE)


def playing(host: Host) -> Handlers:
    """Make the handlers of a score, in which messages to a running server do nothing."""
    return Handlers([group(host) for group in PLAYING], [row for row in TABLE if not row.live])
