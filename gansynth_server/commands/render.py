"""``gansynth render``: a MIDI file to a sound file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from tyro.conf import FlagCreatePairsOff, Positional, arg

from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_CHECKPOINT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gansynth_server.api import Model
    from gansynth_server.midi.file import MidiNote

T = TypeVar("T")

DEFAULT_RATE = 48000
MAGENTA_RATE = 16000


@dataclass(frozen=True)
class RenderCommand:
    """Play a MIDI file to a sound file."""

    song: Positional[Path]
    """A standard MIDI file, .mid."""
    output: Annotated[Path, arg(aliases=("-o",))]
    """File to write: .wav, .flac or .ogg."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""
    preset: tuple[str, ...] = ()
    """Timbres by name, one after the other or one per track; random ones if not given."""
    secs_per_instrument: float = 6.0
    """Seconds from one timbre to the next."""
    seed: int = 0
    """Of the random timbres."""
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

    def run(self) -> None:
        from gansynth_server import api
        from gansynth_server.midi import file, master

        self._check()
        master.check_output(self.output)
        notes = file.read(self.song)
        model = api.load(self.checkpoint)
        begun = time.perf_counter()
        sound, rate = self._magenta(model, notes) if self.magenta else self._play(model, notes)
        master.save(self.output, sound, rate)
        took, length = time.perf_counter() - begun, sound.shape[1] / rate
        speed = f"made in {took:.1f} s, {length / took:.1f} × real time"
        print(f"{self.output}: {length:.1f} s at {rate} Hz, {speed}")

    def _check(self) -> None:
        if not 0.01 <= self.secs_per_instrument < float("inf"):
            raise UserError(
                f"--secs-per-instrument is 0.01 s or more, not {self.secs_per_instrument:g}"
            )
        if not 0 <= self.seed < 2**32:
            raise UserError(f"a seed is 0 to {2**32 - 1}, not {self.seed}")
        ours = self.preset or self.timbre_per_track or self.pan_per_track or self.drums
        if self.magenta and (ours or self.rate not in (None, MAGENTA_RATE)):
            raise UserError(
                "--magenta goes with --checkpoint, --secs-per-instrument and --seed alone; "
                "leave it out for presets, tracks, drums and sample rates"
            )

    def _magenta(self, model: Model, notes: list[MidiNote]) -> tuple[NDArray[np.floating], int]:
        from gansynth_server.midi import magenta

        count = len(magenta.select(notes))
        wave = _with_progress(
            count,
            lambda step: magenta.render(model, notes, self.secs_per_instrument, self.seed, step),
        )
        return wave[None], MAGENTA_RATE

    def _play(self, model: Model, notes: list[MidiNote]) -> tuple[NDArray[np.floating], int]:
        from gansynth_server.midi import master, render, timbre
        from gansynth_server.spectral.inverse import check_rate

        rate = DEFAULT_RATE if self.rate is None else self.rate
        check_rate(rate)
        presets = [model.preset(name) for name in self.preset]
        chosen, moved = render.choose(notes, model.pitches, self.drums)
        if moved:
            span = f"{model.pitches[0]} to {model.pitches[-1]}"
            print(f"{moved} notes outside of {span} are moved by octaves", file=sys.stderr)
        if self.timbre_per_track:
            latents = timbre.per_track(chosen, model.latent_size, presets, self.seed)
        else:
            every = self.secs_per_instrument
            latents = timbre.over_time(chosen, model.latent_size, every, presets, self.seed)
        config = model.checkpoint.config
        sound = _with_progress(
            len(chosen),
            lambda step: render.render(
                model.backend, config, chosen, latents, rate, self.pan_per_track, step
            ),
        )
        master.normalise(sound)
        return sound, rate


def _with_progress(count: int, work: Callable[[Callable[[], None]], T]) -> T:
    """Runs ``work(step)`` under a bar on stderr that each ``step()`` moves on."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("notes", total=count)
        return work(lambda: progress.advance(task))
