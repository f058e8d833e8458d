"""The trainer: stages, data order, regression, adversarial training, going on bit by bit."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import gansynth_server as gs
from gansynth_server.model.config import GeneratorConfig, Normalizer, progressive_filters
from gansynth_server.model.generator import Generator
from gansynth_server.spectral import transform
from gansynth_server.training import run as runs
from gansynth_server.training.codes import Codes, random_axes
from gansynth_server.training.dataset import Dataset
from gansynth_server.training.options import TrainOptions
from gansynth_server.training.pace import matrix_peak
from gansynth_server.training.reals import Reals, fit_normalizer, order
from gansynth_server.training.reconstruction import Windows, crop, prepare
from gansynth_server.training.regression import Loudness, phase_loss
from gansynth_server.training.schedule import stages
from gansynth_server.training.sources import soundfont
from gansynth_server.training.train import train
from gansynth_server.training.watch import Watch

TINY = TrainOptions(
    config="mel_prog_tiny",
    stable_images=2,
    transition_images=2,
    total_images=28,
    batch=2,
    reconstruction_batch=4,
    device="cpu",
    sample_minutes=0,
    seed=3,
)


SOUNDFONT = Path("/usr/share/sounds/sf3/FluidR3Mono_GM.sf3")


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    if not SOUNDFONT.exists():
        assert os.environ.get("CI") != "true", "CI needs fluidr3mono-gm-soundfont"
        pytest.skip("needs: apt install fluidr3mono-gm-soundfont")
    folder = tmp_path_factory.mktemp("data") / "notes"
    return soundfont.render([SOUNDFONT], folder, pitches=(57, 60, 69), programs=(0, 16, 56, 73))


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
    singly = torch.cat([wanted(wave[None]) for wave in waves])
    for company in (places[:1], places):  # what is kept does not depend on it
        kept = cached.normalised(company)
        assert torch.equal(kept, singly[: len(company)].half().float())
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


# regression


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
            for block in net.blocks:
                block.to_rgb.weight.data.zero_()
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


def test_a_time_budget_leaves_a_checkpoint_that_plays(small_data, tmp_path):
    from gansynth_server.training.evaluation.listen import cents_off

    options = TrainOptions(
        config="mel_prog_lite", fmap_base=512, fmap_max=32, pitch_bias=True, reconstruction=1,
        templates=6, minutes=0.5, reconstruction_batch=4, device="cpu",
    )  # fmt: skip
    train(small_data, tmp_path / "mine", options)
    model = gs.load(str(tmp_path / "mine"))
    assert set(model.presets) == {"acoustic_grand_piano", "drawbar_organ", "trumpet", "flute"}
    provenance = model.checkpoint.provenance
    assert provenance["notes"] == len(small_data.rows("train"))
    assert 0.5 <= provenance["minutes"] < 1
    note = model.generate(69, model.preset("trumpet"))
    assert np.abs(note.audio).max() > 0.005
    assert abs(cents_off(note.audio, 69)) < 50  # the bias per pitch alone puts it in tune
    for name in ("curves.png", "log.jsonl", "state.safetensors"):
        assert (tmp_path / "mine" / name).stat().st_size > 0, name
    assert not (tmp_path / "mine" / "discriminator.safetensors").exists(), "it learnt nothing"
    assert len(list((tmp_path / "mine" / "samples").iterdir())) == 2
    (events,) = (tmp_path / "mine" / "events").iterdir()
    assert b"images_per_second" in events.read_bytes()


# going on


class HaltError(Exception):
    pass


def train_part(monkeypatch, data, folder, options, steps: int) -> None:
    """A training that keeps itself and ends after so many steps."""
    plain = Watch.step
    left = [steps]

    def step(self, stage, losses):
        plain(self, stage, losses)
        left[0] -= 1
        if not left[0]:
            self.keep()
            raise HaltError

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "step", step)
        with pytest.raises(HaltError):
            train(data, folder, options)


@pytest.mark.parametrize("kind", ["wgan-gp", "non-saturating", "reconstruction"])
def test_resuming_is_bit_exact(small_data, tmp_path, monkeypatch, kind):
    options = replace(TINY, loss="wgan-gp" if kind == "reconstruction" else kind)
    if kind == "reconstruction":
        options = replace(
            options, reconstruction=0.75, total_images=16, pitch_bias=True, templates=2, coarse=0.3
        )
    train(small_data, tmp_path / "whole", options)
    for steps in (2, 1):
        train_part(monkeypatch, small_data, tmp_path / "parts", options, steps)
    train(small_data, tmp_path / "parts", options)
    whole, parts = (load_file(tmp_path / n / runs.STATE) for n in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name]), name
    played = ["model.safetensors"]
    if kind != "reconstruction":
        played.append("discriminator.safetensors")
    for name in played:
        one, other = (load_file(tmp_path / n / name) for n in ("whole", "parts"))
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_run_with_other_options_is_not_mixed_up(small_data, tmp_path):
    short = replace(TINY, total_images=2, start=None, reconstruction=0)
    short = replace(short, stable_images=1, transition_images=0, total_images=8)
    train(small_data, tmp_path / "run", short)
    with pytest.raises(gs.UserError, match="--batch 2"):
        train(small_data, tmp_path / "run", replace(short, batch=4))
    (tmp_path / "run" / runs.STATE).write_bytes(b"no")
    with pytest.raises(gs.UserError, match="damaged"):
        train(small_data, tmp_path / "run", short)


def test_weights_alone_are_a_start(small_data, tmp_path):
    first = replace(TINY, reconstruction=1.0, total_images=8, pitch_bias=True, templates=2)
    train(small_data, tmp_path / "first", first)
    (tmp_path / "first" / runs.STATE).unlink()
    second = replace(
        TINY, start=str(tmp_path / "first"), total_images=2, pitch_bias=True, templates=2,
        learning_rate=1e-9,
    )  # fmt: skip
    run = train(small_data, tmp_path / "second", second)
    assert run.images == 2
    before, after = (load_file(tmp_path / n / "model.safetensors") for n in ("first", "second"))
    assert all(torch.allclose(before[k], after[k], atol=1e-3) for k in before)
    presets = [json.loads((tmp_path / n / "presets.json").read_text()) for n in ("first", "second")]
    for name, latent in presets[0].items():  # but for the rounding of the directions
        assert np.allclose(latent, presets[1][name], atol=2e-3), name
    with pytest.raises(gs.UserError, match="another network"):
        train(small_data, tmp_path / "third", replace(second, fmap_max=8))


def test_a_checkpoint_of_a_growing_run_is_played_at_its_growth(small_data, tmp_path, monkeypatch):
    options = replace(TINY, transition_images=4)
    train_part(monkeypatch, small_data, tmp_path / "growing", options, 3)
    model = gs.load(str(tmp_path / "growing"))
    assert model.checkpoint.config.progress == 0.5
    assert model.generate(60).audio.shape == (64000,)


def test_discriminator_that_learns_alone_at_first(small_data, tmp_path):
    options = replace(TINY, reconstruction=0.5, total_images=8, judge_first=100)
    train(small_data, tmp_path / "run", options)
    state = load_file(tmp_path / "run" / runs.STATE)
    moved = [k for k in state if k.startswith("optimiser/")]
    assert not moved, "a finished stage keeps no moments"
    judge = runs.networks(
        gs.load(str(tmp_path / "run")).checkpoint.config, options, torch.device("cpu")
    )[2]
    changed = [
        name
        for name, tensor in judge.state_dict().items()
        if not torch.equal(tensor, state["judge/" + name])
    ]
    assert "score.weight" in changed


LAUNCH = """
from pathlib import Path
import sys
from gansynth_server.training.dataset import Dataset
from gansynth_server.training.train import train
from tests.test_training import TINY
from dataclasses import replace
from gansynth_server.training import parallel, run as runs
data, folder = Dataset.open(Path(sys.argv[1])), Path(sys.argv[2])
options = replace(TINY, stable_images=4, transition_images=0, total_images=28)
leave = parallel.leave
parallel.leave = lambda: None
run = train(data, folder, options)
run.keep(folder / f"rank{parallel.rank()}")
leave()
"""


def test_two_processes_train_one_network(small_data, tmp_path):
    script = tmp_path / "launch.py"
    script.write_text(LAUNCH)
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(script), str(small_data.folder), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    one, two = (load_file(tmp_path / f"rank{n}" / runs.STATE) for n in (0, 1))
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name
    assert json.loads((tmp_path / "config.json").read_text())["provenance"]["images"] == 28


def test_an_interrupt_finishes_the_step_and_keeps_the_run(small_data, tmp_path):
    code = (
        "from pathlib import Path; from dataclasses import replace;"
        "from tests.test_training import TINY; from gansynth_server.training.train import train;"
        "from gansynth_server.training.dataset import Dataset; import sys;"
        "options = replace(TINY, stable_images=10**6);"
        "train(Dataset.open(Path(sys.argv[1])), Path(sys.argv[2]), options)"
    )
    root = Path(__file__).parents[1]
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(small_data.folder), str(folder)],
        cwd=root,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (folder / "log.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    run = runs.load(folder, replace(TINY, stable_images=10**6), torch.device("cpu"))
    assert run is not None and run.images > 0 and run.stage == 0


def test_the_machines_peak_is_a_plausible_number():
    assert 1e9 < matrix_peak(torch.device("cpu"), "float32", 512) < 1e14


def test_missing_data_says_how_to_make_it(tmp_path):
    with pytest.raises(gs.UserError, match="gansynth dataset"):
        Dataset.open(tmp_path)
