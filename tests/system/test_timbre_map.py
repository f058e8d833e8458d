"""A map made by the command is found by a server."""

import json
import shutil

import numpy as np
import pytest

from gansynth_server import cli
from gansynth_server.latent import timbre_map
from gansynth_server.latent.descriptor_names import MEASURES
from gansynth_server.model import checkpoint
from tests.support.bundled import draw
from tests.support.client import Client
from tests.support.server import ServerProcess


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shutil.copytree(checkpoint.locate("all_instruments"), tmp_path / "copy")
    monkeypatch.setenv("GANSYNTH_CHECKPOINTS", str(tmp_path))
    return tmp_path / "copy"


def test_the_command_makes_a_map_that_the_server_finds(folder, tmp_path, capsys):
    timbre_map.file_of(checkpoint.load("copy")).unlink(missing_ok=True)
    points = tmp_path / "map.json"
    before = checkpoint.load("copy").presets
    cli.main(f"map copy --latents 24 --pitches 60 --discoveries 3 -o {points}".split())
    told = capsys.readouterr().out
    after = checkpoint.load("copy").presets
    assert len(after) == len(before) + 3
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert all(name in told for name in set(after) - set(before))
    assert "brighter" in told and "24 latents" in told and "by chance" in told
    entries = json.loads(points.read_text())["points"]
    assert len(entries) == 24 and {"seed", "x", "y", "preset", "family", *MEASURES} <= set(
        entries[0]
    )
    with ServerProcess("--output", "none", "--checkpoint", "copy") as server:
        peer = Client(server.port)
        peer.send("/map", entries[5]["x"], entries[5]["y"], "m")
        z = np.float32(peer.ask("/z/get", "m")[2:])
        assert np.allclose(z, draw(entries[5]["seed"]), atol=0.1)
        for name in MEASURES:
            peer.send(f"/z/{name}", "m", 2)
        moved = np.float32(peer.ask("/z/get", "m")[2:])
        found = timbre_map.load(checkpoint.load("copy"))
        assert np.allclose(moved - z, 2 * found.directions.sum(axis=0), atol=1e-3)
        peer.send("/z/list", 0)
        assert "purer 2" in str(peer.until("/z/list.reply"))
        for name in MEASURES:
            peer.send(f"/z/{name}", "m", 0)
        assert np.allclose(np.float32(peer.ask("/z/get", "m")[2:]), z, atol=1e-5)
        peer.close()
