"""The bench of a class: its figures are of what it says they are of."""

import json

from gansynth_server import cli
from gansynth_server.bench import bulk, classroom


def test_a_class(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(classroom, "CLASSES", ((3, 2),))
    monkeypatch.setattr(classroom, "EVERY_S", 0.5)
    monkeypatch.setattr(classroom, "SETTLE", 0.5)
    out = tmp_path / "figures.json"
    flags = ["--sections", "class", "--seconds", "4", "--workers", "2", "--torch-device", "cpu"]
    cli.main(["bench", *flags, "--json", str(out)])
    (row,) = json.loads(out.read_text())["class"]
    assert (row["players"], row["voices"], row["lost"]) == (3, 2, 0)
    assert 6 < row["notes/s"] < 14  # three players with a note in 0.25 s each
    assert 0 < row["sound p50 ms"] <= row["sound p99 ms"] < 5000
    assert 0 < row["begun p50 ms"] <= row["begun p99 ms"] < 5000
    assert row["engine %"] > 0 and row["render %"] > 0 and row["server %"] > 0
    assert "A class" in capsys.readouterr().out


def test_bulk(tiny):
    rows = bulk.measure("all_instruments", "cpu", ["eager", "cuda"], ["float32"], 4, 1)
    ways = [row["way"] for row in rows]
    assert ways[0] == "one by one, a bus each" and len(rows) == 4
    assert all(row["notes a second"] > 0 for row in rows[:3])
    assert 0 < rows[2]["network, % of the time"] <= 100
    assert "CUDA" in rows[3]["remark"]
