"""Wave ↔ spectrum against Magenta's own code (golden data)."""

import hashlib
import math

import numpy as np
import pytest
import torch

from gansynth_server.spectral import mel, transform
from gansynth_server.spectral.constants import SAMPLES
from gansynth_server.spectral.normalizer import Normalizer
from tests.support.golden_rule import FOLDER


@pytest.fixture(scope="module")
def golden():
    return np.load(FOLDER / "dsp.npz")


@pytest.fixture(scope="module")
def waves(golden):
    return torch.from_numpy(golden["wave_int16"].astype(np.float32) / 32768)


def relative(ours, theirs) -> float:
    ours = np.asarray(ours)
    return float(np.sqrt(np.mean(np.abs(ours - theirs) ** 2) / np.mean(np.abs(theirs) ** 2)))


def digest(matrix: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(matrix, np.float32).tobytes()).hexdigest()


def test_mel_matrices_are_magentas_to_the_bit():
    assert digest(mel.linear_to_mel()) == (
        "efbff0cdaee5978e4f85d36640380497fe1060c5606403254f370d29041c9e47"
    )
    assert digest(mel.mel_to_linear()) == (
        "cc7ba5714a7cd84d443598c01b7ef963b87c113f8b83bc383e98605ca36e2ed5"
    )


def test_mel_taps_are_the_matrix():
    indices, weights = mel.mel_taps()
    dense = np.zeros((1024, 1024))
    for index, weight in zip(indices, weights, strict=True):
        np.add.at(dense, (index, np.arange(1024)), weight)
    assert np.abs(dense - mel.mel_to_linear()).max() < 1e-7


def test_stft(golden, waves):
    ours = transform.stft(waves)[:1][:, golden["frames"]]
    assert relative(ours, golden["stft"][..., 0]) < 1e-6


def test_specgram(golden, waves):
    ours = transform.specgram(transform.stft(waves))[:1][:, golden["frames"]].numpy()
    error = np.abs(ours - golden["specgram"])
    assert error[..., 0].max() < 5e-3  # near-silent bins
    # float32 noise decides the phase of near-silent bins, so few may differ
    assert np.quantile(error[..., 1], 0.999) < 1e-3


def test_melspecgram(golden, waves):
    error = np.abs(transform.mel_spectra(waves)[:1].numpy() - golden["melspecgram"])
    assert error[..., 0].max() < 5e-3
    assert np.quantile(error[..., 1], 0.9999) < 1e-3


def test_normaliser(golden):
    ours = transform.normalise(torch.from_numpy(golden["melspecgram"]), Normalizer())
    expected = golden["melspecgram_normalised"]
    assert np.abs(ours[:, golden["frames"]].numpy() - expected).max() < 1e-6
    back = transform.denormalise(ours, Normalizer()).numpy()
    inside = np.abs(ours.numpy()) < 1
    assert np.abs(back - golden["melspecgram"])[inside].max() < 1e-4


def test_back_to_linear(golden):
    magnitude, increment = transform.polar(torch.from_numpy(golden["melspecgram"]))
    expected = golden["specgram_from_mel"]
    frames = golden["frames"]
    ours = torch.log(magnitude[:, frames]).numpy()
    assert np.abs(ours - expected[..., 0]).max() < 1e-4
    # IF is known up to whole turns
    turns = (increment[:, frames].numpy() / math.pi - expected[..., 1]) / 2
    assert np.quantile(np.abs(turns - np.round(turns)), 0.999) < 1e-3


@pytest.mark.parametrize("trip", ["stft", "specgram", "melspecgram"])
def test_round_trips(golden, waves, trip):
    spectrum = transform.stft(waves[:1])
    if trip == "stft":
        ours = transform.istft(spectrum)
    elif trip == "specgram":
        linear = transform.specgram(spectrum)
        ours = transform.waves(linear[..., 0].exp(), linear[..., 1] * math.pi)
    else:
        ours = transform.waves(*transform.polar(torch.from_numpy(golden["melspecgram"])))
    theirs = golden[f"wave_from_{trip}"][..., 0]
    assert relative(ours, theirs) < 1e-5


def test_inverse_undoes_the_transform(waves):
    back = transform.istft(transform.stft(waves))
    # the last 1536 samples lie under fewer than four frames
    kept = slice(0, SAMPLES - 1536)
    assert relative(back[:, kept], waves[:, kept].numpy()) < 1e-2
