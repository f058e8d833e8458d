"""What each OSC message does: one method per row of the table, one class per room.

The methods run on the OSC thread and only start what takes time; a reply
goes to the sender alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gansynth_server.handlers.arrays import ArrayMessages
from gansynth_server.handlers.call import Call
from gansynth_server.handlers.checkpoints import CheckpointMessages
from gansynth_server.handlers.directions import DirectionMessages
from gansynth_server.handlers.expression import ExpressionMessages
from gansynth_server.handlers.hallucination import HallucinationMessages
from gansynth_server.handlers.latents import LatentMessages
from gansynth_server.handlers.notes import NoteMessages
from gansynth_server.handlers.patterns import PatternMessages
from gansynth_server.handlers.server import ServerMessages
from gansynth_server.handlers.streams import StreamMessages
from gansynth_server.handlers.tuning import TuningMessages
from gansynth_server.osc.row import Row
from gansynth_server.osc.spec import TABLE

if TYPE_CHECKING:
    from gansynth_server.server import Server

ROOMS = (
    ServerMessages,
    LatentMessages,
    DirectionMessages,
    NoteMessages,
    ExpressionMessages,
    HallucinationMessages,
    PatternMessages,
    TuningMessages,
    CheckpointMessages,
    ArrayMessages,
    StreamMessages,
)


class Handlers:
    """The methods of all rows, by their names (see :attr:`Row.method`)."""

    def __init__(self, server: Server) -> None:
        rooms = [room(server) for room in ROOMS]
        self._methods = {}
        for row in TABLE:
            (home,) = (room for room in rooms if hasattr(room, row.method))
            self._methods[row.address] = getattr(home, row.method)

    def __call__(self, call: Call, row: Row, args: list[Any]) -> None:
        """Runs one message; UserError when it asks for what cannot be."""
        self._methods[row.address](call, *args)
