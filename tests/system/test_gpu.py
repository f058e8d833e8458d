"""``gansynth gpu`` rehearsed on the CPU: its steps, their time limits, its files and its report."""

import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from gansynth_server import cli
from gansynth_server.bench import gpu, gpu_report, pack
from gansynth_server.bench.gpu import Day, Step
from gansynth_server.model import checkpoint
from tests.support import sines

FILES = {
    "log.txt", "tests.xml", "bench.json", "report.json", "report.md", "checkpoint.tar.1"
}  # fmt: skip


def test_the_rehearsal(tmp_path):
    """As ``make gpu`` does it: from a checkout that is not installed, in a process of its own."""
    sines.notes(tmp_path / "data", pitches=(60, 61))
    out, work = tmp_path / "out", tmp_path / "work"
    flags = ["--data", tmp_path / "data", "--out", out, "--work", work, "--minutes", "10"]
    begun = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "gansynth_server.cli", "gpu", *map(str, flags), "--rehearsal",
         "--torch-device", "cpu"],
        env={**os.environ, "PYTHONPATH": str(gpu.ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    log = (out / "log.txt").read_text(errors="replace")
    assert ended.returncode == 0, ended.stderr + log
    assert time.monotonic() - begun < 300  # a minute, where nothing else runs
    assert {path.name for path in out.iterdir()} == FILES
    assert all(path.stat().st_size <= 16 << 20 for path in out.iterdir())

    report = json.loads((out / "report.json").read_text())
    assert [step["name"] for step in report["steps"]] == [
        "machine", "tests", "speed, bundled", "speed, full size", "training"
    ]  # fmt: skip
    assert all(step["status"] == 0 and not step["late"] for step in report["steps"])
    assert report["machine"]["device"] == "cpu" and report["machine"]["card"] is None
    assert report["tests"]["passed"] >= 4 and report["tests"]["failed"] == 0
    first_sound = next(goal for goal in report["goals"] if "audible" in goal["goal"])
    assert first_sound["measured"] > 0 and first_sound["reached"] in (True, False)

    bench = json.loads((out / "bench.json").read_text())
    eager = next(
        row for rows in bench["bundled"]["network"].values() for row in rows
        if row["backend"] == "eager cpu"
    )  # fmt: skip
    assert eager["z to wave ms"] > 0 and eager["waves/s"] > 0
    assert [row["voices"] for row in bench["bundled"]["voices"]] == [1, 16, 64]
    assert report["training"]["images"] > 0
    text = (out / "report.md").read_text()
    assert "no GPU: cpu" in text and "| goal |" in text and "first audible" in text
    assert text.strip() in ended.stdout

    whole = tmp_path / "checkpoint.tar"
    whole.write_bytes((out / "checkpoint.tar.1").read_bytes())
    with tarfile.open(whole) as archive:
        archive.extractall(tmp_path, filter="data")
    found = checkpoint.load(str(tmp_path / "checkpoint"))
    assert found.config.templates == 2 and set(found.presets) == set(sines.INSTRUMENTS)


@pytest.fixture
def day(tmp_path) -> Day:
    (tmp_path / "data").mkdir()
    return Day(tmp_path / "out", tmp_path / "work", tmp_path / "data", 1.0, "cpu", True)


def step(name: str, code: str, part: float | None = None) -> Step:
    return Step(name, [sys.executable, "-c", code], part)


def test_a_step_that_fails_or_hangs_holds_no_other_up(day, monkeypatch):
    monkeypatch.setattr(gpu, "GRACE", 1.0)
    hang = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    stop = "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('kept')"
    seen: list[float] = []
    for name, made in {
        "_machine": step("fails", "raise SystemExit(3)"),
        "_tests": step("hangs", hang, 0.01),
        "_bundled": step("stops", stop, 0.02),
        "_full_size": step("no such program", "import no_such_module"),
        "_training": step("works", "print('there')"),
    }.items():
        monkeypatch.setattr(
            gpu,
            name,
            lambda day, left, made=made: seen.append(left) or made,  # type: ignore
        )
    assert gpu.run(day) is False
    assert seen == sorted(seen, reverse=True) and seen[-1] > 40  # what is left over goes on
    steps = json.loads((day.out / "report.json").read_text())["steps"]
    assert [(s["name"], s["status"], s["late"]) for s in steps] == [
        ("fails", 3, False),
        ("hangs", None, True),
        ("stops", 0, True),
        ("no such program", 1, False),
        ("works", 0, False),
    ]
    log = (day.out / "log.txt").read_text()
    assert "kept" in log and "there" in log
    report = (day.out / "report.md").read_text()
    assert "killed, its time was over" in report and "with status 3" in report


def test_a_checkpoint_comes_home_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "PIECE", 1000)
    folder, out = tmp_path / "training", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    pieces = gpu.Pieces(folder, out)
    pieces()
    assert not list(out.iterdir())  # nothing was kept yet
    (folder / "model.safetensors").write_bytes(bytes(range(250)) * 5)
    pieces()
    names = sorted(path.name for path in out.iterdir())
    assert names[:2] == ["checkpoint.tar.1", "checkpoint.tar.2"] and len(names) <= gpu.MOST_PIECES
    assert all(path.stat().st_size <= 1000 for path in out.iterdir())
    (folder / "config.json").write_text("{}")
    before = (out / "checkpoint.tar.1").stat().st_mtime_ns
    pieces()
    assert (out / "checkpoint.tar.1").stat().st_mtime_ns > before


def test_goals_are_judged_by_the_network_of_full_size():
    cuda = {"backend": "cuda graphs cuda", "z to wave ms": 0.8, "waves/s": 4000.0}
    bench = {
        "bundled": {
            "network": {
                "all_instruments": [{**cuda, "z to wave ms": 0.1}],
                "full size, golden rule": [
                    {"backend": "eager cuda", "z to wave ms": 0.5},
                    {**cuda, "ms per note, batch 64": 0.1},
                    {"backend": "cuda", "why not": "…"},
                ],
            }
        },
        "full size": {"live": {"rows": [{"rendered before": "no", "p99 ms": 5.0}]}, "voices": []},
    }
    found = [(goal["measured"], goal["reached"]) for goal in gpu_report.goals(bench)]
    assert found == [(0.8, True), (10000.0, True), (4000.0, False), (5.0, False), (None, None)]
    nothing = gpu_report.goals({"bundled": None, "full size": None})
    assert {goal["reached"] for goal in nothing} == {None}


def test_what_is_to_be_brought_is_listed_with_its_size(tmp_path, monkeypatch):
    def download(folder: Path) -> None:
        folder.mkdir()
        (folder / "python_osc-1-py3-none-any.whl").write_bytes(b"x" * 1234)

    monkeypatch.setattr(pack, "download", download)
    (tmp_path / "small.sf3").write_bytes(b"y" * 5678)
    text = pack.make(tmp_path / "pack", tmp_path / "small.sf3")
    assert (tmp_path / "pack" / "CONTENTS.txt").read_text() == text
    lines = {line.split()[1]: line.split()[0] for line in text.splitlines()}
    assert lines["wheels/python_osc-1-py3-none-any.whl"] == "1,234"
    assert lines["data/small.sf3"] == "5,678"
    for name in ("Makefile", "pyproject.toml", "gansynth_server/", "tests/", "checkpoints/"):
        assert int(lines[name].replace(",", "")) > 100
    assert (tmp_path / "pack" / "tests/system/test_cuda.py").exists()
    total = sum(p.stat().st_size for p in (tmp_path / "pack").rglob("*") if p.is_file())
    assert f"{total - len(text.encode()):,}  in all, of 67,108,864 at most" in text
    with pytest.raises(SystemExit, match="empty folder"):
        cli.main(["gpu", "--data", str(tmp_path), "--pack", str(tmp_path / "pack")])
    monkeypatch.setattr(pack, "MAX_BYTES", 1 << 20)
    with pytest.raises(SystemExit, match="MiB, more than 1"):
        cli.main(["gpu", "--data", str(tmp_path / "small.sf3"), "--pack", str(tmp_path / "more")])


@pytest.mark.parametrize("flags", [["--minutes", "0"], []])
def test_what_cannot_be_says_so(flags, tmp_path):
    with pytest.raises(SystemExit) as ended:
        cli.main(["gpu", "--data", str(tmp_path / "nothing"), "--out", str(tmp_path), *flags])
    assert "\n" not in str(ended.value.code)
    assert "--minutes" in str(ended.value.code) or "no notes" in str(ended.value.code)
