"""Voices whose latents move: a round gives each of them new frames, all before the next hop."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from gansynth_server.instrument.morphing import ALIGNED, LENGTH
from gansynth_server.options import ServerOptions
from gansynth_server.render.process import RenderProcess
from gansynth_server.render.remote import RemoteModel
from gansynth_server.server.render_worker import serve
from gansynth_server.spectral.constants import FRAMES, HOP, SAMPLE_RATE

VOICES = (1, 16, 64)
HOP_MS = 1000 * HOP / SAMPLE_RATE
ROUNDS = 50
"""Measured rounds, after one to warm up."""
SECONDS = 2.0
"""Most time (s) for each number of voices; three rounds are measured in any case."""


def measure(options: ServerOptions) -> list[dict[str, Any]]:
    """Return a row per number of voices: time (ms) of a round to the render process and back,
    each voice at a place and a pitch of its own.

    Args:
        options: of the network.
    """
    process = RenderProcess(options, serve)
    try:
        model = RemoteModel(process, options.checkpoint)
        return [_row(model, voices) for voices in VOICES]
    finally:
        process.stop()


def _row(model: RemoteModel, voices: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    labels = random.integers(0, len(model.pitches), voices)
    taken: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(taken) <= 3 or (len(taken) <= ROUNDS and time.perf_counter() < end):
        z = random.standard_normal((voices, model.latent_size)).astype(np.float32)
        firsts = random.integers(0, (FRAMES - LENGTH) // ALIGNED + 1, voices) * ALIGNED
        begun = time.perf_counter()
        _round(model, z, labels, firsts)
        taken.append(1000 * (time.perf_counter() - begun))
    times = taken[1:]
    return {
        "backend": model.backend.info.name,
        "precision": model.backend.info.precision,
        "voices": voices,
        **{f"p{q} ms": float(np.percentile(times, q)) for q in (50, 99)},
        "p50, % of a hop": 100 * float(np.median(times)) / HOP_MS,
    }


def _round(model: RemoteModel, z: Any, labels: Any, firsts: Any) -> None:
    """Render a round, with as many voices at a time as the server would ask for at once."""
    most = model.backend.info.windows
    if not model.backend.info.mixed:
        order = np.argsort(firsts, kind="stable")  # equal windows are rendered together
        z, labels, firsts = z[order], labels[order], firsts[order]
    for at in range(0, len(z), most):
        some = slice(at, at + most)
        model.backend.live_at(z[some], labels[some], firsts[some], LENGTH)
