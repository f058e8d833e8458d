"""Reads the first note of a sound file, and its pitch."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gansynth_server.analysis import file_names, segmentation, sound_reader
from gansynth_server.errors import UserError

Float32 = NDArray[np.float32]

MAX_SECONDS = 30.0
"""Seconds of a file that are read."""


@dataclass(frozen=True)
class Recorded:
    """One note.

    wave: [64000] at 16 kHz, from the note's onset, with a peak of 0.5.
    pitch: MIDI note number.
    heard: whether the pitch was detected; else it was given, or in the file's name.
    """

    wave: Float32
    pitch: int
    heard: bool


def read(sound: bytes, name: str, pitches: tuple[int, ...], pitch: int | None = None) -> Recorded:
    """Read the first note of a sound file whose pitch is among ``pitches``.

    Args:
        sound: content of the file.
        name: of the file.
        pitch: MIDI note number of the file, which is taken as one note then; None takes that of
            the name (``horn_c4.wav``, ``horn_060.wav``), or detects it.

    Raises:
        UserError: the file cannot be read, holds no such note, or librosa is missing to detect it.
    """
    try:
        wave = segmentation.load(io.BytesIO(sound), MAX_SECONDS)
    except ValueError as error:
        suffix = Path(name).suffix.lower()
        why = sound_reader.way_out(suffix) if suffix in sound_reader.UNREADABLE else error
        raise UserError(f"{name} cannot be read as sound: {why}") from error
    takes = segmentation.takes(wave)
    if not takes:
        raise UserError(f"{name} is silent")
    known = file_names.parse(Path(name).stem).pitch if pitch is None else pitch
    if known is not None:
        if known not in pitches:
            raise UserError(
                f"this checkpoint plays the pitches {pitches[0]} to {pitches[-1]}, not {known}"
            )
        return Recorded(segmentation.note(wave, takes[0]), known, False)
    spans = [span for take in takes for span in segmentation.melody(wave, take)]
    for span in spans:
        if span.pitch is not None and span.pitch in pitches:
            return Recorded(segmentation.note(wave, span), span.pitch, True)
    heard = sorted({span.pitch for span in spans if span.pitch is not None})
    raise UserError(
        f"{name} has no note from {pitches[0]} to {pitches[-1]} "
        f"({'heard: ' + ', '.join(map(str, heard)) if heard else 'no steady pitch is heard'}); "
        "say which it is"
    )
