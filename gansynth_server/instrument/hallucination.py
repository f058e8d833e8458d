"""Hallucinations: long sounds of overlapping notes whose timbre wanders (after SOPI's GANSynth).

Each is made of ordinary notes, which are asked for a little before their
time: one more whenever one is over. So it sounds while it is still being
rendered, and nothing piles up where a listener pulls no further blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.instrument.client import Client
from gansynth_server.instrument.instrument import Instrument
from gansynth_server.latent.sequence import Sequence, SequencePath

SLOT = "hallucination"
"""Slot that holds the latent of the current note."""
AHEAD = 0.75
"""Time (s) before its beginning at which a note is asked for, at the latest."""


class Hallucination:
    """A sequence on its way through a client's notes.

    Args:
        number: part of its notes' ids.
        when: time (s) of the instrument's clock; None is at once.
        over: called once none of its notes sounds any more.
        failed: called with the reason if it cannot go on.
    """

    def __init__(
        self,
        instrument: Instrument,
        client: Client,
        sequence: Sequence,
        number: int,
        when: float | None,
        over: Callable[[], None] = lambda: None,
        failed: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._instrument, self._client, self._sequence = instrument, client, sequence
        self._name, self._when = f"{SLOT} {number}", when
        self._start = instrument.time(when)
        self._over, self._failed = over, failed
        self._asked = self._ended = 0
        self._going = True

    @property
    def end(self) -> float:
        """When its last note is over (s); minus infinity once it is stopped."""
        return self._start + self._sequence.seconds if self._going else -math.inf

    def begin(self) -> None:
        """Ask for the first notes; UserError if there can be none."""
        path = SequencePath(self._sequence, self._start)
        self._instrument.set_path(self._client, SLOT, path, self._start)
        for _ in range(math.ceil((self._sequence.length + AHEAD) / self._sequence.spacing) + 1):
            self._ask()

    def stop(self, when: float | None = None) -> None:
        """Release its notes that sound, and start no further one."""
        now = self._instrument.time(when)
        with self._instrument.lock:
            self._going = False
            ours = [p for p in self._client.notes.values() if p.sequencer is self]
            coming = {played for played in ours if played.on > now}
            for played in ours:
                del self._client.notes[played.id]
            for played in coming:
                played.over = True
        for played in ours:
            if played not in coming:  # ended early, whether it has begun or is late
                played.bus.release(played.number, now, when)
        for bus in {played.bus for played in coming}:
            bus.cut([played.number for played in coming if played.bus is bus], when)

    def _ask(self) -> None:
        """Ask for the next note, if there is one."""
        with self._instrument.lock:
            number = self._asked
            if not self._going or number == len(self._sequence):
                return
            self._asked += 1
        s = self._sequence
        start = self._start + number * s.spacing
        when = start if number else self._when  # the first may be for as soon as can be
        envelope: dict[str, Any] = {
            **{"attack": s.attack, "decay": 0.0, "sustain": 1.0, "release": s.release},
            "curve": 0.0,
        }
        id = f"{self._name} {number}"
        try:
            self._instrument.play(
                self._client,
                *(s.pitch(number), s.velocity, id, SLOT, when),
                **envelope,
                off=start + s.attack + s.sustain,
                skip=s.trim,
                hold=False,
                then=self._one_ended,
                sequencer=self,
            )
        except UserError:
            with self._instrument.lock:
                self._going = False
                self._asked -= 1
            raise

    def _one_ended(self) -> None:
        """Go on after a note is over; any thread."""
        try:
            self._ask()
        except UserError as error:  # the checkpoint was changed for one of other sizes
            self._failed(str(error))
        with self._instrument.lock:
            self._ended += 1
            last = self._ended == self._asked
            if last:
                self._going = False
        if last:
            self._over()
