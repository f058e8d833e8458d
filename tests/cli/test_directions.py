"""``gansynth directions``."""

import shutil

import numpy as np
import pytest
import torch

from gansynth_server import UserError, cli
from gansynth_server.latent import directions
from gansynth_server.model import checkpoint
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator
from gansynth_server.model.magenta import ganspace

CONFIG = GeneratorConfig(
    latent_size=8, pitches=(60, 61, 62), filters=progressive_filters(256, 16), start=(2, 16)
)


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(4)
    return Generator(CONFIG).eval().requires_grad_(False)


def test_the_command_writes_what_load_reads(tmp_path, generator, capsys):
    folder = tmp_path / "net"
    checkpoint.save(folder, generator, {})
    net = checkpoint.load(str(folder))
    with pytest.raises(UserError, match="gansynth directions"):
        directions.load(net)
    cli.main(["directions", str(folder), "--components", "5", "--samples", "200"])
    assert "5 components" in capsys.readouterr().out
    known = directions.load(net)
    assert known.latent.shape == (5, 8)
    cli.main(["directions", str(folder), "--given", str(folder / "pca.npz"), "--samples", "200"])
    assert np.allclose(directions.load(net).latent, known.latent, atol=0.01)
    shutil.copytree(folder, tmp_path / "other")
    torch.manual_seed(5)
    with torch.no_grad():
        generator.blocks[0].conv0.bias += 1
    checkpoint.save(tmp_path / "other", generator, {})
    with torch.no_grad():
        generator.blocks[0].conv0.bias -= 1
    with pytest.raises(UserError, match="other weights"):
        directions.load(checkpoint.load(str(tmp_path / "other")))
    ganspace.write(folder / "pca.npz", {"comp": np.ones(3)})
    with pytest.raises(UserError, match=r"pca\.npz"):
        directions.load(net)
