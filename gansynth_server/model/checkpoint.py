"""Checkpoints: a folder of safetensors weights, config, presets and a model card.

NAME/model.safetensors   weights, float16, or float32 where that would lose something; large ones
                         go on in model-2.safetensors, model-3.safetensors …
NAME/config.json         generator config and provenance
NAME/presets.json        named latents (optional)
NAME/README.md           model card
NAME/discriminator.safetensors   for training, float32 (optional)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.safe_files import check_safetensors, read_json
from gansynth_server.spectral.constants import BINS, FRAMES
from gansynth_server.util.files import write_atomically

if TYPE_CHECKING:
    from gansynth_server.model.generator import Generator

FORMAT = 1
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
PRESETS = "presets.json"
DISCRIMINATOR = "discriminator.safetensors"
VARIABLE = "GANSYNTH_CHECKPOINTS"
LARGEST_FILE = 15 * 2**20
"""Bytes of tensors in one file of weights; what goes beyond lies in model-2.safetensors … ."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint: the network, its config and its named latents.

    ``path`` is its folder, ``weights`` the file of the network, which is loaded at
    first use.
    """

    name: str
    path: Path
    weights: Path
    config: GeneratorConfig
    provenance: dict[str, Any] = field(default_factory=dict)
    presets: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @cached_property
    def generator(self) -> Generator:
        """The network; UserError says what is wrong with the weights."""
        return _generator(self.weights, self.config)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights' first bias, which differs between trainings."""
        return fingerprint(self.tensor(first_bias(self.config)))

    def beside(self, file: str) -> Path:
        """Path of a file that belongs to these weights; their folder may hold other weights too."""
        return self.path / (file if self.name == self.path.name else f"{self.name}.{file}")

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Read one tensor of the weights; UserError where it is missing."""
        for path in shards(self.weights):
            with _opened(path, "np") as file:
                if name in file.keys():  # noqa: SIM118
                    return np.asarray(file.get_tensor(name), np.float32)
        raise UserError(f"{self.weights} holds no {name}; copy the checkpoint again")


def first_bias(config: GeneratorConfig) -> str:
    """Name of the tensor from which the fingerprint of a training is computed."""
    return "blocks.0.conv0.bias" if config.filters else "decoder.levels.0.bias"


def shards(weights: Path) -> list[Path]:
    """Files of the weights: the first one, and those beside it that are numbered from 2 on."""
    found = [weights]
    while (more := weights.with_stem(f"{weights.stem}-{len(found) + 1}")).is_file():
        found.append(more)
    return found


def fingerprint(first_bias: NDArray[np.float32]) -> str:
    """Return the hash of a first bias, see :attr:`Checkpoint.fingerprint`."""
    return hashlib.sha256(first_bias.tobytes()).hexdigest()[:16]


def search_path() -> list[Path]:
    """Folders of checkpoints in search order: the environment variable's, the user's, bundled."""
    named = [Path(p) for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    package = Path(__file__).resolve().parents[1]
    # inside a wheel they lie in the package, in a source tree beside it
    return [*named, user_folder(), package / "checkpoints", package.parent / "checkpoints"]


def user_folder() -> Path:
    """Folder of the user's own checkpoints."""
    import platformdirs

    return Path(platformdirs.user_data_dir("gansynth-server", appauthor=False)) / "checkpoints"


def available() -> dict[str, Path]:
    """Checkpoints that can be loaded by name: name → folder, in search order."""
    found: dict[str, Path] = {}
    for folder in search_path():
        for weights in sorted(folder.glob(f"*/{WEIGHTS}")):
            found.setdefault(weights.parent.name, weights.parent)
    return found


def lighter(name: str) -> str | None:
    """Name of the checkpoint NAME_lite, which is NAME for slower machines, if there is one."""
    return found if (found := f"{name}_lite") in available() else None


def locate(name: str) -> Path:
    """Path of a checkpoint's folder or weights file; UserError if there is none.

    Args:
        name: a bundled name, a folder, or a .safetensors file.
    """
    path = Path(name).expanduser()
    if path.is_file():
        if path.suffix != ".safetensors":
            raise UserError(
                f"{path} is not a safetensors file; weights of other kinds (pickles, TensorFlow) "
                "are never opened, for they may hold programs: bring a training over with "
                "gansynth convert, or give a checkpoint folder or a .safetensors file"
            )
        return path
    if (path / WEIGHTS).is_file():
        return path
    if path.is_dir():
        raise UserError(f"{path} holds no {WEIGHTS}, so it is not a checkpoint folder")
    known = available()
    if name in known:
        return known[name]
    if path.with_name(f"{path.name}.index").is_file():
        raise UserError(
            f"{path} is a checkpoint of TensorFlow: bring it over with gansynth convert {path}"
        )
    raise UserError(
        f"no checkpoint called {name!r}: there are {', '.join(known) or 'none'}; "
        f"give one of these, a folder, a .safetensors file, or set {VARIABLE}"
    )


def load(name: str) -> Checkpoint:
    """Find and load a checkpoint, with its network.

    Args:
        name: a bundled name, a folder, or a .safetensors file.

    Raises:
        UserError: says in one sentence what is wrong with it and what to do.
    """
    found = describe(name)
    _ = found.generator
    return found


