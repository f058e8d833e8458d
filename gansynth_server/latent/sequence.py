"""The score of a hallucination: key timbres, interpolation between them, and notes.

In JSON, all but ``keys`` may be left out:

{"checkpoint": NAME, "latent_size": N, "steps": 5, "spacing": 1.0, "trim": 0, "attack": 0.5,
 "sustain": 1.0, "release": 0.5, "velocity": 100, "pitches": [60, 62],
 "keys": [{"latent": [N numbers]}, {"preset": "violin"}, {"seed": 7}]}
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.latent.paths import elapsed
from gansynth_server.latent.prior import Prior
from gansynth_server.latent.vectors import Latent, draw, slerp
from gansynth_server.util import json_text

MAX_KEYS = 64
MAX_STEPS = 64
MAX_PITCHES = 1024
NEAR = 1e-3
"""Distance from a note, as a share of the way to the next, that counts as the note's place."""
MAX_SECONDS = 4.0
"""Longest note (s)."""
MAX_AT_ONCE = 48
"""Most notes that overlap."""


@dataclass(frozen=True, eq=False)
class Sequence:
    """Notes whose timbre goes from one key to the next by spherical interpolation.

    keys: [count, latent_size].
    steps: notes between two keys.
    spacing: time (s) from one note to the next.
    trim: time (s) left out at a note's beginning.
    attack, sustain, release: times (s); a note is silent after the three.
    pitches: MIDI note numbers, repeated from the first.
    """

    keys: NDArray[np.float32]
    steps: int = 5
    spacing: float = 1.0
    trim: float = 0.0
    attack: float = 0.5
    sustain: float = 1.0
    release: float = 0.5
    velocity: float = 100.0
    pitches: tuple[float, ...] = (60.0,)

    def __len__(self) -> int:
        """Number of notes."""
        return len(self.keys) + (len(self.keys) - 1) * self.steps

    @property
    def length(self) -> float:
        """Time (s) that a note sounds."""
        return self.attack + self.sustain + self.release

    @property
    def seconds(self) -> float:
        """Time (s) from the first note's beginning to the last one's end."""
        return (len(self) - 1) * self.spacing + self.length

    def pitch(self, number: int) -> float:
        return self.pitches[number % len(self.pitches)]

    def latent(self, place: float) -> Latent:
        """Latent [latent_size] at a note, or between two; clamped to the first and last note."""
        at = min(max(place, 0.0), len(self) - 1.0) / (self.steps + 1)
        key = min(int(at), len(self.keys) - 1)
        following = min(key + 1, len(self.keys) - 1)
        return slerp(self.keys[key], self.keys[following], at - key)


class SequencePath:
    """A sequence as a path, whose latent at each note's time is that note's."""

    def __init__(self, sequence: Sequence, start: float) -> None:
        self._sequence, self._start = sequence, start

    def __str__(self) -> str:
        return f"hallucination of {len(self._sequence)} notes"

    def at(self, seconds: float) -> Latent:
        place = elapsed(seconds, self._start) / self._sequence.spacing
        # rounding, so that a note does not miss its own latent by an error of floating point
        nearest = round(place)
        return self._sequence.latent(nearest if abs(place - nearest) < NEAR else place)

    def rests_until(self, seconds: float) -> float:
        return seconds


def random_keys(count: int, prior: Prior, seed: int) -> NDArray[np.float32]:
    """Draw key timbres [count, size] from the prior."""
    if prior.centres is None:
        return draw(count * prior.size, seed).reshape(count, prior.size)
    random = np.random.default_rng(seed)
    return np.stack([prior.of(random) for _ in range(count)]).astype(np.float32)


