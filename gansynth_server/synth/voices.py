"""The voice bank: every sounding note is a row of arrays.

A voice keeps its place in its note, its phases and its place in the sound (see
:mod:`gansynth_server.synth.overlap_add`). The phases are kept by the voice and only advanced by
the spectrum's increments, so frames can be repeated, skipped or exchanged
without a seam. A frame that is not rendered in time is replaced by the last
one that is, at the pitch that it has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.synth.envelope import Envelopes
from gansynth_server.synth.note import Note
from gansynth_server.synth.overlap_add import Tape
from gansynth_server.synth.playhead import STEADY
from gansynth_server.synth.ramps import Rows, Slides

Float32 = NDArray[np.float32]

COSTLY = 4
"""Times as fast as it was made is a voice whose frames take most of the work."""
BUDGET = 2
"""Frames a hop that there may be for each voice of a bank. One that is read n times as fast as it
was made takes n."""
SMOOTH = 0.010
"""Seconds that a change of loudness, pan or pitch takes at least."""
LOUDEST = 64.0
"""Beyond it a voice is broken: 36 dB above full scale, where a note peaks at about 0.3."""


class Voices:
    """A bank of voices at one sample rate; used by one thread at a time.

    Args:
        rate: samples per second (see :class:`FrameInverse`).
        count: voices that may sound at once; beyond it the one that is missed least
            (see :meth:`_admit`) is faded out in 5 ms.
        channels: 1, or 2 for stereo.
    """

    def __init__(self, rate: int, count: int, channels: int = 1) -> None:
        self.rate = rate
        self.count = count
        self.channels = channels
        self.notes: list[Note | None] = [None] * count
        self.waiting: deque[Note] = deque()
        self._started: list[Note] = []
        self._ended: list[Note] = []
        self.spoilt = 0
        self.sheds = 0
        """Voices that were ended because there was no time for them."""
        self._active = np.zeros(count, bool)
        self._tape = Tape(rate, count, self.notes)
        self._envelopes = Envelopes(rate, count)
        self._weights = Slides(count, channels)  # loudness times pan

    @property
    def late(self) -> int:
        """Frames that were not there yet when they were needed."""
        return self._tape.late

    @property
    def sounding(self) -> int:
        return int(self._active.sum())

    def start(self, note: Note) -> None:
        """Gives a rendered note a voice; when all are taken it waits for the cut of one."""
        if note.choke is not None:
            self.cut_all(lambda other: (other.owner, other.choke) == (note.owner, note.choke))
        self.waiting.append(note)

    def release(self, note: Note) -> None:
        """Begins the release of a note, unless that was begun before."""
        row = self._row(note)
        if row is not None:
            self._envelopes.release(row)

    def change(self, note: Note, seconds: float = 0.0, **changes: Any) -> None:
        """Sets attributes of a note, which may sound already or be yet to come.

        Args:
            seconds: that a change of pitch, bend, loudness or pan takes; 10 ms at least.
        """
        for name, value in changes.items():
            setattr(note, name, value)
        row = self._row(note)
        if row is not None:
            self._apply(row, note, max(1, round(max(seconds, SMOOTH) * self.rate)))

    def seek(self, note: Note, place: float) -> None:
        """Goes on from another frame of a note that sounds."""
        row = self._row(note)
        if row is not None:
            self._tape.seek(row, place)

    def heading(self, note: Note) -> tuple[float, float] | None:
        """The frame that a note reads next, and the way to the one after; None if it is silent."""
        row = self._row(note)
        return None if row is None else self._tape.motion.heading(row)

    def cut_all(self, of: Callable[[Note], bool]) -> None:
        """Fades the notes of one kind out in 5 ms; those that wait end unheard."""
        kept = [note for note in self.waiting if not of(note)]
        self._ended += [note for note in self.waiting if of(note)]
        self.waiting = deque(kept)
        for row in np.flatnonzero(self._active):
            note = self.notes[row]
            if note is not None and of(note):
                self._envelopes.cut_off(int(row))

    def shed(self) -> int:
        """Fades an eighth of the voices out, for there are more than can be rendered in time.

        First those that are read many times as fast as they were made, which take as much
        more work, then those that are missed least.

        Returns:
            How many.
        """
        rows = np.flatnonzero(self._active & ~self._envelopes.cut)
        ratio = self._tape.ratio[rows]
        order = np.lexsort((self._worth(rows), -ratio * (ratio > COSTLY)))
        gone = rows[order][: -(-len(rows) // 8)]
        for row in gone:
            self._envelopes.cut_off(int(row))
        self.sheds += len(gone)
        return len(gone)

    def clear(self) -> None:
        """Ends all notes at once, without a fade: for when they cannot be rendered."""
        for row in np.flatnonzero(self._active):
            self._finish(int(row))
        self.cut_all(lambda note: True)

    def drop(self, notes: Iterable[Note]) -> None:
        """Ends notes unheard that never came."""
        self._ended += notes

    def take_started(self) -> list[Note]:
        """Notes that began to sound since the last call."""
        taken, self._started = self._started, []
        return taken

    def take_ended(self) -> list[Note]:
        """Notes whose sound is over since the last call."""
        taken, self._ended = self._ended, []
        return taken

    def render(self, frames: int) -> Float32:
        """The next samples of all voices together, float32 [channels, frames], not limited.

        A voice whose sound is not finite, or far too loud, is ended and counted in ``spoilt``;
        the others go on.
        """
        out = np.zeros((self.channels, frames), np.float32)
        done = 0
        while done < frames:
            self._admit()
            rows = np.flatnonzero(self._active)
            size = min(self._tape.hop, frames - done)
            if len(rows):
                out[:, done : done + size] = self._mix(rows, size)
            done += size
        return out

    def _row(self, note: Note) -> int | None:
        return self.notes.index(note) if note in self.notes else None

    def _admit(self) -> None:
        """Moves waiting notes into free rows and makes room for those left over.

        As FluidSynth does, the first to go are those released, then those that
        only the pedal holds, then what is old or quiet.
        """
        while self.waiting and not self._active.all():
            self._begin(int(np.argmin(self._active)), self.waiting.popleft())
        self._save()
        if not self.waiting:
            return
        cut = self._active & self._envelopes.cut
        rows = np.flatnonzero(self._active & ~cut)
        order = np.argsort(self._worth(rows), kind="stable")
        for row in rows[order][: len(self.waiting) - int(cut.sum())]:
            self._envelopes.cut_off(int(row))

    def _save(self) -> None:
        """Fades out what is read so fast that it takes the work of many others."""
        rows = np.flatnonzero(self._active & ~self._envelopes.cut)
        ratio = self._tape.ratio[rows]
        excess = np.maximum(ratio, 1).sum() - BUDGET * self.count
        if excess <= 0:
            return
        fast = np.flatnonzero(ratio > COSTLY)
        order = fast[np.argsort(self._worth(rows)[fast], kind="stable")]
        for n in order[:-1]:  # one of them there is always time for
            self._envelopes.cut_off(int(rows[n]))
            excess -= ratio[n]
            if excess <= 0:
                return

    def _worth(self, rows: Rows) -> NDArray[np.float64]:
        """How much rows would be missed."""
        seconds = self._envelopes.age[rows] / self.rate
        level = self._tape.frames.level[rows] * self._weights.now[rows].max(axis=1)
        level *= self._envelopes.levels(rows, 1)[:, 0]
        worth = 1 / np.maximum(seconds, 1e-3) + 0.5 * level / max(level.max(initial=0), 1e-9)
        worth -= 2e3 * (self._envelopes.age[rows] >= self._envelopes.off[rows])
        worth -= 1e3 * np.array([note is not None and note.pedalled for note in self._at(rows)])
        return np.asarray(worth)

    def _at(self, rows: Rows) -> list[Note | None]:
        return [self.notes[row] for row in rows]

    def _begin(self, row: int, note: Note) -> None:
        self.notes[row] = note
        self._started.append(note)
        self._active[row] = True
        self._tape.begin(row, note)
        self._envelopes.begin(
            row, note.envelope, None if note.off is None else max(0.0, note.off - note.on)
        )
        self._apply(row, note, 0)

    def _apply(self, row: int, note: Note, samples: int) -> None:
        """Makes a row what its note wants, within so many samples."""
        assert note.spectrum is not None
        self._weights.set(row, note.loudness * _pan(note.pan, self.channels), samples)
        self._tape.tune.pitch.set(row, note.offset, samples)
        self._tape.tune.bend.set(row, note.bend + note.pressed_by("bend"), samples)
        depth, hertz = note.vibrato
        self._tape.tune.vibrato(row, depth + note.pressed_by("vibrato"), hertz)
        self._tape.frames.tilt[row] = note.brightness + note.pressed_by("brightness")
        self._envelopes.shape(row, note.envelope)
        region = note.region or note.spectrum.region or STEADY
        self._tape.motion.steer(row, note.hold, note.speed, region, note.overlay is not None)

    def _finish(self, row: int) -> None:
        note = self.notes[row]
        if note is not None:
            self._ended.append(note)
        self.notes[row] = None
        self._active[row] = False

    def _mix(self, rows: Rows, size: int) -> Float32:
        sound = self._tape.read(rows, size)  # [rows, size]
        moving = self._envelopes.moving(rows, size)
        if moving.any():
            sound[moving] *= self._envelopes.levels(rows[moving], size)
        mix = self._weighted(rows, sound)
        if not np.abs(mix).max() <= LOUDEST:  # NaN is not either
            good = np.abs(sound).max(axis=1) <= LOUDEST
            for row in rows[~good]:
                self.spoilt += 1
                self._finish(int(row))
            mix = self._weighted(rows[good], sound[good])
        self._weights.advance(rows, size)
        self._envelopes.advance(rows, size)
        over = self._tape.over(rows) | self._envelopes.over(rows)
        for row in rows[over & self._active[rows]]:
            self._finish(int(row))
        return mix

    def _weighted(self, rows: Rows, sound: Float32) -> Float32:
        """The sum of rows with their loudness and pan, [channels, size]."""
        moving = self._weights.moving(rows)
        still = self._weights.now[rows] * ~moving[:, None]
        mix = still.T.astype(np.float32) @ sound
        if moving.any():
            ramp = self._weights.ramp(rows[moving], sound.shape[1]).astype(np.float32)
            mix += np.einsum("nsc,ns->cs", ramp, sound[moving])
        return mix


def _pan(pan: float, channels: int) -> NDArray[np.float64]:
    """Equal power, 1 in the middle: [channels]."""
    if channels == 1:
        return np.ones(1)
    angle = (pan + 1) * np.pi / 4
    return np.sqrt(2) * np.array([np.cos(angle), np.sin(angle)])
