"""How a checkpoint compares with the notes it was trained on.

Figures that need no trained judge: is it in tune (librosa's pyin), do its
presets swell and decay as the instruments do, and are they as bright.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from gansynth_server.api import Model
from gansynth_server.errors import UserError
from gansynth_server.latent.vectors import draw
from gansynth_server.spectral.constants import SAMPLE_RATE
from gansynth_server.training.dataset import Dataset

Float32 = NDArray[np.float32]

PRESETS = tuple(
    """
    acoustic_grand_piano harpsichord vibraphone marimba drawbar_organ church_organ accordion
    acoustic_guitar_nylon electric_guitar_clean acoustic_bass violin cello pizzicato_strings
    string_ensemble_1 trumpet french_horn alto_sax oboe clarinet flute
    """.split()
)
PITCHES = (48, 60, 72)
BLOCK = 800  # 50 ms


def cents_off(wave: Float32, pitch: int) -> float:
    """Distance in cents of the pitch that pyin hears from a MIDI pitch; nan if it hears none.

    The median over the voiced frames of the first 2.5 s.
    """
    try:
        import librosa
    except ImportError as error:
        raise UserError("measuring needs: pip install 'gansynth-server[eval]'") from error
    hertz, voiced, _ = librosa.pyin(
        wave[: int(2.5 * SAMPLE_RATE)],
        fmin=25.0,
        fmax=1500.0,
        sr=SAMPLE_RATE,
        frame_length=4096,
        hop_length=1024,
    )
    if not voiced.any():
        return float("nan")
    wanted = 440 * 2 ** ((pitch - 69) / 12)
    return float(1200 * np.log2(np.median(hertz[voiced]) / wanted))


def envelope(wave: Float32) -> NDArray[np.float64]:
    """RMS level of each 50 ms, [80]."""
    blocks = wave.astype(np.float64).reshape(-1, BLOCK)
    return np.asarray(np.sqrt((blocks**2).mean(axis=1)))


def centroid(wave: Float32) -> float:
    """Power-weighted mean frequency of the first two seconds, in Hz."""
    power = np.abs(np.fft.rfft(wave[: 2 * SAMPLE_RATE])) ** 2
    hertz = np.fft.rfftfreq(2 * SAMPLE_RATE, 1 / SAMPLE_RATE)
    return float((power * hertz).sum() / max(power.sum(), 1e-12))


def measure(model: Model, data: Dataset, seed: int = 0) -> dict[str, Any]:
    """The figures of a model card.

    Returns:
        ``in_tune``: share of one note per pitch, each at a random latent,
        within 50 cents; ``cents``: their median distance; and over
        :data:`PRESETS` at :data:`PITCHES` against the real notes,
        ``envelope_correlation`` (mean of Pearson's r of the 50 ms levels) and
        ``centroid_rank_correlation`` (Spearman's rho over the presets).
    """
    from scipy.stats import spearmanr

    pitches = list(model.pitches)
    z = np.stack([draw(model.latent_size, seed + pitch) for pitch in pitches])
    waves = model.generate_batch(z, pitches)
    pairs = list(zip(waves, pitches, strict=True))
    cents = np.array([cents_off(wave, pitch) for wave, pitch in track(pairs, "pitch")])
    row_of = {(note.instrument, note.pitch): row for row, note in enumerate(data.notes)}
    alike: dict[str, float] = {}
    bright: list[tuple[float, float]] = []
    for name in PRESETS:
        real = data.audio([row_of[name, pitch] for pitch in PITCHES]).numpy()
        ours = model.generate_batch(np.stack([model.preset(name)] * len(PITCHES)), list(PITCHES))
        levels = [(envelope(a), envelope(b)) for a, b in zip(real, ours, strict=True)]
        alike[name] = float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in levels]))
        bright.append(
            (
                float(np.mean([centroid(w) for w in real])),
                float(np.mean([centroid(w) for w in ours])),
            )
        )
    rank = spearmanr([real for real, _ in bright], [ours for _, ours in bright]).statistic
    return {
        "in_tune": float(np.mean(np.abs(cents) <= 50)),
        "notes": len(cents),
        "median_cents": float(np.nanmedian(np.abs(cents))),
        "off": {
            str(p): round(float(c), 1)
            for p, c in zip(pitches, cents, strict=True)
            if not abs(c) <= 50
        },
        "envelope_correlation": float(np.mean(list(alike.values()))),
        "envelope_correlations": {k: round(v, 3) for k, v in alike.items()},
        "centroid_rank_correlation": float(rank),
        "centroids_hz": {
            n: [round(a), round(b)] for n, (a, b) in zip(PRESETS, bright, strict=True)
        },
        "peak": float(np.abs(waves).max()),
    }
