"""Magenta's adversarial losses (WGAN-GP with an auxiliary pitch classifier) and its Adam.

All spectra here are in physical units, [N, 2, 128, 1024]: log mel power and
instantaneous frequency.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.discriminator import Discriminator
from gansynth_server.model.generator import stage_weights

PITCH_WEIGHT = 10.0
PENALTY_WEIGHT = 10.0
DRIFT_WEIGHT = 0.001


def blend(real: Tensor, config: GeneratorConfig, progress: float) -> Tensor:
    """Real spectra as coarse as the generator's output is at a training progress.

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


def generator_loss(scores: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """-E[D(fake)] + 10 · cross entropy of the pitch heard in the fakes."""
    return PITCH_WEIGHT * F.cross_entropy(logits, labels) - scores.mean()


@dataclass(frozen=True)
class Judgement:
    """The discriminator's loss and what it is made of, each a scalar tensor."""

    wasserstein: Tensor
    penalty: Tensor
    drift: Tensor
    pitch: Tensor

    @property
    def total(self) -> Tensor:
        return (
            self.wasserstein
            + PENALTY_WEIGHT * self.penalty
            + DRIFT_WEIGHT * self.drift
            + PITCH_WEIGHT * self.pitch
        )


def gradient_penalty(
    judge: Discriminator, real: Tensor, fake: Tensor, amounts: Tensor, progress: float
) -> Tensor:
    """Mean squared distance from 1 of the slope between reals and fakes.

    Args:
        amounts: [N, 1, 1, 1] places between real (0) and fake (1), drawn from U(0, 1).
    """
    between = (real + amounts * (fake - real)).detach().requires_grad_(True)
    scores, _ = judge(between, progress)
    (slopes,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    return (slopes.square().sum(dim=(1, 2, 3)).sqrt() - 1).square().mean()


def discriminator_loss(
    judge: Discriminator,
    real: Tensor,
    fake: Tensor,
    labels: Tensor,
    amounts: Tensor,
    progress: float,
) -> Judgement:
    """E[D(fake)] - E[D(real)], gradient penalty, drift, and the pitch of the reals.

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
    )


class TensorFlowAdam(torch.optim.Optimizer):
    """Adam with TensorFlow's epsilon, which is added before the bias correction.

    ``w -= lr · sqrt(1 - β2^t) / (1 - β1^t) · m / (sqrt(v) + ε)``
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        lr: float = 8e-4,
        betas: tuple[float, float] = (0.0, 0.99),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = 0
                    state["m"] = torch.zeros_like(parameter)
                    state["v"] = torch.zeros_like(parameter)
                state["step"] += 1
                state["m"].lerp_(parameter.grad, 1 - first)
                state["v"].lerp_(parameter.grad.square(), 1 - second)
                correction = (1 - second ** state["step"]) ** 0.5 / (1 - first ** state["step"])
                move = state["m"] / (state["v"].sqrt() + group["eps"])
                parameter.sub_(move, alpha=group["lr"] * correction)
