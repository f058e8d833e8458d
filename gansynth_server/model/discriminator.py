"""GANSynth's discriminator: scores the realism of spectra and classifies their pitch."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gansynth_server.errors import UserError
from gansynth_server.model.checkpoint import DISCRIMINATOR
from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.layers import LEAKY_SLOPE, ScaledConv


def batch_deviation(x: Tensor) -> Tensor:
    """Minibatch standard deviation (Karras et al. 2018), one for the batch: [N, C, H, W] → [].

    The mean over all pixels and channels of the standard deviation within the batch.
    """
    # The mean inside of the variance is detached, as in TensorFlow: the second derivative in the
    # gradient penalty depends on it.
    variance = (x - x.mean(dim=0, keepdim=True).detach()).square().mean(dim=0)
    return torch.sqrt(variance + 1e-6).mean()


class JudgeBlock(nn.Module):
    """Two convolutions at one resolution, and from_rgb for an image of that size.

    The first block (smallest image) also takes the minibatch standard deviation
    as a channel, and its second convolution covers the whole image.
    """

    def __init__(self, inputs: int, outputs: int, whole: tuple[int, int] | None = None) -> None:
        super().__init__()
        root2 = math.sqrt(2)
        self.first = whole is not None
        self.from_rgb = ScaledConv(2, inputs, (1, 1), root2)
        self.conv0 = ScaledConv(inputs + self.first, inputs, (3, 3), root2)
        self.conv1 = ScaledConv(inputs, outputs, whole or (3, 3), root2)

    def read(self, image: Tensor) -> Tensor:
        """Image [N, 2, H, W] → [N, inputs, H, W], by from_rgb."""
        return F.leaky_relu(self.from_rgb(image), LEAKY_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] → [N, outputs, H/2, W/2]; the first block: [N, outputs]."""
        if self.first:
            deviation = batch_deviation(x).expand(len(x), 1, *x.shape[2:])
            x = torch.cat([x, deviation], dim=1)
        x = F.leaky_relu(self.conv0(x), LEAKY_SLOPE)
        if self.first:
            return F.leaky_relu(self.conv1.to_pixel(x), LEAKY_SLOPE)
        return F.avg_pool2d(F.leaky_relu(self.conv1(x), LEAKY_SLOPE), 2)


class Discriminator(nn.Module):
    """Spectra → scores of realism and logits of their pitch.

    Args:
        config: of the generator, whose sizes it mirrors.
        features: channels of the last layer before the heads.
    """

    def __init__(self, config: GeneratorConfig, features: int) -> None:
        super().__init__()
        self.config = config
        outputs = (features, *config.filters[:-1])
        self.blocks = nn.ModuleList(
            JudgeBlock(of, out, None if b else config.start)
            for b, (of, out) in enumerate(zip(config.filters, outputs, strict=True))
        )
        self.score = ScaledConv(features, 1, (1, 1), 1.0)
        self.pitch = ScaledConv(features, len(config.pitches), (1, 1), 1.0)

    def forward(self, spectra: Tensor, progress: float | None = None) -> tuple[Tensor, Tensor]:
        """Score a batch; each score depends on the whole batch.

        Args:
            spectra: [N, 2, 128, 1024] in physical units (log mel power,
                instantaneous frequency), whatever the network's own resolution.
            progress: growth during training, 0…blocks-1; None is the config's,
                or full growth if that is None too.

        Returns:
            Scores [N] and logits [N, pitches].
        """
        features = self.features(spectra, progress)[:, :, None, None]
        return self.score.to_pixel(features)[:, 0], self.pitch.to_pixel(features)

    def features(self, spectra: Tensor, progress: float | None = None) -> Tensor:
        """Spectra [N, 2, 128, 1024] in physical units → inputs of the heads [N, features]."""
        image = self.normalise(spectra)
        last = len(self.blocks) - 1
        grown = self.config.progress if progress is None else progress
        grown = float(last) if grown is None else grown
        x: Tensor | None = None
        for b in range(last, 0, -1):
            # share of the smaller image in the input of block b - 1
            share = min(max(b - grown, 0.0), 1.0)
            if share < 1:
                x = self.blocks[b](self._entry(b, image) if x is None else x)
                if share > 0:
                    x = torch.lerp(x, self._entry(b - 1, image), share)
        return self.blocks[0](self._entry(0, image) if x is None else x)

    def normalise(self, spectra: Tensor) -> Tensor:
        """Physical units → [-1, 1], clipped, without gradient beyond."""
        n = self.config.normalizer
        scale = spectra.new_tensor([n.magnitude_a, n.phase_a])[:, None, None]
        offset = spectra.new_tensor([n.magnitude_b, n.phase_b])[:, None, None]
        return (spectra * scale + offset).clamp(-1, 1)

    def _entry(self, b: int, image: Tensor) -> Tensor:
        """The image as the input of block ``b``: [N, filters[b], start · 2^b]."""
        block = self.blocks[b]
        assert isinstance(block, JudgeBlock)
        return block.read(F.avg_pool2d(image, image.shape[2] // (self.config.start[0] * 2**b)))


def load(folder: Path, config: GeneratorConfig) -> Discriminator:
    """Load the discriminator of a checkpoint's folder.

    Raises:
        UserError: it is missing, damaged, or does not fit ``config``.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(folder / DISCRIMINATOR)
        net = Discriminator(config, state["score.weight"].shape[1])
        net.load_state_dict(state)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{folder / DISCRIMINATOR} cannot be used ({reason}); convert with --discriminator"
        ) from error
    return net.eval()
