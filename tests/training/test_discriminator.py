"""The discriminator against Magenta's own (golden data)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gansynth_server.model import discriminator
from gansynth_server.model.config import GeneratorConfig
from gansynth_server.spectral import transform
from tests.support import golden_rule
from tests.support.golden_rule import CONFIGS, FOLDER
from tests.support.tf_bundles import judge

FEATURES = {"tiny": 16, "full": 256}


def spectra(
    config: GeneratorConfig, z: np.ndarray, labels: np.ndarray, suffix: str
) -> torch.Tensor:
    """What Magenta's generator gave, in physical units: [N, 2, 128, 1024]."""
    net = golden_rule.generator(config, suffix)
    raw = net(torch.from_numpy(z).float(), torch.from_numpy(labels)).permute(0, 2, 3, 1)
    return transform.denormalise(raw, config.normalizer).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("size", "batch"), [("tiny", 2), ("tiny", 6), ("full", 2)])
def test_scores_and_pitches_are_magentas(size, batch):
    data = np.load(FOLDER / "discriminator.npz")
    notes = data if size == "tiny" else np.load(FOLDER / "full_notes.npz")
    config = CONFIGS[size]
    net = judge(config, FEATURES[size])
    images = spectra(
        config, notes["z"][:batch], notes["labels"][:batch], "/ExponentialMovingAverage"
    )
    score, logits = net(images)
    # absolute: scores are below 1, logits below 2.1, features below 2.7
    assert np.abs(score.numpy() - data[f"{size}_d_score_b{batch}"][:, 0]).max() <= 1e-5
    assert np.abs(logits.numpy() - data[f"{size}_d_class_logits_b{batch}"]).max() <= 1e-5
    features = net.features(images).numpy()
    assert np.abs(features - data[f"{size}_d_last_conv_b{batch}"][:, 0, 0]).max() <= 1e-5


def test_half_faded_in_networks_are_magentas():
    data = np.load(FOLDER / "discriminator.npz")
    progress = float(data["stage07_progress"])
    config = replace(golden_rule.TINY, filters=golden_rule.TINY.filters[:5], upscale=4)
    config = replace(config, progress=progress)
    # a training shows D what G makes with its weights of the moment, not their averages
    images = spectra(config, data["stage07_z"], data["stage07_labels"], suffix="")
    note = images[0].permute(1, 2, 0).numpy()[::8, ::8]
    assert np.abs(note - data["stage07_note0_every8x8"]).max() <= 2e-3
    net = judge(config, 16)
    assert np.abs(net(images)[0].numpy() - data["stage07_score"][:, 0]).max() <= 1e-5
    assert torch.equal(net(images)[0], net(images, progress)[0])


def test_parameter_count_is_the_papers():
    net = discriminator.Discriminator(GeneratorConfig(), 256)
    assert sum(p.numel() for p in net.parameters()) == 6_831_230


def test_growth_blends_and_skips_blocks():
    net = discriminator.Discriminator(golden_rule.TINY, 16)
    images = torch.randn(2, 2, 128, 1024)
    small = net.features(images, 0.0)
    for parameter in net.blocks[1].parameters():
        parameter.data.fill_(float("nan"))
    assert torch.equal(net.features(images, 0.0), small)
    assert net.features(images, 0.5).isnan().all()


def test_deviation_leaves_its_mean_out_of_the_second_derivative():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 2, 16, dtype=torch.float64, requires_grad=True)
    direction = torch.randn_like(x)

    def curvature(deviation):
        (first,) = torch.autograd.grad(deviation(x), x, create_graph=True)
        return first.detach(), torch.autograd.grad((first * direction).sum(), x)[0]

    def plain(x):
        return torch.sqrt(x.var(dim=0, correction=0) + 1e-6).mean()

    (first, second), (plain_first, plain_second) = (
        curvature(f) for f in (discriminator.batch_deviation, plain)
    )
    assert torch.allclose(first, plain_first)
    assert not torch.allclose(second, plain_second, rtol=0.1, atol=0)


def test_no_gradient_where_the_input_is_cut_off():
    net = discriminator.Discriminator(golden_rule.TINY, 16)
    images = torch.zeros(2, 2, 128, 1024)
    images[:, 0, :, :512] = 20.0  # beyond 1 after scaling
    images.requires_grad_()
    net(images)[0].sum().backward()
    assert images.grad is not None
    assert not images.grad[:, 0, :, :512].any() and images.grad[:, 0, :, 512:].any()
