"""Principal directions of a network: NumPy's own SVD as the judge."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gansynth_server import UserError
from gansynth_server.analysis.principal_components import activations, compute
from gansynth_server.latent.vectors import draw
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator

CONFIG = GeneratorConfig(
    latent_size=8, pitches=(60, 61, 62), filters=progressive_filters(256, 16), start=(2, 16)
)
VALUES = 2 * 16 * CONFIG.filters[0]


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(4)
    return Generator(CONFIG).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def found(generator):
    return compute(generator, components=12, samples=600, seed=3)


def flat(generator, z, labels):
    return activations(generator, z, labels).reshape(len(z), -1).astype(np.float64)


def test_activations_are_what_the_network_itself_computes(generator):
    seen = []
    block = generator.blocks[0]
    hook = block.conv1.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    z, labels = draw(5 * 8, 1).reshape(5, 8), np.array([0, 1, 2, 0, 1])
    generator(torch.from_numpy(z), torch.from_numpy(labels))
    hook.remove()
    ours = activations(generator, z, labels)
    assert ours.shape == (5, 2, 16, CONFIG.filters[0])
    assert np.allclose(ours, seen[0].permute(0, 2, 3, 1).numpy(), atol=1e-5)


@pytest.mark.parametrize("samples", [600, 100])  # more and fewer than the values
def test_components_are_those_of_numpys_svd(generator, samples):
    found = compute(generator, components=12, samples=samples, seed=3)
    labels = np.arange(samples) % 3
    x = flat(generator, draw(samples * 8, 3).reshape(-1, 8), labels)
    means = [x[labels == n].mean(axis=0) for n in range(3)]
    x -= np.stack(means)[labels]
    _, singular, rows = np.linalg.svd(x, full_matrices=False)
    comp = found["comp"].reshape(12, VALUES)
    assert np.allclose(comp @ comp.T, np.eye(12), atol=1e-4)
    assert np.allclose(np.abs(np.sum(comp * rows[:12], axis=1)), 1, atol=1e-3)
    assert np.allclose(found["stdev"], singular[:12] / samples**0.5, rtol=1e-4)
    assert np.allclose(found["var_ratio"], (singular**2 / (singular**2).sum())[:12], rtol=1e-3)
    assert (np.diff(found["stdev"]) <= 0).all()
    assert np.allclose(found["global_mean"].ravel(), np.mean(means, axis=0), atol=1e-5)


def test_latents_are_regressed_on_the_components(generator, found):
    labels = np.arange(600) % 3
    z = draw(600 * 8, 3).reshape(-1, 8)
    x = flat(generator, z, labels)
    x -= np.stack([x[labels == n].mean(axis=0) for n in range(3)])[labels]
    scores = x @ found["comp"].reshape(12, -1).T / found["stdev"]
    assert np.allclose(found["latent"], np.linalg.pinv(scores) @ z, atol=1e-3)


def test_moving_a_latent_moves_the_activations_along_the_component(generator, found):
    z, labels = draw(200 * 8, 99).reshape(-1, 8), np.arange(200) % 3
    before = flat(generator, z, labels)
    for n in range(4):
        change = flat(generator, z + found["latent"][n], labels) - before
        along = change @ found["comp"][n].ravel() / found["stdev"][n]
        cosine = along * found["stdev"][n] / np.linalg.norm(change, axis=1)
        assert np.isclose(along.mean(), found["reach"][n], atol=0.2) and along.mean() > 0.5
        assert cosine.mean() > 0.5
        others = change @ np.delete(found["comp"], n, axis=0).reshape(11, -1).T
        assert (
            np.abs(others.mean(axis=0)).max() < 0.35 * abs(change @ found["comp"][n].ravel()).mean()
        )


def test_with_templates_the_components_are_those_of_what_templates_draw():
    torch.manual_seed(4)
    config = replace(CONFIG, filters=progressive_filters(256, 4), templates=3, phase_templates=1)
    net = Generator(replace(config, axes=4)).eval().requires_grad_(False)
    assert net.templates is not None and net.axes is not None
    for tensor in (net.templates.magnitude, net.templates.curves, net.axes):
        torch.nn.init.normal_(tensor, std=0.3)
    net.templates.magnitude.data[:] = net.templates.magnitude.data[0]  # alike at all pitches
    found = compute(net, components=4, samples=600, seed=3)
    assert found["layer"] == "templates" and found["comp"].shape == (4, 16, 32, 1)
    z, labels = draw(200 * 8, 99).reshape(-1, 8), np.arange(200) % 3
    before = flat(net, z, labels)
    drawn = net.outline(
        net.condition(torch.from_numpy(z), torch.from_numpy(labels)), torch.from_numpy(labels)
    )
    assert np.allclose(
        before.reshape(200, 16, 32), drawn[:, 0].reshape(200, 16, 8, 32, 32).mean((2, 4)), atol=1e-5
    )
    for n in range(2):
        change = flat(net, z + found["latent"][n], labels) - before
        along = change @ found["comp"][n].ravel() / found["stdev"][n]
        assert np.isclose(along.mean(), found["reach"][n], atol=0.25) and along.mean() > 0.5


def test_known_components_keep_their_place(generator, found):
    again = compute(generator, samples=600, seed=3, given={k: found[k] for k in ("comp", "stdev")})
    for key in ("comp", "stdev", "var_ratio", "latent", "reach"):
        assert np.allclose(again[key], found[key], atol=1e-4)
    with pytest.raises(UserError, match="activations"):
        compute(generator, given={"comp": np.ones((1, 7)), "stdev": np.ones(1)})


def test_one_pitch_alone(generator):
    alone = compute(generator, components=3, samples=300, pitch=61)
    x = flat(generator, draw(300 * 8, 0).reshape(-1, 8), np.full(300, 1))
    assert np.allclose(alone["global_mean"].ravel(), x.mean(axis=0), atol=1e-5)
    for bad in ({"pitch": 59}, {"components": 0}, {"samples": 60}):
        with pytest.raises(UserError):
            compute(generator, **bad)
