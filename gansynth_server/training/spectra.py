"""Spectra of a decoder, fitted to the data in closed form, and every note's levels on them.

At every pitch the spectra of magnitude are the principal components of all frames,
those of phase the singular vectors of unit vectors that count as much as they
sound. Neighbouring pitches are turned towards each other (orthogonal Procrustes),
so that an instrument's levels change little from one pitch to the next.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gansynth_server.model.config import ONSET, SILENT
from gansynth_server.model.decoder import Decoder
from gansynth_server.spectral import transform
from gansynth_server.spectral.constants import BINS, FFT, SAMPLE_RATE, SILENCE
from gansynth_server.training.neighbours import outwards, pairs, places, procrustes
from gansynth_server.training.reals import Reals
from gansynth_server.util.midi_pitch import midi_to_hz
from gansynth_server.util.progress import track

FLOOR = 80 * math.log(10) / 20
"""Level (nepers of amplitude) under a note's peak below which its spectrum counts as flat."""
HEARD = 0.5
"""Power of the amplitude (relative to the loudest) by which a phase counts."""
PEAKS, NEAR = 40.0, 6.0
"""Levels (dB): peaks so far under the loudest one are partials; a bin that is no louder than so
much above what a partial leaves there belongs to it."""
FALL, LOBE, SLOPE = 3.0, 31.0, 18.0
"""How the spectrum of the Hann window falls (dB): per bin within its main lobe, at its edge two
bins off, and per octave from there."""
TOGETHER = 3.0
"""Bins from a harmonic that advance together, for over a hundred frames the smallest difference
would tear a partial apart."""
EARLY = 4.0
"""Frames after the onset at which the square of a frame's weight has fallen to half."""
AT_ONCE = 32


def fit_spectra(decoder: Decoder, reals: Reals) -> Tensor:
    """Fit a new decoder's spectra and curves; return the levels of all notes, [N, sum(sizes)]."""
    templates, curves = decoder.magnitude.shape[1], len(decoder.curves)
    frames = decoder.curves.shape[1] - SILENT
    levels = torch.zeros(len(reals), frames, templates)
    onset = torch.zeros(len(reals), decoder.onset.shape[1], dtype=torch.complex64)
    steady = torch.zeros(len(reals), decoder.phase.shape[1], dtype=torch.complex64)
    notes = {label: places(reals, label) for label in set(reals.labels.tolist())}
    scramble = _scramble(BINS)
    for label, neighbour in track(outwards(sorted(notes)), "fitting spectra"):
        here = notes[label]
        level, early, advance, amplitude = _read(reals, here)
        mean = level.mean(dim=(0, 1))
        spectra, found = _principal(level - mean, templates, _frame_weights(frames))
        begins, first = _vectors(early, onset.shape[1])
        pitch = reals.config.pitches[label]
        begins = begins * torch.polar(torch.ones(BINS), scramble[_partials(pitch)])
        groups = _groups(pitch)
        together = torch.zeros(len(here), int(groups.max()) + 1, dtype=torch.complex64)
        together.index_add_(1, groups, torch.polar(amplitude, advance))
        goes, stays = _vectors(together, steady.shape[1])
        goes = goes[:, groups]
        if neighbour is not None:
            one, other = pairs(reals.instruments, here, notes[neighbour])
            there = notes[neighbour][other]
            turn = procrustes(found[one], levels[there])
            found, spectra = found @ turn, turn.T @ spectra
            turn = procrustes(first[one], onset[there])
            first, begins = first @ turn, _applied(turn, begins)
            turn = procrustes(stays[one], steady[there])
            stays, goes = stays @ turn, _applied(turn, goes)
        levels[here], onset[here], steady[here] = found, first, stays
        decoder.mean.data[label], decoder.magnitude.data[label] = mean, spectra
        decoder.onset.data[label] = torch.stack([begins.real, begins.imag], dim=1)
        decoder.phase.data[label] = torch.stack([goes.real, goes.imag], dim=1)
    weight = _frame_weights(frames)
    by_time = levels.transpose(1, 2) * weight  # [N, templates, frames]
    flat = by_time.flatten(0, 1)
    basis = torch.linalg.eigh(flat.T @ flat)[1][:, -curves:].flip(1)
    decoder.curves.data = F.pad((basis / weight[:, None]).T, (SILENT, 0)).contiguous()
    weights = (by_time @ basis).flatten(1)
    return torch.cat([weights, onset.real, onset.imag, steady.real, steady.imag], dim=1)


