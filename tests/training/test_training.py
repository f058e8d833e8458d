"""The trainer's schedule and options, the order of the data and its spectra."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import gansynth_server as gs
from gansynth_server.spectral import transform
from gansynth_server.spectral.normalizer import Normalizer
from gansynth_server.training.dataset import Dataset
from gansynth_server.training.options import TrainOptions
from gansynth_server.training.pace import matrix_peak
from gansynth_server.training.reals import Reals, fit_normalizer, order
from gansynth_server.training.schedule import stages
from gansynth_server.training.train import train
from tests.support.training_runs import TINY

# the schedule


def magenta_progress(images: int, stable: int, transition: int, blocks: int) -> float:
    """Growth after a number of images by the formula of Magenta's ``compute_progress``."""
    n = min(images, blocks * stable + (blocks - 1) * transition - 1)
    both = stable + transition
    return n // both + max(0.0, (n % both - stable) / transition)


def test_stages_are_magentas():
    options = TrainOptions()
    plan = stages(options, 7)
    assert len(plan) == 13
    assert sum(s.images for s in plan) == options.total_images
    assert plan[-1].images == 1_400_000
    seen = 0
    for stage in plan:
        for done in range(0, stage.images, 100_000):
            wanted = magenta_progress(seen + done, 800_000, 800_000, 7)
            assert stage.progress(stage.position(done, 0.0)) == pytest.approx(wanted, abs=1e-6)
        seen += stage.images


def test_a_time_budget_is_shared_out_among_the_stages():
    plan = stages(TrainOptions(minutes=30), 7)
    assert len(plan) == 13
    assert sum(s.seconds for s in plan) == pytest.approx(1800)
    lengths = [s.seconds for s in plan]
    assert lengths == sorted(lengths)
    assert [s.position(0, s.seconds / 2) for s in plan] == [0.5] * 13
    half = stages(TrainOptions(minutes=30, reconstruction=0.5), 7)
    assert [(s.name, s.seconds, s.adversarial) for s in half] == [
        ("reconstruction", 900, False),
        ("128×1024", 900, True),
    ]
    assert len(stages(TrainOptions(minutes=30, reconstruction=1), 7)) == 1
    assert [s.progress(0.5) for s in stages(TrainOptions(start="mine"), 7)] == [6.0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"reconstruction": 1.5},
        {"window_rows": 2},
        {"minutes": 0},
        {"batch": 0},
        {"templates": -1},
        {"code_size": 0},
        {"templates": 8},
        {"templates": 8, "reconstruction": 1, "phase_templates": 0},
    ],
)
def test_impossible_options_name_their_flag(wrong):
    with pytest.raises(gs.UserError, match=r"--|batches"):
        TrainOptions(**wrong)


def test_every_epoch_has_every_note_once_and_any_part_can_be_had():
    whole = order(10, 0, 40, seed=1)
    for epoch in range(4):
        assert sorted(whole[epoch * 10 : epoch * 10 + 10]) == list(range(10))
    assert not np.array_equal(whole[:10], whole[10:20])
    assert np.array_equal(order(10, 7, 9, seed=1), whole[7:16])
    assert not np.array_equal(order(10, 0, 10, seed=2), whole[:10])


# the data


def test_reals_are_the_notes_spectra(small_data):
    config = TINY.network(tuple(range(57, 70)))
    rows = small_data.rows()
    direct = Reals(small_data, config, rows, torch.device("cpu"), cache_gb=0)
    cached = Reals(small_data, config, rows, torch.device("cpu"), cache_gb=1)
    places = np.array([3, 0, 5])

    def wanted(audio):
        physical = transform.mel_spectra(audio)
        return transform.normalise(physical, config.normalizer).permute(0, 3, 1, 2)

    waves = small_data.audio(places)
    assert torch.equal(direct.normalised(places), wanted(waves))
    together = wanted(small_data.audio(rows))[places].half().float()
    for company in (places[:1], places):  # what is kept does not depend on it
        assert torch.equal(cached.normalised(company), together[: len(company)])
        cached = Reals(small_data, config, rows, torch.device("cpu"), cache_gb=1)
    assert [config.pitches[i] for i in direct.labels[places].tolist()] == [
        small_data.notes[i].pitch for i in places
    ]


def test_linear_spectra_are_scaled_to_the_data(small_data):
    rows = small_data.rows()
    assert fit_normalizer(small_data, rows, "mel") == Normalizer()
    fitted = fit_normalizer(small_data, rows, "linear")
    level = transform.physical_spectra(small_data.audio(rows), "linear")
    normalised = transform.normalise(level, fitted)[..., 0]
    assert float(normalised.min()) == pytest.approx(-0.8, abs=1e-4)
    assert float(normalised.max()) == pytest.approx(0.8, abs=1e-4)


def test_linear_spectra_sound_again(small_data):
    waves = small_data.audio([0, 4])
    spectra = transform.physical_spectra(waves, "linear")
    again = transform.waves(*transform.polar(spectra, "linear"))
    without_dc = transform.istft(transform.stft(waves))
    assert (again - without_dc).abs().max() < 1e-4


def test_a_linear_generator_is_trained_and_played(small_data, tmp_path):
    options = replace(
        TINY, config="linear_prog_hires", fmap_base=256, fmap_max=16, pitch_bias=True,
        reconstruction=1.0, total_images=8,
    )  # fmt: skip
    train(small_data, tmp_path / "linear", options)
    model = gs.load(str(tmp_path / "linear"))
    assert model.checkpoint.config.representation == "linear"
    assert model.checkpoint.config.normalizer != Normalizer()
    note = model.generate(57, model.preset("trumpet"))
    assert 0.001 < np.abs(note.audio).max() < 2
    raw = model.spectra(model.preset("trumpet")[None], [57])
    assert raw.shape == (1, 128, 1024, 2)
    assert np.abs(raw).max() <= 1


def test_the_machines_peak_is_a_plausible_number():
    assert 1e9 < matrix_peak(torch.device("cpu"), "float32", 512) < 1e14


def test_missing_data_says_how_to_make_it(tmp_path):
    with pytest.raises(gs.UserError, match="gansynth dataset"):
        Dataset.open(tmp_path)
