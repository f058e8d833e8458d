"""The workshop: notes from a real soundfont, a short training on them, figures."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

import gansynth_server as gs
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator
from gansynth_server.training.codes import Codes
from gansynth_server.training.dataset import Dataset, render_soundfont
from gansynth_server.training.fit import Windows, crop, fit
from gansynth_server.training.measure import centroid, cents_off, envelope
from gansynth_server.training.options import FitOptions
from gansynth_server.training.regression import phase_loss

SOUNDFONT = Path("/usr/share/sounds/sf3/FluidR3Mono_GM.sf3")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    if not SOUNDFONT.exists():
        assert os.environ.get("CI") != "true", "CI needs fluidr3mono-gm-soundfont"
        pytest.skip("needs: apt install fluidr3mono-gm-soundfont")
    folder = tmp_path_factory.mktemp("data")
    return render_soundfont(SOUNDFONT, folder, pitches=(57, 69), programs=(0, 16, 56, 73))


def test_rendered_notes_are_what_the_index_says(data):
    assert [(n.instrument, n.pitch) for n in data.notes] == [
        (name, pitch)
        for name in ("acoustic_grand_piano", "drawbar_organ", "trumpet", "flute")
        for pitch in (57, 69)
    ]
    waves = data.audio(slice(None)).numpy()
    assert waves.shape == (8, 64000)
    assert np.allclose(np.abs(waves).max(axis=1), 0.5, atol=1e-3)
    for wave, note in zip(waves, data.notes, strict=True):
        if note.instrument != "drawbar_organ":  # it sounds an octave of stops
            assert abs(cents_off(wave, note.pitch)) < 50
    piano, organ = envelope(waves[0]), envelope(waves[2])
    assert piano[50] < 0.5 * piano[2] and organ[50] > 0.5 * organ[10]
    assert centroid(waves[7]) < centroid(waves[5])  # a flute is duller than a trumpet


def test_a_short_training_leaves_a_checkpoint_that_plays(data, tmp_path):
    options = FitOptions(
        minutes=0.3, fmap_base=512, fmap_max=32, code_size=3, batch=4, compile=False
    )
    fit(data, tmp_path / "mine", options)
    model = gs.load(str(tmp_path / "mine"))
    assert set(model.presets) == {"acoustic_grand_piano", "drawbar_organ", "trumpet", "flute"}
    assert model.checkpoint.provenance["notes"] == 8
    note = model.generate(69, model.preset("trumpet"))
    assert np.abs(note.audio).max() > 0.005
    # the bias per pitch alone puts it in tune
    assert abs(cents_off(note.audio, 69)) < 50


def test_codes_are_latents_of_unit_variance():
    torch.manual_seed(0)
    codes = Codes(torch.randn(40, 8) @ torch.randn(8, 8) + 3, 256, 0.25)
    z = codes.latents(torch.randint(0, 40, (4000,)))
    assert z.shape == (4000, 256)
    assert abs(z.square().mean().item() - 1) < 0.05
    along = z @ codes.rotation[:8].T
    assert (along.var(dim=0) - 1).abs().max() < 0.2
    assert np.array_equal(codes.preset(3), codes.preset(3))
    assert 12 < np.linalg.norm(codes.preset(3)) < 20


def test_windows_away_from_their_edges_equal_the_whole():
    torch.manual_seed(0)
    config = GeneratorConfig(latent_size=8, filters=progressive_filters(512, 8))
    net = Generator(config).eval()
    z, labels = torch.randn(2, 8), torch.tensor([3, 40])
    with torch.no_grad():
        whole = net(z, labels)
        halves = Windows(net)
        x, _ = halves.coarse(z, labels)
        part = halves.fine(crop(x, torch.tensor([0, 8]), 12), labels)
    assert torch.allclose(part[0, :, :42], whole[0, :, :42], atol=1e-5)
    assert torch.allclose(part[1, :, 6:42], whole[1, :, 38:74], atol=1e-5)


def test_phase_loss_knows_whole_turns_and_silence():
    target, level = torch.zeros(1, 4, 8), torch.zeros(1, 4, 8)
    assert float(phase_loss(target + 1.6, target, level)) < 1e-6  # 2·0.8 is a turn
    assert float(phase_loss(target + 0.8, target, level)) > 1.99
    level[0, 0] = -1.0
    wrong_where_silent = target.clone()
    wrong_where_silent[0, 0] = 0.8
    assert float(phase_loss(wrong_where_silent, target, level)) < 1e-2


def test_the_model_card_says_what_was_measured():
    folder = gs.load("all_instruments").checkpoint.path
    figures = json.loads((folder / "figures.json").read_text())
    card = (folder / "README.md").read_text()
    assert figures["notes"] == 61
    assert figures["in_tune"] >= 0.97
    assert f"| {100 * figures['in_tune']:.0f} %" in card
    for name in ("envelope_correlation", "centroid_rank_correlation"):
        assert f"| {figures[name]:.2f}" in card


def test_shipped_checkpoint_is_in_tune():
    model = gs.load("all_instruments")
    pitches = [36, 48, 57, 64, 69, 76]
    z = np.random.default_rng(123).standard_normal((len(pitches), 256)).astype(np.float32)
    waves = model.generate_batch(z, pitches)
    assert max(abs(cents_off(w, p)) for w, p in zip(waves, pitches, strict=True)) <= 50


def test_shipped_presets_behave_as_their_instruments():
    model = gs.load("all_instruments")

    def note(name: str) -> np.ndarray:
        return model.generate_batch(model.preset(name)[None], [60])[0]

    piano, organ = envelope(note("acoustic_grand_piano")), envelope(note("drawbar_organ"))
    assert piano[50] < 0.5 * piano[2:6].max()
    assert organ[50] > 0.5 * organ[4:40].mean()
    assert centroid(note("flute")) < centroid(note("trumpet"))


def test_missing_data_says_how_to_make_it(tmp_path):
    with pytest.raises(gs.UserError, match="gansynth dataset"):
        Dataset.open(tmp_path)
