"""The last step of a decoder's training: all of it follows the sound of its notes.

Levels that are right by themselves make notes that are not: bins whose phases do
not fit cancel, and the mean of logarithms is softer than the mean of powers. So notes
are drawn, turned into waves, and compared with the data's, as multi-resolution spectral
losses do (Engel et al. 2020, DDSP), at their own loudness.
"""

from __future__ import annotations

import math
import time
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from gansynth_server.analysis.mel_features import EDGES
from gansynth_server.model.config import ONSET
from gansynth_server.model.decoder import Decoder, angle, increments, sums
from gansynth_server.model.generator import Generator
from gansynth_server.spectral import mel, transform
from gansynth_server.spectral.constants import BINS, FFT, FRAMES, HOP, LEAD
from gansynth_server.training.options import TrainOptions
from gansynth_server.training.reals import Reals
from gansynth_server.util.progress import bar

PITCHES, NOTES = 4, 12
"""Pitches of a step, and notes of each."""
RATE, SPECTRA_RATE, WARM_UP = 5e-5, 1e-4, 20
"""Adam's rates of the perceptron and of the spectra, and the steps until they are reached."""
FLOOR = 1e-8
"""Power under a note's loudest cell that counts as silence (80 dB)."""
FAINT, HALF, WIDTH = 0.3, 40.0, 5.0
"""Weight of faint cells; level (dB under the loudest) at which it is half more, and how fast."""
AVERAGED = 0.4
"""Part of the time after which weights are averaged: single steps make levels flutter."""
ENVELOPE, SPAN, STEP = 60.0, 320, 80
"""Weight of the envelopes' difference (against dB), their RMS window (20 ms) and step (samples)."""
ATTACK, SHARP = 60, 3.0
"""Steps of the envelope that are the attack (0.3 s), and how much more they count."""
LOUDEST, TOO_LOUD = 0.8, 2.0
"""Peak of a wave from which it is too loud, and the weight of that."""


def tune(generator: Generator, reals: Reals, codes: Tensor, options: TrainOptions) -> None:
    """Train a decoder for some minutes of processor time, notes of a few pitches at a time.

    Args:
        codes: of the instruments, [M, latent_size].
    """
    decoder = generator.decoder
    assert decoder is not None
    pitches = [Spectra(decoder, label) for label in range(len(decoder.mean))]
    notes = [(reals.labels == label).nonzero()[:, 0] for label in range(len(pitches))]
    known = torch.tensor([label for label, here in enumerate(notes) if len(here)])
    groups = [
        {"params": list(decoder.levels.parameters()), "share": RATE},
        {"params": [p for spectra in pitches for p in spectra.parameters()], "share": SPECTRA_RATE},
    ]
    adam = torch.optim.Adam(groups, betas=(0.9, 0.99))
    everything = nn.ModuleList([decoder.levels, *pitches])
    average = AveragedModel(everything)
    chance = torch.Generator().manual_seed(options.seed)
    limit, begun, step = 60 * options.wave_minutes, time.process_time(), 0
    with bar() as progress:
        task = progress.add_task("tuning by sound", total=1.0)
        while (share := (time.process_time() - begun) / limit if limit else 1.0) < 1:
            progress.update(task, completed=share)
            rate = min(1.0, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * share)) / 2
            for group in adam.param_groups:
                group["lr"] = group["share"] * rate
            adam.zero_grad(set_to_none=True)  # pitches that do not sound keep their moments
            for label in known[torch.randperm(len(known), generator=chance)[:PITCHES]].tolist():
                here = notes[label]
                some = here[torch.randperm(len(here), generator=chance)[:NOTES]]
                z = codes[reals.instruments[some]]
                fresh = torch.randn(z.shape, generator=chance)
                z = math.sqrt(1 - options.code_noise**2) * z + options.code_noise * fresh
                x = generator.condition(z, reals.labels[some])
                ours = pitches[label](decoder.levels(x))
                theirs = reals.data.audio(reals.rows[some.numpy()])
                loss = difference(ours, theirs) + ENVELOPE * envelopes_apart(ours, theirs)
                loss = loss + TOO_LOUD * F.relu(ours.abs() - LOUDEST).amax(dim=1).mean()
                (loss / PITCHES).backward()  # type: ignore[no-untyped-call]
            adam.step()
            step += 1
            if share >= AVERAGED:
                average.update_parameters(everything)
    if step:
        everything.load_state_dict(average.module.state_dict())
    for label, spectra in enumerate(pitches):
        spectra.give_back(decoder, label)
    decoder.zero_grad(set_to_none=True)