def _read(reals: Reals, places: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Read the notes of one pitch.

    Returns:
        normalised log magnitudes from the first frame that sounds, [n, 125, bins]; complex
        spectra of frames 3…7 with aligned partials, [n, 5, bins]; phase increment (rad) of each
        bin after the onset, and its mean amplitude, [n, bins].
    """
    rows = reals.rows[places.numpy()]
    pitch, scale = reals.data.notes[rows[0]].pitch, reals.config.normalizer
    parts = []
    for start in range(0, len(rows), AT_ONCE):
        spectrum = transform.stft(reals.data.audio(rows[start : start + AT_ONCE]))
        magnitude = spectrum.abs()
        level = torch.log(magnitude[:, SILENT:] + SILENCE)
        level = torch.maximum(level, level.amax(dim=(1, 2), keepdim=True) - FLOOR)
        level = (level * scale.magnitude_a + scale.magnitude_b).clamp(-1, 1)
        early = align(spectrum[:, SILENT:ONSET], pitch)
        advance, amplitude = _advance(spectrum)
        parts.append((level, early, advance, amplitude))
    level, early, advance, amplitude = (torch.cat(part) for part in zip(*parts, strict=True))
    return level, early, advance, amplitude


def _advance(spectrum: Tensor) -> tuple[Tensor, Tensor]:
    """Mean phase increment (rad) after the onset and mean amplitude, [n, bins], of complex spectra.

    Bins in the lobe of a partial take that of its peak, so that they stay in phase and keep its
    power.
    """
    late, before = spectrum[:, ONSET:], spectrum[:, ONSET - 1 : -1]
    magnitude = late.abs()
    # the increment's unit vector, weighted by the amplitude
    turned = late * before.conj() / before.abs().clamp(min=1e-9)
    advance, amplitude = turned.sum(dim=1).angle(), magnitude.mean(dim=1)
    padded = F.pad(amplitude, (1, 1))
    peaks = (amplitude >= padded[:, :-2]) & (amplitude > padded[:, 2:])
    level = 20 * torch.log10(amplitude + 1e-9)
    for note, (own, peak) in enumerate(zip(level, peaks, strict=True)):
        loud = (peak & (own > own.max() - PEAKS)).nonzero()[:, 0]
        if len(loud):
            leaks, nearest = (own[loud] - _window_fall(len(own))[loud].T).max(dim=1)
            there = advance[note, loud[nearest]]
            advance[note] = torch.where(own < leaks + NEAR, there, advance[note])
    return advance, amplitude


def _window_fall(bins: int) -> Tensor:
    """How much (dB) the Hann window's spectrum has fallen from one bin to another, [bins, bins]."""
    place = torch.arange(bins)
    distance = (place[:, None] - place).abs().float()
    beyond = LOBE + SLOPE * torch.log2(distance.clamp(min=2) / 2)
    return torch.where(distance < 2, FALL * distance, beyond)


def align(spectrum: Tensor, pitch: int) -> Tensor:
    """Turn the partials of complex spectra [N, frames, bins] so that all have phase 0 at the end.

    The phase of a partial as a whole is chance and cannot be heard; the phases of its bins
    relative to each other say when it begins. Each bin belongs to the nearest partial, whose
    phase is that of its loudest bin in the last frame.
    """
    partial = _partials(pitch)
    last = spectrum[:, -1]
    turned = torch.empty_like(spectrum)
    for number in range(int(partial.max()) + 1):
        here = (partial == number).nonzero()[:, 0]
        if len(here):
            loudest = last[:, here].abs().argmax(dim=1, keepdim=True)
            phase = last[:, here].gather(1, loudest).angle()[:, None]
            turned[:, :, here] = spectrum[:, :, here] * torch.polar(torch.ones_like(phase), -phase)
    return turned


def _partials(pitch: int) -> Tensor:
    """Number of the partial that each bin is nearest to, [bins]."""
    bins = (torch.arange(BINS) + 1) * (SAMPLE_RATE / FFT)
    return torch.round(bins / midi_to_hz(pitch)).long()


def _groups(pitch: int) -> Tensor:
    """Number of the group of each bin, [bins]: those near a harmonic are one, others alone."""
    hertz = midi_to_hz(pitch)
    partial = _partials(pitch)
    off = (torch.arange(BINS) + 1) - partial * (hertz * FFT / SAMPLE_RATE)
    near = (off.abs() <= TOGETHER) & (partial > 0)
    key = torch.where(near, partial, BINS + torch.arange(BINS))
    return torch.unique(key, return_inverse=True)[1]


def _scramble(count: int) -> Tensor:
    """Phases (rad) of partials, the same for all notes: in phase they would add up to a peak."""
    return torch.rand(count, generator=torch.Generator().manual_seed(0)) * 2 * math.pi


def _frame_weights(frames: int) -> Tensor:
    """Weight of each frame from the onset on: as attacks are heard, the first ones count most."""
    return 1 / torch.sqrt(1 + torch.arange(frames) / EARLY)


def _principal(values: Tensor, count: int, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Split [n, frames, bins] into orthonormal [count, bins] and levels [n, frames, count]."""
    flat = (values * weight[:, None]).flatten(0, 1)
    spectra = torch.linalg.eigh(flat.T @ flat)[1][:, -count:].flip(1)
    return spectra.T, values @ spectra


def _vectors(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Split complex [n, …, bins] into spectra [count, …, bins] and levels [n, count].

    Their sums have the angles of the values where these are loud.
    """
    amplitude = values.abs()
    loudest = amplitude.flatten(1).amax(dim=1).clamp(min=1e-9)
    weight = (amplitude / loudest.view(-1, *(1 for _ in values.shape[1:]))) ** HEARD
    weighted = torch.polar(weight, values.angle()).flatten(1)
    left, scale, right = torch.linalg.svd(weighted, full_matrices=False)
    kept = min(count, len(scale))
    spectra = F.pad(right[:kept], (0, 0, 0, count - kept))
    levels = F.pad(left[:, :kept] * scale[:kept], (0, count - kept))
    return spectra.view(count, *values.shape[1:]), levels


def _applied(turn: Tensor, spectra: Tensor) -> Tensor:
    """Spectra [k, …] whose sums with turned levels are the same."""
    return (turn.mH @ spectra.flatten(1)).view_as(spectra)
