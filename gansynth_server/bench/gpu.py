"""Ten minutes of a GPU: does it work, how fast is it, train with the rest.

Every step is a process of its own with a time limit; what one leaves over, the training
gets. A step that fails or takes too long holds none of the others up, and what is known is
written after each, so that nothing is lost when the machine is taken away. The same steps
run on a CPU with tiny sizes, as a rehearsal.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gansynth_server.bench import gpu_report
from gansynth_server.errors import UserError
from gansynth_server.model.checkpoint import CONFIG, PRESETS, WEIGHTS, shards
from gansynth_server.util.files import write_atomically

ROOT = Path(__file__).resolve().parents[2]
"""The checkout, which has the tests."""
GRACE = 15.0
"""Time (s) from SIGINT until a step is killed: a training saves itself."""
CLOSING = 10.0
"""Time (s) that is left for the last lines of the report."""
START = 45.0
"""Time (s) that a training on a GPU takes to read notes, fit templates and compile, about."""
PIECE = 15 << 20
"""Most bytes of one file of the checkpoint: large files are hard to bring home."""
MOST_PIECES = 3
FULL_SIZE = "full_size"
"""Folder of a checkpoint as large as Magenta's, of no training."""


@dataclass(frozen=True)
class Day:
    """One run of all steps, with the settings of ``gansynth gpu``."""

    out: Path
    work: Path
    data: Path
    minutes: float
    device: str
    rehearsal: bool

    @property
    def notes(self) -> Path:
        """Folder with the notes to train on."""
        return self.data if self.data.is_dir() else self.work / "data"

    @property
    def training(self) -> Path:
        return self.work / "training"


@dataclass(frozen=True)
class Step:
    """A command, and its largest part of the minutes; None is all that is left.

    ``results`` is called every second while it runs, and after it.
    """

    name: str
    command: Sequence[str]
    part: float | None
    results: Callable[[], object] = lambda: None


@dataclass
class Outcome:
    """The end of a step; ``status`` is its exit status, None if it had to be killed."""

    name: str
    seconds: float = 0.0
    limit: float = 0.0
    status: int | None = None
    late: bool = False
    """True if its time was over before it ended."""
    facts: dict[str, Any] = field(default_factory=dict)


def run(day: Day) -> bool:
    """Run all steps; return whether all ended well.

    Raises:
        UserError: a folder cannot be written, or there are no notes.
    """
    if not day.data.exists():
        raise UserError(f"there are no notes at {day.data}: give a soundfont or a data folder")
    try:
        for folder in (day.out, day.work):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {error.filename}: {error.strerror}") from error
    end = time.monotonic() + 60 * day.minutes - CLOSING
    outcomes: list[Outcome] = []
    with (day.out / "log.txt").open("ab") as log, _notes(day) as ready:
        for make in (_machine, _tests, _bundled, _full_size, _training):
            if make is _training:
                ready(end - time.monotonic())
            left = end - time.monotonic()
            step = make(day, left)
            limit = left if step.part is None else min(left, 60 * day.minutes * step.part)
            outcomes.append(_carried_out(step, limit, log))
            gpu_report.write(day.out, day.work, [asdict(outcome) for outcome in outcomes])
    return all(outcome.status == 0 for outcome in outcomes)


def _carried_out(step: Step, limit: float, log: Any) -> Outcome:
    outcome = Outcome(step.name, limit=limit)
    begun = time.monotonic()
    command = shlex.join(step.command)
    log.write(f"\n== {step.name}, {limit:.0f} s at most: {command} ==\n".encode())
    log.flush()
    print(f"{step.name}, {limit:.0f} s at most", file=sys.stderr, flush=True)
    process = _process(step.command, log)
    try:
        while process.poll() is None:
            passed = time.monotonic() - begun
            if passed > limit and not outcome.late:
                outcome.late = True
                process.send_signal(signal.SIGINT)
            if passed > limit + GRACE:
                break
            step.results()
            time.sleep(min(1.0, 0.05 + passed / 10))
        outcome.status = process.poll()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it may have started
        process.wait()
    step.results()
    outcome.seconds = time.monotonic() - begun
    return outcome


def _process(command: Sequence[str], log: Any) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
    )


def _gansynth(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "gansynth_server.cli", *map(str, arguments)]


@contextlib.contextmanager
def _notes(day: Day) -> Any:
    """Render a soundfont's notes while other steps run; what is given waits for the end of it."""
    if day.notes == day.data or (day.notes / "index.json").exists():
        yield lambda seconds: None
        return
    command = _gansynth("dataset", "soundfont", day.data, "--output", day.notes)
    if day.rehearsal:
        command += ["--pitches", "60-61", "--programs", "0", "19"]
    with (day.work / "notes.txt").open("wb") as log:
        process = _process(command, log)
        try:
            yield lambda seconds: _ended(process, seconds)
        finally:
            process.kill()
            process.wait()


