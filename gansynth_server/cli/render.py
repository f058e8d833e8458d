"""``gansynth render``: a MIDI file or a score to a sound file."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, arg

from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_CHECKPOINT

if TYPE_CHECKING:
    from collections.abc import Callable

    from gansynth_server.api import Model
    from gansynth_server.offline.midi_file import MidiNote, Song

DEFAULT_RATE = 48000
MAGENTA_RATE = 16000
SECS_PER_INSTRUMENT = 6.0
DRUM_CHECKPOINT = "drum_kits"
"""Checkpoint that plays the drums of songs, where there is one."""
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
    """Timbres by name, one after the other or one per track; if not given, those that the file's
    programs name, or random ones."""
    secs_per_instrument: float | None = None
    """Seconds from one timbre to the next, 6 if not given; the file's programs do not count."""
    seed: int | None = None
    """Seed of random timbres, 0 if not given, in place of the file's programs; as the server's for
    a score."""
    timbre_per_track: FlagCreatePairsOff[bool] = False
    """Each track keeps one timbre."""
    pan_per_track: FlagCreatePairsOff[bool] = False
    """Stereo, with the tracks from left to right."""
    drums: FlagCreatePairsOff[bool] = False
    """Play channel 10 too, as notes where there is no checkpoint for drums."""
    stems: FlagCreatePairsOff[bool] = False
    """Write each track to a file of its own too, which add up to the song."""
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
        song = midi_file.read(self.song, self.magenta)
        for remark in song.remarks:
            print(f"{self.song}, {remark}", file=sys.stderr)
        model = api.load(self.checkpoint or DEFAULT_CHECKPOINT)
        begun = time.perf_counter()
        frames, rate = (self._magenta if self.magenta else self._play)(model, song)
        self._report(frames, rate, time.perf_counter() - begun)

    def _report(self, frames: int, rate: int, took: float) -> None:
        length = frames / rate
        speed = f"made in {took:.1f} s, {length / took:.1f} × real time"
        print(f"{self.output}: {length:.1f} s at {rate} Hz, {speed}")

    def _check(self) -> None:
        if not 0.01 <= self._every < float("inf"):
            raise UserError(f"--secs-per-instrument is 0.01 s or more, not {self._every:g}")
        if not 0 <= self._seed < 2**32:
            raise UserError(f"a seed is 0 to {2**32 - 1}, not {self._seed}")
        if self.seconds is not None or self.root is not None:
            raise UserError("--seconds and --root are for scores, .jsonl and .osc")
        ours = self.preset or self.timbre_per_track or self.pan_per_track or self.drums
        ours = ours or self.stems
        if self.magenta and (ours or self.rate not in (None, MAGENTA_RATE)):
            raise UserError(
                "--magenta goes with --checkpoint, --secs-per-instrument and --seed alone; "
                "leave it out for presets, tracks, drums and sample rates"
            )

    @property
    def _seed(self) -> int:
        return self.seed or 0

    @property
    def _every(self) -> float:
        every = self.secs_per_instrument
        return SECS_PER_INSTRUMENT if every is None else every

    def _magenta(self, model: Model, song: Song) -> tuple[int, int]:
        """Write the song as Magenta plays it; return its frames and sample rate."""
        from gansynth_server.audio import sound_file
        from gansynth_server.offline import magenta
        from gansynth_server.util.progress import counting

        with counting("notes", len(magenta.select(song.notes))) as step:
            wave = magenta.render(model, song.notes, self._every, self._seed, step)
        sound_file.save(self.output, wave[None], MAGENTA_RATE)
        return len(wave), MAGENTA_RATE

    def _play(self, model: Model, song: Song) -> tuple[int, int]:
        """Write the song as the server plays it; return its frames and sample rate."""
        from gansynth_server.audio import sound_file
        from gansynth_server.offline import level, midi_render
        from gansynth_server.spectral.inverse import check_rate
        from gansynth_server.util.progress import counting

        rate = DEFAULT_RATE if self.rate is None else self.rate
        check_rate(rate)
        drums = self._drum_model(song)
        chosen, moved = midi_render.choose(
            *(song.notes, model.pitches, self.drums), None if drums is None else drums.pitches
        )
        if moved:
            span = f"{model.pitches[0]} to {model.pitches[-1]}"
            print(f"{moved} notes outside of {span} are moved by octaves", file=sys.stderr)
        latents = self._latents(model, song, chosen, drums)
        with counting("notes", len(chosen)) as step:
            if self.stems:
                return self._write_stems(model, song, chosen, latents, drums, rate, step), rate
            blocks = midi_render.render(
                *(model, chosen, latents, rate, self.pan_per_track, step),
                *(song.controls, drums),
            )
            blocks = level.normalised(blocks, self.output.parent)
            return sound_file.save_blocks(self.output, blocks, rate), rate

    def _drum_model(self, song: Song) -> Model | None:
        """Load the checkpoint for drums, where there is one and the song has any."""
        from gansynth_server import api
        from gansynth_server.model.checkpoint import available

        if DRUM_CHECKPOINT not in available() or not any(note.drum for note in song.notes):
            return None
        return api.load(DRUM_CHECKPOINT)

    def _latents(
        self, model: Model, song: Song, chosen: list[MidiNote], drums: Model | None
    ) -> list[Any]:
        """Return the latent of each note: its program's, or as the options say."""
        from gansynth_server.offline import midi_timbres
        from gansynth_server.util.general_midi import GENERAL_MIDI

        presets = [model.preset(name) for name in self.preset]
        told = self.preset or self.timbre_per_track or self.secs_per_instrument or self.seed
        if self.timbre_per_track:
            latents = midi_timbres.per_track(chosen, model.prior, presets, self._seed)
        else:
            latents = midi_timbres.over_time(chosen, model.prior, self._every, presets, self._seed)
        found = list(latents)
        if song.programs and not told and self.seed is None and model.presets:
            found, without = midi_timbres.by_program(chosen, model.presets, latents)
            if without:
                names = ", ".join(GENERAL_MIDI[program] for program in without)
                print(f"{names}: no such preset, so random timbres play them", file=sys.stderr)
        if drums is not None:
            for n, note in enumerate(chosen):
                if note.drum:
                    kit = midi_timbres.kit(note.program, drums.presets, drums.latent_size)
                    found[n] = kit
        return found

    def _write_stems(
        self,
        model: Model,
        song: Song,
        chosen: list[MidiNote],
        latents: list[Any],
        drums: Model | None,
        rate: int,
        step: Callable[[], None],
    ) -> int:
        """Write the song and each track; return the frames of each."""
        from gansynth_server.audio import sound_file
        from gansynth_server.offline import midi_render, stems

        places = midi_render.pans_of(chosen) if self.pan_per_track else None
        tracks = stems.split(chosen)
        with stems.Stems(self.output.parent) as parts:
            for numbers in tracks.values():
                blocks = midi_render.render(
                    *(model, [chosen[n] for n in numbers], [latents[n] for n in numbers], rate),
                    *(self.pan_per_track, step, song.controls, drums),
                    places=None if places is None else [places[n] for n in numbers],
                )
                parts.add(blocks)
            frames = sound_file.save_blocks(self.output, parts.mix(), rate)
            for number, key in enumerate(tracks):
                path = stems.path(self.output, key)
                sound_file.save_blocks(path, parts.stem(number), rate)
                print(path)
        return frames
