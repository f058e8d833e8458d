"""``gansynth bench``: figures of what it says they are of; their size is the machine's affair."""

import json

import numpy as np
import pytest

from gansynth_server import cli
from gansynth_server.bench import ipc, mixing, network, networks
from tests.support import golden_rule

IMPORTING = "of which importing torch"


def test_everything(tiny, tmp_path, monkeypatch, capsys):
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
    assert (
        figures["live"]["start until ready s"] > 0 < figures["live"]["of which importing torch s"]
    )
    assert set(figures["network"]) == {"all_instruments", "full size, golden rule"}
    for table in figures["network"].values():
        plain, eager, cuda = table
        assert (plain["backend"], eager["backend"]) == ("plain", "eager cpu")
        assert "CUDA" in cuda["why not"]
        assert np.isfinite([eager["head ms"], eager["ms per note, batch 2"]]).all()
    assert len(figures["mixing"]) == 2 and len(figures["precision"]) == 2
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "first audible" in capsys.readouterr().out


def test_memory_of_a_server_that_plays(tiny, tmp_path, capsys):
    out = tmp_path / "figures.json"
    cli.main(["bench", "--sections", "memory", "--notes", "40", "--json", str(out)])
    rows = json.loads(out.read_text())["memory"]
    assert rows[0]["notes"] == 0 and rows[-1]["notes"] == 48  # whole groups
    assert all(row[f"{name}: MB"] > 50 for row in rows for name in ("cache", "no cache"))
    assert rows[-1]["cache: MB"] - rows[0]["cache: MB"] > 20
    assert "Resident memory" in capsys.readouterr().out


def test_the_ways_between_the_processes(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(ipc, "ROUNDS", 20)
    out = tmp_path / "figures.json"
    cli.main(["bench", "--sections", "ipc", "--json", str(out)])
    rows = json.loads(out.read_text())["ipc"]
    assert len(rows) == 4 and all(0 < row["p50"] <= row["p99"] for row in rows[:3])


@pytest.mark.parametrize("arguments", [["--notes", "0"], ["--checkpoint", "nope"]])
def test_what_cannot_be_says_so(arguments):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["bench", "--sections", "live", *arguments])
    assert "\n" not in str(exit_.value.code).removeprefix("gansynth: ")
