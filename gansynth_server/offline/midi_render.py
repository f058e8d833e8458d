"""A MIDI file through the voices of the live server, as fast as they go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.model.config import GeneratorConfig
from gansynth_server.offline.midi_file import MidiNote
from gansynth_server.offline.midi_timbres import tracks
from gansynth_server.render.backends.base import Backend
from gansynth_server.spectral.constants import HOP, SAMPLE_RATE
from gansynth_server.spectral.inverse import check_rate, direct
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.bus import BANK_RATE
from gansynth_server.synth.envelope import ATTACK, RELEASE
from gansynth_server.synth.note import Note
from gansynth_server.synth.voices import Voices

Float32 = NDArray[np.float32]

HOLD_FROM = 3.0
"""Seconds; longer notes are held by the voice, for a spectrum dies away before its 4 s are over."""
MAX_VOICES = 256
MAX_SPECTRA = 256
"""Kept at once, 1 MB each; one that had to go is rendered again."""
MAX_SECONDS = 3600.0
BLOCK = 8192


def choose(
    notes: Sequence[MidiNote], pitches: tuple[int, ...], drums: bool
) -> tuple[list[MidiNote], int]:
    """The notes to play in the order of their starts, and how many were moved by octaves.

    Raises:
        UserError: there is nothing but drums, or the song is longer than an hour.
    """
    kept = [note for note in notes if drums or not note.drum]
    if not kept:
        raise UserError("the file holds drums alone; give --drums to hear them")
    last = max(note.end for note in kept)
    if last > MAX_SECONDS:
        raise UserError(f"the song is {last / 60:.0f} minutes long; up to 60 can be rendered")
    moved = [replace(note, pitch=into_range(note.pitch, pitches)) for note in kept]
    count = sum(a.pitch != b.pitch for a, b in zip(kept, moved, strict=True))
    return sorted(moved, key=lambda note: note.start), count


def into_range(pitch: int, pitches: tuple[int, ...]) -> int:
    """A pitch moved by octaves until it lies between the lowest and the highest."""
    down = max(0, -(-(pitch - pitches[-1]) // 12))
    up = max(0, -(-(pitches[0] - pitch) // 12))
    return pitch + 12 * (up - down)


def _silent_from(note: MidiNote) -> float:
    """Second at which its voice has ended; its release never begins within the attack."""
    return max(note.end, note.start + ATTACK) + RELEASE


def _trained(pitch: int, pitches: tuple[int, ...]) -> int:
    """The trained pitch next to one; the voice repitches by what is left."""
    return min(pitches, key=lambda p: abs(p - pitch))


class Spectra:
    """The spectra of a list of notes, rendered in batches ahead of need.

    Notes of equal latents and pitches share one, which is dropped after its
    last use.

    Args:
        latents: [N, latent_size].
        labels: [N].
    """

    def __init__(self, backend: Backend, latents: Float32, labels: NDArray[np.int64]) -> None:
        self._backend, self._latents, self._labels = backend, latents, labels
        self._keys = [(z.tobytes(), int(label)) for z, label in zip(latents, labels, strict=True)]
        self._uses = Counter(self._keys)
        self._kept: dict[tuple[bytes, int], Spectrum] = {}

    def take(self, index: int) -> Spectrum:
        """The spectrum of a note; each note is taken once, in order."""
        key = self._keys[index]
        if key not in self._kept:
            self._render_from(index)
        self._uses[key] -= 1
        return self._kept[key] if self._uses[key] else self._kept.pop(key)

    def _render_from(self, index: int) -> None:
        missing: dict[tuple[bytes, int], int] = {}
        for n in range(index, min(index + MAX_SPECTRA, len(self._keys))):
            if self._keys[n] not in self._kept:
                missing.setdefault(self._keys[n], n)
            if len(missing) == self._backend.info.batch:
                break
        while len(self._kept) + len(missing) > MAX_SPECTRA:
            self._kept.pop(next(iter(self._kept)))
        rows = list(missing.values())
        spectra = self._backend.render(self._latents[rows], self._labels[rows])
        self._kept.update(zip(missing, spectra, strict=True))


class Part:
    """A voice bank, where it stands in the song, and its place in stereo.

    Args:
        gains: [channels].
    """

    def __init__(self, rate: int, count: int, gains: Float32) -> None:
        self.voices = Voices(rate, count)
        self._gains = gains[:, None]
        self._at = 0

    def advance(self, out: Float32, to: int) -> None:
        """Adds the sound up to a sample to ``out`` [channels, frames]."""
        while self._at < to:
            size = min(BLOCK, to - self._at)
            sound = self.voices.render(size)
            out[:, self._at : self._at + size] += self._gains * sound
            self._at += size
            self.voices.take_started()
            self.voices.take_ended()


def render(
    backend: Backend,
    config: GeneratorConfig,
    notes: Sequence[MidiNote],
    latents: Float32,
    rate: int,
    pan: bool = False,
    on_note: Callable[[], None] = lambda: None,
) -> Float32:
    """All notes at their level, not normalised.

    Args:
        notes: N, in the order of their starts, with pitches near to the config's.
        latents: [N, latent_size].
        rate: 16000…192000 Hz.
        pan: spreads the tracks over the stereo field, the first one left.
        on_note: called once per note, for progress.

    Returns:
        float32 [1 or 2, frames], from the file's beginning to the end of the last release.

    Raises:
        UserError: the rate is out of range.
    """
    check_rate(rate)
    bank_rate = rate if direct(rate) else BANK_RATE
    rendered = [_trained(note.pitch, config.pitches) for note in notes]
    labels = np.array([config.label(pitch) for pitch in rendered], np.int64)
    spectra = Spectra(backend, latents, labels)
    index = tracks(notes)
    gains = pan_gains(len(index)) if pan else np.ones((1, 1), np.float32)
    part_of = [index[note.track, note.channel] if pan else 0 for note in notes]
    parts = [
        Part(bank_rate, polyphony([n for n, p in zip(notes, part_of, strict=True) if p == k]), gain)
        for k, gain in enumerate(gains)
    ]
    frames = round(max(map(_silent_from, notes)) * bank_rate)
    out = np.zeros((gains.shape[1], frames), np.float32)
    for n, note in enumerate(notes):
        part = parts[part_of[n]]
        part.advance(out, round(note.start * bank_rate))
        voice = Note(None, n, note.pitch, note.velocity, rendered[n], note.start, note.end)
        voice.spectrum = spectra.take(n)
        voice.hold = note.end - note.start > HOLD_FROM
        part.voices.start(voice)
        on_note()
    for part in parts:
        part.advance(out, frames)
    return out if bank_rate == rate else _resample(out, bank_rate, rate)


def pan_gains(count: int) -> Float32:
    """[count, 2] equal-power gains from hard left to hard right; one alone is in the middle."""
    places = np.linspace(0, 1, count) if count > 1 else np.array([0.5])
    angles = places * np.pi / 2
    gains = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gains[np.abs(gains) < 1e-9] = 0
    return gains.astype(np.float32)


def polyphony(notes: Sequence[MidiNote]) -> int:
    """Voices that never have to cut one of these notes off, up to MAX_VOICES."""
    slack = 2 * HOP / SAMPLE_RATE  # voices end between two blocks
    changes = [(note.start, 1) for note in notes]
    changes += [(_silent_from(note) + slack, -1) for note in notes]
    steps = [step for _, step in sorted(changes)]
    return int(min(MAX_VOICES, max(np.cumsum(steps))))


def _resample(sound: Float32, source: int, target: int) -> Float32:
    from scipy.signal import resample_poly

    divisor = int(np.gcd(source, target))
    up, down = target // divisor, source // divisor
    return np.stack([resample_poly(channel, up, down) for channel in sound])
