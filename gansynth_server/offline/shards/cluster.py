"""Rendering the shards of a plan on a Ray cluster: a shard is a task, and a death is a retry.

Each shard depends on its number alone, so it may be rendered anywhere, and again. An actor keeps a
network loaded; its weights come from this process, so that the machines need not have the same
files. Shards come back as bytes and are written here: the machines need share no folder either.
"""

from __future__ import annotations

import socket
import tempfile
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.model.checkpoint import CONFIG, WEIGHTS, Checkpoint
from gansynth_server.offline.shards.plan import Plan
from gansynth_server.offline.shards.run import Device, Report, ShardRenderer, begin
from gansynth_server.offline.shards.writers import write_bytes
from gansynth_server.render.model import Model
from gansynth_server.util.extras import require
from gansynth_server.util.files import sha256, write_atomically
from gansynth_server.util.threads import set_threads

MAX_TRIES = 5
"""Times that a shard is tried: one that ends every process must not go round for ever."""
CONNECT_TIMEOUT_S = 5.0
"""Time (s) in which a cluster must take a connection."""
LOOK_S = 2.0
"""Time (s) between two looks at what the cluster has: machines come and go."""


@dataclass(frozen=True)
class Weights:
    """The files of a checkpoint, by their names, and the hash of the weights."""

    name: str
    files: dict[str, bytes]
    key: str

    @classmethod
    def read(cls, checkpoint: Checkpoint) -> Weights:
        """Read those files that a network needs; UserError where one cannot be read."""
        paths = [checkpoint.weights]
        if checkpoint.weights.name == WEIGHTS:
            paths.append(checkpoint.path / CONFIG)
        try:
            files = {path.name: path.read_bytes() for path in paths}
            return cls(checkpoint.name, files, sha256(checkpoint.weights))
        except OSError as error:
            raise UserError(f"cannot read {checkpoint.name}: {error}") from error

    def unpack(self) -> str:
        """Write the files to a folder that is named by their content; return what to load."""
        folder = Path(tempfile.gettempdir()) / f"gansynth-{self.key[:16]}" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            if not (folder / name).is_file():
                write_atomically(folder / name, data)
        return str(folder if WEIGHTS in self.files else folder / next(iter(self.files)))


class ShardActor:
    """Keeps a network loaded and renders shards of one plan; lives in a process of Ray's."""

    def __init__(self, plan: Plan, device: Device, weights: Weights) -> None:
        set_threads(device.threads)
        model = Model.load(weights.unpack(), device.torch_device, plan.backend, plan.precision)
        self._plan, self._renderer = plan, ShardRenderer(model, plan)

    def ready(self) -> None:
        """Return once the network is loaded."""

    def render(self, shard: int) -> bytes:
        """Return a shard as the bytes of its file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self._plan.name(shard)
            self._renderer.write(shard, path)
            return path.read_bytes()


def run(
    checkpoint: Checkpoint,
    plan: Plan,
    device: Device,
    folder: Path,
    report: Report,
    address: str,
    workers: int = 0,
) -> None:
    """Render the shards that a folder does not hold yet on the cluster at an address.

    Args:
        device: what each actor runs; its ``threads`` are the processors that it takes.
        address: of the cluster; ``auto`` finds the one of this machine, ``local`` starts one.
        workers: actors at once; 0 is as many as the cluster has room for.

    Raises:
        UserError: Ray is not installed, there is no such cluster, the folder holds another data
            set or cannot be written, or a shard cannot be rendered.
    """
    ray = require("ray", "--ray", "ray")
    missing = begin(plan, folder, report)
    if not missing:
        return
    _reach(address)
    try:
        ray.init(address=address, log_to_driver=False, ignore_reinit_error=True)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_cluster(address, error) from error
    try:
        _Run(ray, plan, device, Weights.read(checkpoint), workers).run(missing, folder, report)
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise UserError where nothing answers at host:port, which takes Ray minutes to find out."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "://" in address:
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> UserError:
    return UserError(
        f"no Ray cluster at {address} ({error}): start one with ray start --head, "
        "or give --ray local"
    )


class _Run:
    """The actors of one run, and what each is doing."""

    def __init__(
        self, ray: Any, plan: Plan, device: Device, weights: Weights, workers: int
    ) -> None:
        self._ray, self._plan, self._device, self._workers = ray, plan, device, workers
        self._gpu = device.torch_device.startswith("cuda") or (
            device.torch_device == "auto" and ray.cluster_resources().get("GPU", 0) > 0
        )
        make = ray.remote(num_cpus=device.threads, num_gpus=int(self._gpu))(ShardActor).remote
        # once for all actors: Ray brings them to each machine once
        shared = ray.put(weights)
        self._make: Callable[[], Any] = lambda: make(plan, device, shared)
        self._doing: dict[Any, tuple[Any, int | None]] = {}
        """Actors and their shards, by what Ray will give; None is one that is being started."""
        self._tries: Counter[int] = Counter()

    def run(self, missing: list[int], folder: Path, report: Report) -> None:
        waiting = deque(missing)
        idle: list[Any] = []
        while waiting or any(shard is not None for _, shard in self._doing.values()):
            while len(self._doing) + len(idle) < min(self._room(), len(waiting)):
                actor = self._make()
                # a shard waits for no actor that there may be no machine for
                self._doing[actor.ready.remote()] = actor, None
            while idle and waiting:
                actor, next_shard = idle.pop(), waiting.popleft()
                self._doing[actor.render.remote(next_shard)] = actor, next_shard
            if not self._doing:
                raise UserError("the cluster has no room for a worker: see ray status")
            done, _ = self._ray.wait(list(self._doing), timeout=LOOK_S)
            for ref in done:
                actor, shard = self._doing.pop(ref)
                try:
                    data = self._ray.get(ref)
                except self._ray.exceptions.RayTaskError as error:
                    raise UserError(f"a shard cannot be rendered: {error.cause}") from error
                except self._ray.exceptions.RayError as error:
                    # the actor, its machine, or what it had made is gone
                    self._count(shard, error)
                    if shard is not None:
                        waiting.appendleft(shard)
                    continue
                idle.append(actor)
                if shard is not None:
                    write_bytes(folder / self._plan.name(shard), data)
                    report(len(self._plan.indices(shard)))

    def _count(self, shard: int | None, error: Exception) -> None:
        """Count what has failed; UserError where it has too often."""
        number = -1 if shard is None else shard
        self._tries[number] += 1
        if self._tries[number] >= MAX_TRIES:
            what = "a worker does not start" if shard is None else f"shard {shard} fails each time"
            raise UserError(f"{what}: {error}") from error

    def _room(self) -> int:
        """Return how many actors the cluster has room for now."""
        if self._workers:
            return self._workers
        found = self._ray.cluster_resources()
        room = int(found.get("CPU", 0)) // self._device.threads
        return max(1, min(room, int(found.get("GPU", 0))) if self._gpu else room)
