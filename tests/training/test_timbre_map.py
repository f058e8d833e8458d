"""How a map is laid out, drawn and searched; the maps of the bundled checkpoints."""

import numpy as np
import pytest

from gansynth_server import UserError, api
from gansynth_server.analysis.descriptors import measure
from gansynth_server.analysis.labelled_notes import LabelledNotes
from gansynth_server.latent import timbre_map
from gansynth_server.latent.timbre_map import TimbreMap
from gansynth_server.latent.vectors import draws
from gansynth_server.training.timbre_map.discoveries import discover
from gansynth_server.training.timbre_map.survey import Survey, agreement, lay_out
from tests.support.bundled import each_bundled
from tests.support.tiny import any_map

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def small():
    return any_map(40)


def test_neighbours_that_look_alike_lie_together():
    looks = np.concatenate([RNG.normal(c, 0.1, (30, 60)) for c in (0, 1, 2)]).astype(np.float32)
    places = lay_out(looks, 0)
    assert places.shape == (90, 2) and places.min() == 0 and places.max() == 1
    nearest = np.repeat([0, 1, 2], 30)
    latents = np.zeros((90, 8), np.float32)
    names = ("violin", "flute", "trumpet")
    atlas_ = TimbreMap(latents, places, latents[:, :5], names, nearest, latents[:5], latents[0, :5])
    same, chance = agreement(atlas_)
    assert same > 0.95 and chance == pytest.approx(1 / 3)


def test_discoveries_are_far_from_presets_and_from_each_other():
    looks = RNG.normal(0, 0.1, (60, 8)).astype(np.float32)
    looks[:20, 0] += 5
    looks[20:40, 1] += 9
    measures = np.zeros((60, 5), np.float32)
    measures[:20, 0], measures[20:40, 1] = 1, -1
    measures[25, 3], measures[5, 4] = 9, -9  # nothing but noise, and no pitch
    looks[25, 1], looks[5, 0] = 99, 99
    latents = draws(8, range(60))
    nearest = np.zeros(60, np.int64)
    names = ("flute", "violin")
    known = np.zeros((2, 8), np.float32)
    atlas_ = TimbreMap(latents, looks[:, :2], measures, names, nearest, latents[:5], latents[0, :5])
    found = discover(Survey(atlas_, looks, known), 40)
    chosen = [int(np.abs(latents - z).sum(axis=1).argmin()) for z in found.values()]
    assert 20 <= chosen[0] < 40 and chosen[1] < 20 and not {5, 25} & set(chosen)
    assert len(set(chosen)) == len(found) == 40
    first, second = list(found)[:2]
    assert first.startswith("quick_") and second.startswith("bright_")
    assert all(name.endswith("_flute") for name in found)
    assert len(discover(Survey(atlas_, looks, known), 99)) < 60


def test_a_map_is_drawn(small, tmp_path):
    from gansynth_server.training.timbre_map import export

    export.draw(tmp_path / "map.png", small, "small")
    assert (tmp_path / "map.png").stat().st_size > 20000
    with pytest.raises(UserError, match="cannot write"):
        export.draw(tmp_path / "no/map.png", small, "small")
    with pytest.raises(UserError, match="cannot write"):
        export.to_json(tmp_path / "no/map.json", small, "small", 0)


@each_bundled
def test_the_bundled_map_belongs_to_the_weights_and_means_what_it_says(name):
    model = api.load(name)
    found = timbre_map.load(model.checkpoint)
    assert len(found.latents) >= 1000 and set(found.presets) <= set(model.checkpoint.presets)
    same, chance = agreement(found)
    assert same > 2 * chance
    latents = draws(256, range(10_000, 10_004))
    amounts = (-2, 0, 2)
    brightness = []
    for amount in amounts:
        z = latents + np.float32(amount) * found.directions[0]
        waves = model.generate_batch(z, [60] * len(z))
        brightness.append(measure(LabelledNotes(waves, np.full(len(z), 60)))[:, 0])
    risen = np.diff(brightness, axis=0) > 0
    assert (np.diff(np.mean(brightness, axis=1)) > 0).all()
    # of 40 latents of that net 77 % rise all the way, of the others' 97 %
    assert risen.mean() >= 0.75 if name == "acoustic_only" else risen.all()
