"""``gansynth directions``: the principal directions of a checkpoint's timbre."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from gansynth_server.errors import UserError


@dataclass(frozen=True)
class DirectionsCommand:
    """Find the principal directions of a checkpoint's timbre, for /pca."""

    checkpoint: Positional[str]
    """A name, a folder, or a .safetensors file; its pca.npz is written beside it."""
    components: int = 64
    """Directions at most."""
    samples: int = 4096
    """Random latents to look at."""
    seed: int = 0
    """Seed of the random latents."""
    pitch: int | None = None
    """The only pitch to look at; all of them in turn if not given."""
    given: Path | None = None
    """An .npz of components that are known already, such as gansynth convert makes of SOPI's."""

    def run(self) -> None:
        from gansynth_server.analysis import principal_components
        from gansynth_server.latent import directions
        from gansynth_server.model import checkpoint
        from gansynth_server.model.magenta import ganspace

        found = checkpoint.load(self.checkpoint)
        path = directions.file_of(found)
        values = principal_components.compute(
            found.generator,
            self.components,
            self.samples,
            self.seed,
            self.pitch,
            None if self.given is None else _given(self.given),
        )
        ganspace.write(path, principal_components.pack(values))
        share, reach = values["var_ratio"], values["reach"]
        print("component   share of variance   reach")
        for n in range(min(20, len(share))):
            print(f"{n:9d}   {share[n]:17.2%}   {reach[n]:5.2f}")
        print(f"{path}: {len(share)} components, {share.sum():.0%} of the variance")


def _given(path: Path) -> dict[str, Any]:
    from gansynth_server.model.safe_files import open_npz

    try:
        with open_npz(path) as file:
            return {key: file[key] for key in ("comp", "stdev")}
    except Exception as error:  # NumPy and zipfile raise whatever comes up in damaged bytes
        raise UserError(f"{path} holds no components: {error}") from error
