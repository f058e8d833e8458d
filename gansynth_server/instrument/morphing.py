"""Timbres that change while their notes sound.

A note that follows a moving latent is looked at on every tick of its own sound's
time. If the latent has moved, the few frames that the note reads next are
rendered for where it is now, and put into the note a little later, at a time
that does not depend on how long that took (unless it took longer: then as
soon as can be, and what was asked for meanwhile is left out but for the last).
Where the latent comes to rest the note gets its whole spectrum.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gansynth_server.instrument.client import Played
from gansynth_server.latent.paths import Glide
from gansynth_server.latent.slots import Path, Slots, Still
from gansynth_server.latent.vectors import Latent
from gansynth_server.render.jobs import Job, Rendering
from gansynth_server.render.receptive_field import Span
from gansynth_server.render.window_requests import Request
from gansynth_server.spectral.constants import FRAMES
from gansynth_server.spectral.inverse import Spectrum
from gansynth_server.spectral.steady import steadiest
from gansynth_server.synth.note import Overlay
from gansynth_server.synth.voices import Voices

TICK = 0.064
"""Seconds from one look at a latent to the next, two hops."""
DELAY = 0.060
"""Seconds from such a look to its being heard."""
SETTLE = 0.25
"""Seconds after a latent has come to rest until the note has its whole spectrum."""
PATIENCE = 10.0
"""Seconds that a note may take to begin."""
ALIGNED = 4
LENGTH = 8
"""Frames rendered at a time, from a multiple of ALIGNED on, so that notes can share them."""
RATE_SECONDS = 2.0
"""Over which the rate reached is counted."""

_log = logging.getLogger(__name__)


class SlotPath:
    """Whatever a slot holds."""

    def __init__(self, slots: Slots, slot: str) -> None:
        self._slots, self._slot = slots, slot

    def at(self, seconds: float) -> Latent:
        return self._slots.at(self._slot, seconds)


@dataclass(eq=False, slots=True)
class _Follower:
    """A note whose latent may move."""

    played: Played
    since: float
    z: Latent
    """What it was last rendered for."""
    begun: bool = False
    settled: bool = True
    """Whether the note has the whole spectrum of ``z``."""


_Look = tuple[_Follower, float, tuple[float, float] | None]


class Timbre:
    """Renders the notes that follow latents.

    Threads: ``morph`` and ``follow`` may be called from any; the looks are put
    into a queue by those that make sound, and one thread works it off, or
    whoever calls ``work`` where there is no such thread.
    """

    def __init__(self, renderer: Rendering, clock: Callable[[], float]) -> None:
        self._renderer = renderer
        self._clock = clock
        self._looks: queue.SimpleQueue[_Look | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._followers: dict[Played, _Follower] = {}
        self._applied: deque[float] = deque(maxlen=4096)
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self) -> None:
        """Begins to work by itself."""
        self._thread = threading.Thread(target=self._run, name="timbre", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; looks that wait are dropped."""
        self._stopping = True
        self._looks.put(None)
        if self._thread is not None:
            self._thread.join(timeout=5)

    @property
    def rate(self) -> float:
        """Changes a second that each following note really got lately."""
        now = self._clock()
        recent = sum(now - time < RATE_SECONDS for time in list(self._applied))
        return recent / RATE_SECONDS / max(1, len(self._followers))

    def morph(self, played: Played, target: Path, when: float, seconds: float) -> None:
        """Moves a note's latent to a path within so many seconds."""
        self.follow(played, Glide(played.path, target, when, seconds), when)

    def follow(self, played: Played, path: Path, when: float) -> None:
        """Has a note follow a path from a time on."""
        with self._lock:
            z = played.path.at(when)
            played.path = path
            if played in self._followers:
                return
            follower = self._followers[played] = _Follower(played, when, z)
        self._look_at(follower, when)

    def rest(self, played: Played, when: float) -> None:
        """Has a note keep the latent that it has at a time."""
        played.path = Still(played.path.at(when))

    def forget(self, owner: object) -> None:
        """Drops the notes of someone who is gone."""
        with self._lock:
            for played in [p for p in self._followers if p.note.owner is owner]:
                del self._followers[played]
        self._renderer.forget(owner)

    def work(self) -> bool:
        """Works off what waits, without waiting itself; whether there was anything."""
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
                self._drop(look[0])

    def _look_at(self, follower: _Follower, when: float) -> None:
        note = follower.played.note

        def look(voices: Voices) -> None:
            self._looks.put((follower, when, voices.heading(note)))

        follower.played.bus.post(look, when, coarse=True)

    def _drop(self, follower: _Follower) -> None:
        with self._lock:
            self._followers.pop(follower.played, None)

    def _tend(self, follower: _Follower, when: float, heading: tuple[float, float] | None) -> None:
        """What follows from one look: where the note is, and the step after it."""
        if heading is None:
            if follower.begun or when - follower.since > PATIENCE:
                self._drop(follower)  # it is over, or never came
            else:
                self._look_at(follower, when + TICK)
            return
        follower.begun = True
        z = follower.played.path.at(when)
        if not np.array_equal(z, follower.z):
            follower.z, follower.settled = z, False
            self._request(follower, z, when, heading)
        elif not follower.settled:
            follower.settled = True
            self._settle(follower, z, when)
        elif isinstance(follower.played.path, Still | Glide) and _over(follower.played.path, when):
            self._drop(follower)
            return
        self._look_at(follower, when + TICK)

    def _request(
        self, follower: _Follower, z: Latent, when: float, heading: tuple[float, float]
    ) -> None:
        played = follower.played
        window = _window(*heading)

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
            Request(
                *(played.note.owner, played, played.model.backend, z, played.label, window),
                done=done,
                failed=self._failed,
            )
        )

    def _settle(self, follower: _Follower, z: Latent, when: float) -> None:
        played = follower.played

        def done(spectrum: Spectrum) -> None:
            if spectrum.ready < FRAMES:
                return
            if spectrum.region is None:
                spectrum.region = steadiest(spectrum)

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


def _over(path: Path, when: float) -> bool:
    """Whether a path will not move any more."""
    while isinstance(path, Glide):
        if when < path.end:
            return False
        path = path.target
    return isinstance(path, Still)


def _window(place: float, step: float) -> Span:
    """The frames to render for a note that is at a place, with a step from hop to hop."""
    hops = (DELAY + TICK) / TICK * 2
    ahead = place + step * hops if step < 0 else place
    first = int(min(place, ahead)) // ALIGNED * ALIGNED
    first = int(np.clip(first, 0, FRAMES - LENGTH))
    return first, first + LENGTH
