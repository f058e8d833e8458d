"""Wave ↔ spectra as the generator uses them (Magenta's ``specgrams_helper``).

Waves are float32 [N, 64000] at 16 kHz. Spectra are [N, 128, 1024, 2]: time
frame, frequency bin, (log magnitude, instantaneous frequency / π). The 1025
FFT bins lose their DC, so stored bin k is FFT bin k + 1.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from gansynth_server.spectral import mel
from gansynth_server.spectral.constants import FFT, FRAMES, HOP, LEAD, SILENCE
from gansynth_server.spectral.normalizer import Normalizer, Representation


# inference_mode(False): the first caller may be in inference mode, a later one needs gradients
@cache
@torch.inference_mode(False)
def _window(device: torch.device) -> Tensor:
    return torch.hann_window(FFT, periodic=True, dtype=torch.float64).float().to(device)


@cache
@torch.inference_mode(False)
def _matrix(name: str, device: torch.device) -> Tensor:
    return torch.from_numpy(getattr(mel, name)()).float().to(device)


@cache
@torch.inference_mode(False)
def _taps(device: torch.device) -> tuple[Tensor, Tensor]:
    indices, weights = mel.mel_taps()
    return torch.from_numpy(indices).to(device), torch.from_numpy(weights).to(device)


def stft(waves: Tensor) -> Tensor:
    """[N, 64000] → complex [N, 128, 1024]."""
    frames = F.pad(waves, (LEAD, 0)).unfold(-1, FFT, HOP)  # [N, 128, 2048]
    # in float64, so that all machines agree but for the last bit
    spectrum = torch.fft.rfft((frames * _window(waves.device)).double())[..., 1:]
    # + 0: some FFTs return -0 for silence, whose phase would be π
    return (spectrum + 0).to(torch.complex64)


def istft(spectrum: Tensor) -> Tensor:
    """complex [N, 128, 1024] → [N, 64000]; exact but for the last 1536 samples."""
    frames = torch.fft.irfft(F.pad(spectrum, (1, 0)), n=FFT)  # [N, 128, 2048]
    return overlap_add(frames)


def overlap_add(frames: Tensor) -> Tensor:
    """Windowed overlap-add of frames [N, 128, 2048], without the padding: [N, 64000]."""
    # the squares of periodic Hann windows a quarter apart add up to 3/2 (COLA)
    windowed = (frames * (_window(frames.device) / 1.5)).transpose(1, 2)
    length = HOP * (FRAMES - 1) + FFT
    wave = F.fold(windowed, (1, length), (1, FFT), stride=(1, HOP))
    return wave[:, 0, 0, LEAD:]


def _instantaneous_frequency(phase: Tensor) -> Tensor:
    """Unwrapped difference along time (axis 1) in units of π; frame 0 keeps its phase."""
    step = torch.diff(phase, dim=1)
    wrapped = torch.remainder(step + math.pi, 2 * math.pi) - math.pi
    wrapped = torch.where((wrapped == -math.pi) & (step > 0), math.pi, wrapped)
    unwrapped = phase[:, 1:] + torch.cumsum(wrapped - step, dim=1)
    unwrapped = torch.cat([phase[:, :1], unwrapped], dim=1)
    return torch.cat([phase[:, :1], torch.diff(unwrapped, dim=1)], dim=1) / math.pi


def specgram(spectrum: Tensor) -> Tensor:
    """complex [N, 128, 1024] → linear (log magnitude, IF) [N, 128, 1024, 2]."""
    magnitude = torch.log(spectrum.abs() + SILENCE)
    return torch.stack([magnitude, _instantaneous_frequency(spectrum.angle())], dim=-1)


def to_mel(linear: Tensor) -> Tensor:
    """Linear (log magnitude, IF) → mel (log power, IF), both [N, 128, 1024, 2]."""
    matrix = _matrix("linear_to_mel", linear.device)
    power = torch.exp(2 * linear[..., 0]) @ matrix
    phase = torch.cumsum(linear[..., 1] * math.pi, dim=1) @ matrix
    return torch.stack([torch.log(power + SILENCE), _instantaneous_frequency(phase)], dim=-1)


def mel_power(waves: Tensor) -> Tensor:
    """Waves [N, 64000] → power in mel bands [N, 128, 1024], with gradients."""
    spectrum = torch.view_as_real(stft(waves))
    return spectrum.square().sum(dim=-1) @ _matrix("linear_to_mel", waves.device)


def normalise(spectra: Tensor, normalizer: Normalizer) -> Tensor:
    """Spectra [..., 2] in physical units → [-1, 1], clipped."""
    a, b = _scaling(spectra, normalizer)
    return torch.clamp(spectra * a + b, -1, 1)


def denormalise(spectra: Tensor, normalizer: Normalizer) -> Tensor:
    """Spectra [..., 2] in [-1, 1] → physical units."""
    a, b = _scaling(spectra, normalizer)
    return (spectra - b) / a


def _scaling(spectra: Tensor, n: Normalizer) -> tuple[Tensor, Tensor]:
    """Factors [2] and offsets [2] of magnitude and phase."""
    scale = spectra.new_tensor([n.magnitude_a, n.phase_a])
    return scale, spectra.new_tensor([n.magnitude_b, n.phase_b])


def _from_mel(bands: Tensor) -> Tensor:
    """``bands @ mel_to_linear`` over the last axis, by the few non-zeros of the matrix."""
    indices, weights = _taps(bands.device)
    total = bands[..., indices[0]] * weights[0]
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        total += bands[..., index] * weight
    return total


def polar(spectra: Tensor, representation: Representation = "mel") -> tuple[Tensor, Tensor]:
    """Spectra in physical units → magnitudes and phase increments in the linear domain.

    Args:
        spectra: [N, 128, 1024, 2] mel (log power, IF) or linear (log magnitude, IF).

    Returns:
        Magnitudes [N, 128, 1024] and phase increments per frame [N, 128, 1024]
        (radians); those of frame 0 are absolute phases.
    """
    # increments are projected to linear bins before they are accumulated: mel phases must
    # not be wrapped
    level, increment = spectra[..., 0], spectra[..., 1] * math.pi
    if representation == "linear":
        return torch.exp(level), increment
    return torch.sqrt(_from_mel(torch.exp(level)) + SILENCE), _from_mel(increment)


def waves(magnitude: Tensor, increment: Tensor) -> Tensor:
    """Magnitudes and phase increments [N, 128, 1024] → waves [N, 64000]."""
    phase = torch.cumsum(increment.double(), dim=1)
    phase = torch.remainder(phase, 2 * math.pi).to(magnitude.dtype)
    return istft(torch.polar(magnitude, phase))


def mel_spectra(waves_: Tensor) -> Tensor:
    """Waves [N, 64000] → mel (log power, IF) [N, 128, 1024, 2] in physical units."""
    return to_mel(specgram(stft(waves_)))


def physical_spectra(waves_: Tensor, representation: Representation = "mel") -> Tensor:
    """Waves [N, 64000] → spectra [N, 128, 1024, 2] in physical units."""
    return represent(stft(waves_), representation)


def represent(spectrum: Tensor, representation: Representation) -> Tensor:
    """Complex spectra [N, frames, 1024] → (log power, IF) [N, frames, 1024, 2], physical units."""
    linear = specgram(spectrum)
    return to_mel(linear) if representation == "mel" else linear
