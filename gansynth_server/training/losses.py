"""Adversarial losses with an auxiliary pitch classifier, and Magenta's Adam.

Magenta's WGAN-GP, and the non-saturating loss with R1 (Mescheder et al. 2018).
All spectra here are in physical units, [N, 2, 128, 1024]: log mel power and
instantaneous frequency.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.generator import stage_weights
from gansynth_server.spectral.normalizer import Normalizer
from gansynth_server.training.options import Loss

PITCH_WEIGHT = 10.0
DRIFT_WEIGHT = 0.001

Judge = Callable[[Tensor, float], tuple[Tensor, Tensor]]
"""Spectra [N, 2, 128, 1024] and progress → scores [N] and pitch logits [N, pitches]."""


def blend(real: Tensor, config: GeneratorConfig, progress: float) -> Tensor:
    """Blur real spectra to the generator's resolution at a training progress.

    The sum of the image at every resolution grown so far, each pooled and
    blown up again, with the generator's own shares.
    """
    blocks = len(config.filters)
    full = config.upscale * 2 ** (blocks - 1)
    out = torch.zeros_like(real)
    for b, share in enumerate(stage_weights(progress, blocks)):
        if share > 0:
            scale = full // 2**b
            coarse = F.avg_pool2d(real, scale) if scale > 1 else real
            out = out + share * F.interpolate(coarse, scale_factor=float(scale))
    return out


def generator_loss(loss: Loss, scores: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the generator's adversarial loss + 10 · cross entropy of the pitch."""
    deception = -scores.mean() if loss == "wgan-gp" else F.softplus(-scores).mean()
    return deception + PITCH_WEIGHT * F.cross_entropy(logits, labels)


@dataclass(frozen=True)
class Judgement:
    """The discriminator's loss and its parts, each a scalar tensor."""

    contrast: Tensor
    """Wasserstein: E[D(fake)] - E[D(real)]; non-saturating: both softplus terms."""
    penalty: Tensor
    drift: Tensor
    pitch: Tensor
    penalty_weight: float

    @property
    def total(self) -> Tensor:
        return (
            self.contrast
            + self.penalty_weight * self.penalty
            + DRIFT_WEIGHT * self.drift
            + PITCH_WEIGHT * self.pitch
        )


def gradient_penalty(
    judge: Judge, real: Tensor, fake: Tensor, amounts: Tensor, progress: float
) -> Tensor:
    """Return the mean squared distance from 1 of the slope between reals and fakes.

    Args:
        amounts: [N, 1, 1, 1] places between real (0) and fake (1), drawn from U(0, 1).
    """
    between = (real + amounts * (fake - real)).detach().requires_grad_(True)
    scores, _ = judge(between, progress)
    (slopes,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    return (slopes.square().sum(dim=(1, 2, 3)).sqrt() - 1).square().mean()


def wasserstein_judgement(
    judge: Judge,
    real: Tensor,
    fake: Tensor,
    labels: Tensor,
    amounts: Tensor,
    progress: float,
    penalty_weight: float = 10.0,
) -> Judgement:
    """Compute Magenta's: Wasserstein distance, gradient penalty, drift, and the reals' pitch.

    Args:
        real: blended reals; labels [N] are theirs.
        fake: detached output of the generator; its pitches are not judged here.
        amounts: [N, 1, 1, 1] for the gradient penalty.
    """
    scores, logits = judge(real, progress)
    return Judgement(
        judge(fake, progress)[0].mean() - scores.mean(),
        gradient_penalty(judge, real, fake, amounts, progress),
        scores.square().mean(),
        F.cross_entropy(logits, labels),
        penalty_weight,
    )


def slope_at_reals(
    judge: Judge, real: Tensor, progress: float, normalizer: Normalizer
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute R1: half the mean squared slope of the score at the reals, per normalised unit.

    Returns:
        the penalty, and the scores and logits computed on the way.
    """
    real = real.detach().requires_grad_(True)
    scores, logits = judge(real, progress)
    (slopes,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
    unit = real.new_tensor([normalizer.magnitude_a, normalizer.phase_a])[:, None, None]
    return (slopes / unit).square().sum(dim=(1, 2, 3)).mean() / 2, scores, logits


def non_saturating_judgement(
    judge: Judge,
    real: Tensor,
    fake: Tensor,
    labels: Tensor,
    progress: float,
    normalizer: Normalizer,
    penalty_weight: float | None,
) -> Judgement:
    """Compute the logistic loss of reals and fakes; R1 only if it has a weight in this step."""
    if penalty_weight is None:
        penalty = real.new_zeros(())
        scores, logits = judge(real, progress)
    else:
        penalty, scores, logits = slope_at_reals(judge, real, progress, normalizer)
    contrast = F.softplus(judge(fake, progress)[0]).mean() + F.softplus(-scores).mean()
    pitch = F.cross_entropy(logits, labels)
    return Judgement(contrast, penalty, real.new_zeros(()), pitch, penalty_weight or 0.0)


class TensorFlowAdam(torch.optim.Adam):
    """Adam with TensorFlow's epsilon, which is added before the bias correction.

    ``w -= lr · sqrt(1 - β2^t) / (1 - β1^t) · m / (sqrt(v) + ε)``, which is
    PyTorch's with an epsilon that shrinks with t.
    """

    EPSILON = 1e-8

    def __init__(
        self, parameters: Any, lr: float = 8e-4, betas: tuple[float, float] = (0.0, 0.99)
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            steps = (self.state[p]["step"] for p in group["params"] if p in self.state)
            step = int(next(steps, torch.zeros(()))) + 1
            group["eps"] = self.EPSILON / (1 - group["betas"][1] ** step) ** 0.5
        super().step()
