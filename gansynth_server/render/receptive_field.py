"""The receptive field of a window of frames: the rows of every block that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gansynth_server.model.config import ONSET, SILENT, WIDTH, GeneratorConfig

Span = tuple[int, int]
"""First row, and the one after the last."""


@dataclass(frozen=True, slots=True)
class BlockRows:
    """Rows that one block reads and computes for a window."""

    source: Span
    """Rows of the block before; of no meaning for the first block."""
    middle: Span
    """Rows after the first convolution."""
    out: Span
    """Rows after the second one."""
    image: Span | None
    """Rows of its to_rgb, or None where that does not count in the output."""

    @property
    def padding(self) -> Span:
        """Rows of zeros that the second convolution needs above and below: 0 or 1 each."""
        return self.middle[0] - self.out[0] + 1, self.out[1] + 1 - self.middle[1]

    @property
    def cropping(self) -> Span:
        """Rows to drop from a full transposed convolution (4 rows, stride 2) of the source."""
        return self.middle[0] - 2 * self.source[0] + 1, 2 * self.source[1] + 1 - self.middle[1]


def plan(config: GeneratorConfig, shares: Sequence[float], window: Span) -> list[BlockRows]:
    """Plan the rows of each block, first block first.

    Args:
        shares: of each block's image in the output (see ``stage_weights``).
        window: frames to compute, within the config's.

    Raises:
        ValueError: the window is empty or reaches beyond the note.
    """
    first, last = window
    if not 0 <= first < last <= config.shape[0]:
        raise ValueError(f"no such frames: {first}…{last - 1}")
    blocks: list[BlockRows] = []
    needed: Span | None = None
    for b in reversed(range(len(shares))):
        height = config.start[0] * 2**b
        scale = config.shape[0] // height
        image = (first // scale, -(-last // scale)) if shares[b] > 0 else None
        spans = [span for span in (needed, image) if span is not None]
        if not spans:
            continue  # a block above the one where an unfinished training ended
        out = min(span[0] for span in spans), max(span[1] for span in spans)
        middle = max(0, out[0] - 1), min(height, out[1] + 1)
        source = max(0, (middle[0] - 1) // 2), min(height // 2, middle[1] // 2 + 1)
        blocks.append(BlockRows(source, middle, out, image))
        needed = source
    return blocks[::-1]


def operations(config: GeneratorConfig, shares: Sequence[float], window: Span) -> float:
    """Count floating-point operations of a window of one note, upsampling folded."""
    if not config.filters:
        return decoder_operations(config, window)
    total, inputs, width = 0, config.input_size, config.start[1]
    for b, rows in enumerate(plan(config, shares, window)):
        channels = config.filters[b]
        middle, out = (span[1] - span[0] for span in (rows.middle, rows.out))
        # a pixel of a folded kernel sees 2×2 others, one of the first layer a single one
        total += middle * width * inputs * channels * (4 if b else 1)
        total += out * width * 9 * channels**2
        if rows.image is not None:
            total += (rows.image[1] - rows.image[0]) * width * channels * 2
        inputs, width = channels, width * 2
    return 2.0 * total


def decoder_operations(config: GeneratorConfig, window: Span) -> float:
    """Count floating-point operations of a window of one note, drawn by a decoder."""
    frames, bins = window[1] - window[0], config.shape[1]
    levels = config.templates * config.curves
    layers = (config.input_size, WIDTH, WIDTH, WIDTH, config.principal_levels, levels)
    total = sum(a * b for a, b in pairwise(layers))
    total += frames * (levels + config.templates * bins)
    total += 4 * bins * (config.phase_templates + config.onset_templates * (ONSET - SILENT))
    return 2.0 * total
