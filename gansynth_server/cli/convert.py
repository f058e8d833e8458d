"""``gansynth convert`` and ``gansynth checkpoints``."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional

from gansynth_server.errors import UserError

if TYPE_CHECKING:
    from gansynth_server.model.config import GeneratorConfig
    from gansynth_server.model.magenta.stage import Source

Flag = Annotated[bool, FlagCreatePairsOff]
SUFFIXES = re.compile(r"\.(zip|tar|tgz|txz|tar\.\w+)$", re.IGNORECASE)
PICKLES = (".pickle", ".pkl")


@dataclass(frozen=True)
class ConvertCommand:
    """Convert a checkpoint of Magenta's GANSynth, or a pickle of GANSpace components (to .npz)."""

    source: Positional[Path]
    """Magenta's zip (or a tar), its unpacked folder, one stage_ folder, TensorFlow's prefix of a
    checkpoint (…/model.ckpt-200000), or a .pickle file."""
    name: str | None = None
    """Name of the result; the source's if not given."""
    to: Path | None = None
    """Folder to put it in; where names are found if not given (beside it, for a pickle)."""
    discriminator: Flag = False
    """Convert the discriminator too, for training."""
    lowest_pitch: int | None = None
    """MIDI number of the first pitch, if the source does not tell."""
    latent_size: int | None = None
    """Numbers of a latent, if the source does not tell."""
    force: Flag = False
    """Replace what has this name already."""

    def run(self) -> None:
        from gansynth_server.model.magenta.archive import prefix_of

        source = self.source.expanduser()
        if not source.is_dir() and (prefix := prefix_of(source)) is not None:
            self._prefix(prefix.absolute())
            return
        if not source.exists():
            raise UserError(f"there is no {source}")
        if source.suffix.lower() in PICKLES and source.is_file():
            self._components(source)
        elif source.is_dir():
            self._folder(source.resolve(), source)
        else:
            self._archive(source)

    def _archive(self, source: Path) -> None:
        from gansynth_server.model.magenta.archive import unpack

        with tempfile.TemporaryDirectory(prefix="gansynth-") as folder:
            try:
                stage = unpack(source, Path(folder))
                self._stage(stage, SUFFIXES.sub("", source.name), source.name)
            except UserError as error:  # names the file as it lies in the archive
                message = str(error).replace(f"{folder}{os.sep}", f"{source}: ")
                raise UserError(message) from error

    def _folder(self, folder: Path, source: Path) -> None:
        from gansynth_server.model.magenta.archive import find_stage, stage_number

        # no deeper than a folder of trainings, so that a home folder is not searched through
        files = [f for pattern in ("*", "*/*", "*/*/*") for f in folder.glob(f"{pattern}.index")]
        stage = find_stage(source, files)
        name = (stage.parent if stage_number(stage) >= 0 else stage).name
        self._stage(stage, name, f"{stage.parent.name}/{stage.name}")

    def _prefix(self, prefix: Path) -> None:
        from gansynth_server.model.magenta.archive import stage_number

        stage = prefix.parent
        name = (stage.parent if stage_number(stage) >= 0 else stage).name
        self._stage(stage, name, f"{stage.name}/{prefix.name}", prefix)

    def _stage(self, stage: Path, name: str, origin: str, prefix: Path | None = None) -> None:
        from rich.progress import Progress

        from gansynth_server.model.magenta import convert
        from gansynth_server.model.magenta.infer import infer_config
        from gansynth_server.model.magenta.stage import open_stage, step_of

        target = self._target(name)
        source = open_stage(stage, prefix)
        config = infer_config(source, self.lowest_pitch, self.latent_size)
        size = sum(entry.size for entry in source.bundle.entries.values())
        with Progress(transient=True, disable=not sys.stdout.isatty()) as bar:
            task = bar.add_task("checking", total=2 * size)
            source.bundle.verify(lambda n: bar.advance(task, n))
            sha256 = convert.digest(source.bundle, lambda n: bar.advance(task, n))
        state = convert.generator_state(source, config)
        judge = convert.discriminator_state(source, config) if self.discriminator else None
        provenance = {
            "source": origin,
            "kind": "TensorFlow checkpoint of Magenta's GANSynth",
            "stage": source.stage,
            "step": step_of(source),
            "sha256": sha256,
            "assumed": source.notes,
        }
        convert.write(target, state, config, provenance, judge)
        print(describe(source, config))
        if source.notes:
            print(f"assumed: {'; '.join(source.notes)}")
        found = target.parent in _search_path()
        print(f"{target}: gansynth-server --checkpoint {target.name if found else target}")

    def _target(self, name: str) -> Path:
        """Return the folder to write; UserError if its name is taken."""
        from gansynth_server.model import checkpoint

        parent = (self.to.expanduser() if self.to else checkpoint.user_folder()).absolute()
        known = checkpoint.available() if parent in _search_path() else {}
        if self.name is not None:
            if not re.fullmatch(r"[\w-][\w.-]*", self.name):
                raise UserError(f"a name has letters, digits, - and _, not {self.name!r}")
            name = self.name
        else:
            name = re.sub(r"[^\w.-]", "_", name).lstrip(".") or "converted"
            if name in known and known[name].parent != parent:  # as all_instruments is
                name = f"magenta_{name}"
        taken = parent / name if (parent / name).exists() else known.get(name)
        if taken is not None and not self.force:
            raise UserError(f"{taken} exists; give another --name, or --force to replace it")
        return parent / name

    def _components(self, source: Path) -> None:
        from gansynth_server.model.magenta import ganspace

        folder = self.to.expanduser() if self.to else source.parent
        target = folder / f"{self.name or source.stem}.npz"
        if target.exists() and not self.force:
            raise UserError(f"{target} exists; give another --name, or --force to replace it")
        values = ganspace.read(source)
        ganspace.write(target, values)
        print(f"{target}: {len(values['comp'])} components of {values.get('layer', 'a layer')}")


