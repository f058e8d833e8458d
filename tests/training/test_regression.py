"""Regression on notes: codes, templates, windows and losses, and a checkpoint made by it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import gansynth_server as gs
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator
from gansynth_server.training import watch
from gansynth_server.training.codes import Codes, random_axes
from gansynth_server.training.options import TrainOptions
from gansynth_server.training.reals import Reals
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
