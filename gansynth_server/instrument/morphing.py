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

from gansynth_server.engine.commands import CAUSE
from gansynth_server.engine.events import Looked
from gansynth_server.instrument.client import ActiveNote, Client
from gansynth_server.latent.paths import Glide
from gansynth_server.latent.slots import ConstantPath, Path
from gansynth_server.latent.vectors import Latent
from gansynth_server.render.jobs import Job, Rendering
from gansynth_server.render.receptive_field import Span
from gansynth_server.render.window_requests import WindowRequest
from gansynth_server.spectral.constants import FRAMES
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.spectral.steady import find_region
from gansynth_server.synth.note import Overlay

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


_Look = tuple[ActiveNote, float, tuple[float, float] | None]


class Morpher:
    """Renders the notes that follow latents; for any thread.

    One thread works the looks off that the engine tells, or the caller of ``work`` where that
    was not started.

    Args:
        clock: seconds.
        tell_frames: see :class:`Instrument`.
    """

    def __init__(
        self,
        renderer: Rendering,
        clock: Callable[[], float],
        tell_frames: Callable[[Spectrum], None],
    ) -> None:
        self._renderer, self._clock, self._tell_frames = renderer, clock, tell_frames
        self._looks: queue.SimpleQueue[_Look | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._followers: dict[ActiveNote, _Follower] = {}
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
            follower = self._followers.get(played)
            if follower is not None:
                self._schedule(follower, when)
                return
            for other in [other for other in self._followers if other.over]:
                del self._followers[other]
            follower = self._followers[played] = _Follower(played, when, z, when)
            self._schedule(follower, when)

    def rest(self, played: ActiveNote, when: float) -> None:
        """Keep a note's latent as it is at a time."""
        with self._lock:
            played.path = ConstantPath(played.path.at(when))
            follower = self._followers.get(played)
            if follower is not None:
                self._schedule(follower, when)

    def wake(self, client: Client, when: float) -> None:
        """Look at a client's notes whose latents are others, or move, from a time on."""
        with self._lock:
            owned = [f for f in self._followers.values() if f.played.client is client]
            # in the order of their ticks, in which moving notes are rendered: to the last bit,
            # a note's frames depend on its place among those rendered together
            for follower in sorted(owned, key=lambda f: _first_tick(f.tick, when)):
                self._schedule(follower, when)

    def drop(self, played: ActiveNote) -> None:
        """Follow nothing with a note any more: it is over."""
        with self._lock:
            self._followers.pop(played, None)

    def forget(self, client: Client) -> None:
        """Drop the notes of a client that is gone."""
        with self._lock:
            for played in [played for played in self._followers if played.client is client]:
                del self._followers[played]
        self._renderer.forget(client)

    def put_look(self, played: ActiveNote, look: Looked) -> None:
        """Take what the engine tells of a note."""
        self._looks.put((played, look.when, look.next_frame))

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
                self.drop(look[0])

    def _schedule(self, follower: _Follower, when: float) -> None:
        """Look at a follower at its first tick from a time on at which its latent is another one
        or moves; not at all while it rests. With the lock held."""
        path = follower.played.path
        if follower.settled and np.array_equal(path.at(when), follower.z):
            when = path.rests_until(when)
        if when == math.inf:
            if _is_constant(path):
                self._followers.pop(follower.played, None)
            return
        tick = _first_tick(follower.tick, when)
        if follower.due is None or tick < follower.due:
            follower.due = tick
            self._post_look(follower, tick)

    def _post_look(self, follower: _Follower, when: float) -> None:
        played = follower.played
        # a recording counts a note's first look as caused by the message, and no later one
        played.bus.look(played.number, when, CAUSE.get() if when == follower.since else 0)

    def _tend(
        self, played: ActiveNote, when: float, next_frame: tuple[float, float] | None
    ) -> None:
        """Do what follows from one look, and schedule the next one."""
        with self._lock:
            follower = self._followers.get(played)
            # the note is over, or an earlier look has taken this one's place
            if follower is None or follower.due != when:
                return
            z, moved, settles = follower.z, False, False
            follower.due, follower.tick = None, when + TICK
            if next_frame is not None:
                follower.begun = True
                z = played.path.at(when)
                moved = not np.array_equal(z, follower.z)
                settles = not moved and not follower.settled
                follower.z, follower.settled = z, not moved
            elif follower.begun or when - follower.since > START_TIMEOUT_S:
                del self._followers[played]  # it is over, or never came
                return
            if moved:  # a settle that is on its way no longer counts
                played.settling += 1
                played.bus.change(played.number, settling=played.settling)
            self._schedule(follower, when)
        if moved and next_frame is not None:
            self._request(played, z, when, next_frame)
        elif settles:
            self._settle(played, z, when)

    def _request(
        self, played: ActiveNote, z: Latent, when: float, next_frame: tuple[float, float]
    ) -> None:
        window = _window(*next_frame)

        def done(magnitude: NDArray[np.float32], increment: NDArray[np.float32]) -> None:
            overlay = Overlay(window[0], magnitude.copy(), increment.copy())
            played.bus.change(played.number, when + DELAY, coarse=True, overlay=overlay)
            self._applied.append(self._clock())

        self._renderer.window(
            WindowRequest(
                *(played.client, played, played.model.backend, z, played.label, window),
                done=done,
                failed=self._failed,
            )
        )

    def _settle(self, played: ActiveNote, z: Latent, when: float) -> None:
        number = played.settling

        def done(spectrum: Spectrum) -> None:
            if not find_region(spectrum):
                return
            self._tell_frames(spectrum)
            played.bus.settle(played.number, spectrum, number, when + SETTLE)

        backend = played.model.backend
        self._renderer.submit(
            Job(backend, z, played.label, done, self._failed, owner=played.client)
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
