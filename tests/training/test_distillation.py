"""A small network learns the notes of a larger one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import gansynth_server as gs
from gansynth_server.model import checkpoint
from gansynth_server.model.generator import Generator
from gansynth_server.training import run as runs
from gansynth_server.training.train import train
from tests.support.training_runs import TINY, train_part

PUPIL = replace(TINY, fmap_max=8, fmap_base=512, upscale=2, reconstruction=1.0, total_images=16)


@pytest.fixture(scope="module")
def teacher(small_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "large"
    options = replace(TINY, reconstruction=1.0, total_images=40, pitch_bias=True, templates=4)
    train(small_data, folder, options)
    file = folder / "model.safetensors"  # its convolutions add little yet
    weights = load_file(file)
    weights["blocks.6.to_rgb.bias"] = torch.tensor([0.3, -0.2]).half()
    save_file(weights, file)
    return folder


def images(folder, z, labels) -> torch.Tensor:
    with torch.no_grad():
        return checkpoint.load(str(folder)).generator(z, labels)


def test_a_pupil_has_fewer_channels_and_all_else_of_its_teacher(small_data, teacher, tmp_path):
    options = replace(PUPIL, teacher=str(teacher))
    train(small_data, tmp_path / "small", options)
    one, other = (checkpoint.load(str(folder)) for folder in (teacher, tmp_path / "small"))
    assert other.config == replace(one.config, filters=(8,) * 6, upscale=2)
    assert torch.equal(one.generator.axes, other.generator.axes)
    before, after = (load_file(folder / "model.safetensors") for folder in (teacher, other.path))
    moved = (before["templates.magnitude"] - after["templates.magnitude"]).float().abs().max()
    assert 0 < float(moved) < 0.05, "they are lent, and learn slowly"
    assert one.presets.keys() == other.presets.keys()
    for name, latent in one.presets.items():
        assert np.array_equal(latent, other.presets[name])
    provenance = json.loads((other.path / "config.json").read_text())["provenance"]
    assert provenance["options"]["teacher"] == "large", "no path of this machine"
    assert provenance["teacher"]["images"] == 40


def test_a_pupil_comes_nearer_to_its_teacher(small_data, teacher, tmp_path):
    """At latents that it has never met."""
    options = replace(PUPIL, teacher=str(teacher), taught=1)
    generator = torch.Generator().manual_seed(5)
    z, labels = torch.randn(6, 32, generator=generator), torch.tensor([0, 3, 12] * 2)
    wanted = images(teacher, z, labels)
    errors = []
    for count in (4, 600):
        folder = tmp_path / str(count)
        train(small_data, folder, replace(options, total_images=count))
        errors.append(float((images(folder, z, labels)[:, 0] - wanted[:, 0]).square().mean()))
    assert errors[1] < 0.1 * errors[0], errors


def test_going_on_learns_from_the_same_teacher(small_data, teacher, tmp_path, monkeypatch):
    options = replace(PUPIL, teacher=str(teacher))
    train(small_data, tmp_path / "whole", options)
    train_part(monkeypatch, small_data, tmp_path / "parts", options, 2)
    train(small_data, tmp_path / "parts", options)
    whole, parts = (load_file(tmp_path / n / runs.STATE) for n in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_pupil_can_go_on_as_a_gan(small_data, teacher, tmp_path):
    """Its discriminator sees images of its own highest resolution."""
    train(small_data, tmp_path / "small", replace(PUPIL, teacher=str(teacher)))
    options = replace(
        PUPIL, start=str(tmp_path / "small"), reconstruction=0, total_images=4, pitch_bias=True,
        templates=4,
    )  # fmt: skip
    assert train(small_data, tmp_path / "gan", options).images == 4
    one, other = (checkpoint.load(str(tmp_path / name)) for name in ("small", "gan"))
    assert one.config == other.config


def test_a_teacher_without_codes_teaches_alone(small_data, tmp_path):
    """Such as Magenta's, of which there are weights and no presets."""
    config = replace(TINY.network(tuple(range(57, 70))), axes=0)
    checkpoint.save(tmp_path / "strange", Generator(config), {})
    options = replace(PUPIL, teacher=str(tmp_path / "strange"))
    with pytest.raises(gs.UserError, match="--taught 1"):
        train(small_data, tmp_path / "small", options)
    train(small_data, tmp_path / "small", replace(options, taught=1))
    model = gs.load(str(tmp_path / "small"))
    assert not model.presets and model.generate(60).audio.shape == (64000,)


def test_teachers_that_cannot_be(small_data, teacher, tmp_path):
    few = replace(small_data, notes=small_data.notes[:1])
    narrow, unfinished = str(tmp_path / "narrow"), str(tmp_path / "unfinished")
    config = TINY.network((60, 61))
    checkpoint.save(Path(narrow), Generator(config), {})
    checkpoint.save(Path(unfinished), Generator(replace(config, progress=2.5)), {})
    for name, told in (
        (narrow, "--pitches 60-61"),
        (unfinished, "full size"),
        ("no", "called"),
    ):
        with pytest.raises(gs.UserError, match=told):
            train(few, tmp_path / "small", replace(PUPIL, teacher=name))
    for wrong in ({"templates": 4}, {"pitch_bias": True}, {"reconstruction": 0}, {"taught": 2}):
        with pytest.raises(gs.UserError, match="--"):
            replace(PUPIL, teacher=str(teacher), **wrong)
