"""A client as the instrument knows it: its latents, notes and settings."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from gansynth_server.engine.commands import CAUSE
from gansynth_server.engine.handle import BusHandle
from gansynth_server.errors import UserError
from gansynth_server.instrument.tuning import Tuning
from gansynth_server.latent.sequence import Sequence
from gansynth_server.latent.slots import Path, Slots
from gansynth_server.render.model import Model
from gansynth_server.synth.envelope import PLAIN, Envelope
from gansynth_server.synth.note import Note

NoteId = int | float | str
"""What a client calls a note."""
MAX_RECENT = 2
"""Last pitches that are remembered."""
MAX_JOBS = 256
"""Renders and other work that one client may have waiting."""
MAX_CHOKES = 1024
"""Slots of one client in choke groups."""


class Sequencer(Protocol):
    """A sequence on its way through a client's notes (see :class:`Hallucination`)."""

    @property
    def end(self) -> float:
        """When its last note is over (s); minus infinity once it is stopped."""
        ...

    def stop(self, when: float | None = None) -> None:
        """Release its notes that sound, and start no further one."""
        ...


@dataclass(eq=False, slots=True)
class ActiveNote:
    """A note of a client: where it sounds, the latent that it is to have, and what becomes of it.

    ``number`` is what the engine knows it by. How it is played is the engine's alone.
    """

    number: int
    client: Client
    id: NoteId
    on: float
    """When it begins (s)."""
    bus: BusHandle
    model: Model
    label: int
    slot: str
    path: Path
    sequencer: Sequencer | None = None
    """The sequencer that plays it; None where the client does."""
    then: Callable[[], None] | None = None
    """Called once it is over, or could not be rendered."""
    cause: Any = field(default_factory=CAUSE.get)
    """The message that asked for it."""
    pedalled: bool = False
    """True if only the sustain pedal holds it."""
    settling: int = 0
    """Number of the last change to a whole spectrum that counts."""
    over: bool = False
    """True once its sound has ended, or will not begin."""


@dataclass(frozen=True)
class PlayingStyle:
    """How a client's notes are played, where they do not say it themselves."""

    envelope: Envelope = PLAIN
    hold: bool = False
    """Whether notes are held in their steady part until they are released."""
    hold_region: tuple[float, float] | None = None
    """Frames in which notes are held; None is the steadiest of each."""
    velocity_curve: float = 1.0
    """Exponent of the velocity."""
    pressure_target: tuple[str, float] = ("gain", 6.0)
    """What full pressure changes, and by how much."""
    pedal_down: bool = False
    choke_groups: Mapping[str, str] = field(default_factory=dict)
    """Choke groups by slot."""


