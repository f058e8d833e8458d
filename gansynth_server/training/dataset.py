"""Notes to train on: a memory-mapped int16 array beside a JSON index.

A data folder holds ``notes.npy`` (int16 [N, 64000] at 16 kHz), ``index.json``
(one entry a row: instrument, program, pitch, velocity) and, once
:func:`spectra` was asked for, ``spectra.npy`` (float16 [N, 2, 128, 1024],
normalised as the generator's output is).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from gansynth_server.errors import UserError
from gansynth_server.model.config import Normalizer
from gansynth_server.spectral import transform
from gansynth_server.spectral.constants import BINS, FRAMES, SAMPLE_RATE, SAMPLES
from gansynth_server.training.general_midi import GENERAL_MIDI

HELD_SECONDS = 3
PEAK = 0.5

# General MIDI programs of one definite pitch, by index in bank 0. Left out:
# 47 timpani, 55 orchestra hit, 86 fifths, and 96…127, effects and percussion.
PITCHED_PROGRAMS = tuple(p for p in (*range(96), *range(104, 112)) if p not in (31, 47, 55, 86, 87))


@dataclass(frozen=True)
class Note:
    """One row of the data."""

    instrument: str
    program: int
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Dataset:
    """An opened data folder."""

    folder: Path
    notes: tuple[Note, ...]
    waves: NDArray[np.int16]

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Maps a data folder; UserError when it is none."""
        try:
            entries = json.loads((folder / "index.json").read_text())
            waves = np.load(folder / "notes.npy", mmap_mode="r")
        except FileNotFoundError as error:
            raise UserError(
                f"{folder} holds no data set; make one with: "
                f"gansynth dataset FILE.sf2 --output {folder}"
            ) from error
        return cls(folder, tuple(Note(**entry) for entry in entries), waves)

    def audio(self, rows: list[int] | slice) -> torch.Tensor:
        """Waves of some rows as float32 [n, 64000]."""
        return torch.from_numpy(self.waves[rows].astype(np.float32) / 32768)

    def spectra(self) -> NDArray[np.float16]:
        """All notes as normalised spectra, float16 [N, 2, 128, 1024]; made once, then mapped."""
        path = self.folder / "spectra.npy"
        if not path.exists():
            partial = path.with_suffix(".partial")
            shape = (len(self.notes), 2, FRAMES, BINS)
            out = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
            for start in track(range(0, shape[0], 32), description="spectra"):
                batch = self.audio(slice(start, start + 32))
                images = transform.normalise(transform.mel_spectra(batch), Normalizer())
                out[start : start + 32] = images.permute(0, 3, 1, 2).half().numpy()
            out.flush()
            partial.rename(path)
        return np.load(path, mmap_mode="r")


def render_soundfont(
    soundfont: Path,
    folder: Path,
    pitches: Sequence[int] = range(24, 85),
    velocity: int = 100,
    programs: Sequence[int] = PITCHED_PROGRAMS,
) -> Dataset:
    """Renders a General MIDI soundfont in NSynth's form: 3 s held, 1 s of release.

    Args:
        soundfont: an sf2 or sf3 file.
        folder: where the data goes; created.
        pitches: MIDI pitches to render.
        velocity: MIDI velocity of every note.
        programs: General MIDI programs of bank 0.

    Returns:
        The opened data; every note has its peak at 0.5. Programs without a
        sound at some pitch simply have fewer notes.
    """
    synth = _synth(soundfont)
    folder.mkdir(parents=True, exist_ok=True)
    notes: list[Note] = []
    rows: list[NDArray[np.int16]] = []
    for program in track(programs, description="rendering"):
        name = synth.sfpreset_name(0, 0, program)
        if not name:
            continue
        for pitch in pitches:
            wave = _render(synth, program, pitch, velocity)
            peak = float(np.abs(wave).max())
            if peak < 1e-4:
                continue
            rows.append(np.round(wave * (PEAK / peak * 32767)).astype(np.int16))
            notes.append(Note(GENERAL_MIDI[program], program, pitch, velocity))
    np.save(folder / "notes.npy", np.stack(rows))
    (folder / "index.json").write_text(json.dumps([asdict(note) for note in notes]))
    return Dataset.open(folder)


def _synth(soundfont: Path):  # type: ignore[no-untyped-def]
    try:
        import tinysoundfont
    except ImportError as error:
        raise UserError(
            "rendering a soundfont needs: pip install --no-deps tinysoundfont"
        ) from error
    if not soundfont.is_file():
        raise UserError(
            f"there is no soundfont at {soundfont}; on Debian: apt install fluidr3mono-gm-soundfont"
        )
    synth = tinysoundfont.Synth(samplerate=SAMPLE_RATE, gain=0.0)
    synth.sfload(str(soundfont))
    return synth


def _render(synth, program: int, pitch: int, velocity: int) -> NDArray[np.float32]:  # type: ignore[no-untyped-def]
    synth.sounds_off(0)
    synth.program_select(0, 0, 0, program)
    synth.noteon(0, pitch, velocity)
    held = np.frombuffer(synth.generate(HELD_SECONDS * SAMPLE_RATE), np.float32).copy()
    synth.noteoff(0, pitch)
    rest = SAMPLES - HELD_SECONDS * SAMPLE_RATE
    released = np.frombuffer(synth.generate(rest), np.float32).copy()
    synth.generate(SAMPLE_RATE // 4)  # let it ring out before the next one
    return np.concatenate([held, released]).reshape(-1, 2).mean(axis=1)
