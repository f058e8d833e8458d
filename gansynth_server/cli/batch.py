"""``gansynth batch``: many latents at several pitches to a folder of sound files."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, arg

from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_CHECKPOINT, BackendName, PrecisionName, ShardKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gansynth_server.api import Model
    from gansynth_server.offline.shards.plan import Plan

INDEX = "index.json"
SHEET = "sheet.png"
PITCHES = (36.0, 48.0, 60.0, 72.0)
"""Pitches of each timbre, where none are given."""
LINE_S = 30.0
"""Time (s) between two lines of progress, where there is no terminal for a bar."""
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
    """Render many timbres at several pitches to a folder, or a data set of random notes."""

    output: Annotated[Path, arg(aliases=("-o",))]
    """Folder for the notes and index.json, or for the shards."""
    count: int = 16
    """Random timbres, unless --presets or --latents lists some; with --shards, notes in all."""
    pitches: tuple[float, ...] = ()
    """MIDI note numbers; fractional is fine. 36, 48, 60 and 72 for each timbre if not given; with
    --shards one is drawn for each note, of all that the network was trained on if not given."""
    velocities: tuple[float, float] = (100.0, 100.0)
    """Lowest and highest velocity of the notes in --shards."""
    shards: ShardKind | None = None
    """A data set in shards: tar as WebDataset reads it, or parquet as Hugging Face reads it; run
    again it goes on where it was ended."""
    shard: int = 1000
    """Notes of a shard."""
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
    format: Literal["wav", "flac", "ogg"] | None = None
    """Format of the files: wav if not given, flac in --shards."""
    sheet: FlagCreatePairsOff[bool] = False
    """Draw sheet.png, a spectrogram of every note."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""
    torch_device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1 …"""
    backend: BackendName = "auto"
    """What runs it; auto measures what there is and takes the fastest."""
    precision: PrecisionName = "float32"
    """Of the network; auto is bfloat16 where that is faster, which is not to be heard."""
    threads: int = 0
    """CPU threads of the network; 0 takes all cores but one, which makes the sound."""
    ray: str | None = None
    """Ray cluster that renders the --shards: its address, auto, or local to start one here."""
    workers: int = 0
    """Workers on it at once; 0 is as many as it has room for."""
    batch: int = 0
    """Notes that go through the network at once; 0 is what suits it."""

    def run(self) -> None:
        from gansynth_server import api
        from gansynth_server.util.threads import set_threads

        if self.count < 1 or self.batch < 0:
            raise UserError(
                "there is nothing to render: give a --count, and a --batch of 0 or more"
            )
        set_threads(self.threads)
        model = api.load(self.checkpoint, self.torch_device, self.backend, self.precision)
        if self.shards is None:
            if self.ray is not None:
                raise UserError("--ray renders --shards: say which, tar or parquet")
            self._folder(model)
        else:
            self._shards(model)

    def _folder(self, model: Model) -> None:
        """Render every timbre at every pitch, a file each."""
        import numpy as np

        from gansynth_server.render.model import nearest_pitch
        from gansynth_server.util.progress import track

        pitches, format = self.pitches or PITCHES, self.format or "wav"
        timbres = self._timbres(model)
        if self.sheet:
            self._check_sheet(len(timbres))
        for pitch in pitches:
            nearest_pitch(model.pitches, pitch)
        tasks = [(timbre, pitch) for timbre in timbres for pitch in pitches]
        notes = model.generate_notes(
            np.stack([timbre.z for timbre, _ in tasks]),
            [pitch for _, pitch in tasks],
            duration=self.duration,
            sample_rate=self.rate,
            batch=self.batch,
        )
        _make_folder(self.output)
        index = []
        for (timbre, pitch), note in zip(track(tasks, "notes"), notes, strict=True):
            file = f"{timbre.name}_p{pitch:g}.{format}"
            note.save(self.output / file)
            entry = {"file": file, "pitch": pitch, **timbre.origin}
            index.append(entry | {"rate": self.rate, "seconds": self.duration})
        (self.output / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
        if self.sheet:
            self._draw(model, timbres, pitches)
        print(f"{self.output}: {len(index)} notes and {INDEX}")

    def _shards(self, model: Model) -> None:
        """Render the shards that are missing of a data set."""
        from gansynth_server.offline.shards import run

        plan = self._plan(model)
        with _progress(plan.count) as report:
            if self.ray is None:
                run.run(run.ShardRenderer(model, plan), plan, self.output, report)
            else:
                import torch

                from gansynth_server.offline.shards import cluster

                threads = torch.get_num_threads()
                device = run.Device(self.torch_device, plan.backend, plan.precision, threads)
                where = self.output, report, self.ray, self.workers
                cluster.run(model.checkpoint, plan, device, *where)
        print(f"{self.output}: {plan.count} notes in {plan.shards} shards")

    def _plan(self, model: Model) -> Plan:
        """Return the plan of a data set; UserError for flags that do not go with it."""
        from gansynth_server.offline.shards.plan import Plan
        from gansynth_server.offline.shards.run import Device
        from gansynth_server.offline.shards.writers import check_writer

        if self.presets or self.latents is not None or self.sheet:
            raise UserError("--shards are of random timbres: leave --presets, --latents, --sheet")
        if self.format == "ogg":
            raise UserError("--shards hold flac or wav, whose samples are exact")
        assert self.shards is not None
        asked = Device(self.torch_device, self.backend, self.precision, self.threads)
        device = Device.chosen(model, asked)
        plan = Plan(
            self.checkpoint,
            model.checkpoint.fingerprint,
            model.latent_size,
            self.count,
            self.pitches or tuple(float(pitch) for pitch in model.pitches),
            *(self.velocities, self.seed, self.duration, self.rate),
            *(self.shards, self.format or "flac", self.shard),
            *(device.backend, device.precision, self.batch or model.backend.info.batch),
        )
        plan.check(model.pitches)
        check_writer(plan)
        return plan

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

    def _draw(self, model: Model, timbres: list[Timbre], listed: Sequence[float]) -> None:
        """Draw the sheet, from whole notes at 16 kHz whatever the files hold."""
        import numpy as np
        import torch

        from gansynth_server.render.model import nearest_pitch
        from gansynth_server.spectral import plot

        pitches = [nearest_pitch(model.pitches, pitch) for pitch in listed]
        waves = [
            torch.from_numpy(wave)
            for timbre in timbres
            for wave in model.generate_batch(np.stack([timbre.z] * len(pitches)), pitches)
        ]
        rows = [timbre.name for timbre in timbres]
        plot.contact_sheet(self.output / SHEET, waves, rows, [f"{p:g}" for p in listed])


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


@contextmanager
def _progress(count: int) -> Iterator[Callable[[int], None]]:
    """Show notes, their rate and the time left; each call of the result counts further notes.

    The first call counts those that were there before, which say nothing of the rate.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    from gansynth_server.util.progress import bar

    begun, line, before, done = time.monotonic(), time.monotonic(), -1, 0
    rate = TextColumn("{task.fields[rate]:.1f} notes/s")
    columns = TextColumn("notes"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn()
    with bar(*columns) as shown:
        task = shown.add_task("notes", total=count, rate=0.0)

        def report(notes: int) -> None:
            nonlocal begun, line, before, done
            now, done = time.monotonic(), done + notes
            if before < 0:
                before, begun, line = done, now, now
            speed = (done - before) / max(now - begun, 1e-3)
            shown.update(task, completed=done, rate=speed)
            if shown.disable and (now - line > LINE_S or done == count):
                line = now
                print(f"{done} of {count} notes, {speed:.1f} notes/s", file=sys.stderr, flush=True)

        yield report
