"""The network against Magenta's own code (golden data) and against itself."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import gansynth_server as gs
from gansynth_server.api import Model
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator, stage_weights
from gansynth_server.model.layers import ScaledConv, fold_upsampling
from gansynth_server.render.backends.eager import Eager
from gansynth_server.render.folded import fold
from tests import golden_rule
from tests.golden_rule import FOLDER


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.sqrt(np.mean((ours - theirs) ** 2) / np.mean(theirs**2)))


@pytest.fixture(scope="module", params=["tiny", "full"])
def golden(request):
    size = request.param
    checkpoint = golden_rule.checkpoint(size)
    backend = Eager(fold(checkpoint.generator), torch.device("cpu"))
    return size, np.load(FOLDER / f"{size}_notes.npz"), Model(checkpoint, backend)


def test_raw_output_is_magentas(golden):
    size, data, model = golden
    raw = model.spectra(data["z"].astype(np.float32), data["pitches"])
    assert raw.shape == (2, 128, 1024, 2)
    worst = np.abs(raw[:, ::8] - data["raw"]).max()
    # the tiny net's two-channel pixel norm magnifies rounding; see the float64 test
    assert worst <= {"tiny": 2e-3, "full": 1e-4}[size]


def test_tiny_net_in_float64_is_closer_still():
    data = np.load(FOLDER / "tiny_notes.npz")
    net = golden_rule.generator(golden_rule.TINY).double()
    raw = net(torch.from_numpy(data["z"]), torch.from_numpy(data["labels"]))
    assert np.abs(raw.permute(0, 2, 3, 1).numpy()[:, ::8] - data["raw"]).max() <= 1.1e-3


def test_waves_are_magentas(golden):
    size, data, model = golden
    waves = model.generate_batch(data["z"].astype(np.float32), data["pitches"])
    for ours, theirs in zip(waves, data["waves"], strict=True):
        assert relative(ours, theirs) <= {"tiny": 1e-3, "full": 5e-4}[size]


def test_every_blocks_image_is_magentas():
    data = np.load(FOLDER / "tiny_notes.npz")
    net = golden_rule.generator(golden_rule.TINY)
    z, labels = torch.from_numpy(data["z"]).float(), torch.from_numpy(data["labels"])
    x = net.condition(z, labels)
    norm = np.sqrt((data["latent"] ** 2).mean(axis=1, keepdims=True) + 1e-8)
    assert np.allclose(x.numpy(), data["latent"] / norm, atol=1e-6)
    outline = net.outline(x, labels)
    for b, block in enumerate(net.blocks[:6]):
        x = block(x)
        image = net.image(b, x, outline).permute(0, 2, 3, 1).numpy()
        assert np.abs(image - data[f"to_rgb_{b + 1}"]).max() <= 1e-3


def test_raw_weights_would_be_noticed():
    data = np.load(FOLDER / "tiny_notes.npz")
    net = golden_rule.generator(golden_rule.TINY, suffix="")
    raw = net(torch.from_numpy(data["z"]).float(), torch.from_numpy(data["labels"]))
    assert np.abs(raw.permute(0, 2, 3, 1).numpy()[:, ::8] - data["raw"]).max() > 0.5


def test_parameter_count_is_the_papers():
    def count(config):
        return sum(p.numel() for p in Generator(config).parameters())

    assert count(GeneratorConfig()) == 7_311_246
    assert count(golden_rule.TINY) == 66_338


def test_batched_equals_single():
    model = gs.load("all_instruments", "cpu")
    z = np.random.default_rng(0).standard_normal((5, 256)).astype(np.float32)
    pitches = [24, 40, 60, 69, 84]
    together = model.spectra(z, pitches)
    for n, pitch in enumerate(pitches):
        assert np.array_equal(model.spectra(z[n : n + 1], [pitch]), together[n : n + 1])


def test_folded_upsampling_equals_upsampling_then_convolution():
    torch.manual_seed(0)
    weight, x = torch.randn(8, 16, 3, 3), torch.randn(2, 16, 5, 7)
    plain = F.conv2d(F.interpolate(x, scale_factor=2.0), weight, padding=1)
    folded = F.conv_transpose2d(x, fold_upsampling(weight), stride=2, padding=1)
    assert torch.allclose(plain, folded, atol=1e-4)


def test_first_layer_equals_the_padded_convolution():
    torch.manual_seed(0)
    conv = ScaledConv(9, 4, (2, 16), 1.0)
    x = torch.randn(3, 9)
    padded = F.pad(x[:, :, None, None], (15, 15, 1, 1))
    plain = F.conv2d(padded, conv.weight * conv.scale, conv.bias)
    assert torch.allclose(conv.from_pixel(x), plain, atol=1e-5)


@pytest.mark.parametrize(
    ("progress", "shares"), [(0, [1, 0, 0]), (0.3, [0.7, 0.3, 0]), (2, [0, 0, 1])]
)
def test_growth(progress, shares):
    assert np.allclose(stage_weights(progress, 3), shares)


def test_growing_output_is_the_blend_of_its_images():
    net = golden_rule.generator(golden_rule.TINY)
    z, labels = torch.randn(1, 32), torch.tensor([5])
    low, high, between = net(z, labels, 4.0), net(z, labels, 5.0), net(z, labels, 4.25)
    assert torch.allclose(between, 0.75 * low + 0.25 * high, atol=1e-6)
    assert torch.equal(net(z, labels, 6.0), net(z, labels))


def test_pitch_bias_shifts_its_own_pitch_alone():
    config = GeneratorConfig(
        latent_size=8, filters=progressive_filters(512, 8), pitches=(60, 61), pitch_bias=True
    )
    net = Generator(config)
    assert net.pitch_bias is not None
    z = torch.randn(2, 8)
    labels = torch.tensor([0, 1])
    before = net(z, labels)
    net.pitch_bias.data[1, 0, 300] = 4.0
    after = net(z, labels)
    assert torch.equal(before[0], after[0])
    changed = (before[1] != after[1]).nonzero()
    assert set(changed[:, 0].tolist()) == {0}
    assert set(changed[:, 2].tolist()) == {300}
