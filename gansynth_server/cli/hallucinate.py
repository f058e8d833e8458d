"""``gansynth hallucinate``: a hallucination to a sound file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_CHECKPOINT

if TYPE_CHECKING:
    from gansynth_server.api import Model
    from gansynth_server.latent.sequence import Sequence


@dataclass(frozen=True)
class HallucinateCommand:
    """Play random timbres that flow into each other to a sound file."""

    output: Annotated[Path | None, arg(aliases=("-o",))] = None
    """File to write: .wav, .flac or .ogg."""
    notes: int = 5
    """Random timbres."""
    steps: int = 5
    """Notes between each two of them."""
    spacing: float = 1.0
    """Seconds from one note to the next."""
    trim: float = 0.0
    """Seconds left out at each note's beginning."""
    attack: float = 0.5
    """Seconds of each note's fade in."""
    sustain: float = 1.0
    """Seconds between the two fades."""
    release: float = 0.5
    """Seconds of its fade out."""
    pitches: tuple[float, ...] = (60.0,)
    """MIDI note numbers, one per note, over and over."""
    velocity: float = 100.0
    """1 to 127."""
    seed: int = 0
    """Seed of the random timbres."""
    save: Path | None = None
    """JSON to write the sequence to, for editing."""
    load: Path | None = None
    """JSON to play, written with --save or by hand, instead of all of the above."""
    rate: int = 48000
    """Sample rate in Hz."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""

    def run(self) -> None:
        from gansynth_server import api
        from gansynth_server.audio import sound_file
        from gansynth_server.latent import sequence as sequences

        if self.output is None and self.save is None:
            raise UserError("there is nothing to write: give -o a sound file, or --save a .json")
        if self.output is not None:
            sound_file.check_output(self.output)
        model = api.load(self.checkpoint)
        sequence = self._sequence(model)
        if self.save is not None:
            try:
                self.save.write_bytes(sequences.encode(sequence, model.checkpoint.name))
            except OSError as error:
                raise UserError(f"cannot write {self.save}: {error.strerror}") from error
            print(f"{self.save}: {len(sequence.keys)} timbres, {len(sequence)} notes")
        if self.output is not None:
            self._render(model, sequence, self.output)

    def _sequence(self, model: Model) -> Sequence:
        from gansynth_server.latent import sequence as sequences

        if self.load is not None:
            try:
                data = self.load.read_bytes()
            except OSError as error:
                raise UserError(f"cannot read {self.load}: {error.strerror}") from error
            return sequences.decode(str(self.load), data, model.prior, model.preset)
        if not 1 <= self.notes <= sequences.MAX_KEYS or self.seed < 0:
            raise UserError(f"--notes is 1 to {sequences.MAX_KEYS}, and --seed 0 or more")
        keys = sequences.random_keys(self.notes, model.prior, self.seed)
        times = self.spacing, self.trim, self.attack, self.sustain, self.release
        return sequences.check(
            sequences.Sequence(keys, self.steps, *times, self.velocity, self.pitches)
        )

    def _render(self, model: Model, sequence: Sequence, output: Path) -> None:
        from gansynth_server.audio import sound_file
        from gansynth_server.instrument.offline_player import BLOCK, render
        from gansynth_server.util.progress import track

        total = sequence.seconds * self.rate / BLOCK
        blocks = track(render(model, sequence, self.rate), "rendering", total)
        frames = sound_file.save_blocks(output, blocks, self.rate)
        print(f"{output}: {len(sequence)} notes, {frames / self.rate:.1f} s")