@dataclass(eq=False)
class Client:
    """A checkpoint, latents by slot, notes by id, and the bus that they sound on.

    Any thread may read its attributes; they are changed with the lock held, by the methods
    here and those of :class:`Instrument`.
    """

    number: int
    model: Model
    bus: BusHandle
    latents: Slots
    lock: threading.RLock
    """The lock of the instrument, which guards all clients."""
    notes: dict[NoteId, ActiveNote] = field(default_factory=dict)
    """Notes that are not released yet."""
    style: PlayingStyle = field(default_factory=PlayingStyle)
    followed: set[str] = field(default_factory=set)
    """Slots whose notes change as they do."""
    warned: set[str] = field(default_factory=set)
    """Warnings that were sent: each is sent only once."""
    rendering: set[ActiveNote] = field(default_factory=set)
    """Notes whose head is not rendered yet."""
    hallucination: Sequencer | None = None
    sequence: Sequence | None = None
    """Sequence of the last hallucination, to be played again or saved."""
    melody: tuple[float, ...] = ()
    """Pitches of hallucinations."""
    tuning: Tuning = field(default_factory=Tuning)
    slot: str = "z"
    """Slot of the last note."""
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=MAX_RECENT))
    """Trained pitches of the last notes."""
    alive: set[ActiveNote] = field(default_factory=set)
    """All notes that are rendered, wait or sound."""
    _jobs: dict[int, None] = field(default_factory=dict)
    """Jobs begun and not done, by number, in their order."""
    _newest: int = -1
    _syncs: deque[tuple[int, Callable[[], None]]] = field(default_factory=deque)

    def set_bus(self, bus: BusHandle) -> None:
        """Have further notes sound on another bus."""
        with self.lock:
            self.bus = bus

    def set_style(self, **changes: Any) -> None:
        """Change how further notes are played (see :class:`PlayingStyle`)."""
        with self.lock:
            self.style = replace(self.style, **changes)

    def set_choke(self, slot: str, group: str | None) -> None:
        """Put the notes of a slot into a choke group, or into none.

        Raises:
            UserError: too many slots are in choke groups already.
        """
        with self.lock:
            groups = {s: g for s, g in self.style.choke_groups.items() if s != slot}
            if group is not None:
                if len(groups) >= MAX_CHOKES:
                    raise UserError(
                        f"{MAX_CHOKES} slots are in choke groups already; free one first"
                    )
                groups[slot] = group
            self.set_style(choke_groups=groups)

    def set_tuning(self, tuning: Tuning) -> None:
        """Change the pitches of keys."""
        with self.lock:
            self.tuning = tuning

    def set_melody(self, pitches: tuple[float, ...]) -> None:
        """Change the pitches of further hallucinations."""
        with self.lock:
            self.melody = pitches

    def set_sequence(self, sequence: Sequence) -> None:
        """Keep a sequence as that of the last hallucination."""
        with self.lock:
            self.sequence = sequence

    def set_hallucination(self, sequencer: Sequencer, when: float | None) -> None:
        """Play notes by a sequencer, in place of the one before, which is stopped."""
        with self.lock:
            before, self.hallucination = self.hallucination, sequencer
        if before is not None:
            before.stop(when)

    def new_note(
        self,
        number: int,
        pitch: float,
        velocity: float,
        rendered: int,
        slot: str,
        on: float,
        expression: Mapping[str, Any],
    ) -> Note:
        """Make a note in this client's style, for the engine.

        Args:
            number: of the note.
            rendered: trained pitch that it is played from.
            on: when it begins (s).
            expression: see :meth:`Instrument.play`.
        """
        style = self.style
        shape = {key: expression[key] for key in Envelope.__slots__ if key in expression}
        loudness = 127 * (velocity / 127) ** style.velocity_curve
        note = Note(
            *(self.number, number, pitch, loudness, rendered, on),
            envelope=replace(style.envelope, **shape),
            hold=style.hold,
            region=style.hold_region,
            pressed=style.pressure_target,
            choke=style.choke_groups.get(slot),
        )
        for name, value in expression.items():
            if name not in shape:
                setattr(note, name, value)
        return note

    def begin(self, job: int) -> None:
        """Count a job of this client that begins; UserError if too many wait.

        Args:
            job: its number, larger than those before.
        """
        if len(self._jobs) >= MAX_JOBS:
            raise UserError(f"{MAX_JOBS} things of yours are waiting already; ask for fewer")
        self._jobs[job] = None
        self._newest = job

    def finish(self, job: int) -> None:
        """Count a job as done, and answer the syncs that waited for it."""
        self._jobs.pop(job, None)
        oldest = next(iter(self._jobs), None)
        while self._syncs and (oldest is None or self._syncs[0][0] < oldest):
            self._syncs.popleft()[1]()

    def sync(self, answer: Callable[[], None]) -> None:
        """Call ``answer`` once all jobs begun so far are done; UserError if too many wait."""
        if len(self._syncs) >= MAX_JOBS:
            raise UserError(f"{MAX_JOBS} /sync of yours are waiting already; wait for one")
        self._syncs.append((self._newest, answer))
        self.finish(-1)
