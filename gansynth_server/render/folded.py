"""The generator folded for playing: everything that can be computed beforehand is.

Kernels are scaled and folded once, the first layer is a matrix product of which
the label is a row, images that do not count are left out, and what comes out is
what voices need: linear magnitudes and phase increments. A :class:`Window`
computes some frames of a note alone, exactly.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansynth_server.model.decoder import shortened
from gansynth_server.model.generator import Block, Generator, stage_weights
from gansynth_server.model.layers import LEAKY_SLOPE, fold_upsampling
from gansynth_server.model.templates import pooled
from gansynth_server.render.receptive_field import BlockRows, Span, plan
from gansynth_server.spectral import mel
from gansynth_server.spectral.constants import SILENCE

EPSILON = 1e-8
"""Epsilon of the pixel norm."""
Convolution = Callable[[Tensor, Tensor, Tensor | None, BlockRows], Tensor]
"""Image, kernel, bias and rows → image."""

PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def safe_dtype(generator: Generator, dtype: torch.dtype = torch.float32) -> torch.dtype:
    """Return float64 for nets with fewer than four channels in some block, else what was asked for.

    The pixel norm of so few channels magnifies rounding, and they are so small
    that it costs nothing.
    """
    return torch.float64 if min(generator.config.filters, default=4) < 4 else dtype


class Weights(nn.Module):
    """A generator's tensors, ready to use; shared by all windows.

    Args:
        generator: is copied, not changed.
        dtype: of the convolutions; the last steps are float32 at least.
    """

    def __init__(self, generator: Generator, dtype: torch.dtype) -> None:
        super().__init__()
        config = generator.config
        self.config = config
        self.dtype = dtype
        self.exact = torch.promote_types(dtype, torch.float32)
        progress = len(config.filters) - 1 if config.progress is None else config.progress
        self.shares = stage_weights(progress, len(config.filters))
        axes = generator.axes
        self.axes: Tensor | None
        self.register_buffer("axes", None if axes is None else axes.detach().T.to(self.exact))
        self.decoder = copy.deepcopy(generator.decoder)
        if self.decoder is not None:
            self.decoder.to(self.exact).requires_grad_(False)
        else:
            self._first(generator)
        self.templates = copy.deepcopy(generator.templates)
        if self.templates is not None:
            self.templates.to(self.exact).requires_grad_(False)
        for b, block in enumerate(generator.blocks):
            assert isinstance(block, Block)
            if b:
                conv = block.conv0
                self._keep(f"kernel0_{b}", fold_upsampling(conv.weight.double() * conv.scale))
                self._keep(f"bias0_{b}", conv.bias)
            self._keep(f"kernel1_{b}", block.conv1.weight.double() * block.conv1.scale)
            self._keep(f"bias1_{b}", block.conv1.bias)
            if self.shares[b] > 0:
                self._image(generator, b, block)
        indices, weights = mel.mel_taps()
        self.taps: Tensor
        self.power_weights: Tensor
        self.phase_weights: Tensor
        n = config.normalizer
        self.register_buffer("taps", torch.from_numpy(indices))
        self._keep("power_weights", torch.from_numpy(weights), self.exact)
        self._keep("phase_weights", torch.from_numpy(weights) * (math.pi / n.phase_a), self.exact)

    def _keep(self, name: str, tensor: Tensor, dtype: torch.dtype | None = None) -> None:
        value = tensor.detach().to(dtype or self.dtype)
        if value.dim() == 4:
            value = value.contiguous(memory_format=torch.channels_last)
        self.register_buffer(name, value)

    def _first(self, generator: Generator) -> None:
        """Keep the first layer as matrices [inputs, rows, columns, channels]."""
        block = generator.blocks[0]
        assert isinstance(block, Block)
        conv, size = block.conv0, generator.config.axes or generator.config.latent_size
        self.first_latent: Tensor
        self.first_label: Tensor
        self.first_bias: Tensor
        # each output pixel sees one tap of the kernel, flipped in both axes
        matrix = (conv.weight.double().flip(2, 3) * conv.scale).permute(1, 2, 3, 0)
        self._keep("first_latent", matrix[:size].flatten(2))
        self._keep("first_label", matrix[size:].flatten(2))
        self._keep("first_bias", conv.bias.expand(matrix.shape[1:]).flatten(1))

    def _image(self, generator: Generator, b: int, block: Block) -> None:
        config, rgb = generator.config, block.to_rgb
        last = b == len(config.filters) - 1
        width = config.shape[1] if last else config.start[1] * 2**b
        self._keep(f"rgb_{b}", rgb.weight.double() * rgb.scale)
        bias = rgb.bias.double()[None, :, None]
        if generator.pitch_bias is not None:
            full = generator.pitch_bias.double()
            bias = bias + F.avg_pool1d(full, full.shape[2] // width)
        count = len(config.pitches)
        self._keep(f"rgb_bias_{b}", bias.expand(count, 2, bias.shape[2]), self.exact)

    def condition(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return what the first layer reads, [N, input_size], for latents and labels."""
        latents = z.to(self.exact)
        if self.axes is not None:
            latents = latents @ self.axes
        if self.decoder is not None:
            onehot = F.one_hot(labels, len(self.config.pitches)).to(self.exact)
            return torch.cat([shortened(latents), onehot], dim=1)
        squares = latents.square().sum(dim=1) + 1  # and the one of the label
        norm = torch.rsqrt(squares / self.config.input_size + EPSILON)[:, None]
        onehot = F.one_hot(labels, len(self.config.pitches)).to(self.exact)
        return torch.cat([latents, onehot], dim=1) * norm

    def first(self, condition: Tensor, labels: Tensor, rows: Span) -> Tensor:
        """Compute rows of the first convolution, [N, channels, rows, columns]."""
        count, width = self.config.filters[0], self.config.start[1]
        latents, onehot = condition.tensor_split([self.first_latent.shape[0]], dim=1)
        norm = onehot.sum(dim=1, keepdim=True).to(self.dtype)
        span = slice(*rows)
        product = latents.to(self.dtype) @ self.first_latent[:, span].flatten(1)
        label = self.first_label[:, span][labels].flatten(1)
        x = product + label * norm + self.first_bias[span].flatten()
        return x.view(-1, rows[1] - rows[0], width, count).permute(0, 3, 1, 2)


