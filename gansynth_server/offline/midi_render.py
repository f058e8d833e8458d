"""A MIDI file through the voices of the live server, as fast as they go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.offline.midi_file import MidiNote
from gansynth_server.offline.midi_timbres import tracks
from gansynth_server.offline.player import OfflinePlayer
from gansynth_server.render.model import Model
from gansynth_server.synth.envelope import ATTACK, RELEASE
from gansynth_server.synth.playhead import STEADY

Float32 = NDArray[np.float32]

HOLD_FROM = 3.0
"""Length (s) from which notes are held by their voices: a spectrum dies away within its 4 s."""
MAX_VOICES = 256
MAX_SECONDS = 3600.0
AHEAD = 64
"""Notes that are rendered together, before the first of them sounds."""
GAIN = 2.0**-8
"""Gain of the bus, a power of two so that it can be undone exactly. Its limiter stays idle."""
TRACE = 1e-12
"""Level that counts as silence."""
SLOT = "z"


def choose(
    notes: Sequence[MidiNote], pitches: tuple[int, ...], drums: bool
) -> tuple[list[MidiNote], int]:
    """The notes to play, in the order of their starts, and how many were moved by octaves.

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


def render(
    model: Model,
    notes: Sequence[MidiNote],
    latents: Float32,
    rate: int,
    pan: bool = False,
    on_note: Callable[[], None] = lambda: None,
) -> Iterator[Float32]:
    """Yield the sound of all notes at their level, not normalised.

    Args:
        notes: N, in the order of their starts, with pitches near to the model's.
        latents: [N, latent_size].
        rate: 16000…192000 Hz.
        pan: spreads the tracks over the stereo field with equal power, the first one left.
        on_note: called when a note begins to sound, for progress.

    Yields:
        float32 [1 or 2, frames], from the file's beginning to the end of the last release.

    Raises:
        UserError: the rate is out of range.
    """
    player = OfflinePlayer(
        *(rate, MAX_VOICES, 2 if pan else 1, lambda *told: None),
        gain=GAIN,
        max_notes=len(notes),
        on_start=lambda note: on_note(),
    )
    frames = round(max(map(_silent_from, notes)) * rate)
    late = player.delay
    for block in _play(player, model, notes, latents, pan, (frames + late) / rate):
        sound = block[:, late:] / np.float32(GAIN)
        late = max(0, late - block.shape[1])
        if pan:  # cos(π/2) is 6e-17 in float64: hard right leaves a trace on the left
            sound[np.abs(sound) < TRACE] = 0
        yield sound


def together(one: Iterator[Float32], other: Iterator[Float32]) -> Iterator[Float32]:
    """Yield the sum of two mono sounds, whose blocks may differ, as long as the longer one."""
    streams = [one, other]
    held = [np.zeros((1, 0), np.float32) for _ in streams]
    while streams:
        for n, stream in enumerate(streams):
            if not held[n].shape[1]:
                held[n] = next(stream, np.zeros((1, 0), np.float32))
        playing = [n for n, block in enumerate(held) if block.shape[1]]
        streams, held = [streams[n] for n in playing], [held[n] for n in playing]
        if streams:
            size = min(block.shape[1] for block in held)
            yield np.sum([block[:, :size] for block in held], axis=0, dtype=np.float32)
            held = [block[:, size:] for block in held]


def _play(
    player: OfflinePlayer,
    model: Model,
    notes: Sequence[MidiNote],
    latents: Float32,
    pan: bool,
    end: float,
) -> Iterator[Float32]:
    """Yield the sound of the bus up to a time."""
    instrument = player.instrument
    client = instrument.add_client(0, model, player.bus)
    places = _places(notes) if pan else [0.0] * len(notes)
    for at in range(0, len(notes), AHEAD):
        yield from player.advance(notes[at].start)
        for n, note in enumerate(notes[at : at + AHEAD], at):
            instrument.set_latent(client, SLOT, latents[n], note.start)
            instrument.play(
                *(client, note.pitch, note.velocity, n, SLOT, note.start),
                off=note.end,
                hold=note.end - note.start > HOLD_FROM,
                region=STEADY,
                pan=places[n],
            )
        player.work()
    yield from player.advance(end)


def _places(notes: Sequence[MidiNote]) -> list[float]:
    """The pan of each note: its track's, from -1 to 1; one track alone is in the middle."""
    index = tracks(notes)
    places = np.linspace(-1, 1, len(index)) if len(index) > 1 else np.zeros(1)
    return [float(places[index[note.track, note.channel]]) for note in notes]


def _silent_from(note: MidiNote) -> float:
    """Time (s) at which its voice has ended; its release never begins within the attack."""
    return max(note.end, note.start + ATTACK) + RELEASE
