"""A MIDI file through the voices of the live server, as fast as they go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import merge
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.instrument.client import ActiveNote, Client
from gansynth_server.instrument.offline_player import OfflinePlayer
from gansynth_server.offline.midi_columns import Control, MidiNote
from gansynth_server.offline.midi_expression import FileExpression, Place, pans, poly_pressure
from gansynth_server.offline.midi_timbres import tracks
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
MAX_AHEAD = 4096
"""Notes and controls that are posted together."""
GAIN = 2.0**-8
"""Gain of the bus, a power of two so that it can be undone exactly. Its limiter stays idle."""
TRACE = 1e-12
"""Level that counts as silence."""
SLOT = "z"


def choose(
    notes: Sequence[MidiNote],
    pitches: tuple[int, ...],
    drums: bool,
    drum_pitches: tuple[int, ...] | None = None,
) -> tuple[list[MidiNote], int]:
    """Return the notes to play, in the order of their starts, and how many were moved by octaves.

    Args:
        drum_pitches: of the checkpoint that plays the drums, which octaves cannot stand for: notes
            outside of them are left out; None where drums are played as notes.

    Raises:
        UserError: there is nothing but drums, or the song is longer than an hour.
    """
    if drum_pitches is None:
        kept = [note for note in notes if drums or not note.drum]
    else:
        kept = [note for note in notes if not note.drum or note.pitch in drum_pitches]
    if not kept:
        raise UserError("the file holds drums alone; give --drums to hear them")
    last = max(note.end for note in kept)
    if last > MAX_SECONDS:
        raise UserError(f"the song is {last / 60:.0f} minutes long; up to 60 can be rendered")
    moved = [
        note
        if note.drum and drum_pitches is not None
        else replace(note, pitch=into_range(note.pitch, pitches))
        for note in kept
    ]
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
    latents: Sequence[Float32] | Float32,
    rate: int,
    pan: bool = False,
    on_note: Callable[[], None] = lambda: None,
    controls: Iterable[Control] = (),
    drums: Model | None = None,
    places: Sequence[float] | None = None,
) -> Iterator[Float32]:
    """Yield the sound of all notes at their level, not normalised.

    Args:
        notes: N, in the order of their starts, with pitches near to the model's.
        latents: N of [latent_size], each of the model that plays the note.
        rate: 16000…192000 Hz.
        pan: spreads the tracks over the stereo field with equal power, the first one left, in
            place of the controls' panning.
        on_note: called when a note begins to sound, for progress.
        controls: what changes the notes, in the order of their times.
        drums: plays the notes of the drum channel; None has the model play them too.
        places: N pans from -1 to 1, in place of those of the tracks, with ``pan``.

    Yields:
        float32 [1 or 2, frames], from the file's beginning to the end of the last release;
        stereo where anything is panned.

    Raises:
        UserError: the rate is out of range.
    """
    stereo = pan or any(map(pans, controls))
    player = OfflinePlayer(
        *(rate, MAX_VOICES, 2 if stereo else 1, lambda *told: None),
        gain=GAIN,
        max_notes=len(notes),
        on_start=lambda note: on_note(),
    )
    frames = round(max(map(_silent_from, notes)) * rate)
    late = player.delay
    if pan and places is None:
        places = pans_of(notes)
    playing = _Playing(player, model, drums, notes, FileExpression(controls), places)
    for block in playing.blocks(latents, controls, (frames + late) / rate):
        sound = block[:, late:] / np.float32(GAIN)
        late = max(0, late - block.shape[1])
        if stereo:  # cos(π/2) is 6e-17 in float64: hard right leaves a trace on the left
            sound[np.abs(sound) < TRACE] = 0
        yield sound


class _Playing:
    """A song on its way through the player."""

    def __init__(
        self,
        player: OfflinePlayer,
        model: Model,
        drums: Model | None,
        notes: Sequence[MidiNote],
        expression: FileExpression,
        places: Sequence[float] | None,
    ) -> None:
        self._player, self._notes, self._expression = player, notes, expression
        self._places = places
        instrument = player.instrument
        self._client = instrument.add_client(0, model, player.bus)
        self._drums: Client | None = None
        if drums is not None:
            self._drums = instrument.add_client(1, drums, player.bus)
        self._sounding: dict[Place, list[tuple[float, MidiNote, ActiveNote]]] = {}

    def blocks(
        self, latents: Sequence[Float32] | Float32, controls: Iterable[Control], end: float
    ) -> Iterator[Float32]:
        """Yield the sound of the bus up to a time (s)."""
        posted = begun = 0
        # at one time, controls come first: a file sets its channels up and then begins; but the
        # pressure of one key is that of a note that has begun
        due: Iterator[tuple[float, int, int | Control]] = merge(
            ((one.time, 2 if poly_pressure(one) else 0, one) for one in controls),
            ((note.start, 1, n) for n, note in enumerate(self._notes)),
            key=lambda item: item[:2],
        )
        for time, _, what in due:
            if posted == 0:
                yield from self._player.advance(min(time, end))
            if isinstance(what, int):
                self._begin(what, latents[what])
                begun += 1
            else:
                self._change(what)
            posted += 1
            if begun == AHEAD or posted == MAX_AHEAD:
                self._player.work()
                posted = begun = 0
        self._player.work()
        yield from self._player.advance(end)

    def _begin(self, n: int, latent: Float32) -> None:
        note, instrument = self._notes[n], self._player.instrument
        client = self._drums if self._drums is not None and note.drum else self._client
        instrument.set_latent(client, SLOT, latent, note.start)
        expression = self._expression.of(note)
        if self._places is not None:
            expression["pan"] = self._places[n]
        instrument.play(
            client,
            *(note.pitch, note.velocity, n, SLOT, note.start),
            off=note.end,
            hold=note.end - note.start > HOLD_FROM,
            region=STEADY,
            **expression,
        )
        place = note.port, note.channel
        sounding = self._sounding.setdefault(place, [])
        sounding += [(_silent_from(note), note, p) for p in instrument.played(client, n)]
        if len(sounding) > MAX_VOICES:
            self._sounding[place] = [one for one in sounding if one[0] > note.start]

    def _change(self, control: Control) -> None:
        """Change the notes that sound as a control says."""
        pressed = poly_pressure(control)
        if pressed is not None:
            key, pressure = pressed
            self._apply((control.port, control.channel), control.time, {"pressure": pressure}, key)
            return
        for place, changes in self._expression.apply(control).items():
            if self._places is not None:
                changes.pop("pan", None)
            self._apply(place, control.time, changes)

    def _apply(
        self, place: Place, time: float, changes: dict[str, Any], key: int | None = None
    ) -> None:
        sounding = [one for one in self._sounding.get(place, ()) if one[0] > time]
        self._sounding[place] = sounding
        for _, note, played in sounding if changes else ():
            if key in (None, note.pitch):
                self._player.instrument.change(played, time, **changes)


def pans_of(notes: Sequence[MidiNote]) -> list[float]:
    """Return the pan of each note: its track's, from -1 to 1; one track alone is in the middle."""
    index = tracks(notes)
    places = np.linspace(-1, 1, len(index)) if len(index) > 1 else np.zeros(1)
    return [float(places[index[note.track, note.channel]]) for note in notes]


def _silent_from(note: MidiNote) -> float:
    """Time (s) at which its voice has ended; its release never begins within the attack."""
    return max(note.end, note.start + ATTACK) + RELEASE
