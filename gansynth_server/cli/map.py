"""``gansynth map``: the timbres of a checkpoint, laid out by their sound in two dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from gansynth_server.errors import UserError

if TYPE_CHECKING:
    from gansynth_server.latent.timbre_map import TimbreMap


@dataclass(frozen=True)
class MapCommand:
    """Lay out the timbres of a checkpoint by how they sound, for /map and /z/brighter."""

    checkpoint: Positional[str]
    """A name, a folder, or a .safetensors file; its map.npz is written beside it."""
    output: Annotated[Path | None, arg(aliases=("-o",))] = None
    """A picture (.png) or the points for other programs (.json) to write as well."""
    latents: int = 3000
    """Random latents to look at."""
    pitches: tuple[int, ...] = (48, 60, 72)
    """MIDI note numbers at which each is heard."""
    seed: int = 0
    """Seed of the first latent; the others have those after it."""
    discoveries: int = 0
    """Keep so many of them as presets: those that sound least like any preset and each other."""

    def run(self) -> None:
        from gansynth_server import api
        from gansynth_server.latent import timbre_map
        from gansynth_server.latent.descriptor_names import MEASURES
        from gansynth_server.model import checkpoint
        from gansynth_server.training.timbre_map import discoveries, survey
        from gansynth_server.util.files import write_atomically
        from gansynth_server.util.progress import track

        self._check()
        listening = partial(track, what="listening")
        model = api.load(self.checkpoint)
        surveyed = survey.survey(model, self.latents, self.pitches, self.seed, listening)
        found = surveyed.atlas
        path = timbre_map.file_of(model.checkpoint)
        try:
            write_atomically(path, found.encode(model.checkpoint.fingerprint))
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error
        print("direction   share of it that latents explain linearly")
        for name, fit in zip(MEASURES, found.fit, strict=True):
            print(f"{name:9s}   {fit:.0%}")
        same, chance = survey.agreement(found)
        print(f"{path}: {len(found.latents)} latents; the nearest neighbour is of the same family")
        print(f"for {same:.0%} of them, by chance for {chance:.0%}")
        if self.discoveries:
            named = discoveries.discover(surveyed, self.discoveries)
            checkpoint.add_presets(model.checkpoint, named)
            print(f"presets: {', '.join(named)}")
        self._export(found, model.checkpoint.name)

    def _check(self) -> None:
        """Refuse what cannot be, before any time is spent."""
        from gansynth_server.spectral.plot import check_plots

        if not 0 <= self.discoveries <= self.latents:
            raise UserError(f"--discoveries must be 0 to --latents, not {self.discoveries}")
        if not 16 <= self.latents <= 30000:
            raise UserError(f"--latents must be 16 to 30000, not {self.latents}")
        if self.output is not None and self.output.suffix not in (".png", ".json"):
            raise UserError(f"a map is written as .png or .json, not {self.output.name}")
        if self.output is not None and self.output.suffix == ".png":
            check_plots()

    def _export(self, found: TimbreMap, name: str) -> None:
        from gansynth_server.training.timbre_map import export

        if self.output is None:
            return
        if self.output.suffix == ".png":
            export.draw(self.output, found, name)
        else:
            export.to_json(self.output, found, name, self.seed)
        print(self.output)
