"""Hallucinations: long sounds of overlapping notes whose timbre wanders (after SOPI's GANSynth).

Each is made of ordinary notes, which are asked for a little before their
time: one more whenever one is over. So it sounds while it is still being
rendered, and nothing piles up where a listener pulls no further blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.instrument.client import Client
from gansynth_server.instrument.instrument import Instrument
from gansynth_server.latent.sequence import Sequence, SequencePath
from gansynth_server.render.model import Model
from gansynth_server.render.offline import BatchRenderer
from gansynth_server.spectral.inverse import check_rate
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.note import Note
from gansynth_server.synth.voices import Voices

SLOT = "hallucination"
"""Slot that holds the latent of the current note."""
AHEAD = 0.75
"""Time (s) before its beginning at which a note is asked for, at the latest."""
BLOCK = 1024
MAX_VOICES = 64


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
            coming = {played.note for played in ours if played.note.on > now}
            unheard = coming & self._client.rendering
            self._client.rendering -= unheard
            for note in coming:
                note.over = True
            for played in ours:
                del self._client.notes[played.note.id]
        for played in ours:
            if played.note not in coming:
                played.bus.post(partial(_release, played.note, now), when, played.note)
        for bus in {played.bus for played in ours}:
            bus.silence(lambda note: note in coming, when)
        for _ in unheard:
            self._one_ended()

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


def _release(note: Note, now: float, voices: Voices) -> None:
    """End a note early, whether it has begun or is late."""
    note.off = now if note.off is None else min(note.off, now)
    voices.release(note)


def render(model: Model, sequence: Sequence, rate: int) -> Iterator[NDArray[np.float32]]:
    """Render a hallucination, block by block, as the live server plays it.

    Args:
        rate: sample rate (Hz), 16000…192000.

    Yields:
        float32 [2, frames].

    Raises:
        UserError: the rate is out of range, or the sequence cannot be played.
    """
    check_rate(rate)
    failures: list[str] = []

    def tell(client: Client, address: str, *args: object) -> None:
        if address == "/fail":
            failures.append(str(args[-1]))

    renderer = BatchRenderer()
    instrument = Instrument(renderer, 0, tell, clock=lambda: 0.0)
    bus = Bus(rate, MAX_VOICES, on_end=instrument.on_note_ended, channels=2)
    client = instrument.add_client(0, model, bus)
    over: list[bool] = []
    playing = Hallucination(
        *(instrument, client, sequence, 0, 0.0),
        over=lambda: over.append(True),
        failed=failures.append,
    )
    playing.begin()
    while not over:
        renderer.work()
        yield bus.render(BLOCK)
    if failures:
        raise UserError(failures[0])
    yield bus.render(round(bus.delay * rate) + 1)


def render_mono(model: Model, sequence: Sequence, rate: int) -> NDArray[np.float32]:
    """Render a hallucination as a whole, in mono: float32 [samples]; see :func:`render`."""
    blocks = list(render(model, sequence, rate))
    return np.ascontiguousarray(np.concatenate(blocks, axis=1)[0])
