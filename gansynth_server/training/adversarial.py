"""Adversarial training: generator against discriminator, Magenta's steps by default.

One step is a generator update, then a discriminator update against the new
generator on other latents, other pitches and the next reals
(``magenta/models/gansynth/lib/train_util.py``).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gansynth_server.render.backends.fused import can_compile
from gansynth_server.spectral import transform
from gansynth_server.training import parallel
from gansynth_server.training.losses import (
    Judge,
    Judgement,
    TensorFlowAdam,
    blend,
    generator_loss,
    non_saturating_judgement,
    wasserstein_judgement,
)
from gansynth_server.training.reals import Reals, order
from gansynth_server.training.run import Run
from gansynth_server.training.schedule import Stage

R1_EVERY = 16
"""Steps between two R1 penalties, which are weighed up for it (Karras et al. 2020, sec. 3.2)."""


class Adversarial:
    """The steps of one stage."""

    def __init__(self, run: Run, reals: Reals, stage: Stage) -> None:
        self.run, self.reals, self.stage, self.options = run, reals, stage, run.options
        rate = self.options.learning_rate
        self.adams = {
            "generator": TensorFlowAdam(run.generator.parameters(), rate),
            "judge": TensorFlowAdam(run.judge.parameters(), rate),
        }
        run.optimisers = dict(self.adams)
        self.generate, self.judge = run.generator.forward, run.judge.forward
        if self.options.compile and stage.start == stage.end and can_compile(run.device):
            # a growing network would be compiled again at each step
            self.generate = torch.compile(self.generate)
            self.judge = torch.compile(self.judge)

    def step(self, position: float) -> dict[str, Tensor]:
        """Update each network once at a position 0…1 of the stage; return the losses by name."""
        run, options = self.run, self.options
        progress = self.stage.progress(position)
        run.progress = progress if progress < len(run.config.filters) - 1 else None
        losses = {}
        if run.stage_images >= options.judge_first:
            losses["generator"] = self._update_generator(progress)
            run.follow(options.ema_decay)
        judgement = self._update_judge(progress)
        run.judged = True
        losses |= {
            "judge": judgement.total.detach(),
            "contrast": judgement.contrast.detach(),
            "penalty": judgement.penalty.detach(),
            "pitch": judgement.pitch.detach(),
        }
        run.count(options.batch)
        return losses

    def _update_generator(self, progress: float) -> Tensor:
        adam = self.adams["generator"]
        self.run.judge.requires_grad_(False)
        fake, labels = self._fakes(progress, "generator")
        scores, logits = self._judged(self.judge)(fake, progress)
        loss = generator_loss(self.options.loss, scores, logits, labels)
        adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parallel.average_gradients(adam)
        adam.step()
        self.run.judge.requires_grad_(True)
        return loss.detach()

    def _update_judge(self, progress: float) -> Judgement:
        run, options, adam = self.run, self.options, self.adams["judge"]
        with torch.no_grad():
            fake, _ = self._fakes(progress, "judge")
        size = options.batch
        places = order(len(self.reals), run.first_sample(size), size, options.seed)
        real = blend(self.reals.physical(places), run.config, progress)
        labels = self.reals.labels[places]
        # slopes are differentiated twice, which compiled code cannot
        twice = self._judged(run.judge.forward)
        judgement: Judgement
        if options.loss == "wgan-gp":
            shape = (size, 1, 1, 1)
            amounts = torch.rand(shape, device=run.device, generator=run.chance("slope"))
            weight = 10.0 if options.penalty is None else options.penalty
            judgement = wasserstein_judgement(twice, real, fake, labels, amounts, progress, weight)
        else:
            due = run.stage_steps % R1_EVERY == 0
            weight = 1.0 if options.penalty is None else options.penalty
            judgement = non_saturating_judgement(
                twice if due else self._judged(self.judge),
                real,
                fake,
                labels,
                progress,
                run.config.normalizer,
                weight * R1_EVERY if due else None,
            )
        adam.zero_grad(set_to_none=True)
        judgement.total.backward()  # type: ignore[no-untyped-call]
        parallel.average_gradients(adam)
        adam.step()
        return judgement

    def _fakes(self, progress: float, purpose: str) -> tuple[Tensor, Tensor]:
        """Generate physical spectra [N, 2, 128, 1024], pitches as frequent as the data's."""
        run, size = self.run, self.options.batch
        chance = run.chance(purpose)
        shape = (size, run.config.latent_size)
        z = torch.randn(shape, device=run.device, generator=chance)
        drawn = torch.randint(len(self.reals), (size,), device=run.device, generator=chance)
        labels = self.reals.labels[drawn]
        with run.precision():
            image = self.generate(z, labels, progress)
        spectra = image.float().permute(0, 2, 3, 1)
        spectra = transform.denormalise(spectra, run.config.normalizer)
        return spectra.permute(0, 3, 1, 2), labels

    def _judged(self, judge: Judge) -> Judge:
        """Return a judge in the run's precision, whose answers are float32."""

        def judged(spectra: Tensor, progress: float) -> tuple[Tensor, Tensor]:
            with self.run.precision():
                scores, logits = judge(spectra, progress)
            return scores.float(), logits.float()

        return judged
