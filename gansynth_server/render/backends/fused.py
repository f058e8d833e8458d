"""Fused kernels for what PyTorch runs as many small ones: a GPU's memory is then read once.

A convolution's bias, the leaky ReLU and the pixel norm are six passes over an image, the
steps from the last image to magnitudes and phases about twenty. ``torch.compile`` makes one
or two kernels of each, by Triton on a GPU and by a C++ compiler on a CPU. Once they were
called, a CUDA graph may capture them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from gansynth_server.model.layers import LEAKY_SLOPE
from gansynth_server.render.folded import EPSILON, Convolution, Weights, Window
from gansynth_server.render.receptive_field import BlockRows, Span

VARIANTS = 64
"""Times that one function may be compiled: for each number of channels, precision and net."""

_log = logging.getLogger(__name__)


def normed(pixels: Tensor, bias: Tensor) -> Tensor:
    """Add the bias, then leaky ReLU and pixel norm, in float32 at least: [pixels, channels]."""
    exact = torch.promote_types(pixels.dtype, torch.float32)
    x = F.leaky_relu(pixels.to(exact) + bias.to(exact), LEAKY_SLOPE)
    scale = torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPSILON)
    return (x * scale).to(pixels.dtype)


class FusedWindow(Window):
    """A window whose small steps are compiled, for any size of batch."""

    def __init__(self, weights: Weights, window: Span) -> None:
        super().__init__(weights, window)
        self._polar = torch.compile(super().polar)

    def layer(self, convolve: Convolution, x: Tensor, name: str, rows: BlockRows) -> Tensor:
        """Compute as :meth:`Window.layer`; the bias is added in the kernel that norms."""
        kernel, bias = getattr(self.weights, f"kernel{name}"), getattr(self.weights, f"bias{name}")
        return self.activated(convolve(x, kernel, None, rows), bias)

    def activated(self, x: Tensor, bias: Tensor) -> Tensor:
        """Add the bias to [N, channels, rows, columns], then leaky ReLU and norm."""
        count, channels, height, width = x.shape
        # channels lie side by side (channels_last), so this copies nothing
        pixels = x.permute(0, 2, 3, 1).contiguous().view(-1, channels)
        torch._dynamo.maybe_mark_dynamic(pixels, 0)
        torch._dynamo.mark_static(pixels, 1)  # so that the sum over channels is unrolled
        y = _normed()(pixels, bias)
        return y.view(count, height, width, channels).permute(0, 3, 1, 2)

    def polar(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Compute as :meth:`Window.polar`."""
        torch._dynamo.maybe_mark_dynamic(image, 0)
        magnitude, increment = self._polar(image)
        return magnitude, increment


@cache
def _normed() -> Callable[[Tensor, Tensor], Tensor]:
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, VARIANTS)
    return torch.compile(normed)


@cache
def can_compile(device: torch.device) -> bool:
    """Return whether a small kernel can be compiled here; a line says why not."""
    pixels, bias = torch.ones(8, 4, device=device), torch.zeros(4, device=device)
    try:
        _normed()(pixels, bias)
    except Exception as error:  # no compiler, no Triton, no headers: each has its own
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        _log.warning("no kernels can be compiled here (%s): rendering without", reason)
        return False
    return True
