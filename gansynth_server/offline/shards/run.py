"""Rendering the shards of a plan, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gansynth_server.errors import UserError
from gansynth_server.offline.notes import NoteRenderer
from gansynth_server.offline.shards.plan import Plan
from gansynth_server.offline.shards.writers import remove_parts, shard_notes, write_shard
from gansynth_server.options import BackendName, PrecisionName
from gansynth_server.render.model import Model

T = TypeVar("T")
Report = Callable[[int], object]
"""Is told how many notes have been rendered since the last call."""


@dataclass(frozen=True, slots=True)
class Device:
    """Where a network runs, and as what: with these, all machines render the same."""

    torch_device: str = "auto"
    backend: BackendName = "auto"
    precision: PrecisionName = "float32"
    threads: int = 0

    @classmethod
    def chosen(cls, model: Model, asked: Device) -> Device:
        """Return what was chosen for a model, where ``auto`` was asked for."""
        backend, precision = model.backend.info.flags
        return cls(
            asked.torch_device,
            backend or asked.backend,
            precision or asked.precision,
            asked.threads,
        )


class ShardRenderer:
    """Renders shards of one plan, one after the other.

    Raises:
        UserError: the model is another one than the plan's.
    """

    def __init__(self, model: Model, plan: Plan) -> None:
        if model.checkpoint.fingerprint != plan.fingerprint:
            raise UserError(f"{model.checkpoint.name} has other weights than the plan's")
        self._plan, self._prior = plan, model.prior
        self._notes = NoteRenderer(model, plan.duration, plan.rate, plan.batch)

    @property
    def network_seconds(self) -> float:
        """Time (s) that the network has taken so far."""
        return self._notes.network_seconds

    def write(self, shard: int, path: Path, report: Report = lambda notes: None) -> None:
        """Render a shard into a file, which is there as a whole or not at all."""
        plan = self._plan
        sounds = self._notes.render(plan.requests(shard, self._prior))
        write_shard(plan, path, _reported(shard_notes(plan, shard, self._prior, sounds), report))


def run(renderer: ShardRenderer, plan: Plan, folder: Path, report: Report) -> None:
    """Render the shards that a folder does not hold yet.

    Raises:
        UserError: the folder holds shards of another plan, or cannot be written.
    """
    for shard in begin(plan, folder, report):
        renderer.write(shard, folder / plan.name(shard), report)


def begin(plan: Plan, folder: Path, report: Report) -> list[int]:
    """Prepare a folder; return the shards to render, after reporting those that are there.

    Raises:
        UserError: it holds shards of another plan, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        plan.settle(folder)
        remove_parts(folder)
        missing = plan.missing(folder)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
    left = sum(len(plan.indices(shard)) for shard in missing)
    report(plan.count - left)
    return missing


def _reported(items: Iterable[T], report: Report) -> Iterator[T]:
    for item in items:
        yield item
        report(1)
