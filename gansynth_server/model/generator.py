"""GANSynth's generator (Engel et al. 2019, Magenta's ``mel_prog_hires``)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.decoder import Decoder, shortened
from gansynth_server.model.layers import ScaledConv, activate, pixel_norm
from gansynth_server.model.templates import Templates, pooled


def stage_weights(progress: float, blocks: int) -> list[float]:
    """Weight of each block's to_rgb in the output at a training progress of 0…blocks-1."""
    return [max(0.0, min(progress - b + 1, b + 1 - progress)) for b in range(blocks)]


class Block(nn.Module):
    """Two convolutions at one resolution; all but the first double the size."""

    def __init__(self, inputs: int, outputs: int, start: tuple[int, int] | None = None) -> None:
        super().__init__()
        root2 = math.sqrt(2)
        self.first = start is not None
        self.conv0 = ScaledConv(inputs, outputs, start or (3, 3), root2)
        self.conv1 = ScaledConv(outputs, outputs, (3, 3), root2)
        self.to_rgb = ScaledConv(outputs, 2, (1, 1), 1.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv0.from_pixel(x) if self.first else self.conv0.upsampled(x)
        return activate(self.conv1(activate(x)))


class Generator(nn.Module):
    """Latents and labels → normalised spectra.

    Channel 0 of the output is log magnitude (of mel power), channel 1 the
    instantaneous frequency, both in (-1, 1).
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        filters = config.filters
        blocks = [Block(config.input_size, first, config.start) for first in filters[:1]]
        blocks += [Block(a, b) for a, b in pairwise(filters)]
        self.blocks = nn.ModuleList(blocks)
        self.decoder = None if filters else Decoder(config)
        self.pitch_bias: nn.Parameter | None = None
        if config.pitch_bias:
            shape = (len(config.pitches), 2, config.shape[1])
            self.pitch_bias = nn.Parameter(torch.zeros(shape))
        templates = filters and config.templates + config.phase_templates
        self.templates = Templates(config) if templates else None
        self.axes: Tensor | None
        axes = torch.zeros(config.axes, config.latent_size) if config.axes else None
        self.register_buffer("axes", axes)
        self.centres: Tensor | None
        centres = torch.zeros(config.centres, config.latent_size) if config.centres else None
        self.register_buffer("centres", centres)

    def mute_blocks(self) -> None:
        """Make the convolutions add nothing to the outline, as before their training."""
        for block in self.blocks:
            assert isinstance(block, Block)
            block.to_rgb.weight.data.zero_()

    def forward(self, z: Tensor, labels: Tensor, progress: float | None = None) -> Tensor:
        """Generate notes.

        Args:
            z: [N, latent_size] latents, drawn from the prior, not normalised.
            labels: [N] indices into ``config.pitches``.
            progress: growth during training, 0…blocks-1; None is the config's,
                or full growth if that is None too, which skips every to_rgb
                but the last.

        Returns:
            [N, 2, frames, bins] normalised spectra.
        """
        x = self.condition(z, labels)
        if self.decoder is not None:
            drawn: Tensor = self.decoder(x, labels)
            return drawn
        outline = self.outline(x, labels)
        last = len(self.blocks) - 1
        grown = self.config.progress if progress is None else progress
        weights = stage_weights(last if grown is None else grown, last + 1)
        out: Tensor | None = None
        for b, block in enumerate(self.blocks):
            x = block(x)  # [N, filters[b], 2·2^b, 16·2^b]
            if weights[b] > 0:
                image = self.image(b, x, outline)
                if image.shape[3] < self.config.shape[1]:
                    image = F.interpolate(image, self.config.shape)
                out = image * weights[b] if out is None else out + image * weights[b]
        assert out is not None
        return out

    def condition(self, z: Tensor, labels: Tensor) -> Tensor:
        """Latents, projected onto the axes if there are any, and labels → [N, input_size].

        For a decoder, latents longer than the prior's are shortened to that: it knows none beyond.
        """
        if self.axes is not None:
            z = z @ self.axes.T
        onehot = F.one_hot(labels, len(self.config.pitches)).to(z.dtype)
        if self.decoder is not None:
            return torch.cat([shortened(z), onehot], dim=1)
        return pixel_norm(torch.cat([z, onehot], dim=1))

    def outline(self, x: Tensor, labels: Tensor) -> Tensor | None:
        """Templates and bias to add before the last tanh: [N, 2, 1 or frames, bins], or None.

        Args:
            x: [N, input_size] as :meth:`condition` returns it.
        """
        bias = None if self.pitch_bias is None else self.pitch_bias[labels][:, :, None]
        if self.templates is None:
            return bias
        drawn = self.templates(x, labels)
        return drawn if bias is None else drawn + bias

    def image(self, b: int, x: Tensor, outline: Tensor | None) -> Tensor:
        """to_rgb of block b: [N, filters[b], H, W] → [N, 2, H, W]; the last one's is upscaled."""
        block = self.blocks[b]
        assert isinstance(block, Block)
        image = block.to_rgb(x)
        # before the outline is added, which then has full resolution even in a network that lacks
        # the blocks of the highest resolutions
        if b == len(self.blocks) - 1 and self.config.upscale > 1:
            image = F.interpolate(image, scale_factor=float(self.config.upscale))
        if outline is not None:
            image = image + pooled(outline, outline.shape[3] // image.shape[3])
        return torch.tanh(image)
