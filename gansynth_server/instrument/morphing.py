"""Timbres that change while their notes sound.

A note that follows a moving latent is looked at on every tick of its own sound's
time. If the latent has moved, the few frames that the note reads next are
rendered for where it is now, and put into the note a little later, at a time
that does not depend on how long that took (unless it took longer: then as
soon as can be, and of what was asked for meanwhile only the last is rendered).
Where the latent comes to rest the note gets its whole spectrum, and is looked at
no more until its slot is filled again.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from gansynth_server.instrument.client import ActiveNote
from gansynth_server.latent.paths import Glide
from gansynth_server.latent.slots import ConstantPath, Path
from gansynth_server.latent.vectors import Latent
from gansynth_server.render.jobs import Job, Rendering
from gansynth_server.render.receptive_field import Span
from gansynth_server.render.window_requests import WindowRequest
from gansynth_server.spectral.constants import FRAMES
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.spectral.steady import find_region
from gansynth_server.synth.note import CAUSE, Note, Overlay
from gansynth_server.synth.voices import Voices

TICK = 0.064
"""Time (s) from one look at a moving latent to the next: two hops."""
DELAY = 0.060
"""Time (s) from such a look until it is heard."""
SETTLE = 0.25
"""Time (s) after a latent has come to rest until the note has its whole spectrum."""
START_TIMEOUT_S = 10.0
"""Time (s) that a note may take to begin."""
ALIGNED = 4
LENGTH = 8
"""Frames rendered at a time, from a multiple of ALIGNED on, so that notes are batched."""
RATE_SECONDS = 2.0
"""Time (s) over which the rate reached is counted."""

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Follower:
    """A note whose latent may move."""

    played: ActiveNote
    since: float
    z: Latent
    """Latent that the note was last rendered for."""
    tick: float
    """Time (s) of the next look, if there is need of one."""
    due: float | None = None
    """Time (s) of the look that is posted; None while the latent rests."""
    begun: bool = False
    settled: bool = True
    """Whether the note has the whole spectrum of ``z``."""


_Look = tuple[_Follower, float, tuple[float, float] | None]


class Morpher:
    """Renders the notes that follow latents; for any thread.

    Looks are put into a queue by audio threads; one thread works it off, or the
    caller of ``work`` where that was not started.
    """

    def __init__(self, renderer: Rendering, clock: Callable[[], float]) -> None:
        self._renderer = renderer
        self._clock = clock
        self._looks: queue.SimpleQueue[_Look | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._followers: dict[Note, _Follower] = {}
        self._applied: deque[float] = deque(maxlen=4096)
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="timbre", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; looks that wait are dropped."""
        self._stopping = True
        self._looks.put(None)
        if self._thread is not None:
            self._thread.join(timeout=5)

    @property
    def rate(self) -> float:
        """Changes a second that each following note got lately."""
        now = self._clock()
        recent = sum(now - time < RATE_SECONDS for time in list(self._applied))
        return recent / RATE_SECONDS / max(1, len(self._followers))

    def morph(self, played: ActiveNote, target: Path, when: float, seconds: float) -> None:
        """Move a note's latent to a path within so many seconds."""
        self.follow(played, Glide(played.path, target, when, seconds), when)

    def follow(self, played: ActiveNote, path: Path, when: float) -> None:
        """Follow a path with a note from a time on."""
        with self._lock:
            z, played.path = played.path.at(when), path
            follower = self._followers.get(played.note)
            if follower is not None:
                self._schedule(follower, when)
                return
            for note in [note for note in self._followers if note.over]:
                del self._followers[note]
            follower = self._followers[played.note] = _Follower(played, when, z, when)
            self._schedule(follower, when)

    def rest(self, played: ActiveNote, when: float) -> None:
        """Keep a note's latent as it is at a time."""
        with self._lock:
            played.path = ConstantPath(played.path.at(when))
            follower = self._followers.get(played.note)
            if follower is not None:
                self._schedule(follower, when)

    def wake(self, owner: object, when: float) -> None:
        """Look at an owner's notes whose latents are others, or move, from a time on."""
        with self._lock:
            owned = [f for f in self._followers.values() if f.played.note.owner is owner]
            # in the order of their ticks, in which moving notes are rendered: to the last bit,
            # a note's frames depend on its place among those rendered together
            for follower in sorted(owned, key=lambda f: _first_tick(f.tick, when)):
                self._schedule(follower, when)

    def drop(self, note: Note) -> None:
        """Follow nothing with a note any more: it is over."""
        with self._lock:
            self._followers.pop(note, None)

    def forget(self, owner: object) -> None:
        """Drop the notes of a client that is gone."""
        with self._lock:
            for note in [note for note in self._followers if note.owner is owner]:
                del self._followers[note]
        self._renderer.forget(owner)

    def work(self) -> bool:
        """Work off the looks that wait; return whether there were any."""
        worked = False
        while not self._looks.empty():
            look = self._looks.get()
            if look is not None:
                self._tend(*look)
                worked = True
        return worked

    def _run(self) -> None:
        while (look := self._looks.get()) is not None and not self._stopping:
            try:
                self._tend(*look)
            except Exception:
                _log.exception("a note follows no more")
                self.drop(look[0].played.note)

    def _schedule(self, follower: _Follower, when: float) -> None:
        """Look at a follower at its first tick from a time on at which its latent is another one
        or moves; not at all while it rests. With the lock held."""
        path = follower.played.path
        if follower.settled and np.array_equal(path.at(when), follower.z):
            when = path.rests_until(when)
        if when == math.inf:
            if _is_constant(path):
                self._followers.pop(follower.played.note, None)
            return
        tick = _first_tick(follower.tick, when)
        if follower.due is None or tick < follower.due:
            follower.due = tick
            self._post_look(follower, tick)

    def _post_look(self, follower: _Follower, when: float) -> None:
        note = follower.played.note

        def look(voices: Voices) -> None:
            self._looks.put((follower, when, voices.next_frame(note)))

        # a recording counts a note's first look as caused by the message, and no later one
        token = CAUSE.set(CAUSE.get() if when == follower.since else None)
        try:
            follower.played.bus.post(look, when, coarse=True)
        finally:
            CAUSE.reset(token)

    def _tend(
        self, follower: _Follower, when: float, next_frame: tuple[float, float] | None
    ) -> None:
        """Do what follows from one look, and schedule the next one."""
        z, moved, settles = follower.z, False, False
        with self._lock:
            note = follower.played.note
            if self._followers.get(note) is not follower or follower.due != when:
                return  # the note is over, or an earlier look has taken this one's place
            follower.due, follower.tick = None, when + TICK
            if next_frame is not None:
                follower.begun = True
                z = follower.played.path.at(when)
                moved = not np.array_equal(z, follower.z)
                settles = not moved and not follower.settled
                follower.z, follower.settled = z, not moved
            elif follower.begun or when - follower.since > START_TIMEOUT_S:
                del self._followers[note]  # it is over, or never came
                return
            self._schedule(follower, when)
        if moved and next_frame is not None:
            self._request(follower, z, when, next_frame)
        elif settles:
            self._settle(follower, z, when)

    def _request(
        self, follower: _Follower, z: Latent, when: float, next_frame: tuple[float, float]
    ) -> None:
        played = follower.played
        window = _window(*next_frame)

        def done(magnitude: NDArray[np.float32], increment: NDArray[np.float32]) -> None:
            overlay = Overlay(window[0], magnitude.copy(), increment.copy())
            played.bus.post(
                lambda voices: voices.change(played.note, overlay=overlay),
                when + DELAY,
                played.note,
                coarse=True,
            )
            self._applied.append(self._clock())

        self._renderer.window(
            WindowRequest(
                *(played.note.owner, played, played.model.backend, z, played.label, window),
                done=done,
                failed=self._failed,
            )
        )

    def _settle(self, follower: _Follower, z: Latent, when: float) -> None:
        played = follower.played

        def done(spectrum: Spectrum) -> None:
            if not find_region(spectrum):
                return

            def settle(voices: Voices) -> None:
                if follower.settled:  # it has not moved on meanwhile
                    voices.change(played.note, spectrum=spectrum, overlay=None)

            played.bus.post(settle, when + SETTLE, played.note, coarse=True)

        owner = played.note.owner
        self._renderer.submit(
            Job(played.model.backend, z, played.label, done, self._failed, owner=owner)
        )

    def _failed(self, why: str) -> None:
        _log.warning("a timbre could not follow: %s", why)


def _is_constant(path: Path) -> bool:
    """Return whether a path that rests will never move again; what a slot holds may."""
    while isinstance(path, Glide):
        path = path.target
    return isinstance(path, ConstantPath)


def _first_tick(tick: float, when: float) -> float:
    """Return the first tick at or after a time."""
    # added up one by one, as while a latent moves: a rest must not shift the ticks after it,
    # or a score would not be rendered to the samples that were heard
    steps = max(0, math.ceil((when - tick) / TICK)) + 1
    ticks = np.cumsum([tick, *repeat(TICK, steps)])
    return float(ticks[np.searchsorted(ticks, when)])


def _window(place: float, step: float) -> Span:
    """Return the frames to render for a note that is at a place, with a step from hop to hop."""
    hops = (DELAY + TICK) / TICK * 2
    ahead = place + step * hops if step < 0 else place
    first = int(min(place, ahead)) // ALIGNED * ALIGNED
    first = int(np.clip(first, 0, FRAMES - LENGTH))
    return first, first + LENGTH
