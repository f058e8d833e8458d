"""Data sets in shards: what they hold, and that a run that was ended goes on."""

import io
import json
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

import gansynth_server as gs
from gansynth_server import cli
from gansynth_server.offline.shards.plan import Plan
from gansynth_server.offline.shards.run import ShardRenderer, run
from tests.support.tiny import Models

COMMAND = [sys.executable, "-c", "from gansynth_server.cli import main; main()", "batch"]
needs_arrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs pyarrow")


@pytest.fixture
def model(tiny: Models) -> gs.Model:
    return gs.load("all_instruments")


def a_plan(model: gs.Model, **changes: object) -> Plan:
    plan = Plan(
        "all_instruments",
        model.checkpoint.fingerprint,
        256,
        *(10, (60.0, 72.0, 50.5), (20.0, 110.0)),
        seed=100,
        duration=0.5,
        size=4,
        batch=2,
    )
    return replace(plan, **changes)


def render(model: gs.Model, plan: Plan, folder: Path) -> int:
    """Render what is missing; return how many notes were reported."""
    reported: list[int] = []
    run(ShardRenderer(model, plan), plan, folder, reported.append)
    return sum(reported)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def in_tar(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}


def check_note(model: gs.Model, plan: Plan, audio: bytes, facts: dict, z: np.ndarray) -> None:
    assert facts["seed"] == plan.seed + facts["index"]
    assert np.array_equal(z, model.draw(facts["seed"]))
    assert facts["pitch"] in plan.pitches and 20 <= facts["velocity"] <= 110
    sound, rate = soundfile.read(io.BytesIO(audio), dtype="float32")
    wanted = model.generate(
        facts["pitch"], z, duration=0.5, velocity=facts["velocity"], sample_rate=plan.rate
    )
    assert rate == plan.rate
    assert np.abs(sound - wanted.audio).max() < 1e-5 + 1 / 32768


@pytest.mark.parametrize(("audio", "rate"), [("flac", 16000), ("wav", 44100)])
def test_a_tar_holds_each_note_once(model, tmp_path, audio, rate):
    plan = a_plan(model, audio=audio, rate=rate)
    assert render(model, plan, tmp_path) == 10
    names = [f"notes-{n:06d}.tar" for n in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names, "plan.json"]
    found = []
    for name in names:
        parts = in_tar(tmp_path / name)
        # WebDataset takes neighbours of one key for one sample
        keys = list(dict.fromkeys(part.split(".")[0] for part in parts))
        assert list(parts) == [
            f"{key}.{suffix}" for key in keys for suffix in (audio, "json", "npy")
        ]
        for key in keys:
            facts = json.loads(parts[f"{key}.json"])
            z = np.load(io.BytesIO(parts[f"{key}.npy"]))
            check_note(model, plan, parts[f"{key}.{audio}"], facts, z)
            found.append(facts["index"])
    assert found == list(range(10))


@needs_arrow
def test_parquet_holds_each_note_once(model, tmp_path):
    import pyarrow.parquet as parquet

    plan = a_plan(model, kind="parquet")
    render(model, plan, tmp_path)
    rows = []
    for n in range(3):
        table = parquet.read_table(tmp_path / f"notes-{n:06d}-of-000003.parquet")
        known = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert set(known) == set(table.column_names) and known["audio"]["_type"] == "Audio"
        rows += table.to_pylist()
    assert [row["index"] for row in rows] == list(range(10))
    for row in rows[::3]:
        row["velocity"] = round(row["velocity"], 2)
        check_note(model, plan, row["audio"]["bytes"], row, np.array(row["z"], np.float32))


