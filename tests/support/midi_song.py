"""MIDI files made for the tests."""

from __future__ import annotations

from pathlib import Path

import mido

TICKS = 480
HALFWAY = 4800  # tick of the tempo change; 5 s at 120 bpm
SECOND_TEMPO = 400_000  # 150 bpm

Event = tuple[float, float, int, int]
"""Start and length in beats, pitch, velocity."""


def seconds(beat: float) -> float:
    """Time of a beat in a file that :func:`write` made with its tempo change."""
    tick = round(beat * TICKS)
    before, after = min(tick, HALFWAY), max(0, tick - HALFWAY)
    return (before * 0.5 + after * SECOND_TEMPO / 1e6) / TICKS


def write(path: Path, tracks: list[tuple[int, list[Event]]], tempo_change: bool = True) -> Path:
    """A type 1 file of (channel, events) tracks at 120 bpm, then at 150 bpm."""
    file = mido.MidiFile(ticks_per_beat=TICKS)
    tempo = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000)])
    if tempo_change:
        tempo.append(mido.MetaMessage("set_tempo", tempo=SECOND_TEMPO, time=HALFWAY))
    file.tracks.append(tempo)
    for channel, events in tracks:
        messages = []
        for start, length, pitch, velocity in events:
            messages.append((round(start * TICKS), 1, pitch, velocity))
            messages.append((round((start + length) * TICKS), 0, pitch, 0))
        track, last = mido.MidiTrack(), 0
        for tick, _, pitch, velocity in sorted(messages):
            track.append(
                mido.Message(
                    "note_on", channel=channel, note=pitch, velocity=velocity, time=tick - last
                )
            )
            last = tick
        file.tracks.append(track)
    file.save(path)
    return path
