"""``gansynth batch``: many latents at several pitches to a folder of sound files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, arg

from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_CHECKPOINT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gansynth_server.api import Model

INDEX = "index.json"
SHEET = "sheet.png"
MAX_ROWS = 256
"""Rows of a contact sheet; a picture of more would be too tall to open."""


@dataclass(frozen=True)
class Timbre:
    """A latent [latent_size], the name of its files, and its origin for the index."""

    name: str
    z: NDArray[np.float32]
    origin: dict[str, Any]


@dataclass(frozen=True)
class BatchCommand:
    """Render many timbres at several pitches to a folder with an index."""

    output: Annotated[Path, arg(aliases=("-o",))]
    """Folder for the notes and index.json."""
    count: int = 16
    """Random timbres, unless --presets or --latents lists some."""
    pitches: tuple[float, ...] = (36, 48, 60, 72)
    """MIDI note numbers; fractional is fine."""
    presets: tuple[str, ...] = ()
    """Timbres by name."""
    latents: Path | None = None
    """Timbres from a file: what /z/save wrote, .npy [N, latent size], or .json, name: list."""
    seed: int = 0
    """Seed of the first random timbre; the next ones count up."""
    rate: int = 16000
    """Sample rate in Hz."""
    duration: float = 4.0
    """Seconds, at most 4."""
    format: Literal["wav", "flac", "ogg"] = "wav"
    """Format of the files."""
    sheet: FlagCreatePairsOff[bool] = False
    """Draw sheet.png, a spectrogram of every note."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""

    def run(self) -> None:
        from gansynth_server import api
        from gansynth_server.render.model import nearest_pitch
        from gansynth_server.util.progress import track

        if self.count < 1 or not self.pitches:
            raise UserError("there is nothing to render: give a --count and --pitches")
        model = api.load(self.checkpoint)
        timbres = self._timbres(model)
        if self.sheet:
            self._check_sheet(len(timbres))
        for pitch in self.pitches:
            nearest_pitch(model.pitches, pitch)
        _make_folder(self.output)
        tasks = [(timbre, pitch) for timbre in timbres for pitch in self.pitches]
        index = []
        for timbre, pitch in track(tasks, "notes"):
            note = model.generate(pitch, timbre.z, duration=self.duration, sample_rate=self.rate)
            file = f"{timbre.name}_p{pitch:g}.{self.format}"
            note.save(self.output / file)
            entry = {"file": file, "pitch": pitch, **timbre.origin}
            index.append(entry | {"rate": self.rate, "seconds": self.duration})
        (self.output / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
        if self.sheet:
            self._draw(model, timbres)
        print(f"{self.output}: {len(index)} notes and {INDEX}")

    def _timbres(self, model: Model) -> list[Timbre]:
        if self.presets and self.latents is not None:
            raise UserError("give either --presets or --latents")
        if self.presets:
            return [Timbre(n, model.preset(n), {"preset": n}) for n in dict.fromkeys(self.presets)]
        if self.latents is not None:
            listed = _listed(self.latents, model.latent_size)
            origin = str(self.latents.name)
            return [Timbre(n, z, {"latents": origin, "name": n}) for n, z in listed.items()]
        seeds = range(self.seed, self.seed + self.count)
        if self.seed < 0:
            raise UserError(f"a seed is 0 or more, not {self.seed}")
        return [Timbre(f"seed{s}", model.draw(s), {"seed": s}) for s in seeds]

    def _check_sheet(self, rows: int) -> None:
        from gansynth_server.spectral.plot import check_plots

        check_plots()
        if rows > MAX_ROWS:
            raise UserError(f"a contact sheet has up to {MAX_ROWS} timbres, not {rows}")

    def _draw(self, model: Model, timbres: list[Timbre]) -> None:
        """Draw the sheet, from whole notes at 16 kHz whatever the files hold."""
        import numpy as np
        import torch

        from gansynth_server.render.model import nearest_pitch
        from gansynth_server.spectral import plot

        pitches = [nearest_pitch(model.pitches, pitch) for pitch in self.pitches]
        waves = [
            torch.from_numpy(wave)
            for timbre in timbres
            for wave in model.generate_batch(np.stack([timbre.z] * len(pitches)), pitches)
        ]
        rows = [timbre.name for timbre in timbres]
        plot.contact_sheet(self.output / SHEET, waves, rows, [f"{p:g}" for p in self.pitches])


def _listed(path: Path, size: int) -> dict[str, NDArray[np.float32]]:
    """Return the latents [size] of a file, by names that are safe for files."""
    from gansynth_server.latent import files

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    listed = files.decode(str(path), data, size)
    names = [f"latent{int(name):03d}" if name.isdecimal() else name for name in listed]
    safe = [re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "latent" for name in names]
    if len(set(safe)) < len(safe):
        safe = [f"{n:03d}_{name}" for n, name in enumerate(safe)]
    return dict(zip(safe, listed.values(), strict=True))


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror}") from error