class Spectra(nn.Module):
    """The spectra of one pitch, so that an optimiser moves those of the notes at hand alone."""

    def __init__(self, decoder: Decoder, label: int) -> None:
        super().__init__()
        self._decoder = [decoder]  # a list, for it is no part of this
        self.values = nn.ParameterDict(
            {name: getattr(decoder, name).detach()[label].clone() for name in OF_PITCH}
        )

    def forward(self, levels: Tensor) -> Tensor:
        """Levels [n, sum(sizes)] → waves [n, 64000]."""
        decoder, own = self._decoder[0], self.values
        n = decoder.config.normalizer
        weights, onset, phase = torch.split(levels, decoder.sizes, dim=1)
        weights = weights.reshape(len(weights), -1, len(decoder.curves)) @ decoder.curves
        magnitude = weights.transpose(1, 2) @ own["magnitude"] + own["mean"]
        magnitude = torch.exp((magnitude.clamp(-1, 1) - n.magnitude_b) / n.magnitude_a)
        onsets, phases = (
            own[name][None].expand(len(levels), *own[name].shape) for name in ("onset", "phase")
        )
        early = increments(*sums(onset, onsets))
        # gradients of phases that add up over a hundred frames lead nowhere
        late = angle(*sums(phase, phases)).detach()[:, None].expand(-1, FRAMES - ONSET, -1)
        turn = torch.cat([early, late], dim=1).cumsum(dim=1)
        return transform.istft(torch.complex(magnitude * turn.cos(), magnitude * turn.sin()))

    @torch.no_grad()
    def give_back(self, decoder: Decoder, label: int) -> None:
        for name, value in self.values.items():
            getattr(decoder, name).data[label] = value


OF_PITCH = ("mean", "magnitude", "onset", "phase")
"""Parameters of a decoder that every pitch has of its own."""


def difference(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean absolute difference (dB) of waves [n, 64000] at three resolutions."""
    with torch.no_grad():
        wanted = _views(theirs)
    parts = []
    for level, target in zip(_views(ours), wanted, strict=True):
        top = target.amax(dim=(1, 2), keepdim=True)
        faint = top * FLOOR
        decibels, aim = (10 * torch.log10(power + faint) for power in (level, target))
        weight = FAINT + torch.sigmoid((aim - 10 * torch.log10(top) + HALF) / WIDTH)
        parts.append((weight * (decibels - aim).abs()).mean() / weight.mean())
    return torch.stack(parts).mean()


def envelopes_apart(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean absolute difference of the envelopes of waves [n, 64000], in shares of their peaks.

    Spectra do not tell when within a frame a note begins, nor that partials beat.
    """
    one, other = (
        torch.sqrt(F.avg_pool1d(waves.square()[:, None], SPAN, STEP)[:, 0] + 1e-8)
        for waves in (ours, theirs)
    )
    weight = torch.ones(one.shape[1])
    weight[:ATTACK] = SHARP
    apart = (one - other).abs() / other.amax(dim=1, keepdim=True)
    return (weight * apart).mean() / weight.mean()


def _views(waves: Tensor) -> list[Tensor]:
    """Mel powers of waves [n, 64000]: whole notes in fine bands, by spans of time that grow; four
    frames in 256 bands; frames in 64 bands."""
    frames = F.pad(waves, (LEAD, 0)).unfold(-1, FFT, HOP) * torch.hann_window(FFT)
    spectrum = torch.view_as_real(torch.fft.rfft(frames)[..., 1:])
    power = spectrum.square().sum(dim=-1)
    matrix = torch.from_numpy(mel.linear_to_mel()).float()
    spans = torch.zeros(len(EDGES) - 1, FRAMES)
    for span, (start, end) in enumerate(pairwise(EDGES)):
        spans[span, start:end] = 1 / (end - start)
    return [
        spans @ power @ matrix,
        power.view(len(power), -1, 4, BINS).mean(dim=2) @ matrix.view(BINS, -1, 4).mean(dim=2),
        power @ matrix.view(BINS, -1, 16).mean(dim=2),
    ]
