"""``gansynth transfer``: a played line, sung or blown, by the instrument."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_CHECKPOINT

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gansynth_server.offline.transfer import Timed
    from gansynth_server.render.models import Models

TAIL_S = 0.5
"""Time (s) after the line's end in which its last note dies away."""


@dataclass(frozen=True)
class TransferCommand:
    """Play a recorded line, one voice at a time, with another timbre."""

    line: Positional[Path]
    """A sound file: a voice, a flute, a violin, anything that has one pitch at a time."""
    output: Annotated[Path, arg(aliases=("-o",))]
    """Sound file to write: .wav, .flac or .ogg."""
    preset: str | None = None
    """Timbre by name; a random one from --seed if neither it nor --slot is given."""
    slot: Path | None = None
    """A latent from a file, as /z/save writes: its slot z, or else its first."""
    seed: int = 0
    """Seed of the random timbre."""
    timbre: Literal["keep", "match"] = "keep"
    """match moves the timbre along with the line's own brightness; needs the checkpoint's map."""
    score: Path | None = None
    """Score to write as well (.jsonl), for gansynth render and for changes by hand."""
    drums: FlagCreatePairsOff[bool] = False
    """Play what has no pitch, such as claps and consonants, with the checkpoint drum_kits."""
    rate: int = 48000
    """Sample rate in Hz, 16000 to 192000."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""

    def run(self) -> None:
        from gansynth_server.analysis import segmentation
        from gansynth_server.audio import sound_file
        from gansynth_server.offline import transfer
        from gansynth_server.render.models import Models
        from gansynth_server.spectral.constants import SAMPLE_RATE

        self._check()
        models = Models()
        opening = self._opening(models)
        try:
            sound = segmentation.load(self.line, transfer.MAX_SECONDS)
        except (OSError, ValueError) as error:
            raise UserError(f"{self.line} cannot be read as a sound: {error}") from error
        begun, seconds = time.perf_counter(), len(sound) / SAMPLE_RATE
        if seconds >= transfer.MAX_SECONDS:
            print(f"of {self.line} the first {seconds:g} s are played", file=sys.stderr)

        def play(messages: Sequence[Timed], lead: float) -> NDArray[np.float32]:
            text = self._encode(messages, SAMPLE_RATE)
            return self._play(models, text, SAMPLE_RATE, lead, seconds)[0]

        try:
            messages, lead = transfer.transfer(
                *(sound, opening, play), brighter=self._brighter(models), drums=self.drums
            )
        except UserError as error:
            raise UserError(f"{self.line}: {error}") from error
        text = self._encode(messages, self.rate)
        played = self._play(models, text, self.rate, lead, seconds + TAIL_S)
        sound_file.save(self.output, played, self.rate)
        took = time.perf_counter() - begun
        notes = sum(words[0] == "/note" for _, client, words in messages if client == 0)
        print(
            f"{self.output}: {notes} notes, {seconds:.1f} s at {self.rate} Hz, "
            f"made in {took:.1f} s, {seconds / took:.1f} × real time"
        )
        if self.score is not None:
            self._write(text, lead)

    def _check(self) -> None:
        """Refuse what cannot be, before any time is spent."""
        from gansynth_server.audio import sound_file
        from gansynth_server.model import checkpoint
        from gansynth_server.offline.transfer import DRUM_CHECKPOINT
        from gansynth_server.spectral.inverse import check_rate

        sound_file.check_output(self.output)
        check_rate(self.rate)
        if self.preset is not None and self.slot is not None:
            raise UserError("give either --preset or --slot")
        if self.score is not None and self.score.suffix.lower() != ".jsonl":
            raise UserError(f"a score is written as .jsonl, not as {self.score.name}")
        if self.drums and DRUM_CHECKPOINT not in checkpoint.available():
            raise UserError(
                f"--drums needs the checkpoint {DRUM_CHECKPOINT}; see gansynth checkpoints"
            )

    def _opening(self, models: Models) -> list[Timed]:
        """Return the messages that fill slot z."""
        if self.preset is not None:
            return [(0.0, 0, ("/z/preset", "z", self.preset))]
        if self.slot is None:
            return [(0.0, 0, ("/z/random", "z", self.seed))]
        from gansynth_server.latent import files

        try:
            data = self.slot.read_bytes()
        except OSError as error:
            raise UserError(f"cannot read {self.slot}: {error.strerror}") from error
        latents = files.decode(str(self.slot), data, models.get(self.checkpoint).latent_size)
        z = latents.get("z", next(iter(latents.values())))
        return [(0.0, 0, ("/z/set", "z", *map(float, z)))]

    def _brighter(self, models: Models) -> float | None:
        """Return the octaves that /z/brighter moves a timbre by; None where it keeps its own."""
        from gansynth_server.latent import timbre_map
        from gansynth_server.latent.descriptor_names import MEASURES

        if self.timbre == "keep":
            return None
        measures = timbre_map.load(models.get(self.checkpoint).checkpoint).measures
        return float(measures[:, MEASURES.index("brighter")].std())

    def _encode(self, messages: Sequence[Timed], rate: int) -> bytes:
        """Return the text of a score."""
        from gansynth_server.offline import score_file

        setting = {"checkpoint": self.checkpoint, "rate": rate, "channels": 1}
        return score_file.encode_score(setting, messages)

    def _play(
        self, models: Models, text: bytes, rate: int, begin: float, seconds: float
    ) -> NDArray[np.float32]:
        """Return the sound of a score from a time (s) on, [1, n]: just what its text says."""
        import numpy as np

        from gansynth_server.offline import score_file
        from gansynth_server.offline.score import Score
        from gansynth_server.util.sandbox import SandboxedFolder

        setting, events = score_file.decode_score(text)
        score = Score(setting, models, SandboxedFolder(None), begin + seconds)
        return np.concatenate(list(score.play(events)), axis=1)[:, round(begin * rate) :]

    def _write(self, text: bytes, lead: float) -> None:
        from gansynth_server.util.files import write_atomically

        assert self.score is not None
        try:
            write_atomically(self.score, text)
        except OSError as error:
            raise UserError(f"cannot write {self.score}: {error.strerror}") from error
        print(f"{self.score}: the score, in which the line begins at {lead:.3f} s")
