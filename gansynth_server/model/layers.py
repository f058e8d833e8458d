"""Layers of the progressive networks (GANSynth, Engel et al. 2019; Karras et al. 2018)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAKY_SLOPE = 0.2


def pixel_norm(x: Tensor) -> Tensor:
    """Scale every pixel of [N, C, …] to unit mean square over its channels."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU, then pixel norm: the order of Magenta's generator."""
    return pixel_norm(F.leaky_relu(x, LEAKY_SLOPE))


def fold_upsampling(weight: Tensor) -> Tensor:
    """Kernel of the transposed convolution that equals ×2 nearest upsampling + 3×3.

    Args:
        weight: [out, in, 3, 3] of the plain convolution.

    Returns:
        [in, out, 4, 4] for ``conv_transpose2d(stride=2, padding=1)``.
    """
    # The flipped kernel, added up over the four shifts of a 2×2 pixel: the same result but for
    # rounding, with 2.25 × fewer multiplications.
    flipped = weight.flip(2, 3).transpose(0, 1)  # [in, out, 3, 3]
    shifts = [F.pad(flipped, (j, 1 - j, i, 1 - i)) for i in (0, 1) for j in (0, 1)]
    return torch.stack(shifts).sum(dim=0)  # [in, out, 4, 4]


class ScaledConv(nn.Module):
    """Convolution with equalised learning rate (Karras et al. 2018): weights are scaled in use.

    ``output = gain / sqrt(fan_in) * conv(x, weight) + bias`` where fan_in is
    kh·kw·in. The gain is sqrt(2) for inner layers and 1 for output heads.
    """

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], gain: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, *kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs * kernel[0] * kernel[1])

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] → [N, out, H, W], zero-padded to the same size."""
        pad = (self.weight.shape[2] // 2, self.weight.shape[3] // 2)
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=pad)

    def upsampled(self, x: Tensor) -> Tensor:
        """[N, in, H, W] → [N, out, 2H, 2W]: nearest ×2 upsampling and convolution in one."""
        kernel = fold_upsampling(self.weight * self.scale)
        return F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)

    def from_pixel(self, x: Tensor) -> Tensor:
        """[N, in] → [N, out, kh, kw]: the valid convolution of one zero-padded pixel."""
        # every output pixel sees one kernel tap, so it is a matrix product with the kernel
        # flipped in both axes
        kernel = self.weight.flip(2, 3) * self.scale
        return torch.einsum("ni,oihw->nohw", x, kernel) + self.bias[:, None, None]

    def to_pixel(self, x: Tensor) -> Tensor:
        """[N, in, kh, kw] → [N, out]: the valid convolution of an image of the kernel's size."""
        return F.linear(x.flatten(1), self.weight.flatten(1) * self.scale, self.bias)
