"""The map of timbres: directions, places, its file."""

import shutil

import numpy as np
import pytest

from gansynth_server import UserError
from gansynth_server.latent import timbre_map
from gansynth_server.latent.timbre_map import TimbreMap, regress
from gansynth_server.latent.vectors import draws
from gansynth_server.model import checkpoint
from tests.support.tiny import any_map

RNG = np.random.default_rng(0)


def test_directions_raise_what_they_are_named_after():
    latents = draws(16, range(2000))
    slopes = RNG.standard_normal((16, 5))
    values = latents @ slopes + 0.3 * RNG.standard_normal((2000, 5)) + 7
    directions, fit = regress(latents, values)
    assert directions.shape == (5, 16) and (fit > 0.9).all()
    raised = (directions @ slopes / values.std(axis=0)).diagonal()
    assert np.allclose(raised, 1, atol=0.15)
    assert np.isfinite(regress(latents, np.zeros((2000, 5)))[0]).all()


@pytest.fixture(scope="module")
def small():
    return any_map(40)


def test_places_give_latents_and_those_between_are_mixed(small):
    x, y = small.places[7]
    assert np.array_equal(small.at(x, y), small.latents[7])
    length = np.linalg.norm(small.latents, axis=1)
    for x, y in RNG.uniform(0, 1, (20, 2)):
        z = small.at(x, y)
        assert z.shape == (256,) and z.dtype == np.float32
        assert length.min() < np.linalg.norm(z) < length.max()
    steps = [small.at(x, 0.5) for x in np.linspace(0.4, 0.6, 2000)]
    jumps = np.linalg.norm(np.diff(steps, axis=0), axis=1)
    assert np.median(jumps) < 0.5


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shutil.copytree(checkpoint.locate("all_instruments"), tmp_path / "copy")
    monkeypatch.setenv("GANSYNTH_CHECKPOINTS", str(tmp_path))
    return tmp_path / "copy"


def test_a_file_gives_back_what_was_put_in(small, folder):
    found = checkpoint.load("copy")
    timbre_map.file_of(found).write_bytes(small.encode(found.fingerprint))
    loaded = timbre_map.load(found)
    assert loaded is timbre_map.load(found)
    assert np.abs(loaded.latents - small.latents).max() < 2e-3  # float16
    for name in ("places", "measures", "nearest", "directions", "fit"):
        assert np.array_equal(getattr(loaded, name), getattr(small, name)), name
    assert loaded.presets == small.presets


def test_what_is_no_map_is_told(small, folder):
    found = checkpoint.load("copy")
    path = timbre_map.file_of(found)
    path.unlink(missing_ok=True)
    with pytest.raises(UserError, match="no map; make it with: gansynth map copy"):
        timbre_map.load(found)
    path.write_bytes(small.encode("another"))
    with pytest.raises(UserError, match="other weights"):
        timbre_map.load(found)
    good = small.encode(found.fingerprint)
    for data in (b"", b"nonsense", good[: len(good) // 2]):
        path.write_bytes(data)
        with pytest.raises(UserError, match="holds no map"):
            timbre_map.load(found)
    broken = TimbreMap(
        *(small.latents, small.places[:-1], small.measures, small.presets, small.nearest),
        *(small.directions, small.fit),
    )
    path.write_bytes(broken.encode(found.fingerprint))
    with pytest.raises(UserError, match="damaged"):
        timbre_map.load(found)
