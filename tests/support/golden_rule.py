"""Magenta's golden weights: a rule gives every tensor from its TensorFlow name."""

import zlib

import numpy as np
import torch

from gansynth_server.model.checkpoint import Checkpoint
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator
from tests.support.paths import GOLDEN

FOLDER = GOLDEN
TINY = GeneratorConfig(latent_size=32, filters=progressive_filters(256, 16))
FULL = GeneratorConfig()
CONFIGS = {"tiny": TINY, "full": FULL}


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """round(N(0, sd)·16)/16 from the CRC of the name, in TensorFlow's layout."""
    sd = 0.25 if "/bias" in name else 1.0
    normal = np.random.RandomState(zlib.crc32(name.encode())).normal(size=shape)
    return (np.round(normal * sd * 16) / 16).astype(np.float32)


def generator(config: GeneratorConfig, suffix: str = "/ExponentialMovingAverage") -> Generator:
    net = Generator(config)
    for b, block in enumerate(net.blocks, 1):
        for part in ("conv0", "conv1", "to_rgb"):
            layer = getattr(block, part)
            name = f"Generator/progressive_gan_generator/progressive_gan_block_{b}/{part}"
            out, inputs, height, width = layer.weight.shape
            kernel = tensor(f"{name}/conv2d/kernel{suffix}", (height, width, inputs, out))
            layer.weight.data = torch.from_numpy(kernel).permute(3, 2, 0, 1).contiguous()
            layer.bias.data = torch.from_numpy(tensor(f"{name}/bias{suffix}", (out,)))
    return net.eval().requires_grad_(False)


def checkpoint(size: str) -> Checkpoint:
    found = Checkpoint(size, FOLDER, FOLDER / "none", CONFIGS[size])
    vars(found)["generator"] = generator(CONFIGS[size])  # as if it had been loaded
    return found
