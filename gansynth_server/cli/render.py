"""``gansynth render``: a MIDI file or a score to a sound file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from tyro.conf import FlagCreatePairsOff, Positional, arg

from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_CHECKPOINT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gansynth_server.api import Model
    from gansynth_server.offline.midi_file import MidiNote

T = TypeVar("T")

DEFAULT_RATE = 48000
MAGENTA_RATE = 16000
SCORE_FLAGS = {"song", "output", "checkpoint", "rate", "seed", "seconds", "root"}


@dataclass(frozen=True)
class RenderCommand:
    """Play a MIDI file, or a score of OSC messages, to a sound file."""

    song: Positional[Path]
    """A standard MIDI file, .mid, or a score of OSC messages, .jsonl or .osc."""
    output: Annotated[Path, arg(aliases=("-o",))]
    """File to write: .wav, .flac or .ogg."""
    checkpoint: str | None = None
    """A bundled name, a folder, or a .safetensors file; all_instruments, or what a score says."""
    preset: tuple[str, ...] = ()
    """Timbres by name, one after the other or one per track; random ones if not given."""
    secs_per_instrument: float = 6.0
    """Seconds from one timbre to the next."""
    seed: int | None = None
    """Of the random timbres, 0 if not given; as the server's for a score."""
    timbre_per_track: FlagCreatePairsOff[bool] = False
    """Each track keeps one timbre."""
    pan_per_track: FlagCreatePairsOff[bool] = False
    """Stereo, with the tracks from left to right."""
    drums: FlagCreatePairsOff[bool] = False
    """Plays channel 10 too."""
    rate: int | None = None
    """Sample rate in Hz, 16000 to 192000; 48000 if not given, with --magenta always 16000."""
    magenta: FlagCreatePairsOff[bool] = False
    """Exactly as Magenta's gansynth_generate: drums in, pitches 36 to 84, 3 s at most, mono."""
    seconds: float | None = None
    """Length of a score; until its last note is over if not given."""
    root: str | None = None
    """Folder of the files that a score names; its own folder if not given."""

    def run(self) -> None:
        from gansynth_server.audio import sound_file
        from gansynth_server.offline.score_file import SUFFIXES

        sound_file.check_output(self.output)
        if self.song.suffix.lower() in SUFFIXES:
            self._run_score()
        else:
            self._run_song()

    def _run_score(self) -> None:
        from gansynth_server.offline import score_file, sound_files
        from gansynth_server.offline.score import Score
        from gansynth_server.render.models import Models
        from gansynth_server.util.sandbox import Root

        if {f.name for f in fields(self) if getattr(self, f.name) != f.default} - SCORE_FLAGS:
            raise UserError(
                "a score goes with --checkpoint, --rate, --seed, --seconds and --root; "
                "its timbres and places are in its messages"
            )
        if self.seconds is not None and not 0 < self.seconds <= score_file.LONGEST:
            raise UserError(f"--seconds is up to {score_file.LONGEST:g}, not {self.seconds:g}")
        setting, events = score_file.read(self.song)
        given = {"checkpoint": self.checkpoint, "rate": self.rate, "seed": self.seed}
        setting = setting.but("", {k: v for k, v in given.items() if v is not None})
        begun = time.perf_counter()
        root = Root(self.song.parent if self.root is None else self.root)
        score = Score(setting, Models(), root, self.seconds)
        frames = sound_files.write(self.output, score.play(events), setting.rate)
        self._report(frames, setting.rate, time.perf_counter() - begun)

    def _run_song(self) -> None:
        from gansynth_server import api
        from gansynth_server.audio import sound_file
        from gansynth_server.offline import midi_file

        self._check()
        notes = midi_file.read(self.song)
        model = api.load(self.checkpoint or DEFAULT_CHECKPOINT)
        begun = time.perf_counter()
        sound, rate = self._magenta(model, notes) if self.magenta else self._play(model, notes)
        sound_file.save(self.output, sound, rate)
        self._report(sound.shape[1], rate, time.perf_counter() - begun)

    def _report(self, frames: int, rate: int, took: float) -> None:
        length = frames / rate
        speed = f"made in {took:.1f} s, {length / took:.1f} × real time"
        print(f"{self.output}: {length:.1f} s at {rate} Hz, {speed}")

    def _check(self) -> None:
        if not 0.01 <= self.secs_per_instrument < float("inf"):
            raise UserError(
                f"--secs-per-instrument is 0.01 s or more, not {self.secs_per_instrument:g}"
            )
        if not 0 <= self._seed < 2**32:
            raise UserError(f"a seed is 0 to {2**32 - 1}, not {self._seed}")
        if self.seconds is not None or self.root is not None:
            raise UserError("--seconds and --root are for scores, .jsonl and .osc")
        ours = self.preset or self.timbre_per_track or self.pan_per_track or self.drums
        if self.magenta and (ours or self.rate not in (None, MAGENTA_RATE)):
            raise UserError(
                "--magenta goes with --checkpoint, --secs-per-instrument and --seed alone; "
                "leave it out for presets, tracks, drums and sample rates"
            )

    @property
    def _seed(self) -> int:
        return self.seed or 0

    def _magenta(self, model: Model, notes: list[MidiNote]) -> tuple[NDArray[np.floating], int]:
        from gansynth_server.offline import magenta

        count = len(magenta.select(notes))
        wave = _with_progress(
            count,
            lambda step: magenta.render(model, notes, self.secs_per_instrument, self._seed, step),
        )
        return wave[None], MAGENTA_RATE

    def _play(self, model: Model, notes: list[MidiNote]) -> tuple[NDArray[np.floating], int]:
        from gansynth_server.audio import sound_file
        from gansynth_server.offline import midi_render, midi_timbres
        from gansynth_server.spectral.inverse import check_rate

        rate = DEFAULT_RATE if self.rate is None else self.rate
        check_rate(rate)
        presets = [model.preset(name) for name in self.preset]
        chosen, moved = midi_render.choose(notes, model.pitches, self.drums)
        if moved:
            span = f"{model.pitches[0]} to {model.pitches[-1]}"
            print(f"{moved} notes outside of {span} are moved by octaves", file=sys.stderr)
        if self.timbre_per_track:
            latents = midi_timbres.per_track(chosen, model.latent_size, presets, self._seed)
        else:
            every = self.secs_per_instrument
            latents = midi_timbres.over_time(chosen, model.latent_size, every, presets, self._seed)
        config = model.checkpoint.config
        sound = _with_progress(
            len(chosen),
            lambda step: midi_render.render(
                model.backend, config, chosen, latents, rate, self.pan_per_track, step
            ),
        )
        sound_file.normalise(sound)
        return sound, rate


def _with_progress(count: int, work: Callable[[Callable[[], None]], T]) -> T:
    """Runs ``work(step)`` under a bar on stderr that each ``step()`` moves on."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("notes", total=count)
        return work(lambda: progress.advance(task))
