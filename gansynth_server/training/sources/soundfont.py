"""Notes of soundfonts in NSynth's form: 3 s held, 1 s of release."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.analysis import file_names
from gansynth_server.analysis.segmentation import PEAK, SILENT, resample
from gansynth_server.errors import UserError
from gansynth_server.spectral.constants import SAMPLE_RATE, SAMPLES
from gansynth_server.training.dataset import Dataset, Note, Source, Writer, split_of
from gansynth_server.training.sources import PITCHES, selection
from gansynth_server.util import general_midi
from gansynth_server.util.progress import track

HELD_S = 3
FADES = 10
"""A note that is told to stop is silent for sure after one in so many of a second."""
DRUMS = range(35, 82)
"""General MIDI's percussion: the note numbers of channel 10."""
KITS = range(48)
"""Programs of bank 128 that have General MIDI's drums at its notes; in the orchestra's, 48, there
are timpani, and marching bands' have notes of their own."""
SNARE = 38
"""The drum at which the velocities of a kit are compared."""
DRUM_BANK = 128
GENERAL = 100
"""A font with so many programs in bank 0 has General MIDI's."""
ELECTRONIC_KITS = re.compile(r"808|909|electr|synth|dance|techno", re.I)
INFO = {b"INAM": "title", b"IENG": "author", b"ICOP": "copyright", b"ICMT": "comment"}

# electric grand and pianos, clavinet; tone-wheel organs; electric guitars; electric basses
ELECTRONIC = frozenset({2, 4, 5, 7, 16, 17, 18, *range(26, 32), *range(33, 38)})
# basses, strings, voice, brass; leads, pads, effects; the drum
SYNTHETIC = frozenset({38, 39, 50, 51, 54, 62, 63, *range(80, 104), 118})


def render(
    soundfonts: Sequence[Path],
    folder: Path,
    *,
    pitches: Sequence[int] | None = None,
    velocities: Sequence[int] = (100,),
    banks: Sequence[int] = (0,),
    programs: Sequence[int] | None = None,
    source: Source | None = None,
    drums: bool = False,
    pitch_share: float = 1.0,
    velocity_step: float = 0.0,
    oversample: int = 1,
    licence: str = "",
) -> Dataset:
    """Renders the presets of soundfonts; goes on where it was interrupted.

    Presets have the names that the fonts give them, but those of bank 0 of
    the first font, if it has General MIDI's programs, are called as General
    MIDI calls them. Where a name is taken, @FILE or _bankN follows.

    Args:
        soundfonts: sf2 or sf3 files.
        folder: where the data goes; created.
        pitches: MIDI note numbers; None is the generator's, or all drums.
        velocities: MIDI velocities 1…127.
        banks: MIDI banks 0…127.
        programs: General MIDI programs, 0…127; None is those of one definite
            pitch, or the kits with General MIDI's drums.
        source: only instruments of this kind.
        drums: takes the kits, bank 128, instead: the pitch of a note is its
            drum, its instrument the kit.
        pitch_share: see :func:`selection.some_pitches`.
        velocity_step: see :func:`selection.layers`; 0 takes all velocities.
        oversample: renders at so many times 16 kHz, which aliases less.
        licence: "" is what the soundfonts say.

    Returns:
        The opened data; every note has its peak at 0.5. Silent ones are left out.

    Raises:
        UserError: a file is no soundfont, tinysoundfont is missing, there are
            no notes, or the folder holds other data.
    """
    described = [describe(path) for path in soundfonts]
    if len({path.stem for path in soundfonts}) < len(soundfonts):
        raise UserError("the soundfonts need file names of their own; rename or leave out one")
    if pitches is None:
        pitches = DRUMS if drums else PITCHES
    if programs is None:
        programs = KITS if drums else general_midi.PITCHED_PROGRAMS
    if drums:
        banks = (DRUM_BANK,)
    else:
        programs = [p for p in programs if source in (None, source_of(p))]
    sources = [_source(font, licence) for font in described]
    about = {
        "kind": "soundfont",
        "title": ", ".join(each["title"] for each in sources),
        "licence": "\n".join(dict.fromkeys(filter(None, (each["licence"] for each in sources)))),
        "soundfonts": described,
        "settings": {
            "pitches": list(pitches),
            "velocities": list(velocities),
            "banks": list(banks),
            "programs": list(programs),
            "source": source,
            "pitch_share": pitch_share,
            "velocity_step": velocity_step,
            "oversample": oversample,
        },
    }
    if len(sources) > 1:
        about["sources"] = sources
    origins: dict[str, int] = {}
    with Writer(folder, about) as writer:
        for place, path in enumerate(soundfonts):
            font = Font(path, oversample)
            presets = [
                preset
                for preset in font.presets(banks, programs, origins, first=place == 0)
                if source in (None, preset.source)
            ]
            for preset in track(presets, path.name):
                origins[preset.name] = place
                chosen = pitches
                if not drums:
                    chosen = selection.some_pitches(preset.name, pitches, pitch_share)
                _add(writer, font, preset, chosen, velocities, velocity_step)
        return writer.finish(origins if len(sources) > 1 else None)


