"""Config of a generator: sizes, pitches and scaling of its output."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from gansynth_server.errors import UserError
from gansynth_server.spectral.constants import BINS, FRAMES
from gansynth_server.spectral.normalizer import REPRESENTATIONS, Normalizer, Representation

WIDTH = 1024
"""Width of the hidden layers of a decoder's perceptron."""
SILENT, ONSET = 3, 8
"""First frame that a note reaches, and the first one whose phases go on evenly in a decoder."""


def progressive_filters(fmap_base: int, fmap_max: int, blocks: int = 7) -> tuple[int, ...]:
    """Channels of blocks 1…n as Magenta computes them: min(base / 2^b, max)."""
    return tuple(int(min(fmap_base / 2**b, fmap_max)) for b in range(1, blocks + 1))


@dataclass(frozen=True)
class GeneratorConfig:
    """All that is needed to build a generator and to read its output.

    The defaults are Magenta's ``mel_prog_hires``. ``filters`` holds the
    channels of blocks 1…n; the output has ``start`` × 2^(n-1) × ``upscale``
    pixels, which must be 128 frames × 1024 bins. A network without blocks is a
    :class:`~gansynth_server.model.decoder.Decoder`.
    """

    latent_size: int = 256
    pitches: tuple[int, ...] = tuple(range(24, 85))
    filters: tuple[int, ...] = progressive_filters(4096, 256)
    start: tuple[int, int] = (2, 16)
    sample_rate: int = 16000
    pitch_bias: bool = False
    """Add a learnt bias [pitch, 2, 1024] before the last tanh (not Magenta's)."""
    templates: int = 0
    """Learnt log magnitude spectra per pitch; a perceptron sets their levels over time. Added like
    the bias (not Magenta's)."""
    phase_templates: int = 0
    """Learnt instantaneous frequencies per pitch, whose levels are constant over time."""
    curves: int = 0
    """Of a decoder: functions of time whose weighted sums are the levels of its spectra."""
    onset_templates: int = 0
    """Of a decoder: complex spectra per pitch for the phases of the first frames."""
    principal_levels: int = 0
    """Of a decoder: principal components of the levels, which its perceptron computes."""
    centres: int = 0
    """Timbres that random latents are drawn around; 0 draws them from N(0, I) (Magenta's)."""
    blend: float = 0.0
    """Largest share of a second timbre in such a latent."""
    scatter: float = 0.0
    """Standard deviation of the noise in it, 0…1."""
    axes: int = 0
    """Directions of the latent that the network reads; 0 reads all of it (Magenta's)."""
    normalizer: Normalizer = field(default_factory=Normalizer)
    upscale: int = 1
    """Nearest-neighbour upsampling of a network whose training ended before full size."""
    progress: float | None = None
    """Progress 0…blocks-1 at which such a training ended; None is full growth."""
    representation: Representation = "mel"
    """What the 1024 bins are: mel bands of log power, or linear bins of log magnitude."""

    @property
    def input_size(self) -> int:
        return (self.axes or self.latent_size) + len(self.pitches)

    @property
    def shape(self) -> tuple[int, int]:
        """Frames and bins of the output."""
        if not self.filters:
            return FRAMES, BINS
        scale = 2 ** (len(self.filters) - 1) * self.upscale
        return self.start[0] * scale, self.start[1] * scale

    def label(self, pitch: int) -> int:
        """Index of a MIDI pitch among the labels; ValueError where it has none."""
        return self.pitches.index(pitch)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GeneratorConfig:
        """Build a config from parsed JSON; UserError says what does not fit."""
        try:
            values = dict(values)
            for name in ("pitches", "filters", "start"):
                if name in values:
                    values[name] = tuple(int(v) for v in values[name])
            if "normalizer" in values:
                values["normalizer"] = Normalizer(**values["normalizer"])
            config = cls(**values)
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"the checkpoint's config is not one of ours: {error}") from error
        decoder = config.curves, config.onset_templates, config.principal_levels
        sizes = (
            *(config.latent_size, *config.filters, *config.start),
            *(config.upscale, len(config.pitches)),
        )
        extras = config.templates, config.phase_templates, config.axes, *decoder, config.centres
        possible = all(1 <= size <= 4096 for size in sizes) and all(0 <= n <= 4096 for n in extras)
        if not possible or len(config.filters) > 12:
            raise UserError(f"the checkpoint's config has impossible sizes: {sizes + extras}")
        if bool(config.templates) != bool(config.phase_templates):
            raise UserError("the checkpoint's config has templates of one kind alone")
        if not config.filters and not all((config.templates, *decoder)):
            raise UserError("the checkpoint's config has neither convolutions nor a decoder")
        if config.filters and any(decoder):
            raise UserError("the checkpoint's config has convolutions and a decoder")
        prior = config.blend, config.scatter
        numbers = (*asdict(config.normalizer).values(), config.progress or 0, *prior)
        if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            raise UserError("the checkpoint's config holds numbers that are not finite")
        if not all(0 <= share <= 1 for share in prior):
            raise UserError("the checkpoint's config draws latents beyond 0 to 1")
        if not config.normalizer.magnitude_a or not config.normalizer.phase_a:
            raise UserError("the checkpoint's config scales by 0")
        if not all(0 <= pitch <= 127 for pitch in config.pitches):
            raise UserError("the checkpoint's config has pitches outside of 0 to 127")
        if config.representation not in REPRESENTATIONS:
            raise UserError(f"the checkpoint's config has no such spectra: {config.representation}")
        return config