def check(sequence: Sequence) -> Sequence:
    """Return the sequence; UserError if it cannot be played."""
    s = sequence
    for name, value, low, high in (
        ("the number of keys", len(s.keys), 1, MAX_KEYS),
        ("steps", s.steps, 0, MAX_STEPS),
        ("spacing", s.spacing, 0.01, 60.0),
        ("trim", s.trim, 0.0, MAX_SECONDS),
        ("attack", s.attack, 0.0, MAX_SECONDS),
        ("sustain", s.sustain, 0.0, MAX_SECONDS),
        ("release", s.release, 0.0, MAX_SECONDS),
        ("velocity", s.velocity, 1.0, 127.0),
        ("the number of pitches", len(s.pitches), 1, MAX_PITCHES),
        *(("a pitch", pitch, 0.0, 127.0) for pitch in s.pitches),
    ):
        if not low <= value <= high:
            raise UserError(f"{name} must be {low:g} to {high:g}, not {value:g}")
    whole = s.trim + s.length
    if s.length <= 0 or whole > MAX_SECONDS + 1e-6:
        raise UserError(
            f"a note has attack, sustain or release, with trim up to {MAX_SECONDS:g} s together, "
            f"not {whole:g}"
        )
    if s.length / s.spacing > MAX_AT_ONCE:
        raise UserError(
            f"at most {MAX_AT_ONCE} notes overlap; make the spacing "
            f"{s.length / MAX_AT_ONCE:.3g} s or longer"
        )
    return s


def encode(sequence: Sequence, checkpoint: str) -> bytes:
    """A sequence as JSON."""
    content = {
        "checkpoint": checkpoint,
        "latent_size": sequence.keys.shape[1],
        **{name: getattr(sequence, name) for name in _NUMBERS},
        "pitches": list(sequence.pitches),
        "keys": [{"latent": z} for z in sequence.keys],
    }
    return json_text.dumps(content) + b"\n"


_NUMBERS = ("steps", "spacing", "trim", "attack", "sustain", "release", "velocity")


def decode(name: str, data: bytes, prior: Prior, preset: Callable[[str], Latent]) -> Sequence:
    """Sequence of a file.

    Args:
        name: of the file.
        data: its content.
        prior: of the latents.
        preset: finds the latent of a preset by its name.

    Raises:
        UserError: it is damaged, cannot be played, or its latents are of another size.
    """
    try:
        content = json_text.loads(data)
        if not isinstance(content, dict) or not isinstance(content.get("keys"), list):
            raise UserError('it lacks "keys"')
        numbers = {n: _number(n, content[n]) for n in _NUMBERS if n in content}
        found = Sequence(np.stack([_key(k, prior, preset) for k in content["keys"][:MAX_KEYS]]))
        if "pitches" in content:
            pitches = tuple(_number("a pitch", pitch) for pitch in content["pitches"])
            found = replace(found, pitches=pitches)
        found = replace(found, **numbers)
        if found.steps != int(found.steps) or len(content["keys"]) > MAX_KEYS:
            raise UserError(f"steps are whole, and there are up to {MAX_KEYS} keys")
        return check(replace(found, steps=int(found.steps)))
    except UserError as error:
        raise UserError(f"{name} holds no sequence to play: {error}") from error
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        why = str(error).partition("\n")[0]
        raise UserError(f"{name} holds no sequence: {why}") from error


def _number(name: str, value: Any) -> Any:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not math.isfinite(value):
        raise UserError(f"{name} must be a finite number")
    return value


def _key(key: Any, prior: Prior, preset: Callable[[str], Latent]) -> Latent:
    if isinstance(key, dict) and "latent" in key:
        z = np.array(key["latent"], np.float32)
        if z.shape != (prior.size,) or not np.isfinite(z).all():
            raise UserError(f"a key's latent is {prior.size} finite numbers, not {list(z.shape)}")
        return z
    if isinstance(key, dict) and isinstance(key.get("preset"), str):
        return preset(key["preset"])
    if isinstance(key, dict) and type(key.get("seed")) is int and key["seed"] >= 0:
        return prior.draw(key["seed"])
    raise UserError('a key is {"latent": [numbers]}, {"preset": name} or {"seed": number}')
