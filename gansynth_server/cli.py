"""The command lines: ``gansynth-server`` serves, ``gansynth`` does the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, arg, subcommand

from gansynth_server import __version__
from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_CHECKPOINT, ServerOptions

Output = Annotated[Path, arg(aliases=("-o",))]


@dataclass(frozen=True)
class NoteCommand:
    """Render one note to an audio file."""

    pitch: Positional[float]
    """MIDI note number; fractional is fine."""
    output: Output
    """File to write: .wav, .flac or .ogg."""
    preset: str | None = None
    """Timbre by name; a random one from --seed if not given."""
    seed: int = 0
    """Of the random timbre."""
    duration: float = 4.0
    """Seconds, at most 4."""
    velocity: float = 100
    """0 to 127."""
    rate: int = 16000
    """Sample rate in Hz."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""

    def run(self) -> None:
        from gansynth_server import api

        model = api.load(self.checkpoint)
        note = model.generate(
            self.pitch,
            None if self.preset is None else model.preset(self.preset),
            seed=self.seed,
            duration=self.duration,
            velocity=self.velocity,
            sample_rate=self.rate,
        )
        note.save(self.output)
        print(f"{self.output}: {self.duration:g} s at {self.rate} Hz")


@dataclass(frozen=True)
class PlayCommand:
    """Start a server, play a phrase over OSC, and end it."""

    output: Annotated[Path | None, arg(aliases=("-o",))] = None
    """File for the sound; the sound card if not given, or phrase.wav where there is none."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""

    def run(self) -> None:
        from gansynth_server.phrase import play

        output = "auto" if self.output is None else str(self.output)
        options = ServerOptions(checkpoint=self.checkpoint, port=0, seed=1, output=output)
        print(play(options))


@dataclass(frozen=True)
class PresetsCommand:
    """List the presets of a checkpoint."""

    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""

    def run(self) -> None:
        from gansynth_server.model import checkpoint

        print("\n".join(checkpoint.load(self.checkpoint).presets))


@dataclass(frozen=True)
class CheckpointsCommand:
    """List the checkpoints that a name can reach, and where they are."""

    def run(self) -> None:
        from gansynth_server.model import checkpoint

        for name, folder in checkpoint.available().items():
            print(f"{name}\t{folder}")


@dataclass(frozen=True)
class MessagesCommand:
    """Print the table of OSC messages as Markdown."""

    def run(self) -> None:
        from gansynth_server.osc.spec import markdown

        print(markdown(), end="")


@dataclass(frozen=True)
class DatasetCommand:
    """Render a General MIDI soundfont to notes for training (4 s, 16 kHz, pitches 24-84)."""

    soundfont: Positional[Path]
    """An .sf2 or .sf3 file, such as Debian's FluidR3Mono_GM.sf3."""
    output: Output
    """Folder for the notes; about 1 GB, and 3 GB for their spectra."""

    def run(self) -> None:
        from gansynth_server.training.dataset import render_soundfont

        data = render_soundfont(self.soundfont, self.output)
        print(f"{self.output}: {len(data.notes)} notes")


@dataclass(frozen=True)
class TrainCommand:
    """Train a small checkpoint by regression on rendered notes."""

    data: Positional[Path]
    """Folder that gansynth dataset made."""
    output: Output
    """Checkpoint folder to write."""
    minutes: float = 60.0
    """Time that the training takes."""
    seed: int = 0
    """Of weights, noise and order."""

    def run(self) -> None:
        from gansynth_server.training.dataset import Dataset
        from gansynth_server.training.fit import FitOptions, fit

        fit(Dataset.open(self.data), self.output, FitOptions(minutes=self.minutes, seed=self.seed))


@dataclass(frozen=True)
class MeasureCommand:
    """Measure a checkpoint against the notes it was trained on, as JSON."""

    checkpoint: Positional[str]
    """A bundled name, a folder, or a .safetensors file."""
    data: Path
    """Folder that gansynth dataset made."""

    def run(self) -> None:
        import json

        from gansynth_server import api
        from gansynth_server.training.dataset import Dataset
        from gansynth_server.training.measure import measure

        figures = measure(api.load(self.checkpoint), Dataset.open(self.data))
        print(json.dumps(figures, indent=1))


Command = (
    Annotated[NoteCommand, subcommand("note")]
    | Annotated[PlayCommand, subcommand("play")]
    | Annotated[PresetsCommand, subcommand("presets")]
    | Annotated[CheckpointsCommand, subcommand("checkpoints")]
    | Annotated[MessagesCommand, subcommand("messages")]
    | Annotated[DatasetCommand, subcommand("dataset")]
    | Annotated[TrainCommand, subcommand("train")]
    | Annotated[MeasureCommand, subcommand("measure")]
)


def main(args: Sequence[str] | None = None) -> None:
    """``gansynth``: notes, lists and training from the command line."""
    command = tyro.cli(
        Command,
        prog="gansynth",
        description="GANSynth notes from the command line; gansynth-server plays them live.",
        args=args,
    )
    _guarded(command.run)


def server(args: Sequence[str] | None = None) -> None:
    """``gansynth-server``: serve until told to end."""
    options = tyro.cli(
        ServerOptions,
        prog="gansynth-server",
        args=args,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    if options.version:
        print(f"gansynth-server {__version__}")
    elif options.list_devices:
        from gansynth_server.audio.devices import list_devices

        _guarded(lambda: print(list_devices()))
    else:
        _guarded(lambda: _serve(options))


def _serve(options: ServerOptions) -> None:
    """Runs a server until it is told to end by /quit, Ctrl-C or SIGTERM."""
    import logging

    levels = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.DEBUG, 2: logging.DEBUG - 1}
    logging.basicConfig(
        level=levels.get(options.verbosity, logging.WARNING),
        format="%(asctime)s %(name)s: %(message)s",
    )
    import signal

    from gansynth_server.server import Server

    server = Server(options)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.quit())
    server.start()
    if server.remark:
        print(server.remark)
    print(server.ready_line(), flush=True)
    try:
        server.wait()
    finally:
        server.stop()


def _guarded(run: Callable[[], object]) -> None:
    """Runs a command; what the user can mend is one line on stderr and exit status 1."""
    try:
        run()
    except UserError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
