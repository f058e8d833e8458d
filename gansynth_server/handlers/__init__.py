"""What each OSC message does: one method per row of the table, one class per room.

The methods run on the OSC thread and only start what takes time; a reply
goes to the sender alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gansynth_server.handlers.arrays import ArrayMessages
from gansynth_server.handlers.atlas import AtlasMessages
from gansynth_server.handlers.call import Call
from gansynth_server.handlers.checkpoints import CheckpointMessages
from gansynth_server.handlers.directions import DirectionMessages
from gansynth_server.handlers.expression import ExpressionMessages
from gansynth_server.handlers.hallucination import HallucinationMessages
from gansynth_server.handlers.host import Host
from gansynth_server.handlers.inversion import InversionMessages
from gansynth_server.handlers.latents import LatentMessages
from gansynth_server.handlers.midi import MidiMessages
from gansynth_server.handlers.notes import NoteMessages
from gansynth_server.handlers.patterns import PatternMessages
from gansynth_server.handlers.recordings import RecordingMessages
from gansynth_server.handlers.server import ServerMessages
from gansynth_server.handlers.spectra import SpectrumMessages
from gansynth_server.handlers.streams import StreamMessages
from gansynth_server.handlers.tuning import TuningMessages
from gansynth_server.osc.schema import Row
from gansynth_server.osc.table import TABLE

if TYPE_CHECKING:
    from gansynth_server.server.server import Server

PLAYING = (
    LatentMessages,
    DirectionMessages,
    AtlasMessages,
    NoteMessages,
    ExpressionMessages,
    HallucinationMessages,
    PatternMessages,
    TuningMessages,
    CheckpointMessages,
)
"""Rooms of what is heard: in a score too."""
LIVE = (
    ServerMessages,
    MidiMessages,
    ArrayMessages,
    InversionMessages,
    SpectrumMessages,
    StreamMessages,
    MidiMessages,
    RecordingMessages,
)
"""Rooms that only a running server has."""

HEARD = frozenset(r.address for r in TABLE if any(hasattr(room, r.method) for room in PLAYING))
"""Messages that make a score."""


class Handlers:
    """The methods of rows, by their names (see :attr:`Row.method`).

    Args:
        rooms: objects with these methods; a row without one means nothing here.
    """

    def __init__(self, rooms: Iterable[object]) -> None:
        self._methods = {
            row.address: getattr(room, row.method)
            for room in rooms
            for row in TABLE
            if hasattr(room, row.method)
        }

    def __call__(self, call: Call, row: Row, args: list[Any]) -> None:
        """Runs one message; UserError when it asks for what cannot be."""
        method = self._methods.get(row.address)
        if method is not None:
            method(call, *args)


def live(server: Server) -> Handlers:
    """The methods of all rows."""
    return Handlers([*(room(server) for room in PLAYING), *(room(server) for room in LIVE)])


def playing(host: Host) -> Handlers:
    """The methods that a score needs."""
    return Handlers(room(host) for room in PLAYING)
