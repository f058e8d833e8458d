"""One player, as the instrument knows it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gansynth_server.api import Model
from gansynth_server.latent.slots import Slots
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.note import Note, NoteId
from gansynth_server.tuning import Tuning

RECENT = 2


@dataclass(eq=False)
class Client:
    """One player: a checkpoint, latents by slot, notes by id, and the bus that is heard."""

    number: int
    model: Model
    bus: Bus
    latents: Slots
    notes: dict[NoteId, tuple[Note, Bus]] = field(default_factory=dict)
    rendering: set[Note] = field(default_factory=set)
    tuning: Tuning = field(default_factory=Tuning)
    slot: str = "z"
    """Of the last note."""
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT))
    """Trained pitches of the last notes."""
    _pending: set[int] = field(default_factory=set)
    _syncs: list[tuple[set[int], Callable[[], None]]] = field(default_factory=list)

    def begin(self, job: int) -> None:
        """Notes that a job of this client has begun."""
        self._pending.add(job)

    def finish(self, job: int) -> None:
        """Notes that it is done, and answers the syncs that waited for it."""
        self._pending.discard(job)
        ready = [answer for jobs, answer in self._syncs if not jobs & self._pending]
        self._syncs = [(jobs, answer) for jobs, answer in self._syncs if jobs & self._pending]
        for answer in ready:
            answer()

    def sync(self, answer: Callable[[], None]) -> None:
        """Calls ``answer`` once all jobs begun so far are done."""
        self._syncs.append((set(self._pending), answer))
        self.finish(-1)
