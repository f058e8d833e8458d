"""The networks that are timed, their operations, and the machine's own limit."""

from __future__ import annotations

import time
import zlib

import numpy as np
import torch

from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.generator import Block, Generator, stage_weights
from gansynth_server.model.layers import ScaledConv
from gansynth_server.render import receptive_field
from gansynth_server.render.receptive_field import Span

SCOPE = "Generator/progressive_gan_generator/progressive_gan_block_"
PEAK_SIZES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}
"""Rows of the matrices, by device: small ones do not fill a GPU, large ones take a CPU long."""
PEAK_SECONDS = 1.0


def full_size() -> Generator:
    """Make a full-size net of weights by rule: round(N(0, sd)·16)/16 from each name's CRC.

    The same weights as those of the tests' golden data. It sounds like nothing,
    but takes as long as a trained one.
    """
    net = Generator(GeneratorConfig())
    for b, block in enumerate(net.blocks, 1):
        assert isinstance(block, Block)
        for part in ("conv0", "conv1", "to_rgb"):
            layer = getattr(block, part)
            assert isinstance(layer, ScaledConv)
            out, inputs, height, width = layer.weight.shape
            suffix = "ExponentialMovingAverage"
            kernel = _tensor(
                f"{SCOPE}{b}/{part}/conv2d/kernel/{suffix}", (height, width, inputs, out), 1.0
            )
            layer.weight.data = kernel.permute(3, 2, 0, 1).contiguous()
            layer.bias.data = _tensor(f"{SCOPE}{b}/{part}/bias/{suffix}", (out,), 0.25)
    return net.eval().requires_grad_(False)


def _tensor(name: str, shape: tuple[int, ...], deviation: float) -> torch.Tensor:
    normal = np.random.RandomState(zlib.crc32(name.encode())).normal(size=shape)
    return torch.from_numpy((np.round(normal * deviation * 16) / 16).astype(np.float32))


def operations(config: GeneratorConfig, window: Span) -> float:
    """Count floating-point operations of a window of one note, upsampling folded."""
    blocks = len(config.filters)
    progress = blocks - 1 if config.progress is None else config.progress
    return receptive_field.operations(config, stage_weights(progress, blocks), window)


def peak(dtype: torch.dtype, device: torch.device) -> float:
    """Measure the operations per second of the fastest of some large matrix products."""
    best = 0.0
    sizes = PEAK_SIZES.get(device.type, PEAK_SIZES["cpu"])
    for size in sizes:
        # random numbers: a GPU is faster with ones or zeros, for it draws less power
        a = torch.randn(size, size, device=device).to(dtype)
        end = time.perf_counter() + PEAK_SECONDS / len(sizes)
        while time.perf_counter() < end:
            begun = time.perf_counter()
            a @ a
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            best = max(best, 2 * size**3 / (time.perf_counter() - begun))
    return best
