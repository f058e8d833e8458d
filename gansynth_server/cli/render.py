"""``gansynth render``: a MIDI file or a score to a sound file."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_CHECKPOINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from gansynth_server.api import Model
    from gansynth_server.offline.midi_file import MidiNote

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
    """Seed of the random timbres, 0 if not given; as the server's for a score."""
    timbre_per_track: FlagCreatePairsOff[bool] = False
    """Each track keeps one timbre."""
    pan_per_track: FlagCreatePairsOff[bool] = False
    """Stereo, with the tracks from left to right."""
    drums: FlagCreatePairsOff[bool] = False
    """Play channel 10 too."""
    drum_checkpoint: str | None = None
    """Checkpoint whose pitches are drums, to play channel 10 with: drum_kits."""
    kit: str | None = None
    """Preset of the drum checkpoint; a random kit if not given."""
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
        from gansynth_server.audio import sound_file
        from gansynth_server.offline import score_file
        from gansynth_server.offline.score import Score
        from gansynth_server.render.models import Models
        from gansynth_server.util.sandbox import SandboxedFolder

        if {f.name for f in fields(self) if getattr(self, f.name) != f.default} - SCORE_FLAGS:
            raise UserError(
                "a score goes with --checkpoint, --rate, --seed, --seconds and --root; "
                "its timbres and places are in its messages"
            )
        if self.seconds is not None and not 0 < self.seconds <= score_file.MAX_SECONDS:
            raise UserError(f"--seconds is up to {score_file.MAX_SECONDS:g}, not {self.seconds:g}")
        setting, events = score_file.read(self.song)
        given = {"checkpoint": self.checkpoint, "rate": self.rate, "seed": self.seed}
        setting = setting.but("", {k: v for k, v in given.items() if v is not None})
        begun = time.perf_counter()
        root = SandboxedFolder(self.song.parent if self.root is None else self.root)
        score = Score(setting, Models(), root, self.seconds)
        frames = sound_file.save_blocks(self.output, score.play(events), setting.rate)
        self._report(frames, setting.rate, time.perf_counter() - begun)

    def _run_song(self) -> None:
        from gansynth_server import api
        from gansynth_server.offline import midi_file

        self._check()
        notes = midi_file.read(self.song)
        model = api.load(self.checkpoint or DEFAULT_CHECKPOINT)
        begun = time.perf_counter()
        frames, rate = (self._magenta if self.magenta else self._play)(model, notes)
        self._report(frames, rate, time.perf_counter() - begun)

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
        if self.kit is not None and self.drum_checkpoint is None:
            raise UserError("a --kit is of a --drum-checkpoint: give it too")
        if self.drum_checkpoint is not None and (self.drums or self.pan_per_track):
            raise UserError("--drum-checkpoint goes without --drums and --pan-per-track")
        drums = self.drums or self.drum_checkpoint
        ours = self.preset or self.timbre_per_track or self.pan_per_track or drums
        if self.magenta and (ours or self.rate not in (None, MAGENTA_RATE)):
            raise UserError(
                "--magenta goes with --checkpoint, --secs-per-instrument and --seed alone; "
                "leave it out for presets, tracks, drums and sample rates"
            )

    @property
    def _seed(self) -> int:
        return self.seed or 0

    def _magenta(self, model: Model, notes: list[MidiNote]) -> tuple[int, int]:
        """Write the song as Magenta plays it; return its frames and sample rate."""
        from gansynth_server.audio import sound_file
        from gansynth_server.offline import magenta
        from gansynth_server.util.progress import counting

        with counting("notes", len(magenta.select(notes))) as step:
            every = self.secs_per_instrument
            wave = magenta.render(model, notes, every, self._seed, step)
        sound_file.save(self.output, wave[None], MAGENTA_RATE)
        return len(wave), MAGENTA_RATE

    def _play(self, model: Model, notes: list[MidiNote]) -> tuple[int, int]:
        """Write the song as the server plays it; return its frames and sample rate."""
        from gansynth_server.audio import sound_file
        from gansynth_server.offline import level, midi_render, midi_timbres
        from gansynth_server.spectral.inverse import check_rate
        from gansynth_server.util.progress import counting

        rate = DEFAULT_RATE if self.rate is None else self.rate
        check_rate(rate)
        drums = self._drums(notes, rate)
        if drums is not None:
            notes = [note for note in notes if not note.drum]
        if drums is not None and not notes:
            blocks = level.normalised(drums, self.output.parent)
            return sound_file.save_blocks(self.output, blocks, rate), rate
        presets = [model.preset(name) for name in self.preset]
        chosen, moved = midi_render.choose(notes, model.pitches, self.drums)
        if moved:
            span = f"{model.pitches[0]} to {model.pitches[-1]}"
            print(f"{moved} notes outside of {span} are moved by octaves", file=sys.stderr)
        if self.timbre_per_track:
            latents = midi_timbres.per_track(chosen, model.prior, presets, self._seed)
        else:
            every = self.secs_per_instrument
            latents = midi_timbres.over_time(chosen, model.prior, every, presets, self._seed)
        with counting("notes", len(chosen)) as step:
            blocks = midi_render.render(model, chosen, latents, rate, self.pan_per_track, step)
            blocks = blocks if drums is None else midi_render.together(blocks, drums)
            blocks = level.normalised(blocks, self.output.parent)
            return sound_file.save_blocks(self.output, blocks, rate), rate

    def _drums(self, notes: list[MidiNote], rate: int) -> Iterator[NDArray[np.float32]] | None:
        """Return the sound of channel 10 by the drum checkpoint; None where there is none of it."""
        import numpy as np

        from gansynth_server import api
        from gansynth_server.offline import midi_render

        struck = [note for note in notes if note.drum]
        if self.drum_checkpoint is None or not struck:
            return None
        model = api.load(self.drum_checkpoint)
        known = [note for note in struck if note.pitch in model.pitches]
        if len(known) < len(struck):
            print(
                f"{len(struck) - len(known)} notes of no known drum are left out", file=sys.stderr
            )
        if not known:
            return None
        kit = model.draw(self._seed) if self.kit is None else model.preset(self.kit)
        known, _ = midi_render.choose(known, model.pitches, drums=True)
        return midi_render.render(model, known, np.tile(kit, (len(known), 1)), rate)
