"""``gansynth dataset``: notes to train on, from soundfonts, NSynth or own recordings."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from gansynth_server.errors import UserError

if TYPE_CHECKING:
    from gansynth_server.training.dataset import Dataset

Ranges = Annotated[tuple[str, ...], arg(metavar="N|N-N …")]
Output = Annotated[Path, arg(aliases=("-o",))]
Kind = Literal["acoustic", "electronic", "synthetic", "all"]


@dataclass(frozen=True)
class SoundfontCommand:
    """Render General MIDI soundfonts: 3 s held and 1 s of release, 16 kHz, peak 0.5."""

    soundfonts: Positional[tuple[Path, ...]]
    """.sf2 or .sf3 files, such as Debian's FluidR3Mono_GM.sf3; instruments of the second and
    later are called NAME@FILE."""
    output: Output
    """Folder for the notes, 128 kB each; an interrupted run goes on there."""
    pitches: Ranges = ("24-84",)
    """MIDI note numbers and ranges of them, 0 to 127."""
    velocities: Ranges = ("100",)
    """MIDI velocities, 1 to 127."""
    banks: Ranges = ("0",)
    """MIDI banks, 0 to 127; instruments of another than 0 are called NAME_bankN."""
    programs: Ranges = ()
    """General MIDI programs, 0 to 127; if not given, those of one definite pitch."""
    source: Kind = "all"
    """Only instruments that make their sound so."""

    def run(self) -> None:
        from gansynth_server.training.general_midi import PITCHED_PROGRAMS
        from gansynth_server.training.sources import soundfont

        if not self.soundfonts:
            raise UserError("give one or more soundfonts, .sf2 or .sf3 files")
        pitches = numbers("--pitches", self.pitches)
        velocities = numbers("--velocities", self.velocities, least=1)
        banks = numbers("--banks", self.banks)
        programs = numbers("--programs", self.programs) if self.programs else PITCHED_PROGRAMS
        _make(
            lambda: soundfont.render(
                self.soundfonts,
                self.output,
                pitches=pitches,
                velocities=velocities,
                banks=banks,
                programs=programs,
                source=None if self.source == "all" else self.source,
            )
        )


@dataclass(frozen=True)
class NSynthCommand:
    """Take notes of the public NSynth release (json and wav), bit for bit."""

    release: Positional[Path]
    """Folder with examples.json and audio/, or the one of nsynth-train, -valid and -test."""
    output: Output
    """Folder for the notes, 128 kB each; an interrupted run goes on there."""
    source: Kind = "all"
    """Only instruments that make their sound so; the GANSynth paper's is acoustic."""
    pitches: Ranges = ("24-84",)
    """MIDI note numbers and ranges of them, 0 to 127."""
    split: Literal["paper", "nsynth"] = "paper"
    """paper: one in 20 of all (instrument, pitch) pairs is held out, so that instruments are not,
    as in the GANSynth paper; nsynth: the release's valid and test parts are."""

    def run(self) -> None:
        from gansynth_server.training.sources import nsynth

        pitches = numbers("--pitches", self.pitches)
        _make(
            lambda: nsynth.convert(
                self.release,
                self.output,
                split=self.split,
                source=None if self.source == "all" else self.source,
                pitches=pitches,
            )
        )


@dataclass(frozen=True)
class FolderCommand:
    """Cut recordings to notes of up to 4 s, 16 kHz, peak 0.5.

    A pitch in the file name (piano_C4, 060, pitch_67, NSynth's NAME_024-060-100; C4 is 60)
    is believed, and only silence parts such a file. Any other file is cut where notes are
    struck or the pitch moves on, and librosa hears the pitches.
    """

    recordings: Positional[Path]
    """Folder of .wav, .flac, .ogg, .mp3, .aiff …; a subfolder's name is its instrument's."""
    output: Output
    """Folder for the notes, 128 kB each; an interrupted run goes on there."""
    pitches: Ranges = ("24-84",)
    """MIDI note numbers and ranges of them to take, 0 to 127."""
    family: str = ""
    """Label of the instruments, such as brass."""
    source: Literal["acoustic", "electronic", "synthetic", "unknown"] = "unknown"
    """Label: how the instruments make their sound."""
    licence: str = ""
    """Of the recordings, kept with the notes."""

    def run(self) -> None:
        from gansynth_server.training.sources import folder

        pitches = numbers("--pitches", self.pitches)
        _make(
            lambda: folder.collect(
                self.recordings,
                self.output,
                pitches=pitches,
                family=self.family,
                source=None if self.source == "unknown" else self.source,
                licence=self.licence,
            )
        )


@dataclass(frozen=True)
class InfoCommand:
    """Say what a folder of notes holds."""

    data: Positional[Path]
    """Folder that gansynth dataset made."""

    def run(self) -> None:
        from gansynth_server.training.dataset import Dataset

        _tell(Dataset.open(self.data))


@dataclass(frozen=True)
class DatasetCommand:
    """Make a folder of notes to train on (4 s, 16 kHz, mono), or say what one holds."""

    make: Annotated[
        Annotated[SoundfontCommand, subcommand("soundfont")]
        | Annotated[NSynthCommand, subcommand("nsynth")]
        | Annotated[FolderCommand, subcommand("folder")]
        | Annotated[InfoCommand, subcommand("info")],
        arg(name=""),
    ]

    def run(self) -> None:
        self.make.run()


def numbers(option: str, texts: tuple[str, ...], least: int = 0) -> tuple[int, ...]:
    """``60``, ``24-84`` and lists of them with commas to sorted numbers up to 127.

    Raises:
        UserError: something else, or a number below the least or above 127.
    """
    found: set[int] = set()
    for text in ",".join(texts).split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not least <= first <= last <= 127:
            raise UserError(f"{option} takes numbers and ranges in {least}-127, not {text!r}")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def _make(source: Callable[[], Dataset]) -> None:
    from gansynth_server.training.summary import draw_sheet

    try:
        data = source()
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        raise
    _tell(data)
    try:
        print(f"pictures of some notes: {draw_sheet(data)}")
    except UserError as error:
        print(f"no contact sheet: {error}")


def _tell(data: Dataset) -> None:
    from rich.console import Console

    from gansynth_server.training.summary import summary

    # a licence or a path may hold what would be markup
    Console(markup=False, highlight=False).print(summary(data))
