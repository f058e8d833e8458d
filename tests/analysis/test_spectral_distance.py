"""How far notes are apart."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import gansynth_server as gs
from gansynth_server.analysis.spectral_distance import Target, sound
from gansynth_server.latent.vectors import draw
from tests.support.sounds import harmonic_tone


@pytest.fixture(scope="module")
def model():
    return gs.load("all_instruments")


def rendered(model, z, pitch=60):
    return torch.from_numpy(model.generate_batch(z[None], [pitch]))


def test_a_note_is_no_distance_from_itself_however_loud(model):
    wave = rendered(model, model.preset("violin"))
    target = Target(wave[0])
    assert target.distance(wave).item() < 1e-4
    assert target.distance(wave / 4).item() < 1e-3
    assert target.distance(rendered(model, model.preset("marimba"))).item() > 3
    near = wave + 0.003 * torch.from_numpy(np.random.default_rng(0).standard_normal(64000)).float()
    assert 0.1 < target.distance(near).item() < 3
    assert torch.isfinite(target.distance(torch.zeros(1, 64000))).all()


def test_gradients_are_there_whoever_was_first():
    code = (
        "import torch; from gansynth_server.spectral import transform as t; "
        "from gansynth_server.analysis.spectral_distance import Target; x = torch.rand(1, 64000)\n"
        "with torch.inference_mode(): t.waves(*t.polar(t.mel_spectra(x)))\n"
        "Target(x[0]).distance((x / 2 + 0.1).requires_grad_(True)).sum().backward()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_networks_own_picture_becomes_its_sound(model):
    z = torch.from_numpy(draw(256, 4))[None]
    with torch.no_grad():
        image = model.checkpoint.generator(z, torch.tensor([60 - 24]))
    heard = sound(image, model.checkpoint.config)
    wave = torch.from_numpy(model.generate_batch(z.numpy(), [60]))
    assert Target(wave[0]).distance(heard).item() < 0.1


def test_gradients_lead_nearer(model):
    target = Target(torch.from_numpy(harmonic_tone(60, 4.0)))
    wave = rendered(model, draw(256, 4)).double().requires_grad_(True)
    distance = target.distance(wave)
    distance.sum().backward()
    step = wave.grad / wave.grad.norm() * 1e-3
    with torch.no_grad():
        nearer, farther = (target.distance(wave + s * step).item() for s in (-1, 1))
    assert nearer < distance.item() < farther
    slope = (farther - nearer) / 2e-3
    assert slope == pytest.approx(wave.grad.norm().item(), rel=0.1)
