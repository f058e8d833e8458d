"""Regression on notes: codes, templates, windows and losses, and a checkpoint made by it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import gansynth_server as gs
from gansynth_server.errors import UserError
from gansynth_server.model import checkpoint
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator
from gansynth_server.spectral import transform
from gansynth_server.training import watch
from gansynth_server.training.codes import Codes, random_axes
from gansynth_server.training.options import TrainOptions
from gansynth_server.training.reals import Reals, align
from gansynth_server.training.reconstruction import Windows, crop, prepare
from gansynth_server.training.regression import Loudness, phase_loss
from gansynth_server.training.train import train
from tests.support.training_runs import TINY


def test_codes_are_latents_whose_prior_they_share(small_data):
    config = TINY.network(tuple(range(57, 70)))
    reals = Reals(small_data, config, small_data.rows(), torch.device("cpu"), cache_gb=1)
    axes = random_axes(8, 256, seed=1)
    assert torch.allclose(axes @ axes.T, torch.eye(8), atol=1e-5)
    codes = Codes.of_data(reals, axes, 0.25)
    assert codes.values.shape == (4, 8)  # of which 3 can differ
    assert float(codes.values.square().mean()) == pytest.approx(1)
    assert codes.values.mean(dim=0).abs().max() < 2e-3  # the axis without scale has rounding
    chance = torch.Generator().manual_seed(0)
    wanted = torch.randint(0, 4, (8000,), generator=chance)
    z = codes.latents(wanted, chance)
    off = z @ axes.T - codes.values[wanted] * (1 - 0.25**2) ** 0.5
    assert (off.std(dim=0) - 0.25).abs().max() < 0.02 and off.mean(dim=0).abs().max() < 0.02
    across = z - (z @ axes.T) @ axes
    assert float(across.square().sum(dim=1).mean()) == pytest.approx(248, rel=0.02)
    presets = codes.presets()
    assert all(map(np.array_equal, presets, codes.presets()))
    assert all(12 < np.linalg.norm(z) < 20 for z in presets)
    again = Codes.of_presets(torch.from_numpy(np.stack(presets)), axes, 0.25)
    assert torch.allclose(again.values, codes.values, atol=1e-4)


def test_templates_begin_near_the_notes(small_data):
    """With as many as there are instruments they can be drawn but for what moves in phase."""
    options = replace(TINY, pitch_bias=True, templates=12, reconstruction=1.0)
    config = options.network(tuple(range(57, 70)))
    reals = Reals(small_data, config, small_data.rows(), torch.device("cpu"), cache_gb=1)
    distances = {}
    for templates in (0, 12):
        torch.manual_seed(0)
        net = Generator(replace(config, templates=templates, phase_templates=templates))
        codes = prepare(net, reals, 0.25, seed=0)
        if not templates:
            net.mute_blocks()
        z = torch.from_numpy(np.stack(codes.presets()))[reals.instruments]
        target = reals.normalised(np.arange(len(reals)))
        with torch.no_grad():
            image = net(z, reals.labels)
        loudness, level = Loudness(config), target[:, 0]
        loud = level > level.amax(dim=(1, 2), keepdim=True) - 0.6  # 40 dB
        error = (image[:, 0] - level)[loud] / loudness.per_neper * 8.686
        phase = phase_loss(image[:, 1, 4:], target[:, 1, 4:], level[:, 4:], loudness)
        distances[templates] = float(error.square().mean().sqrt()), float(phase)
    assert distances[12][0] < 0.25 * distances[0][0], distances  # dB
    assert distances[12][1] < 0.85 * distances[0][1], distances


def test_windows_away_from_their_edges_equal_the_whole():
    torch.manual_seed(0)
    config = GeneratorConfig(
        latent_size=8, filters=progressive_filters(512, 8), templates=2, phase_templates=1
    )
    net = Generator(config).eval()
    assert net.templates is not None
    for parameter in net.templates.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    z, labels = torch.randn(2, 8), torch.tensor([3, 40])
    with torch.no_grad():
        whole = net(z, labels)
        halves = Windows(net)
        condition = net.condition(z, labels)
        outline = net.outline(condition, labels)
        assert outline is not None
        x, _ = halves.coarse(condition, outline)
        starts = torch.tensor([0, 8])
        part = halves.fine(crop(x, starts, 12), crop(outline, starts * 4, 48))
    assert torch.allclose(part[0, :, :42], whole[0, :, :42], atol=1e-5)
    assert torch.allclose(part[1, :, 6:42], whole[1, :, 38:74], atol=1e-5)


def test_phase_loss_knows_whole_turns_and_silence():
    loudness = Loudness(GeneratorConfig())
    target, level = torch.zeros(1, 4, 8), torch.zeros(1, 4, 8)
    assert float(phase_loss(target + 1.6, target, level, loudness)) < 1e-6  # 2·0.8 is a turn
    assert float(phase_loss(target + 0.8, target, level, loudness)) > 1.99
    level[0, 0] = -1.0
    wrong_where_silent = target.clone()
    wrong_where_silent[0, 0] = 0.8
    assert float(phase_loss(wrong_where_silent, target, level, loudness)) < 1e-2


def test_a_time_budget_leaves_a_checkpoint_that_plays(small_data, tmp_path, monkeypatch):
    from gansynth_server.analysis.acoustics import cents_off

    monkeypatch.setattr(watch, "EVERY", 2.0)

    options = TrainOptions(
        config="mel_prog_lite", fmap_base=512, fmap_max=32, pitch_bias=True, reconstruction=1,
        templates=6, minutes=0.25, reconstruction_batch=4, device="cpu",
    )  # fmt: skip
    train(small_data, tmp_path / "mine", options)
    model = gs.load(str(tmp_path / "mine"))
    assert set(model.presets) == {"acoustic_grand_piano", "drawbar_organ", "trumpet", "flute"}
    provenance = model.checkpoint.provenance
    assert provenance["notes"] == len(small_data.rows("train"))
    assert 0.25 <= provenance["minutes"] < 0.75
    note = model.generate(69, model.preset("trumpet"))
    assert np.abs(note.audio).max() > 0.005
    assert abs(cents_off(note.audio, 69)) < 50  # the bias per pitch alone puts it in tune
    for name in ("curves.png", "log.jsonl", "state.safetensors"):
        assert (tmp_path / "mine" / name).stat().st_size > 0, name
    assert not (tmp_path / "mine" / "discriminator.safetensors").exists(), "it learnt nothing"
    assert len(list((tmp_path / "mine" / "samples").iterdir())) == 2
    (events,) = (tmp_path / "mine" / "events").iterdir()
    assert b"images_per_second" in events.read_bytes()


def test_levels_and_codes_are_learnt_together(small_data):
    """Without convolutions; the codes are white, and notes as loud as the data's."""
    options = replace(
        TINY, pitch_bias=True, reconstruction=1.0, templates=8, phase_templates=4, curves=16,
        onset_templates=3, level_epochs=300, principal_levels=12, code_size=8, code_noise=0.05,
    )  # fmt: skip
    config = options.network(tuple(range(57, 70)))
    assert (config.curves, config.onset_templates, config.principal_levels) == (16, 3, 12)
    reals = Reals(small_data, config, small_data.rows(), torch.device("cpu"), cache_gb=1)
    nets = [Generator(config), Generator(config)]
    nets[1].load_state_dict(nets[0].state_dict())
    codes, again = (prepare(net, reals, 0.05, seed=0, level_epochs=300) for net in nets)
    assert torch.equal(codes.values, again.values), "all chance comes from the seed"
    assert all(map(torch.equal, nets[0].state_dict().values(), nets[1].state_dict().values()))
    net = nets[0]
    assert codes.values.mean(dim=0).abs().max() < 1e-5
    white = torch.linalg.eigvalsh(codes.values.T @ codes.values / 4)
    assert white[-3:].sub(1).abs().max() < 0.05, "four instruments differ in three directions"
    z = torch.from_numpy(np.stack(codes.presets()))[reals.instruments]
    with torch.no_grad():
        image = net(z, reals.labels)
    target = reals.normalised(np.arange(len(reals)))
    loudness, level = Loudness(config), target[:, 0]
    loud = level > level.amax(dim=(1, 2), keepdim=True) - 0.6  # 40 dB
    error = (image[:, 0] - level)[loud] / loudness.per_neper * 8.686
    flat = (net.pitch_bias.data[reals.labels, 0][:, None].tanh() - level)[loud]
    assert error.square().mean() < 0.3 * (flat / loudness.per_neper * 8.686).square().mean()
    onset = phase_loss(image[:, 1, :8], target[:, 1, :8], level[:, :8], loudness)
    still = phase_loss(image[:, 1, 8:9].expand(-1, 8, -1), target[:, 1, :8], level[:, :8], loudness)
    assert onset < 0.5 * still, "the first frames have phases of their own"
    spectra = transform.denormalise(image.permute(0, 2, 3, 1), config.normalizer)
    ours = transform.waves(*transform.polar(spectra))
    real = small_data.audio(reals.rows)
    decibels = 10 * torch.log10(ours.square().mean(dim=1) / real.square().mean(dim=1))
    assert decibels.median().abs() < 1.5


