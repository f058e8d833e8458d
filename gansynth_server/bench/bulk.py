"""Many notes without a listener: one by one through a bus each, in batches, the network alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np

from gansynth_server import api
from gansynth_server.errors import UserError
from gansynth_server.offline.notes import NoteRenderer, NoteRequest
from gansynth_server.offline.shards.writers import encode
from gansynth_server.options import BackendName, PrecisionName
from gansynth_server.spectral.constants import SAMPLE_RATE


def measure(
    checkpoint: str,
    torch_device: str,
    backends: Sequence[BackendName],
    precisions: Sequence[PrecisionName],
    notes: int,
    runs: int,
) -> list[dict[str, Any]]:
    """Return a row per backend and precision, and one for notes one by one as plain PyTorch.

    All ways take turns, so that what else the machine does meets all of them alike.

    Args:
        notes: of each run.
        runs: of each way; the median counts.
    """
    rows: list[dict[str, Any]] = []
    plain = api.load(checkpoint, torch_device, "eager", "float32")
    ways = [_Way("one by one, a bus each", plain, _one_by_one)]
    for name in backends:
        for precision in precisions:
            try:
                model = api.load(checkpoint, torch_device, name, precision)
                model.generate()
            except (UserError, RuntimeError) as error:
                rows.append({"way": name, "remark": str(error).partition("\n")[0]})
                continue
            info = model.backend.info
            label = f"{info.name} {info.precision}"
            ways += [
                _Way(f"{label}, network alone", model, _network),
                _Way(f"{label}, batches", model, _batches),
            ]
    for _ in range(runs):
        for way in ways:
            way.run(notes)
    first = median(ways[0].rates)
    return [*(way.row(first) for way in ways), *rows]


class _Way:
    """A way to render notes, and the notes a second of each of its runs."""

    def __init__(
        self,
        name: str,
        model: api.Model,
        render: Callable[[api.Model, Sequence[NoteRequest]], float],
    ) -> None:
        self._name, self._model, self._render = name, model, render
        self.rates: list[float] = []
        self._shares: list[float] = []
        self._work: list[float] = []

    def run(self, notes: int) -> None:
        requests = list(_requests(self._model, notes))
        begun, worked = time.perf_counter(), time.process_time()
        network = self._render(self._model, requests)
        passed = time.perf_counter() - begun
        self._work.append(1000 * (time.process_time() - worked) / notes)
        self.rates.append(notes / passed)
        self._shares.append(100 * network / passed)

    def row(self, first: float) -> dict[str, Any]:
        rate = median(self.rates)
        return {
            "way": self._name,
            "notes a second": rate,
            "times one by one": rate / first,
            "network, % of the time": median(self._shares),
            # what a machine that others use as well does not change
            "processor ms a note": median(self._work),
        }


def _requests(model: api.Model, notes: int) -> Iterator[NoteRequest]:
    latents = model.prior.draws(range(notes))
    pitches = np.resize(model.pitches, notes)
    return (NoteRequest(z, float(pitch)) for z, pitch in zip(latents, pitches, strict=True))


def _one_by_one(model: api.Model, requests: Sequence[NoteRequest]) -> float:
    for request in requests:
        sound = model.generate(request.pitch, request.z, velocity=request.velocity).audio
        encode(sound, SAMPLE_RATE, "flac")
    return 0.0


def _batches(model: api.Model, requests: Sequence[NoteRequest]) -> float:
    renderer = NoteRenderer(model)
    for sound in renderer.render(requests):
        encode(sound, SAMPLE_RATE, "flac")
    return renderer.network_seconds


def _network(model: api.Model, requests: Sequence[NoteRequest]) -> float:
    begun = time.perf_counter()
    batch = model.backend.info.batch
    for at in range(0, len(requests), batch):
        part = requests[at : at + batch]
        z = np.stack([request.z for request in part])
        model.whole_spectra(z, [int(request.pitch) for request in part])
    return time.perf_counter() - begun
