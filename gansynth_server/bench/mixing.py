"""The cost of sounding voices: the time of one core per second of sound."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from gansynth_server.spectral.constants import BINS, FRAMES
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.note import Note

VOICES = (1, 8, 32, 64, 128, 256)
SPECTRA = 16


def measure(rate: int = 48000, block: int = 512, seconds: float = 4.0) -> list[dict[str, Any]]:
    """Return a row per number of voices, all of them held."""
    rng = np.random.default_rng(0)
    shape = (SPECTRA, FRAMES, BINS)
    magnitudes = rng.uniform(0, 0.01, shape).astype(np.float32)
    increments = rng.uniform(-np.pi, np.pi, shape).astype(np.float32)
    spectra = [Spectrum(m, i) for m, i in zip(magnitudes, increments, strict=True)]
    rows = []
    for count in VOICES:
        bus = Bus(rate, count)
        for n in range(count):
            bus.start(Note(0, n, 60, 100, 60, spectrum=spectra[n % SPECTRA], hold=True))
            bus.render(1 + 37 * n % block)  # spread over the hop, as they would be
        times = []
        for _ in range(round(seconds * rate / block)):
            begun = time.perf_counter()
            bus.render(block)
            times.append(time.perf_counter() - begun)
        spent = 100 * sum(times) / (len(times) * block / rate)
        rows.append(
            {
                "voices": count,
                "share of a core %": spent,
                "block ms, p50": 1000 * float(np.median(times)),
                "block ms, p99": 1000 * float(np.percentile(times, 99)),
            }
        )
    return rows
