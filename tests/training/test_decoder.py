"""Networks without convolutions: spectra, levels and codes, tuning, and the checkpoint."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import gansynth_server as gs
from gansynth_server import UserError
from gansynth_server.model import checkpoint
from gansynth_server.model.decoder import angle
from gansynth_server.model.generator import Generator
from gansynth_server.spectral import transform
from gansynth_server.training import spectra
from gansynth_server.training.decoding import train_decoder
from gansynth_server.training.levels import learn_levels, mixture, whitened
from gansynth_server.training.options import TrainOptions
from gansynth_server.training.reals import Reals, fit_normalizer
from gansynth_server.training.wave_tuning import difference, tune

OPTIONS = TrainOptions(
    config="spectra", templates=8, phase_templates=3, onset_templates=3, curves=16,
    principal_levels=12, code_size=3, code_noise=0.05, level_epochs=300, wave_minutes=0.05,
)  # fmt: skip


@pytest.fixture(scope="module")
def fitted(small_data):
    """Reals, a network with fitted spectra, and the levels of all notes."""
    rows = small_data.rows("train")
    config = OPTIONS.network(tuple(range(57, 70)))
    config = replace(config, latent_size=config.axes, axes=0)
    config = replace(config, normalizer=fit_normalizer(small_data, rows, "linear"))
    reals = Reals(small_data, config, rows, torch.device("cpu"), 0)
    torch.manual_seed(0)
    net = Generator(config)
    with torch.no_grad():
        levels = spectra.fit_spectra(net.decoder, reals)
    return reals, net, levels


def waves(net, images):
    physical = transform.denormalise(images.permute(0, 2, 3, 1), net.config.normalizer)
    return transform.waves(*transform.polar(physical, "linear"))


def real(reals):
    return reals.data.audio(reals.rows)


@torch.no_grad()
def test_spectra_with_fitted_levels_are_the_notes(fitted):
    reals, net, levels = fitted
    assert levels.shape == (len(reals), sum(net.decoder.sizes))
    ours = waves(net, net.decoder.drawn(levels, reals.labels))
    mean = waves(net, net.decoder.drawn(torch.zeros_like(levels), reals.labels))
    assert difference(ours, real(reals)) < 0.5 * difference(mean, real(reals))
    decibels = 10 * torch.log10(ours.square().mean(dim=1) / real(reals).square().mean(dim=1))
    assert decibels.median().abs() < 1.5
    assert (net.decoder.drawn(levels[:1], reals.labels[:1])[:, 0, :3] == -1).all(), "silence before"


def test_levels_codes_and_tuning(fitted):
    reals, net, levels = fitted
    nets = [Generator(net.config) for _ in range(2)]
    for other in nets:
        other.load_state_dict(net.state_dict())
    codes, again = (learn_levels(other, reals, levels, OPTIONS) for other in nets)
    assert torch.equal(codes, again), "all chance comes from the seed"
    assert codes.mean(dim=0).abs().max() < 1e-5
    white = torch.linalg.eigvalsh(codes.T @ codes / len(codes))
    assert white.sub(1).abs().max() < 0.05
    z = codes[reals.instruments]
    with torch.no_grad():
        before = difference(waves(net, nets[0](z, reals.labels)), real(reals))
        flat = difference(waves(net, nets[0](torch.zeros_like(z), reals.labels)), real(reals))
    assert before < 0.8 * flat, "codes say which instrument it is"
    tune(nets[0], reals, codes, OPTIONS)
    with torch.no_grad():
        after = difference(waves(net, nets[0](z, reals.labels)), real(reals))
    assert after < before


def test_the_checkpoint_plays_and_draws(small_data, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "LARGEST_FILE", 1 << 20)
    folder = tmp_path / "mine"
    train_decoder(small_data, folder, replace(OPTIONS, level_epochs=2, wave_minutes=0))
    assert len(checkpoint.shards(folder / checkpoint.WEIGHTS)) > 3
    model = gs.load(str(folder), "cpu")
    assert set(model.presets) == set(small_data.instruments)
    assert model.prior.centres.shape == (len(small_data.instruments), 256)
    assert np.array_equal(model.draw(3), model.prior.draw(3))
    assert np.isfinite(model.generate_batch(model.draw(3)[None], [60])).all()
    assert model.checkpoint.fingerprint != gs.load("all_instruments", "cpu").checkpoint.fingerprint
    with pytest.raises(UserError, match="holds a checkpoint"):
        train_decoder(small_data, folder, OPTIONS)
    checkpoint.shards(folder / checkpoint.WEIGHTS)[-1].unlink()
    with pytest.raises(UserError, match="does not fit"):
        gs.load(str(folder), "cpu")


def test_writing_again_leaves_no_old_file(tmp_path, monkeypatch):
    net = Generator(OPTIONS.network((60, 61)))
    monkeypatch.setattr(checkpoint, "LARGEST_FILE", 1 << 18)
    checkpoint.save(tmp_path / "a", net, {})
    assert len(checkpoint.shards(tmp_path / "a" / checkpoint.WEIGHTS)) > 1
    monkeypatch.setattr(checkpoint, "LARGEST_FILE", 1 << 30)
    checkpoint.save(tmp_path / "a", net, {})
    assert [path.name for path in (tmp_path / "a").glob("*.safetensors")] == [checkpoint.WEIGHTS]
    checkpoint.load(str(tmp_path / "a"))


def test_angles():
    turn = torch.linspace(-3.1, 3.1, 99, dtype=torch.float64)
    assert torch.allclose(angle(5 * turn.cos(), 5 * turn.sin()), turn, atol=1e-12)
    assert not angle(torch.zeros(1), torch.zeros(1)).any()


def test_mixtures_are_as_long_as_what_they_are_made_of():
    a, b = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(0))
    share = torch.tensor([[0.0], [0.5], [0.5], [1.0]])
    mixed = mixture(a, b, share)
    assert torch.allclose(mixed[0], a[0]) and torch.allclose(mixed[3], b[3])
    assert torch.allclose(mixed.norm(dim=1), torch.lerp(a.norm(dim=1), b.norm(dim=1), share[:, 0]))
    assert whitened(a).mean(dim=0).abs().max() < 1e-5


def test_partials_are_aligned_whatever_their_phases():
    time = torch.arange(64000) / 16000
    chance = torch.Generator().manual_seed(0)
    phases = torch.rand(2, 5, generator=chance) * 6.28
    turn = 440 * torch.arange(1, 6)[:, None] * 6.2832 * time + phases[..., None]
    notes = transform.stft((turn.sin() * (time > 0.05)).sum(dim=1) / 10)[:, :8]
    one, other = spectra.align(notes, 69)
    assert torch.allclose(one.abs(), notes[0].abs(), atol=1e-3)
    # where one begins to sound the other does; partials do not reach each other's bins
    assert (one - other).abs().max() < 0.03 * one.abs().max()
    assert (notes[0] - notes[1]).abs().max() > 0.5 * one.abs().max()


@pytest.mark.parametrize(
    "changes", [{"templates": 0}, {"curves": 0}, {"pitch_bias": True}, {"mixtures": 2.0}]
)
def test_options_that_do_not_fit(changes):
    with pytest.raises(UserError, match="--"):
        replace(OPTIONS, **changes)
