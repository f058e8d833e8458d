"""Loudness of a fitted network: each pitch becomes as loud as its notes are."""

from __future__ import annotations

import torch

from gansynth_server.analysis.spectral_distance import sound
from gansynth_server.model.generator import Generator
from gansynth_server.training.codes import Codes
from gansynth_server.training.reals import Reals
from gansynth_server.training.regression import Loudness, spread
from gansynth_server.util.progress import track

NOTES = 12
"""Notes of a pitch that are compared."""
ROUNDS = 2
"""The tanh is not linear, so one correction does not find the level."""


@torch.no_grad()
def match_loudness(generator: Generator, reals: Reals, codes: Codes) -> None:
    """Move the pitch bias of magnitude so that notes of the codes are as loud as the data's.

    Regression of log magnitudes gives the mean of what it cannot tell apart, which is softer than
    the mean power; and bins whose phases do not fit cancel in the wave. Both are measured here,
    in the wave, at every pitch.

    Args:
        generator: whose convolutions add nothing yet; it has a pitch bias, which is changed.
        codes: of the instruments.
    """
    assert generator.pitch_bias is not None
    per_neper = Loudness(reals.config).per_neper
    codes_at = torch.stack([torch.from_numpy(z) for z in codes.presets()]).to(reals.device)
    for label, places in track(spread(reals.labels, NOTES).items(), "matching the loudness"):
        wanted = reals.data.audio(reals.rows[places]).to(reals.device).square().mean(dim=1)
        here = torch.from_numpy(places).to(reals.device)
        z, labels = codes_at[reals.instruments[here]], reals.labels[here]
        for _ in range(ROUNDS):
            outline = generator.outline(generator.condition(z, labels), labels)
            assert outline is not None
            images = torch.tanh(outline)
            ours = sound(images, reals.config).square().mean(dim=1)
            softer = torch.log((wanted + 1e-9) / (ours + 1e-9)).median() / 2
            level = images[:, 0].flatten(1)
            power = torch.softmax(level * (2 / per_neper), dim=1)
            slope = (power * (1 - level.square())).sum(dim=1).mean()
            generator.pitch_bias[label, 0] += softer * per_neper / slope
