"""Checkpoints: saved and loaded bit for bit, found by name, and clear about what is wrong."""

import json
import pickle

import numpy as np
import pytest
import torch

from gansynth_server import cli
from gansynth_server.errors import UserError
from gansynth_server.model import checkpoint
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator
from tests.support.bundled import each_bundled

CONFIG = GeneratorConfig(latent_size=8, filters=progressive_filters(512, 8), pitch_bias=True)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    net = Generator(CONFIG)
    for parameter in net.parameters():
        parameter.data = parameter.data.half().float()  # what the file can hold
    presets = {"violin": np.arange(8, dtype=np.float32) / 4}
    checkpoint.save(tmp_path / "mine", net, {"recipe": "none"}, presets)
    return tmp_path / "mine", net


def test_saved_and_loaded_to_the_bit(folder):
    path, net = folder
    loaded = checkpoint.load(str(path))
    assert loaded.config == CONFIG and loaded.name == "mine"
    assert loaded.provenance == {"recipe": "none"}
    assert np.array_equal(loaded.presets["violin"], np.arange(8) / 4)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, loaded.generator.state_dict()[name])


def test_found_by_folder_file_lone_file_and_name(folder, monkeypatch, tmp_path):
    path, _ = folder
    assert checkpoint.load(str(path / "model.safetensors")).name == "mine"
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((path / "model.safetensors").read_bytes())
    assert checkpoint.load(str(alone)).config == CONFIG
    monkeypatch.setenv("GANSYNTH_CHECKPOINTS", str(tmp_path))
    assert checkpoint.load("mine").path == path
    assert {"mine", "all_instruments"} <= set(checkpoint.available())


@each_bundled
def test_bundled_checkpoint_is_whole(name):
    loaded = checkpoint.load(name)
    assert loaded.config.latent_size == 256 and loaded.config.pitches == tuple(range(24, 85))
    assert {"acoustic_grand_piano", "violin", "flute", "trumpet"} <= set(loaded.presets)
    weights = loaded.path / "model.safetensors"
    assert weights.stat().st_size <= 16 * 2**20
    assert all(np.isfinite(z).all() and len(z) == 256 for z in loaded.presets.values())


def test_the_bundled_lite_one_has_the_others_instruments():
    full, lite = (checkpoint.load(name) for name in ("all_instruments", "all_instruments_lite"))
    assert checkpoint.lighter(full.name) == lite.name
    assert checkpoint.lighter(lite.name) is None
    assert len(full.presets.keys() & lite.presets.keys()) >= 99


def spoil(name):
    def change(path):
        weights, config = path / "model.safetensors", path / "config.json"
        data = weights.read_bytes()
        if name == "truncated":
            weights.write_bytes(data[: len(data) // 2])
        elif name == "empty":
            weights.write_bytes(b"")
        elif name == "huge header":
            weights.write_bytes((10 * 2**30).to_bytes(8, "little") + data[8:])
        elif name == "pickle":
            weights.write_bytes(pickle.dumps({"weights": [1.0]}))
        elif name == "no weights":
            weights.unlink()
        elif name == "config not json":
            config.write_text("{")
        elif name == "config not ours":
            config.write_text(json.dumps({"format": 99}))
        elif name == "impossible size":
            info = json.loads(config.read_text())
            info["generator"]["filters"] = [10**9] * 7
            config.write_text(json.dumps(info))
        elif name == "other size":
            info = json.loads(config.read_text())
            info["generator"]["latent_size"] = 9
            config.write_text(json.dumps(info))
        elif name == "bad preset":
            (path / "presets.json").write_text('{"violin": [1, 2]}')

    return change


BROKEN = [
    "truncated", "empty", "huge header", "pickle", "no weights", "config not json",
    "config not ours", "impossible size", "other size", "bad preset",
]  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_checkpoints_are_one_sentence_and_exit_one(folder, name, capsys):
    path, _ = folder
    spoil(name)(path)
    with pytest.raises(SystemExit) as exit_:
        cli.server(["--checkpoint", str(path), "--output", "none", "--port", "0"])
    message = str(exit_.value.code)
    assert ("\n" not in message and str(path) in message) or name == "impossible size"


def test_not_finite_weights_are_refused(folder):
    path, net = folder
    net.blocks[0].conv0.bias.data[0] = torch.nan
    checkpoint.save(path, net, {})
    with pytest.raises(UserError, match="not finite"):
        checkpoint.load(str(path))


def test_unknown_name_lists_what_there_is():
    with pytest.raises(UserError, match="all_instruments"):
        checkpoint.load("no_such_thing")


def test_pickled_file_is_never_opened(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"anything")
    with pytest.raises(UserError, match="safetensors"):
        checkpoint.load(str(path))