def _source(font: dict[str, str], licence: str) -> dict[str, str]:
    said = "\n".join(filter(None, (font["copyright"], font["comment"])))
    return {
        "kind": "soundfont",
        "title": font["title"] or font["file"],
        "licence": licence or said,
        "file": font["file"],
        "sha256": font["sha256"],
    }


def _add(
    writer: Writer,
    font: Font,
    preset: Preset,
    pitches: Sequence[int],
    velocities: Sequence[int],
    step: float,
) -> None:
    """Renders the notes of a preset that are not written yet."""
    wanted = {
        f"{preset.name}/{pitch}/{velocity}": (pitch, velocity)
        for pitch, velocity in product(pitches, velocities)
    }
    if all(key in writer for key in wanted):
        return
    font.select(preset)
    kept = velocities
    if step:
        place = SNARE if preset.bank == DRUM_BANK else selection.PROBE
        probe = {velocity: font.note(place, velocity) for velocity in velocities}
        heard = {v: wave for v, wave in probe.items() if np.abs(wave).max() >= SILENT}
        kept = selection.layers(heard, velocities, step)
    for key, (pitch, velocity) in wanted.items():
        if key in writer:
            continue
        if velocity not in kept:
            writer.skip(key, selection.SAME_VELOCITY)
            continue
        wave = font.note(pitch, velocity)
        peak = float(np.abs(wave).max())
        if peak < SILENT:
            writer.skip(key, "silent")
            continue
        split = split_of(preset.name, pitch)
        note = Note(preset.name, pitch, velocity, split, preset.family, preset.source)
        writer.add(key, note, wave * (PEAK / peak))


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


@dataclass(frozen=True)
class Preset:
    """One sound of a soundfont."""

    name: str
    """As the data calls it."""
    bank: int
    program: int
    family: str
    source: Source


class Font:
    """A soundfont that is played.

    Args:
        path: sf2 or sf3 file.
        oversample: rendered at so many times 16 kHz.
    """

    def __init__(self, path: Path, oversample: int = 1) -> None:
        self.path, self.rate = path, oversample * SAMPLE_RATE
        self._synth = _synth(path, self.rate)

    def presets(
        self, banks: Sequence[int], programs: Sequence[int], taken: Container[str], *, first: bool
    ) -> list[Preset]:
        """Presets of some banks and programs, with names that are not taken.

        Args:
            first: bank 0 has General MIDI's names, if the font has its programs.
        """
        general = first and sum(bool(self._name(0, p)) for p in range(128)) >= GENERAL
        found: dict[str, Preset] = {}
        for bank, program in product(banks, programs):
            own = self._name(bank, program)
            if not own:
                continue
            name = file_names.clean(own) or f"program_{program}"
            if bank == 0 and general:
                name = general_midi.GENERAL_MIDI[program]
            places = ("", f"_bank{bank}", f"_bank{bank}_program{program}")
            fonts = ("",) if first else ("", f"@{self.path.stem}")
            names = (name + place + font for place, font in product(places, fonts))
            name = next(each for each in names if each not in found and each not in taken)
            if bank == DRUM_BANK:
                kind: Source = "electronic" if ELECTRONIC_KITS.search(own) else "acoustic"
                found[name] = Preset(name, bank, program, "drums", kind)
            else:
                family = general_midi.family(program)
                found[name] = Preset(name, bank, program, family, source_of(program))
        return list(found.values())

    def _name(self, bank: int, program: int) -> str:
        return self._synth.sfpreset_name(0, bank, program) or ""

    def select(self, preset: Preset) -> None:
        """Makes a preset sound from the next note on."""
        self._synth.program_select(0, 0, preset.bank, preset.program)

    def note(self, pitch: int, velocity: int) -> NDArray[np.float32]:
        """One note, [64000] at 16 kHz; the same whatever was played before."""
        wave = _render(self._synth, pitch, velocity, self.rate)
        return wave if self.rate == SAMPLE_RATE else resample(wave, self.rate)


def _synth(path: Path, rate: int = SAMPLE_RATE) -> Any:
    try:
        import tinysoundfont
    except ImportError as error:
        raise UserError(
            "rendering a soundfont needs: pip install --no-deps tinysoundfont"
        ) from error
    synth = tinysoundfont.Synth(samplerate=rate, gain=0.0)
    try:
        synth.sfload(str(path))
    except RuntimeError as error:
        raise UserError(f"the soundfont {path} is damaged; get it anew") from error
    return synth


def _render(synth: Any, pitch: int, velocity: int, rate: int) -> NDArray[np.float32]:
    """One note, 4 s."""
    synth.noteon(0, pitch, velocity)
    held = np.frombuffer(synth.generate(HELD_S * rate), np.float32).copy()
    synth.noteoff(0, pitch)
    rest = SAMPLES // SAMPLE_RATE - HELD_S
    released = np.frombuffer(synth.generate(rest * rate), np.float32).copy()
    synth.sounds_off(0)
    synth.generate(rate // FADES)
    return np.concatenate([held, released]).reshape(-1, 2).mean(axis=1)


def source_of(program: int) -> Source:
    """How the instrument of a program makes its sound."""
    if program in ELECTRONIC:
        return "electronic"
    return "synthetic" if program in SYNTHETIC else "acoustic"