@needs_arrow
@pytest.mark.skipif(find_spec("datasets") is None, reason="needs datasets")
def test_hugging_face_reads_the_parquet(model, tmp_path):
    import datasets

    plan = a_plan(model, kind="parquet")
    render(model, plan, tmp_path)
    files = str(tmp_path / "notes-*.parquet")
    found = datasets.load_dataset(
        "parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert isinstance(found.features["audio"], datasets.Audio)
    assert found.features["audio"].sampling_rate == 16000 and found.features["z"].length == 256
    raw = found.cast_column("audio", datasets.Audio(decode=False))
    assert raw["index"][:] == list(range(10))
    assert soundfile.info(io.BytesIO(raw[3]["audio"]["bytes"])).frames == 8000


@pytest.mark.skipif(find_spec("webdataset") is None, reason="needs webdataset")
def test_webdataset_reads_the_tars(model, tmp_path):
    import webdataset

    render(model, a_plan(model), tmp_path)
    urls = str(tmp_path / "notes-{000000..000002}.tar")
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert [sample["json"]["index"] for sample in samples] == list(range(10))
    assert np.array_equal(samples[5]["npy"], model.draw(105))
    assert soundfile.info(io.BytesIO(samples[5]["flac"])).frames == 8000


def test_a_run_goes_on_with_what_is_missing(model, tmp_path):
    plan = a_plan(model)
    render(model, plan, tmp_path)
    whole = content(tmp_path)
    (tmp_path / "notes-000001.tar").unlink()
    (tmp_path / ".notes-000001.tar.77.part").write_bytes(b"half")
    old = (tmp_path / "notes-000000.tar").stat().st_mtime_ns
    assert render(model, plan, tmp_path) == 10
    assert content(tmp_path) == whole
    assert (tmp_path / "notes-000000.tar").stat().st_mtime_ns == old


def test_another_plan_is_refused(model, tmp_path):
    render(model, a_plan(model), tmp_path)
    with pytest.raises(gs.UserError, match="rate 16000, not 48000"):
        render(model, a_plan(model, rate=48000), tmp_path)
    with pytest.raises(gs.UserError, match="other weights"):
        render(model, a_plan(model, fingerprint="0"), tmp_path)


def test_a_note_depends_on_its_number_alone(model):
    plan, prior = a_plan(model), model.prior
    other = replace(plan, count=1000, size=7)
    assert plan.request(7, prior).velocity == other.request(7, prior).velocity
    pitches = {plan.request(n, prior).pitch for n in range(50)}
    assert pitches == set(plan.pitches)


def test_a_killed_run_goes_on(model, tmp_path):
    """Killed twice under way, then run to its end: as if it had never been."""
    flags = ["--shards", "tar", "--count", "60", "--shard", "5", "--duration", "0.3"]
    flags += ["--backend", "eager", "--threads", "1"]
    cli.main(["batch", "-o", str(tmp_path / "whole"), *flags])
    folder = tmp_path / "killed"
    for shards in (2, 5):
        process = subprocess.Popen([*COMMAND, "-o", str(folder), *flags])
        while len(list(folder.glob("*.tar"))) < shards and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 5 <= len(list(folder.glob("*.tar"))) <= 12
    subprocess.run([*COMMAND, "-o", str(folder), *flags], check=True)
    assert content(folder) == content(tmp_path / "whole")


@pytest.mark.parametrize(
    "flags",
    [
        ["--presets", "violin"],
        ["--format", "ogg"],
        ["--shard", "0"],
        ["--pitches", "130"],
        ["--velocities", "90", "10"],
        ["--velocities", "1", "200"],
        ["--seed", "-1"],
    ],
)
def test_flags_that_do_not_go_together(tiny, tmp_path, flags):
    with pytest.raises(SystemExit):
        cli.main(["batch", "-o", str(tmp_path / "x"), "--shards", "tar", *flags])
    assert not (tmp_path / "x").exists()


def test_a_folder_of_timbres(model, tmp_path):
    folder = tmp_path / "notes"
    cli.main(["batch", "-o", str(folder), "--count", "3", "--pitches", "60", "61.5"])
    index = json.loads((folder / "index.json").read_text())
    assert [entry["file"] for entry in index][:2] == ["seed0_p60.wav", "seed0_p61.5.wav"]
    sound, _ = soundfile.read(folder / "seed2_p61.5.wav", dtype="float32")
    assert np.abs(sound - model.generate(61.5, seed=2).audio).max() <= 1e-5
