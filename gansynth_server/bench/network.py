"""Time per note of every backend that runs here, and the error of lower precisions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gansynth_server.bench.networks import operations, peak
from gansynth_server.errors import UserError
from gansynth_server.model.generator import Generator
from gansynth_server.options import BackendName, PrecisionName
from gansynth_server.render.backends.base import HEAD, WHOLE, Backend, BackendInfo, Labels
from gansynth_server.render.backends.choose import choose
from gansynth_server.render.backends.eager import Eager
from gansynth_server.render.folded import PRECISIONS, fold
from gansynth_server.render.receptive_field import Span
from gansynth_server.spectral import transform
from gansynth_server.spectral.constants import SAMPLE_RATE
from gansynth_server.util.midi_pitch import midi_to_hz

BATCHES = (1, 2, 4, 8, 16, 32, 64)
PITCHES = 16
Float32 = NDArray[np.float32]


class Plain(Backend):
    """The generator as it is trained and the spectrum's steps after it, each by itself."""

    info = BackendInfo("plain")

    def __init__(self, generator: Generator, device: torch.device) -> None:
        self._generator = generator.to(device, torch.float32)
        self._device = device

    @torch.inference_mode()
    def frames(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        latents = torch.from_numpy(z).to(self._device)
        images = self._generator(latents, torch.from_numpy(labels).to(self._device))
        spectra = transform.denormalise(
            images.permute(0, 2, 3, 1), self._generator.config.normalizer
        )
        magnitude, increment = (part.cpu().numpy() for part in transform.polar(spectra))
        return magnitude, increment


@dataclass(frozen=True)
class Limits:
    """The end of measuring: time (s) per size of batch, and most runs."""

    seconds: float = 20.0
    runs: int = 5


def measure(
    generator: Generator,
    device: torch.device,
    backends: tuple[BackendName, ...],
    precisions: tuple[PrecisionName, ...],
    limits: Limits,
) -> list[dict[str, Any]]:
    """Return figures per backend and precision; one that cannot run here has its reason."""
    config = generator.config
    peaks: dict[str, float] = {
        name: peak(PRECISIONS[name], device) / 1e9 for name in precisions if name != "auto"
    }
    peaks.setdefault("float32", peak(torch.float32, device) / 1e9)
    plain = Plain(generator, device)
    rows = [_row(plain, config.latent_size, limits, operations(config, WHOLE), peaks)]
    for name in backends:
        for precision in precisions:
            try:
                begun = time.perf_counter()
                backend, _ = choose(generator, device, name, precision)
                backend.seconds(HEAD, 1, config.latent_size, takes=1)
                ready = time.perf_counter() - begun
                row = _row(backend, config.latent_size, limits, operations(config, WHOLE), peaks)
                rows.append({**row, "seconds to the first head": ready})
            except UserError as error:
                rows.append({"backend": name, "precision": precision, "why not": str(error)})
    return rows


def _row(
    backend: Backend, size: int, limits: Limits, count: float, peaks: dict[str, float]
) -> dict[str, Any]:
    row: dict[str, Any] = {"backend": backend.info.name, "precision": backend.info.precision}
    if not isinstance(backend, Plain):
        head = _times(lambda z, labels: backend.frames(z, labels, HEAD), 1, size, limits)
        row["head ms"] = 1000 * float(np.median(head))
        wave = _times(backend.waves, 1, size, limits)
        row["z to wave ms"] = 1000 * float(np.median(wave))
    alone = np.inf
    for batch in BATCHES:
        if np.isfinite(alone) and alone * batch * 2 > limits.seconds:
            continue  # a warm-up and one run would take too long
        whole = _times(lambda z, labels: backend.frames(z, labels, WHOLE), batch, size, limits)
        each = float(np.median(whole)) / batch
        alone = min(alone, each)
        row[f"ms per note, batch {batch}"] = 1000 * each
    row["notes/s"] = 1 / alone
    if not isinstance(backend, Plain):
        waves = _times(backend.waves, batch := _largest(row), size, limits)
        row["waves/s"] = batch / float(np.median(waves))
    row["GFLOP per note"] = count / 1e9
    row["GFLOP/s"] = count / 1e9 / alone
    if backend.info.precision in peaks:
        row["share of the peak"] = row["GFLOP/s"] / peaks[backend.info.precision]
    return row


def _largest(row: dict[str, Any]) -> int:
    """Return the largest size of batch that there was time for."""
    return max(batch for batch in BATCHES if f"ms per note, batch {batch}" in row)


def _times(
    run: Callable[[Float32, Labels], object], batch: int, size: int, limits: Limits
) -> list[float]:
    """Time some runs (s each), after one to warm up; their results are on the host."""
    z = np.random.default_rng(0).standard_normal((batch, size)).astype(np.float32)
    labels = np.zeros(batch, np.int64)
    end = time.perf_counter() + limits.seconds
    run(z, labels)
    times: list[float] = []
    while not times or (len(times) < limits.runs and time.perf_counter() < end):
        begun = time.perf_counter()
        run(z, labels)
        times.append(time.perf_counter() - begun)
    return times


def audibility(generator: Generator, device: torch.device, precision: str) -> dict[str, Any]:
    """Measure a lower precision's errors: log-spectral distance (dB), pitch (cents)."""
    count = min(PITCHES, len(generator.config.pitches))
    labels = np.linspace(0, len(generator.config.pitches) - 1, count).astype(np.int64)
    normal = np.random.default_rng(1).standard_normal((count, generator.config.latent_size))
    z = normal.astype(np.float32)
    exact, other = (
        _waves(Eager(fold(generator, name), device), z, labels) for name in ("float32", precision)
    )
    decibels = [20 * torch.log10(transform.stft(w).abs() + 1e-9) for w in (exact, other)]
    loud = decibels[0] > decibels[0].amax(dim=(1, 2), keepdim=True) - 60
    distance = (decibels[0] - decibels[1])[loud].square().mean().sqrt()
    pitches = np.array(generator.config.pitches)[labels]
    cents = [
        abs(_cents(a, p) - _cents(b, p))
        for a, b, p in zip(exact.numpy(), other.numpy(), pitches, strict=True)
    ]
    return {
        "precision": precision,
        "log-spectral distance dB": float(distance),
        "pitch error cents, median": float(np.median(cents)),
        "pitch error cents, largest": float(np.max(cents)),
    }


def _waves(backend: Backend, z: Float32, labels: Labels) -> torch.Tensor:
    parts = (torch.from_numpy(part) for part in backend.frames(z, labels, WHOLE))
    return transform.waves(*parts)


def _cents(wave: Float32, pitch: float) -> float:
    """Return the distance (cents) from a pitch to the strongest partial within a semitone."""
    hertz = midi_to_hz(pitch)
    part = wave[SAMPLE_RATE // 4 : 2 * SAMPLE_RATE]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 19))
    axis = np.fft.rfftfreq(1 << 19, 1 / SAMPLE_RATE)
    near = (axis > hertz * 0.944) & (axis < hertz * 1.06)
    return float(1200 * np.log2(axis[near][spectrum[near].argmax()] / hertz))
