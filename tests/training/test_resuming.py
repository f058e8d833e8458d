"""Training goes on: bit by bit, from other weights, in two processes, after an interrupt."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import gansynth_server as gs
from gansynth_server.training import run as runs
from gansynth_server.training.train import train
from tests.support.paths import ROOT
from tests.support.training_runs import TINY, train_part


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
from tests.support.training_runs import TINY
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
    root = ROOT
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
        "from tests.support.training_runs import TINY;"
        "from gansynth_server.training.train import train;"
        "from gansynth_server.training.dataset import Dataset; import sys;"
        "options = replace(TINY, stable_images=10**6);"
        "train(Dataset.open(Path(sys.argv[1])), Path(sys.argv[2]), options)"
    )
    root = ROOT
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
