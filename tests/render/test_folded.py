"""The network as it is played against the generator as it is trained; windows against wholes."""

import numpy as np
import pytest
import torch

from gansynth_server.model import checkpoint
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator
from gansynth_server.render.folded import Weights, Window, safe_dtype
from gansynth_server.render.receptive_field import plan
from gansynth_server.spectral import transform
from tests.support import golden_rule

SMALL = progressive_filters(1024, 16)
CONFIGS = {
    "plain": {"latent_size": 12, "filters": SMALL, "pitches": (60, 61, 62)},
    "pitch bias": {"latent_size": 12, "filters": SMALL, "pitches": (60, 61), "pitch_bias": True},
    "unfinished": {"latent_size": 12, "filters": SMALL, "pitch_bias": True, "progress": 4.3},
    "early": {"latent_size": 12, "filters": SMALL, "progress": 2.0},
    "enlarged": {"latent_size": 12, "filters": SMALL[:5], "upscale": 4, "pitch_bias": True},
    "templates": {
        "latent_size": 12,
        "filters": SMALL,
        "pitches": (60, 61),
        "pitch_bias": True,
        "templates": 3,
        "phase_templates": 2,
        "axes": 5,
    },
    "decoder": {
        "latent_size": 12,
        "filters": (),
        "pitches": (60, 61),
        "templates": 3,
        "phase_templates": 2,
        "curves": 5,
        "onset_templates": 3,
        "principal_levels": 4,
        "representation": "linear",
    },
    "templates, unfinished": {
        "latent_size": 12,
        "filters": SMALL,
        "templates": 3,
        "phase_templates": 2,
        "progress": 4.3,
    },
    "templates, enlarged": {
        "latent_size": 12,
        "filters": SMALL[:6],
        "upscale": 2,
        "pitch_bias": True,
        "templates": 3,
        "phase_templates": 2,
    },
    "linear": {"latent_size": 12, "filters": SMALL, "representation": "linear"},
    "enlarged, unfinished": {
        "latent_size": 12,
        "filters": SMALL[:6],
        "upscale": 2,
        "progress": 4.5,
    },
}


def generator(config: GeneratorConfig) -> Generator:
    torch.manual_seed(3)
    net = Generator(config)
    for name, parameter in net.named_parameters():
        if parameter.dim() < 4 or name.startswith("decoder"):  # biases and spectra start at zero
            torch.nn.init.normal_(parameter, std=0.3)
    if net.axes is not None:
        torch.nn.init.normal_(net.axes)
    return net.eval().requires_grad_(False)


def notes(config: GeneratorConfig, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    z = torch.randn(count, config.latent_size, generator=torch.Generator().manual_seed(1))
    return z, torch.arange(count) % len(config.pitches)


def reference(net: Generator, z: torch.Tensor, labels: torch.Tensor):
    """What the network was before: every step by itself."""
    images = net(z.to(next(net.parameters()).dtype), labels).permute(0, 2, 3, 1)
    spectra = transform.denormalise(images, net.config.normalizer)
    return transform.polar(spectra, net.config.representation)


def error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest deviation, relative to the largest value."""
    return float((ours.double() - theirs.double()).abs().max() / theirs.abs().max())


@pytest.fixture(scope="module", params=CONFIGS)
def net(request):
    return generator(GeneratorConfig(**CONFIGS[request.param])).double()


@torch.inference_mode()
def test_equals_generator_and_polar(net):
    z, labels = notes(net.config, 3)
    whole = Window(Weights(net, torch.float64), (0, 128))
    # random nets so small magnify rounding, so it is the algebra that is tested here
    assert (whole.image(z, labels) - net(z.double(), labels)).abs().max() <= 1e-9
    for ours, theirs in zip(whole(z, labels), reference(net, z, labels), strict=True):
        assert ours.dtype == torch.float32 and ours.shape == (3, 128, 1024)
        assert error(ours, theirs) <= 1e-6


@torch.inference_mode()
@pytest.mark.parametrize("size", ["tiny", "full", "bundled"])
def test_equals_the_real_nets(size):
    if size == "bundled":
        net = checkpoint.load("all_instruments").generator
    else:
        net = golden_rule.generator(golden_rule.CONFIGS[size])
    z, labels = notes(net.config, 1)
    weights = Weights(net, safe_dtype(net))
    assert weights.dtype == (torch.float64 if size == "tiny" else torch.float32)
    ours = Window(weights, (0, 128))(z, labels)
    for got, expected in zip(ours, reference(net.double(), z, labels), strict=True):
        assert error(got, expected) <= 1e-5


@torch.inference_mode()
def test_any_window_is_part_of_the_whole(net):
    z, labels = notes(net.config, 2)
    weights = Weights(net, torch.float64)
    whole = Window(weights, (0, 128)).image(z, labels)
    windows = [(0, 8), (0, 1), (127, 128), (0, 127), (1, 128), (8, 128)]
    windows += [(first, first + size) for size in (1, 2, 5, 16) for first in range(0, 112, 11)]
    for first, last in windows:
        part = Window(weights, (first, last)).image(z, labels)
        assert part.shape == (2, 2, last - first, 1024)
        assert (part - whole[:, :, first:last]).abs().max() <= 1e-9, (first, last)


@torch.inference_mode()
def test_every_window_of_eight_frames_in_full_size():
    net = golden_rule.generator(golden_rule.FULL)
    z, labels = notes(net.config, 1)
    weights = Weights(net, torch.float64)  # how a CPU adds float32 is not what is asked
    whole = Window(weights, (0, 128))(z, labels)
    for first in (0, 3, 60, 120):
        window = Window(weights, (first, first + 8))
        for part, all_ in zip(window(z, labels), whole, strict=True):
            assert error(part, all_[:, first : first + 8]) <= 1e-6


@torch.inference_mode()
def test_batched_equals_single(net):
    z, labels = notes(net.config, 4)
    for window in ((0, 8), (40, 72)):
        part = Window(Weights(net, torch.float64), window)
        together = part.image(z, labels)
        for n in range(4):
            alone = part.image(z[n : n + 1], labels[n : n + 1])
            assert (alone - together[n : n + 1]).abs().max() <= 1e-9


def test_rows_of_the_head():
    config = GeneratorConfig()
    shares = [0.0] * 6 + [1.0]
    rows = plan(config, shares, (0, 8))
    assert [r.out for r in rows] == [(0, n) for n in (2, 3, 3, 3, 4, 5, 8)]
    assert rows[0].middle == (0, 2) and rows[-1].image == (0, 8)
    whole = plan(config, shares, (0, 128))
    assert [r.out for r in whole] == [(0, 2 * 2**b) for b in range(7)]
    assert all(r.padding == (1, 1) and r.cropping == (1, 1) for r in whole)


@pytest.mark.parametrize("window", [(0, 0), (5, 4), (-1, 3), (120, 129)])
def test_no_such_window(window):
    with pytest.raises(ValueError, match="frames"):
        plan(GeneratorConfig(), [0.0] * 6 + [1.0], window)


def test_half_precision_is_near():
    net = generator(GeneratorConfig(**CONFIGS["pitch bias"]))
    z, labels = notes(net.config, 2)
    with torch.inference_mode():
        exact = Window(Weights(net, torch.float32), (0, 16)).image(z, labels)
        half = Window(Weights(net, torch.bfloat16), (0, 16)).image(z, labels)
    assert half.dtype == torch.float32
    rms = (half - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert 1e-4 < float(rms) < 0.05
    assert np.isfinite(half.numpy()).all()
