"""``gansynth dataset``: notes to train on, from soundfonts, synthesisers, NSynth or recordings."""

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
    """Render soundfonts: 3 s held and 1 s of release, 16 kHz, peak 0.5.

    Instruments have the fonts' own names, cleaned; where one is taken, @FILE or _bankN follows.
    Bank 0 of the first font has General MIDI's names, if it has its programs.
    """

    soundfonts: Positional[tuple[Path, ...]]
    """.sf2 or .sf3 files, such as Debian's FluidR3Mono_GM.sf3."""
    output: Output
    """Folder for the notes, 128 kB each; an interrupted run goes on there."""
    pitches: Ranges = ()
    """MIDI note numbers and ranges of them, 0 to 127; if not given, 24-84, and with --drums
    35-81."""
    pitch_share: float = 1.0
    """Share 0 to 1 of the pitches that each instrument has, drawn by a checksum; 48, 60 and 72
    are always taken."""
    velocities: Ranges = ("100",)
    """MIDI velocities, 1 to 127."""
    velocity_step: float = 0.0
    """Leave out velocities of an instrument that sound like another one, nearer than so many dB;
    0 takes all."""
    banks: Ranges = ("0",)
    """MIDI banks, 0 to 127."""
    programs: Ranges = ()
    """General MIDI programs, 0 to 127; if not given, those of one definite pitch, and with --drums
    0-47: the kits with General MIDI's drums at its notes."""
    source: Kind = "all"
    """Only instruments that make their sound so."""
    drums: bool = False
    """Render the drum kits (bank 128) instead: a note's pitch is its drum, General MIDI's 35 to
    81, and its instrument the kit."""
    oversample: int = 1
    """Render at so many times 16 kHz: 3 aliases less."""
    licence: str = ""
    """Of the soundfonts, if they do not say it themselves."""

    def run(self) -> None:
        from gansynth_server.training.sources import soundfont

        if not self.soundfonts:
            raise UserError("give one or more soundfonts, .sf2 or .sf3 files")
        check("--pitch-share", self.pitch_share, 0, 1)
        check("--velocity-step", self.velocity_step, 0, 100)
        check("--oversample", self.oversample, 1, 12)
        pitches = numbers("--pitches", self.pitches) if self.pitches else None
        velocities = numbers("--velocities", self.velocities, least=1)
        banks = numbers("--banks", self.banks)
        programs = numbers("--programs", self.programs) if self.programs else None
        _make(
            lambda: soundfont.render(
                self.soundfonts,
                self.output,
                pitches=pitches,
                velocities=velocities,
                banks=banks,
                programs=programs,
                source=None if self.source == "all" else self.source,
                drums=self.drums,
                pitch_share=self.pitch_share,
                velocity_step=self.velocity_step,
                oversample=self.oversample,
                licence=self.licence,
            )
        )


@dataclass(frozen=True)
class DssiCommand:
    """Render the programs of a DSSI synthesiser at 48 kHz: 3 s held and 1 s of release.

    Programs that sound whole octaves off are played as much higher or lower; those without a
    steady pitch are left out.
    """

    plugin: Positional[str]
    """A library, or its name in DSSI_PATH, such as whysynth (Debian: whysynth)."""
    output: Output
    """Folder for the notes, 128 kB each; an interrupted run goes on there."""
    patches: tuple[Path, ...] = ()
    """Bank files for the plugin; if not given, the programs it has built in."""
    pitches: Ranges = ("24-84",)
    """MIDI note numbers and ranges of them, 0 to 127, as they sound."""
    pitch_share: float = 1.0
    """Share 0 to 1 of the pitches that each instrument has, drawn by a checksum; 48, 60 and 72
    are always taken."""
    velocities: Ranges = ("100",)
    """MIDI velocities, 1 to 127."""
    velocity_step: float = 0.0
    """Leave out velocities of an instrument that sound like another one, nearer than so many dB;
    0 takes all."""
    licence: str = ""
    """Of the patches; if not given, what the bank files say in their first lines."""
    processes: int = 1
    """That render at a time."""

    def run(self) -> None:
        from gansynth_server.training.sources import dssi

        check("--pitch-share", self.pitch_share, 0, 1)
        check("--velocity-step", self.velocity_step, 0, 100)
        check("--processes", self.processes, 1, 64)
        pitches = numbers("--pitches", self.pitches)
        velocities = numbers("--velocities", self.velocities, least=1)
        _make(
            lambda: dssi.render(
                self.plugin,
                self.output,
                patches=self.patches,
                pitches=pitches,
                velocities=velocities,
                pitch_share=self.pitch_share,
                velocity_step=self.velocity_step,
                licence=self.licence,
                processes=self.processes,
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
class MergeCommand:
    """Copy the notes of several folders into one, bit for bit; each instrument keeps its licence.

    Where a name is taken, the source's follows: NAME@FILE.
    """

    folders: Positional[tuple[Path, ...]]
    """Folders that gansynth dataset made."""
    output: Output
    """Folder for the notes, 128 kB each; an interrupted run goes on there."""
    distinct: float = 0.0
    """Leave out instruments whose notes are nearer than so many dB to those of one before, after
    loudness has been matched; 3 leaves out what sounds alike. 0 takes all."""
    probes: Ranges = ("48", "60", "72")
    """MIDI pitches (or drums) at which instruments are compared."""
    keep: int = 0
    """Folders, from the first, whose instruments are all taken."""
    source: Kind = "all"
    """Only instruments that make their sound so."""

    def run(self) -> None:
        from gansynth_server.training import merging

        if not self.folders:
            raise UserError("give one or more folders that gansynth dataset made")
        check("--distinct", self.distinct, 0, 100)
        check("--keep", self.keep, 0, len(self.folders))
        probes = numbers("--probes", self.probes)
        _make(
            lambda: merging.merge(
                self.folders,
                self.output,
                distinct=self.distinct,
                probes=probes,
                keep=self.keep,
                source=None if self.source == "all" else self.source,
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
        | Annotated[DssiCommand, subcommand("dssi")]
        | Annotated[NSynthCommand, subcommand("nsynth")]
        | Annotated[FolderCommand, subcommand("folder")]
        | Annotated[MergeCommand, subcommand("merge")]
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


def check(option: str, value: float, least: float, most: float) -> None:
    """UserError where a number is out of range."""
    if not least <= value <= most:
        raise UserError(f"{option} takes {least} to {most}, not {value}")


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
