"""The one table of engine commands: plain records, which may be pickled.

Buses, notes and streams are told apart by numbers that the sender gives them; a slot is the
place of a spectrum in the arena (see :mod:`gansynth_server.spectral.arena`). A command that
carries a slot lends it: the engine tells with :class:`~.events.Freed` when it needs it no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from gansynth_server.osc.codec import Source
from gansynth_server.synth.note import Note

CAUSE: ContextVar[Any] = ContextVar("cause", default=0)
"""The message that is being handled, for the recording of what comes of it; 0 is none."""


@dataclass(frozen=True, slots=True)
class OpenBus:
    """Open the bus of a listener at a sample rate (Hz), of so many voices at most."""

    bus: int
    rate: int
    channels: int
    voices: int
    gain: float


@dataclass(frozen=True, slots=True)
class CloseBus:
    """Close a bus; all of its notes end unheard."""

    bus: int


@dataclass(frozen=True, slots=True)
class NewNote:
    """Make a note known; it begins with :class:`Start`, and commands about it count from now on."""

    bus: int
    note: Note


@dataclass(frozen=True, slots=True)
class Start:
    """Start a note from the spectrum in a slot, which is lent until the note has ended."""

    note: int
    slot: int


@dataclass(frozen=True, slots=True)
class Release:
    """Begin the release of a note; its player meant it to end at a time (s)."""

    note: int
    off: float


@dataclass(frozen=True, slots=True)
class Change:
    """Set attributes of a note (see :class:`Note`) within so many seconds."""

    note: int
    seconds: float
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seek:
    """Go on from another frame of a note."""

    note: int
    place: float


@dataclass(frozen=True, slots=True)
class Look:
    """Tell the next frame of a note at a time (s) by :class:`~.events.Looked`."""

    note: int
    when: float


@dataclass(frozen=True, slots=True)
class Settle:
    """Play a note from another spectrum, which is lent, in place of its overlay.

    Nothing happens unless ``number`` is the note's ``settling`` when the command is due, so that
    a note whose latent has moved on meanwhile keeps its overlay.
    """

    note: int
    slot: int
    number: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Fade notes of a bus out in 5 ms: those of an owner that were to begin before a time (s),
    and single ones. What was yet to happen to them is dropped; those not begun end unheard."""

    bus: int
    owner: int = -1
    before: float = 0.0
    notes: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Frames:
    """Take note that so many frames of the spectrum in a slot are there, and of the part in which
    its notes are held, once that is known."""

    slot: int
    ready: int
    region: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Fade:
    """Fade all sound of all buses out in 10 ms, for good."""


@dataclass(frozen=True, slots=True)
class OpenTap:
    """Copy the sound of a bus into one of the rings, by number, and tell what was run by
    :class:`~.events.Ran`."""

    bus: int
    ring: int


@dataclass(frozen=True, slots=True)
class CloseTap:
    """End that, after the last block."""

    ring: int


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Answer the pulls that come from an address with a stream's number: blocks of so many
    frames, each asked for so many blocks ahead. They are sent to another address, or without one
    told by :class:`~.events.Block`."""

    stream: int
    source: Source
    reply: Source | None
    bus: int
    block: int
    ahead: int


@dataclass(frozen=True, slots=True)
class CloseStream:
    """Answer no further pulls."""

    stream: int


@dataclass(frozen=True, slots=True)
class Pull:
    """Render and send a block of a stream, as if its listener had asked for it here."""

    stream: int
    number: int


@dataclass(frozen=True, slots=True)
class Took:
    """Send as many further datagrams as were taken (see :class:`~.events.Heard`)."""

    count: int


@dataclass(frozen=True, slots=True)
class Go:
    """Begin: hear the socket, and play a bus to the output."""

    bus: int


@dataclass(frozen=True, slots=True)
class Quit:
    """End the process."""


Command = (
    OpenBus
    | CloseBus
    | NewNote
    | Start
    | Release
    | Change
    | Seek
    | Look
    | Settle
    | Cut
    | Frames
    | Fade
    | OpenTap
    | CloseTap
    | OpenStream
    | CloseStream
    | Pull
    | Took
    | Go
    | Quit
)


@dataclass(frozen=True, slots=True)
class Timed:
    """A command, and when it is due.

    Args:
        when: time (s) of the clock; None is before the next block.
        cause: number of the message that it comes of.
        coarse: whether it may come a little later (see :meth:`Bus.post`).
    """

    command: Command
    when: float | None = None
    cause: Any = field(default_factory=CAUSE.get)
    coarse: bool = False