def fold(generator: Generator, precision: str = "float32") -> Weights:
    """Fold a generator in a precision by name, or in float64 where :func:`safe_dtype` says so."""
    return Weights(generator, safe_dtype(generator, PRECISIONS[precision]))


class Window(nn.Module):
    """Some frames of notes: latents and labels → magnitudes and phase increments.

    Args:
        weights: of the generator.
        window: frames to compute, first and one after the last.

    Raises:
        ValueError: there are no such frames.
    """

    def __init__(self, weights: Weights, window: Span) -> None:
        super().__init__()
        self.weights = weights
        self.window = window
        self.rows = plan(weights.config, weights.shares, window)

    def forward(self, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return magnitudes and phase increments (rad), float32 [N, frames, 1024], for z [N,
        latent_size] and labels [N]."""
        return self.polar(self.image(z, labels))

    def image(self, z: Tensor, labels: Tensor) -> Tensor:
        """Compute the normalised mel spectra, [N, 2, frames, bins], as the generator does."""
        w = self.weights
        condition = w.condition(z, labels)
        if w.decoder is not None:
            drawn: Tensor = w.decoder(condition, labels, *self.window)
            return drawn
        x = w.first(condition, labels, self.rows[0].middle)
        total: Tensor | None = None
        for b, rows in enumerate(self.rows):
            if b:
                before = self.rows[b - 1].out
                x = x[:, :, rows.source[0] - before[0] : rows.source[1] - before[0]]
                x = self.layer(_upsampled, x, f"0_{b}", rows)
            else:
                x = _activated(x)
            x = self.layer(_convolved, x, f"1_{b}", rows)
            if rows.image is not None:
                part = self._part(b, x, condition, labels, rows)
                total = part if total is None else total + part
        assert total is not None
        return total

    def layer(self, convolve: Convolution, x: Tensor, name: str, rows: BlockRows) -> Tensor:
        """Apply a convolution with its bias, leaky ReLU and pixel norm."""
        kernel, bias = getattr(self.weights, f"kernel{name}"), getattr(self.weights, f"bias{name}")
        return _activated(convolve(x, kernel, bias, rows))

    def _part(
        self, b: int, x: Tensor, condition: Tensor, labels: Tensor, rows: BlockRows
    ) -> Tensor:
        """Compute the share of one block in the output, at the output's size."""
        w = self.weights
        assert rows.image is not None
        first, last = (row - rows.out[0] for row in rows.image)
        image = F.conv2d(x[:, :, first:last], getattr(w, f"rgb_{b}")).to(w.exact)
        image = image.contiguous()
        scale = w.config.shape[0] // (w.config.start[0] * 2**b)
        frames = rows.image[0] * scale, rows.image[1] * scale
        if b == len(w.config.filters) - 1:
            image, frames, scale = self._enlarged(image, frames, scale), self.window, 1
        image = image + getattr(w, f"rgb_bias_{b}")[labels][:, :, None]
        if w.templates is not None:
            image = image + pooled(w.templates(condition, labels, *frames), scale)
        image = torch.tanh(image)
        image = image * w.shares[b] if w.shares[b] != 1 else image
        return self._enlarged(image, frames, scale)

    def _enlarged(self, image: Tensor, frames: Span, scale: int) -> Tensor:
        """Return the window's part of an image of some frames, at the output's size."""
        if scale == 1:
            return image
        image = image.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
        offset = self.window[0] - frames[0]
        return image[:, :, offset : offset + self.window[1] - self.window[0]]

    def polar(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Denormalise to linear bins: magnitude and phase increment."""
        w, n = self.weights, self.weights.config.normalizer
        power = torch.exp((image[:, 0] - n.magnitude_b) / n.magnitude_a)
        step = image[:, 1] - n.phase_b
        if w.config.representation == "linear":  # and then it was magnitude, not power
            return power.float(), (step * (math.pi / n.phase_a)).float()
        magnitude = _gathered(power, w.taps, w.power_weights).add(SILENCE).sqrt()
        return magnitude.float(), _gathered(step, w.taps, w.phase_weights).float()


def _gathered(bands: Tensor, taps: Tensor, weights: Tensor) -> Tensor:
    total = bands[..., taps[0]] * weights[0]
    for tap, weight in zip(taps[1:], weights[1:], strict=True):
        total = total + bands[..., tap] * weight
    return total


def _upsampled(x: Tensor, kernel: Tensor, bias: Tensor | None, rows: BlockRows) -> Tensor:
    """Apply folded ×2 upsampling and convolution: source rows → middle rows."""
    top, bottom = rows.cropping
    both = min(top, bottom)
    y = F.conv_transpose2d(x, kernel, bias, stride=2, padding=(both, 1))
    return y[:, :, top - both : y.shape[2] - (bottom - both)]


def _convolved(x: Tensor, kernel: Tensor, bias: Tensor | None, rows: BlockRows) -> Tensor:
    """Apply a 3×3 convolution: middle rows → out rows."""
    top, bottom = rows.padding
    if top != bottom:
        x, top = F.pad(x, (0, 0, top, bottom)), 0
    return F.conv2d(x, kernel, bias, padding=(top, 1))


def _activated(x: Tensor) -> Tensor:
    """Apply leaky ReLU, then pixel norm."""
    x = F.leaky_relu(x, LEAKY_SLOPE)
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)  # needs no square in memory
    return x * torch.rsqrt(length.square() / x.shape[1] + EPSILON)
