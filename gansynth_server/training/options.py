"""What a training run is told: the one table of its settings and defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitOptions:
    """What a run is made of; ``gansynth train`` has a flag for each."""

    minutes: float = 60.0
    """Time that the training takes; it always ends with finished weights."""
    fmap_base: int = 1024
    """Channels of block b are fmap_base / 2^b …"""
    fmap_max: int = 128
    """… but at most this many."""
    code_size: int = 16
    """Directions of the latent that carry the timbre."""
    code_noise: float = 0.25
    """Standard deviation of the noise on a code, whose own is 1."""
    batch: int = 12
    """Notes per step."""
    coarse_share: float = 0.08
    """Part of the time spent on 32×256 magnitudes."""
    window_rows: int = 12
    """Rows of the 32-row image that a step renders at full resolution (of 32)."""
    learning_rate: float = 3e-3
    """Adam's at the start; it falls to 0 along a cosine."""
    band_weight: float = 5.0
    """Weight of the error of band powers against that of single magnitudes."""
    start: str | None = None
    """Checkpoint to go on from, weights and presets; a new network if not given."""
    compile: bool = True
    """Three times as fast, but needs a C++ compiler and a minute to begin."""
    seed: int = 0
    """Of weights, noise and order."""
