"""Tempo: beats, and the seconds that they mean."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from gansynth_server.errors import UserError
from gansynth_server.instrument.client import Client
from gansynth_server.util.beats import Beats

BPM = 120.0
"""Beats per minute until someone says otherwise."""
BPM_RANGE = (1.0, 1000.0)


@dataclass(frozen=True)
class Tempo:
    """Beats that count from ``beat`` at a time (s) of the instrument's clock."""

    bpm: float = BPM
    start: float = 0.0
    beat: float = 0.0

    def beat_at(self, seconds: float) -> float:
        """Return the beat at a time (s)."""
        return self.beat + (seconds - self.start) * self.bpm / 60

    def seconds_at(self, beat: float) -> float:
        """Return the time (s) of a beat."""
        return self.start + self.length(beat - self.beat)

    def length(self, beats: float) -> float:
        """Return how long (s) so many beats last."""
        return beats * 60 / self.bpm

    def last_multiple(self, beats: float, seconds: float) -> float:
        """Return the time (s) of the last beat up to a time whose number is a multiple."""
        return self.seconds_at(math.floor(self.beat_at(seconds) / beats + 1e-9) * beats)


class Tempos:
    """The tempo of all who have none of their own, which a MIDI clock sets, and those of clients;
    any thread."""

    def __init__(self) -> None:
        self._own: WeakKeyDictionary[Client, Tempo] = WeakKeyDictionary()
        self._common = Tempo()
        self._lock = threading.Lock()

    def of(self, client: Client) -> Tempo:
        """Return a client's tempo."""
        with self._lock:
            return self._own.get(client, self._common)

    def own(self, client: Client) -> Tempo | None:
        """Return the tempo that a client has set."""
        with self._lock:
            return self._own.get(client)

    def set_own(self, client: Client, tempo: Tempo | None) -> None:
        """Set a client's own tempo; None has it follow the common one again."""
        with self._lock:
            if tempo is None:
                self._own.pop(client, None)
            else:
                self._own[client] = tempo

    def set_common(self, tempo: Tempo) -> None:
        """Set the tempo of all who have none of their own."""
        with self._lock:
            self._common = tempo


TEMPOS = Tempos()
"""Those of this process."""


def tempo_of(client: Client) -> Tempo:
    """Return a client's tempo."""
    return TEMPOS.of(client)


def own_tempo(client: Client) -> Tempo | None:
    """Return the tempo that a client has set; None where it follows the common one."""
    return TEMPOS.own(client)


def length(client: Client, given: float | Beats, low: float, high: float, name: str) -> float:
    """Return a length (s) that may be given in beats of a client.

    Raises:
        UserError: beats make it shorter or longer than may be.
    """
    if not isinstance(given, Beats):
        return given
    found = tempo_of(client).length(given.number)
    if not low <= found <= high:
        raise UserError(
            f"{name} of {given} is {found:.4g} s at {tempo_of(client).bpm:g} bpm: "
            f"{low:g} to {high:g} s are taken"
        )
    return found


def per_second(client: Client, given: float | Beats) -> float:
    """Return a rate (1/s) that may be given as the beats of one turn."""
    return given if not isinstance(given, Beats) else 1 / tempo_of(client).length(given.number)
