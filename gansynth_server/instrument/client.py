"""One player, as the instrument knows it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakSet

from gansynth_server.api import Model
from gansynth_server.errors import UserError
from gansynth_server.instrument.tuning import Tuning
from gansynth_server.latent.sequence import Sequence
from gansynth_server.latent.slots import Path, Slots
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.envelope import PLAIN, Envelope
from gansynth_server.synth.note import Note, NoteId

if TYPE_CHECKING:
    from gansynth_server.instrument.hallucination import Hallucination

RECENT = 2
MOST_JOBS = 256
"""Renders and other work that one client may have waiting."""


@dataclass(eq=False, slots=True)
class Played:
    """A note of a client: the bus that it sounds on, and the latent that it is to have."""

    note: Note
    bus: Bus
    model: Model
    label: int
    slot: str
    path: Path


@dataclass(eq=False)
class Manner:
    """How a client's notes are played, where they do not say it themselves."""

    envelope: Envelope = PLAIN
    hold: bool = False
    region: tuple[float, float] | None = None
    """Frames in which notes are held; None is the steadiest of each."""
    curve: float = 1.0
    """Exponent of the velocity."""
    pressed: tuple[str, float] = ("gain", 6.0)
    """What full pressure changes, and by how much."""
    pedal: bool = False
    chokes: dict[str, str] = field(default_factory=dict)
    """Choke groups by slot."""


@dataclass(eq=False)
class Client:
    """One player: a checkpoint, latents by slot, notes by id, and the bus that is heard."""

    number: int
    model: Model
    bus: Bus
    latents: Slots
    notes: dict[NoteId, Played] = field(default_factory=dict)
    """Those not released yet."""
    manner: Manner = field(default_factory=Manner)
    followed: set[str] = field(default_factory=set)
    """Slots whose notes change as they do."""
    warned: set[str] = field(default_factory=set)
    """What is said only once."""
    rendering: set[Note] = field(default_factory=set)
    hallucination: Hallucination | None = None
    sequence: Sequence | None = None
    """The last hallucination's, for once more."""
    melody: tuple[float, ...] = ()
    """Pitches of hallucinations."""
    tuning: Tuning = field(default_factory=Tuning)
    slot: str = "z"
    """Of the last note."""
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT))
    """Trained pitches of the last notes."""
    alive: WeakSet[Note] = field(default_factory=WeakSet)
    """All that are rendered, wait or sound."""
    _jobs: dict[int, None] = field(default_factory=dict)
    """Those begun and not done, by number, in their order."""
    _newest: int = -1
    _syncs: deque[tuple[int, Callable[[], None]]] = field(default_factory=deque)

    def begin(self, job: int) -> None:
        """Notes that a job of this client has begun; UserError if too many have.

        Args:
            job: its number, larger than those before.
        """
        if len(self._jobs) >= MOST_JOBS:
            raise UserError(f"{MOST_JOBS} things of yours are waiting already; ask for fewer")
        self._jobs[job] = None
        self._newest = job

    def finish(self, job: int) -> None:
        """Notes that it is done, and answers the syncs that waited for it."""
        self._jobs.pop(job, None)
        oldest = next(iter(self._jobs), None)
        while self._syncs and (oldest is None or self._syncs[0][0] < oldest):
            self._syncs.popleft()[1]()

    def sync(self, answer: Callable[[], None]) -> None:
        """Calls ``answer`` once all jobs begun so far are done; UserError if too many wait."""
        if len(self._syncs) >= MOST_JOBS:
            raise UserError(f"{MOST_JOBS} /sync of yours are waiting already; wait for one")
        self._syncs.append((self._newest, answer))
        self.finish(-1)
