"""Packing: all that a machine with a GPU and no network needs, in one folder of known size."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from gansynth_server.bench.gpu import ROOT
from gansynth_server.errors import UserError
from gansynth_server.model.checkpoint import CONFIG, PRESETS, WEIGHTS, shards
from gansynth_server.options import DEFAULT_CHECKPOINT

MAX_BYTES = 64 << 20
"""Most bytes in all."""
CONTENTS = "CONTENTS.txt"
LARGE = 64 << 10
"""Bytes beyond which a file beside the tests is golden data, which no CUDA test reads."""
PYTHON = "3.12"
PLATFORMS = [f"manylinux{name}_x86_64" for name in ("_2_28", "_2_27", "_2_17", "2014", "1")]
WHEELS = (
    *("python-osc", "sounddevice", "soundfile", "cffi", "pycparser", "mido"),
    *("tyro", "docstring-parser", "typeguard", "platformdirs", "tinysoundfont"),
)
"""Packages needed beside PyTorch, NumPy, SciPy, safetensors, rich, matplotlib, pytest, hypothesis,
packaging and typing-extensions; without their own requirements."""


def make(folder: Path, data: Path) -> str:
    """Fill a folder: code, tests, a checkpoint, wheels and the data.

    Returns:
        what it holds, as it is written in ``CONTENTS.txt``.

    Raises:
        UserError: it holds something already, a wheel cannot be had, or it is too large.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} holds something already: give --pack an empty folder")
    for path in _code():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    if data.is_dir():
        shutil.copytree(data, folder / "data")
    else:
        (folder / "data").mkdir()
        shutil.copy2(data, folder / "data" / data.name)
    download(folder / "wheels")
    text, size = contents(folder)
    (folder / CONTENTS).write_text(text, encoding="utf-8")
    if size > MAX_BYTES:
        raise UserError(
            f"{folder} has {size / 2**20:.1f} MiB, more than {MAX_BYTES >> 20}: {CONTENTS}"
        )
    return text


def _code() -> Iterator[Path]:
    """Yield the files of the checkout that are needed."""
    yield from (ROOT / name for name in ("Makefile", "pyproject.toml", "LICENSE", "README.md"))
    yield from sorted((ROOT / "gansynth_server").rglob("*.py"))
    yield from (p for p in sorted((ROOT / "tests").rglob("*.py")) if p.stat().st_size <= LARGE)
    checkpoint = ROOT / "checkpoints" / DEFAULT_CHECKPOINT
    yield from shards(checkpoint / WEIGHTS)
    yield from (checkpoint / name for name in (CONFIG, PRESETS))


def download(folder: Path) -> None:
    """Fetch the wheels, for the Python and the system of the machine with the GPU."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON]
    command += [word for name in PLATFORMS for word in ("--platform", name)]
    command += ["--dest", str(folder), *WHEELS]
    if (constraints := ROOT / "constraints.txt").exists():
        command += ["--constraint", str(constraints)]
    if subprocess.run(command, check=False).returncode:
        raise UserError("pip could not fetch the wheels: what it says is above")


def contents(folder: Path) -> tuple[str, int]:
    """Return a line per wheel, file of the data and other folder, and the bytes in all."""
    sizes: dict[str, int] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != CONTENTS):
        first, *rest = path.relative_to(folder).parts
        name = "/".join((first, *rest)) if first in ("wheels", "data") or not rest else f"{first}/"
        sizes[name] = sizes.get(name, 0) + path.stat().st_size
    total = sum(sizes.values())
    lines = [f"{size:>12,}  {name}" for name, size in sizes.items()]
    return "\n".join([*lines, f"{total:>12,}  in all, of {MAX_BYTES:,} at most", ""]), total
