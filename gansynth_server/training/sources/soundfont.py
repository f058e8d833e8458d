"""Notes of General MIDI soundfonts in NSynth's form: 3 s held, 1 s of release."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.midi.general_midi import GENERAL_MIDI
from gansynth_server.spectral.constants import SAMPLE_RATE, SAMPLES
from gansynth_server.training import general_midi
from gansynth_server.training.dataset import Dataset, Note, Source, Writer, split_of
from gansynth_server.training.sources import PEAK, PITCHES, SILENT, track

HELD = 3 * SAMPLE_RATE
FADE = SAMPLE_RATE // 10
"""Samples in which a note that is told to stop is silent for sure."""
INFO = {b"INAM": "title", b"IENG": "author", b"ICOP": "copyright", b"ICMT": "comment"}


def render(
    soundfonts: Sequence[Path],
    folder: Path,
    *,
    pitches: Sequence[int] = PITCHES,
    velocities: Sequence[int] = (100,),
    banks: Sequence[int] = (0,),
    programs: Sequence[int] = general_midi.PITCHED_PROGRAMS,
    source: Source | None = None,
) -> Dataset:
    """Renders the programs of soundfonts; goes on where it was interrupted.

    Args:
        soundfonts: sf2 or sf3 files. Instruments of the second and later are
            called NAME@FILE, those of banks but 0 NAME_bankN.
        folder: where the data goes; created.
        pitches: MIDI note numbers.
        velocities: MIDI velocities 1…127.
        banks: MIDI banks 0…127.
        programs: General MIDI programs, 0…127.
        source: only instruments of this kind.

    Returns:
        The opened data; every note has its peak at 0.5. Silent ones are left out.

    Raises:
        UserError: a file is no soundfont, tinysoundfont is missing, there are
            no notes, or the folder holds other data.
    """
    described = [describe(path) for path in soundfonts]
    if len({path.stem for path in soundfonts}) < len(soundfonts):
        raise UserError("the soundfonts need file names of their own; rename or leave out one")
    wanted = [p for p in programs if source in (None, general_midi.source(p))]
    about = {
        "kind": "soundfont",
        "title": ", ".join(font["title"] or font["file"] for font in described),
        "licence": "\n".join(
            filter(None, (font[key] for font in described for key in ("copyright", "comment")))
        ),
        "soundfonts": described,
        "settings": {
            "pitches": list(pitches),
            "velocities": list(velocities),
            "banks": list(banks),
            "programs": wanted,
            "source": source,
        },
    }
    with Writer(folder, about) as writer:
        for place, path in enumerate(soundfonts):
            synth = _synth(path)
            presets = [
                (bank, program)
                for bank, program in product(banks, wanted)
                if synth.sfpreset_name(0, bank, program)
            ]
            for bank, program in track(presets, path.name):
                name = GENERAL_MIDI[program]
                name += (f"_bank{bank}" if bank else "") + (f"@{path.stem}" if place else "")
                synth.program_select(0, 0, bank, program)
                for pitch, velocity in product(pitches, velocities):
                    key = f"{name}/{pitch}/{velocity}"
                    if key in writer:
                        continue
                    wave = _render(synth, pitch, velocity)
                    peak = float(np.abs(wave).max())
                    if peak < SILENT:
                        writer.skip(key, "silent")
                        continue
                    note = Note(
                        name,
                        pitch,
                        velocity,
                        split_of(name, pitch),
                        general_midi.family(program),
                        general_midi.source(program),
                    )
                    writer.add(key, note, wave * (PEAK / peak))
        return writer.finish()


def describe(path: Path) -> dict[str, str]:
    """File name, checksum and what the soundfont says of itself; UserError if it is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"there is no soundfont at {path}; on Debian: apt install fluidr3mono-gm-soundfont"
        ) from error
    if content[:4] != b"RIFF" or content[8:12] != b"sfbk":
        raise UserError(f"{path} is no soundfont; give an .sf2 or .sf3 file")
    about = {"file": path.name, "sha256": hashlib.sha256(content).hexdigest()}
    about |= dict.fromkeys(INFO.values(), "")
    # the first chunk of a soundfont is its LIST INFO: identifier, size, text
    at, end = 24, 20 + int.from_bytes(content[16:20], "little")
    while at + 8 <= min(end, len(content)):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if content[at : at + 4] in INFO:
            text = content[at + 8 : at + 8 + size].split(b"\0")[0]
            about[INFO[content[at : at + 4]]] = text.decode("utf-8", "replace").strip()
        at += 8 + size + size % 2
    return about


def _synth(path: Path) -> Any:
    try:
        import tinysoundfont
    except ImportError as error:
        raise UserError(
            "rendering a soundfont needs: pip install --no-deps tinysoundfont"
        ) from error
    synth = tinysoundfont.Synth(samplerate=SAMPLE_RATE, gain=0.0)
    try:
        synth.sfload(str(path))
    except RuntimeError as error:
        raise UserError(f"the soundfont {path} is damaged; get it anew") from error
    return synth


def _render(synth: Any, pitch: int, velocity: int) -> NDArray[np.float32]:
    """One note, [64000]; the same whatever was played before."""
    synth.noteon(0, pitch, velocity)
    held = np.frombuffer(synth.generate(HELD), np.float32).copy()
    synth.noteoff(0, pitch)
    released = np.frombuffer(synth.generate(SAMPLES - HELD), np.float32).copy()
    synth.sounds_off(0)
    synth.generate(FADE)
    return np.concatenate([held, released]).reshape(-1, 2).mean(axis=1)