@dataclass(frozen=True)
class CheckpointsCommand:
    """List the checkpoints that a name can reach, where they are, and what is known of them."""

    def run(self) -> None:
        from gansynth_server.model import checkpoint

        for name, folder in checkpoint.available().items():
            print("\n  ".join([name, *_facts(folder), str(folder)]))


def describe(source: Source, config: GeneratorConfig) -> str:
    """Return one line about a converted network."""
    from gansynth_server.model.magenta.stage import step_of

    blocks = len(config.filters)
    full = blocks + config.upscale.bit_length() - 2
    progress = blocks - 1 if config.progress is None else config.progress
    stage = f"stage {source.stage}" if source.stage >= 0 else "a stage"
    line = (
        f"{stage}, step {step_of(source):,}, latent {config.latent_size}, {_range(config.pitches)}"
    )
    if progress < full:
        height, width = (size // config.upscale for size in config.shape)
        line += (
            f"; unfinished: progress {progress:.2f} of {full}, so notes have the detail of "
            f"{height}×{width}"
        )
    return line


def _range(pitches: tuple[int, ...] | list[int]) -> str:
    return f"{len(pitches)} pitches {min(pitches)}-{max(pitches)}"


def _search_path() -> list[Path]:
    from gansynth_server.model import checkpoint

    return [path.absolute() for path in checkpoint.search_path()]


def _facts(folder: Path) -> list[str]:
    """Return what is known of a checkpoint: sizes, origin, figures; one line each."""
    import json

    from gansynth_server.model import checkpoint

    def read(name: str) -> dict[str, Any]:
        try:
            values = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    info = read(checkpoint.CONFIG)
    network, origin = info.get("generator", {}), info.get("provenance", {})
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) / 2**20
    pitches = _range(network["pitches"]) if network.get("pitches") else "unknown pitches"
    lines = [f"latent {network.get('latent_size', 'unknown')}, {pitches}, {size:.1f} MB"]
    if "source" in origin:
        lines.append(f"from {origin['source']}, step {origin.get('step', 0):,}")
    elif "recipe" in origin:
        lines.append(f"from {origin['recipe']}")
    figures = [
        f"{key} {value:.3g}"
        for key, value in read("figures.json").items()
        if isinstance(value, int | float)
    ]
    return [*lines, ", ".join(figures)] if figures else lines
