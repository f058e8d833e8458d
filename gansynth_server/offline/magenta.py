"""A MIDI file as Magenta's ``gansynth_generate`` plays it, to the last sample.

The arithmetic is float64 and keeps Magenta's choices, the odd ones too: its
range of pitches, its instruments counted by the end of the last listed note,
its signed maxima, its envelope that stops at 3 s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.offline.midi_columns import MidiNote
from gansynth_server.spectral.constants import SAMPLE_RATE

if TYPE_CHECKING:
    from gansynth_server.render.model import Model

Float64 = NDArray[np.float64]

LOWEST, HIGHEST = 36, 84
"""Pitches that are played; others are left out, although networks reach down to 24."""
MAX_SECONDS = 3.0
ATTACK = 0.010
RELEASE = 0.3
"""Seconds: a note is cut here, rises in this time and falls in that after its end."""
TAIL = 3.0


def select(notes: Sequence[MidiNote]) -> list[MidiNote]:
    """The notes that Magenta plays, in its order; drums are among them."""
    return [note for note in notes if LOWEST <= note.pitch <= HIGHEST and not note.hanging]


def random_instruments(
    latent_size: int, total: float, seconds: float, state: np.random.RandomState
) -> tuple[Float64, Float64]:
    """Latents [n, latent_size] and their times [n] in seconds, one every so often.

    Raises:
        UserError: the song is too short for two, between which Magenta interpolates.
    """
    count = int(total / seconds)
    if count < 2:
        raise UserError(
            f"--magenta needs two instruments, but the song's {total:.3g} s have room for {count}: "
            f"give --secs-per-instrument {total / 2:.3g} or less, or leave out --magenta"
        )
    return state.normal(size=(count, latent_size)), np.linspace(-0.0001, total, count)


def slerp(a: Float64, b: Float64, amount: float) -> Float64:
    """Spherical interpolation of the vectors as they are; ``amount`` may exceed 1."""
    omega = np.arccos(np.dot(a / np.linalg.norm(a), b / np.linalg.norm(b)))
    mixed = np.sin((1 - amount) * omega) * a + np.sin(amount * omega) * b
    return np.asarray(mixed / np.sin(omega))


def latents_at(starts: Sequence[float], latents: Float64, times: Float64) -> Float64:
    """One latent per note start, between the two instruments around it: [N, latent_size].

    Starts beyond the last instrument continue the last interpolation.
    """
    found = np.searchsorted(times, starts, side="left") - 1
    result = np.empty((len(starts), latents.shape[1]))
    for n, (start, left) in enumerate(zip(starts, np.minimum(found, len(times) - 2), strict=True)):
        amount = (start - times[left]) / (times[left + 1] - times[left])
        result[n] = slerp(latents[left], latents[left + 1], float(amount))
    return result


def envelope(duration: float) -> Float64:
    """Gain per sample at 16 kHz, including the release after the note's end.

    On a note shorter than the attack the release, written last, cuts it off.
    """
    gain = np.ones(int(SAMPLE_RATE * min(duration, MAX_SECONDS)) + int(SAMPLE_RATE * RELEASE))
    attack, release = int(SAMPLE_RATE * ATTACK), int(SAMPLE_RATE * RELEASE)
    gain[:attack] = np.linspace(0.0, 1.0, attack)
    gain[-release:] = np.linspace(1.0, 0.0, release)
    return gain


def mixdown(clips: Iterable[NDArray[np.floating]], notes: Sequence[MidiNote]) -> Float64:
    """All notes added up in one buffer of whole seconds at 16 kHz, and scaled.

    Args:
        clips: one wave [64000] per note, in the notes' order.
        notes: whose starts, ends and velocities are used.

    Returns:
        float64 [samples]; its highest sample is 0.5, its lowest may be larger in size.
    """
    mix = np.zeros(int(max(note.end for note in notes) + TAIL) * SAMPLE_RATE)
    for clip, note in zip(clips, notes, strict=True):
        gain = envelope(note.end - note.start)
        sound = clip[: len(gain)] * gain
        sound *= note.velocity / 127 / (sound.max() or 1.0)
        at = int(note.start * SAMPLE_RATE)
        mix[at : at + len(sound)] += sound
    return mix / (mix.max() or 1.0) / 2


def render(
    model: Model,
    notes: Sequence[MidiNote],
    seconds: float,
    seed: int,
    on_note: Callable[[], None] = lambda: None,
) -> Float64:
    """A whole song, float64 [samples] at 16 kHz; see :func:`mixdown` for its level.

    Args:
        notes: as :func:`gansynth_server.offline.midi_file.read` gives them.
        seconds: between two random instruments.
        seed: of NumPy's legacy generator, as in ``np.random.seed(seed)``.
        on_note: called once per note, for progress.

    Raises:
        UserError: no note is in range, or the song is too short for two instruments.
    """
    played = select(notes)
    if not played:
        raise UserError(f"no note lies within pitches {LOWEST} to {HIGHEST}, which --magenta plays")
    state = np.random.RandomState(seed)
    instruments = random_instruments(model.latent_size, played[-1].end, seconds, state)
    latents = latents_at([note.start for note in played], *instruments).astype(np.float32)

    def clips() -> Iterator[NDArray[np.float32]]:
        size = model.backend.info.batch
        for at in range(0, len(played), size):
            pitches = [note.pitch for note in played[at : at + size]]
            for wave in model.generate_batch(latents[at : at + size], pitches):
                yield wave
                on_note()

    return mixdown(clips(), played)