def test_levels_that_were_learnt_go_on_by_regression(small_data, tmp_path):
    options = replace(
        TINY, pitch_bias=True, reconstruction=1.0, templates=4, phase_templates=2, curves=8,
        onset_templates=2, level_epochs=2, principal_levels=8, code_size=8, total_images=8,
    )  # fmt: skip
    run = train(small_data, tmp_path / "run", options)
    found = checkpoint.load(str(tmp_path / "run"))
    assert found.config == run.config and set(found.presets) == set(run.instruments)
    later = replace(options, start=str(tmp_path / "run"), total_images=8)
    assert train(small_data, tmp_path / "later", later).config == found.config


@pytest.mark.parametrize(
    "changes",
    [{"onset_templates": 2}, {"level_epochs": 2}, {"templates": 2, "curves": 0}],
)
def test_levels_need_templates(changes):
    with pytest.raises(UserError, match="--"):
        replace(TINY, reconstruction=1.0, **changes)


def test_configs_of_before_have_templates_as_before():
    values = {"templates": 2, "phase_templates": 1, "axes": 3, "latent_size": 8}
    templates = Generator(GeneratorConfig.from_dict(values)).templates
    assert templates is not None and templates.onset is None
    assert templates.curves.shape == (32, 128)
    assert [type(layer).__name__ for layer in templates.levels] == [
        "Linear", "LeakyReLU", "Linear", "LeakyReLU", "Linear",
    ]  # fmt: skip
    assert sum(parameter.numel() for parameter in templates.levels[:3].parameters()) == (
        (3 + 61 + 1) * 512 + 513 * 512
    )


def test_partials_are_aligned_whatever_their_phases():
    time = torch.arange(64000) / 16000
    chance = torch.Generator().manual_seed(0)
    phases = torch.rand(2, 5, generator=chance) * 6.28
    angle = 440 * torch.arange(1, 6)[:, None] * 6.2832 * time + phases[..., None]
    waves = (angle.sin() * (time > 0.05)).sum(dim=1) / 10
    spectra = transform.stft(waves)[:, :8]
    one, other = align(spectra, 69)
    assert torch.allclose(one.abs(), spectra[0].abs(), atol=1e-3)
    # where one begins to sound the other does; partials do not reach each other's bins
    assert (one - other).abs().max() < 0.03 * one.abs().max()
    assert (spectra[0] - spectra[1]).abs().max() > 0.5 * one.abs().max()