def describe(name: str) -> Checkpoint:
    """Find a checkpoint and read all but its network, without PyTorch; as :func:`load`."""
    path = locate(name)
    folder, weights = (path.parent, path) if path.is_file() else (path, path / WEIGHTS)
    info = _read_json(folder / CONFIG) if (folder / CONFIG).is_file() else _metadata(weights)
    if not isinstance(info, dict) or info.get("format") != FORMAT or "generator" not in info:
        raise UserError(f"{folder} is not a checkpoint of format {FORMAT}: its {CONFIG} says so")
    try:
        config = GeneratorConfig.from_dict(info["generator"])
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    if config.shape != (FRAMES, BINS):
        raise UserError(
            f"{folder} makes spectra of {config.shape[0]} × {config.shape[1]}, and this program "
            f"plays {FRAMES} × {BINS}"
        )
    presets = _presets(folder / PRESETS, config.latent_size)
    return Checkpoint(
        folder.name if weights.name == WEIGHTS else weights.stem,
        folder,
        weights,
        config,
        info.get("provenance", {}),
        presets,
    )


def save(
    folder: Path,
    generator: Generator,
    provenance: dict[str, Any],
    presets: dict[str, NDArray[np.float32]] | None = None,
) -> None:
    """Write a checkpoint folder, its weights rounded to float16."""
    tensors = {k: v.detach().half().cpu().numpy() for k, v in generator.state_dict().items()}
    write(folder, tensors, generator.config, provenance, presets)


def write(
    folder: Path,
    tensors: Mapping[str, NDArray[np.floating[Any]]],
    config: GeneratorConfig,
    provenance: dict[str, Any],
    presets: dict[str, NDArray[np.float32]] | None = None,
) -> None:
    """Write a checkpoint folder; each file is replaced as a whole or not at all."""
    from safetensors.numpy import save as serialise

    folder.mkdir(parents=True, exist_ok=True)
    contiguous = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    info = {"format": FORMAT, "generator": config.to_dict(), "provenance": provenance}
    before = shards(folder / WEIGHTS)[1:]
    first = folder / WEIGHTS
    files = {
        first.with_stem(f"{first.stem}-{n}") if n > 1 else first: part
        for n, part in enumerate(_parts(contiguous), 1)
    }
    for path, part in reversed(files.items()):  # what is looked for first is written last
        metadata = {"config": json.dumps(info)} if path == first else None
        write_atomically(path, serialise(part, metadata=metadata))
    for path in before:
        if path not in files:
            path.unlink()
    write_atomically(folder / CONFIG, (json.dumps(info, indent=1) + "\n").encode())
    if presets is not None:
        _write_presets(folder, presets)


def _parts(tensors: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Share tensors out among files, in their order."""
    parts: list[dict[str, Any]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if size and size + tensor.nbytes > LARGEST_FILE:
            parts.append({})
            size = 0
        parts[-1][name] = tensor
        size += tensor.nbytes
    return parts


def add_presets(to: Checkpoint, presets: Mapping[str, NDArray[np.float32]]) -> None:
    """Add presets to those of a checkpoint; UserError where they cannot be written."""
    try:
        _write_presets(to.path, {**to.presets, **presets})
    except OSError as error:
        raise UserError(f"cannot write {to.path / PRESETS}: {error.strerror}") from error


def _write_presets(folder: Path, presets: Mapping[str, NDArray[np.float32]]) -> None:
    rounded = {k: [round(float(x), 4) for x in v] for k, v in presets.items()}
    write_atomically(folder / PRESETS, (json.dumps(rounded) + "\n").encode())


def _read_json(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as JSON ({error}); copy the folder again"
        ) from error


def _metadata(weights: Path) -> Any:
    """Config in the header of a weights file without a folder of its own."""
    with _opened(weights, "np") as file:
        return json.loads((file.metadata() or {}).get("config", "null"))


def _generator(weights: Path, config: GeneratorConfig) -> Generator:
    import torch

    from gansynth_server.model.generator import Generator

    with torch.device("meta"):
        generator = Generator(config)
    expected = {name: tuple(p.shape) for name, p in generator.state_dict().items()}
    state: dict[str, torch.Tensor] = {}
    found: dict[str, tuple[int, ...]] = {}
    for path in shards(weights):
        with _opened(path, "pt") as file:
            here = {k: tuple(file.get_slice(k).get_shape()) for k in file.keys()}  # noqa: SIM118
            found |= here
            state |= {k: file.get_tensor(k).float() for k in here if here[k] == expected.get(k)}
    if found != expected:
        odd = sorted(set(found.items()) ^ set(expected.items()))[0]
        raise UserError(
            f"{weights} does not fit its {CONFIG} (first difference: {odd[0]} {odd[1]}); "
            "they belong to different checkpoints"
        )
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise UserError(f"{weights} holds numbers that are not finite; copy or train it again")
    generator.load_state_dict(state, assign=True)
    return generator.eval().requires_grad_(False)


@contextmanager
def _opened(weights: Path, framework: str) -> Iterator[Any]:
    """Check a weights file and open it; UserError where it is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        check_safetensors(weights)
        with safe_open(weights, framework) as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{weights} is damaged or not a safetensors file ({error}); copy or download it again"
        ) from error


def _presets(path: Path, size: int) -> dict[str, NDArray[np.float32]]:
    if not path.is_file():
        return {}
    values = _read_json(path)
    try:
        presets = {str(k): np.asarray(v, dtype=np.float32) for k, v in values.items()}
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} is no list of named latents: {error}") from error
    if not all(p.shape == (size,) and np.isfinite(p).all() for p in presets.values()):
        raise UserError(f"{path}: every preset must be {size} finite numbers")
    return presets
