"""Networks so small that their notes are never late."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gansynth_server.analysis import principal_components
from gansynth_server.latent import directions, timbre_map
from gansynth_server.latent.descriptor_names import MEASURES
from gansynth_server.latent.timbre_map import TimbreMap, regress
from gansynth_server.latent.vectors import draw, draws
from gansynth_server.model import checkpoint
from gansynth_server.model.magenta import ganspace
from gansynth_server.render.models import Models
from tests.support import golden_rule


def any_map(count: int) -> TimbreMap:
    """A map of random latents, at random places."""
    rng = np.random.default_rng(0)
    latents = draws(256, range(count))
    places = rng.uniform(0, 1, (count, 2)).astype(np.float32)
    measures = rng.standard_normal((count, len(MEASURES)))
    named = regress(latents, measures)
    presets = ("violin", "viola", "flute")
    nearest = np.arange(count) % len(presets)
    return TimbreMap(latents, places, measures.astype(np.float32), presets, nearest, *named)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    """One in float64, under the name of the bundled one, here and in servers that are started."""
    folder = tmp_path_factory.mktemp("checkpoints")
    generator = golden_rule.generator(replace(golden_rule.TINY, latent_size=256))
    for block in generator.blocks:  # quieter, lest the limiter hide what differs
        block.to_rgb.weight.data *= 0.25
        block.to_rgb.bias.data *= 0.25
    checkpoint.save(folder / "all_instruments", generator, {}, {"violin": draw(256, 8)})
    values = principal_components.compute(generator, components=8, samples=256)
    found = checkpoint.load(str(folder / "all_instruments"))
    ganspace.write(directions.file_of(found), principal_components.pack(values))
    timbre_map.file_of(found).write_bytes(any_map(20).encode(found.fingerprint))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANSYNTH_CHECKPOINTS", str(folder))
        yield Models()


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of two small checkpoints, and of two that are broken."""
    for name in ("one", "two", "cut", "odd"):
        checkpoint.save(tmp_path / name, golden_rule.generator(golden_rule.TINY), {})
    weights = tmp_path / "cut" / checkpoint.WEIGHTS
    os.truncate(weights, weights.stat().st_size // 2)
    (tmp_path / "odd" / checkpoint.CONFIG).write_text('{"format": 1, "generator": {"filters": 7}}')
    monkeypatch.setenv(checkpoint.VARIABLE, str(tmp_path))
    return tmp_path
