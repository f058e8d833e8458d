"""``gansynth bench``: figures of what it says they are of; their size is the machine's affair."""

import json

import numpy as np
import pytest
import torch

from gansynth_server import cli
from gansynth_server.bench import mixing, network, networks
from gansynth_server.model import checkpoint
from gansynth_server.model.config import GeneratorConfig
from gansynth_server.render.backends.base import HEAD, WHOLE
from gansynth_server.render.folded import Weights, Window
from tests import golden_rule

CPU = torch.device("cpu")


def test_full_size_net_is_the_golden_one():
    ours, theirs = (
        networks.full_size().state_dict(),
        golden_rule.generator(golden_rule.FULL).state_dict(),
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_operations_are_those_that_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    net = checkpoint.load("all_instruments").generator
    z, labels = torch.zeros(1, 256), torch.zeros(1, dtype=torch.int64)
    for window in (HEAD, WHOLE, (60, 70)):
        with FlopCounterMode(display=False) as counter:
            Window(Weights(net, torch.float32), window)(z, labels)
        counted = networks.operations(net.config, window)
        assert counted == pytest.approx(counter.get_total_flops(), rel=0.15)  # edges are trimmed
    full = networks.operations(GeneratorConfig(), WHOLE)
    assert 17e9 < full < 19e9
    assert networks.operations(GeneratorConfig(), HEAD) < full / 4


def test_audibility_of_nothing_is_nothing():
    net = checkpoint.load("all_instruments").generator
    same = network.audibility(net, CPU, "float32")
    assert same["log-spectral distance dB"] == same["pitch error cents, largest"] == 0
    half = network.audibility(net, CPU, "bfloat16")
    assert 0 < half["log-spectral distance dB"] < 6
    assert 0 <= half["pitch error cents, median"] < 5


def test_mixing(monkeypatch):
    monkeypatch.setattr(mixing, "VOICES", (1, 4))
    rows = mixing.measure(seconds=0.1)
    assert [row["voices"] for row in rows] == [1, 4]
    assert all(row["share of a core %"] > 0 for row in rows)


def test_everything(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(networks, "full_size", lambda: golden_rule.generator(golden_rule.TINY))
    monkeypatch.setattr(networks, "PEAK_SECONDS", 0.05)
    monkeypatch.setattr(network, "BATCHES", (1, 2))
    monkeypatch.setattr(mixing, "VOICES", (1, 2))
    out, picture = tmp_path / "figures.json", tmp_path / "figures.png"
    arguments = ["bench", "--notes", "2", "--voices", "0", "2", "--runs", "1", "--seconds", "5"]
    arguments += ["--backends", "eager", "cuda", "--json", str(out), "--plot", str(picture)]
    cli.main([*arguments, "--torch-device", "cpu"])
    figures = json.loads(out.read_text())
    rows = figures["live"]["rows"]
    assert [(row["voices sounding"], row["rendered before"]) for row in rows] == [
        (0, "no"),
        (0, "yes"),
        (2, "no"),
        (2, "yes"),
    ]
    assert all(0 < row["p50 ms"] <= row["p99 ms"] <= row["max ms"] for row in rows)
    assert figures["live"]["start until ready s"] > figures["live"]["of which importing torch s"]
    assert set(figures["network"]) == {"all_instruments", "full size, golden rule"}
    for table in figures["network"].values():
        plain, eager, cuda = table
        assert (plain["backend"], eager["backend"]) == ("plain", "eager cpu")
        assert "CUDA" in cuda["why not"]
        assert np.isfinite([eager["head ms"], eager["ms per note, batch 2"]]).all()
    assert len(figures["mixing"]) == 2 and len(figures["precision"]) == 2
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "first audible" in capsys.readouterr().out


def test_memory_of_a_server_that_plays(tmp_path, capsys):
    out = tmp_path / "figures.json"
    cli.main(["bench", "--sections", "memory", "--notes", "40", "--json", str(out)])
    rows = json.loads(out.read_text())["memory"]
    assert rows[0]["notes"] == 0 and rows[-1]["notes"] == 48  # whole groups
    assert all(row[f"{name}: MB"] > 50 for row in rows for name in ("cache", "no cache"))
    assert rows[-1]["cache: MB"] - rows[0]["cache: MB"] > 20
    assert "Resident memory" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--notes", "0"], ["--checkpoint", "nope"]])
def test_what_cannot_be_says_so(arguments):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["bench", "--sections", "live", *arguments])
    assert "\n" not in str(exit_.value.code).removeprefix("gansynth: ")
