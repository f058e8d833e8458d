"""``gansynth presets``: the named timbres of a checkpoint, and the user's own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_CHECKPOINT

if TYPE_CHECKING:
    from gansynth_server.latent.presets import Preset, UserPresets


@dataclass(frozen=True)
class PresetsCommand:
    """List the presets of a checkpoint, and keep your own."""

    action: Positional[Literal["list", "add", "remove", "export", "import"]] = "list"
    """add takes them from a file of latents, such as /z/save writes; export writes your own to a
    file, and import reads such a file."""
    names: Positional[tuple[str, ...]] = ()
    """Names of presets; all if not given (to remove, name them)."""
    file: Annotated[Path | None, arg(aliases=("-f",))] = None
    """File to add from, to export to (standard output if not given), or to import."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""

    def run(self) -> None:
        from gansynth_server.latent.presets import UserPresets
        from gansynth_server.model import checkpoint

        found = checkpoint.load(self.checkpoint)
        user_presets = UserPresets(found)
        if self.action == "list":
            print("\n".join([*found.presets, *user_presets.presets()]))
        elif self.action == "remove":
            if not self.names:
                raise UserError("name the presets to remove; gansynth presets lists them")
            user_presets.remove(self.names)
        elif self.action == "export":
            self._export(user_presets)
        else:
            added = self._chosen(self._read(user_presets))
            user_presets.add(added)
            print(f"{user_presets.path}: {', '.join(added)}")

    def _export(self, user_presets: UserPresets) -> None:
        data = user_presets.encode(self._chosen(user_presets.presets()))
        if self.file is None:
            sys.stdout.write(data.decode())
            return
        try:
            self.file.write_bytes(data)
        except OSError as error:
            raise UserError(f"{self.file} cannot be written: {error.strerror}") from error

    def _read(self, user_presets: UserPresets) -> dict[str, Preset]:
        from gansynth_server.latent import files
        from gansynth_server.latent.presets import preset

        path = self._needed()
        if self.action == "import":
            return user_presets.read(path)
        try:
            if path.stat().st_size > files.MAX_BYTES:
                raise UserError(f"{path} has more than {files.MAX_BYTES:,} bytes")
            data = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        latents = files.decode(path.name, data, user_presets.latent_size)
        return {name: preset(z, f"file {path.name}") for name, z in latents.items()}

    def _needed(self) -> Path:
        if self.file is None:
            raise UserError(f"say from which file: gansynth presets {self.action} --file FILE")
        return self.file

    def _chosen(self, presets: dict[str, Preset]) -> dict[str, Preset]:
        missing = [name for name in self.names if name not in presets]
        if missing:
            known = ", ".join(presets) or "none"
            raise UserError(f"no preset {missing[0]!r} here: there are {known}")
        return {name: presets[name] for name in self.names or presets}