def _ended(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for the end of a process, for so long at most."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(1.0, seconds))


def _machine(day: Day, left: float) -> Step:
    """Describe the machine, and make the network of full size for later steps."""
    code = "import sys; from gansynth_server.bench.gpu import machine; machine(*sys.argv[1:])"
    size = "tiny" if day.rehearsal else "full"
    command = [sys.executable, "-c", code, str(day.work), day.device, size]
    return Step("machine", command, 0.12)


def machine(folder: str, device: str, size: str) -> None:
    """Write ``machine.json`` and a checkpoint of no training, of full size or a tiny one."""
    import platform

    import torch

    from gansynth_server.bench import networks
    from gansynth_server.model import checkpoint
    from gansynth_server.model.config import GeneratorConfig
    from gansynth_server.model.generator import Generator
    from gansynth_server.render.backends.eager import torch_device

    real = torch_device(device)
    facts: dict[str, Any] = {
        "device": str(real),
        "card": torch.cuda.get_device_name(real) if real.type == "cuda" else None,
        "gigabytes": torch.cuda.get_device_properties(real).total_memory / 1e9
        if real.type == "cuda"
        else None,
        "capability": torch.cuda.get_device_capability(real) if real.type == "cuda" else None,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "python": platform.python_version(),
        "processor cores": os.cpu_count(),
    }
    (Path(folder) / "machine.json").write_text(json.dumps(facts, indent=1))
    print(json.dumps(facts, indent=1))
    tiny = GeneratorConfig(filters=(8, 8, 8, 8, 8, 8, 4))
    net = networks.full_size() if size == "full" else Generator(tiny).eval()
    checkpoint.save(Path(folder) / FULL_SIZE, net, {"made by": "a rule, not a training"})


def _tests(day: Day, left: float) -> Step:
    xml = f"--junitxml={day.out.resolve() / 'tests.xml'}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "cuda", xml]
    # a rehearsal is a test itself, and the rest of the tests are beside it
    chosen = ["-k", f"graphs and {day.device} and not size"] if day.rehearsal else []
    return Step("tests", [*command, *chosen, "tests/system/test_cuda.py"], 0.3)


def _bundled(day: Day, left: float) -> Step:
    checkpoint = day.work / FULL_SIZE if day.rehearsal else "all_instruments"
    sections = (
        ["network", "voices"] if day.rehearsal else ["live", "voices", "network", "precision"]
    )
    return _bench(day, "bundled", checkpoint, sections, 0.3)


def _full_size(day: Day, left: float) -> Step:
    sections = ["live"] if day.rehearsal else ["live", "voices"]
    return _bench(day, "full size", day.work / FULL_SIZE, sections, 0.18)


def _bench(day: Day, name: str, checkpoint: object, sections: list[str], part: float) -> Step:
    backends, precisions = ["eager", "cuda"], ["float32", "bfloat16"]
    sizes: list[object] = ["--notes", 60, "--runs", 20, "--seconds", 4]
    if day.rehearsal:
        backends, precisions = backends[:1], precisions[:1]
        sizes = ["--notes", 2, "--runs", 1, "--seconds", 0.2, "--no-full-size", "--threads", 1]
    file = day.work / gpu_report.BENCHES[name]
    command = _gansynth(
        *("bench", "--checkpoint", checkpoint, "--torch-device", day.device),
        *("--sections", *sections, "--voices", 0, "--backends", *backends),
        *("--precisions", *precisions, *sizes, "--json", file),
    )
    return Step(f"speed, {name}", command, part)


def _training(day: Day, left: float) -> Step:
    """Train with what is left: regression, Magenta's network with templates."""
    minutes = max(left - START, left / 2) / 60
    options: list[object] = [
        *("--config", "mel_prog_hires", "--pitch-bias", "--templates", 64),
        *("--reconstruction", 1, "--coarse", 0, "--reconstruction-batch", 64),
        *("--precision", "bfloat16", "--compile", "--cache-gb", 40),
        *("--keep-minutes", 1, "--sample-minutes", 0),
    ]
    if day.rehearsal:
        minutes = 0.03
        options = [
            *("--config", "mel_prog_tiny", "--pitch-bias", "--templates", 2),
            *("--reconstruction", 1, "--coarse", 0, "--reconstruction-batch", 2),
            *("--keep-minutes", 0.01, "--sample-minutes", 0),
        ]
    command = _gansynth(
        *("train", day.notes, "--output", day.training, "--device", day.device),
        *("--minutes", f"{minutes:.3f}", *options),
    )
    return Step("training", command, None, Pieces(day.training, day.out))


class Pieces:
    """The checkpoint of a training in pieces of a tar archive, made again whenever it was kept.

    ``cat checkpoint.tar.* | tar x`` puts it together.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        self._folder, self._out = folder, out
        self._made = ""

    def __call__(self) -> None:
        weights = self._folder / WEIGHTS
        state = "".join(f"{p.name}{p.stat().st_mtime_ns}" for p in self._files() if p.exists())
        if weights.exists() and state != self._made:
            self._made = state
            self._make()

    def _files(self) -> list[Path]:
        names = (CONFIG, PRESETS, "README.md", "curves.png", "log.jsonl")
        samples = sorted((self._folder / "samples").glob("*"))[-2:]  # the last picture and sound
        weights = shards(self._folder / WEIGHTS)
        return [*weights, *(self._folder / name for name in names), *samples]

    def _make(self) -> None:
        whole = self._folder.parent / "checkpoint.tar"
        with tarfile.open(whole, "w") as archive:
            for path in self._files():
                if path.exists():
                    archive.add(path, Path("checkpoint") / path.relative_to(self._folder))
        content = whole.read_bytes()
        parts = [content[at : at + PIECE] for at in range(0, len(content), PIECE)]
        for number, part in enumerate(parts[:MOST_PIECES], 1):
            write_atomically(self._out / f"checkpoint.tar.{number}", part)
