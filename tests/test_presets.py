"""The user's own presets: kept, found, and never in the way of a checkpoint's."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from gansynth_server import UserError, api, cli
from gansynth_server.latent import files
from gansynth_server.latent.presets import MOST, Shelf, nearest, preset
from gansynth_server.latent.vectors import draw

LATENTS = [draw(256, n) for n in range(3)]


@pytest.fixture
def model():
    return api.load("all_instruments")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    return folder / "gansynth-server/presets"


def test_what_is_added_is_there_to_the_bit(model, home):
    made = preset(LATENTS[0], "horn.wav, pitch 60, 3.10 dB off")
    model.shelf.add({"mine": made})
    model.shelf.add({"ours": preset(LATENTS[1], ""), "größer": preset(LATENTS[2], "")})
    assert model.shelf.path == home / "all_instruments.json"
    found = Shelf(model.checkpoint).presets()
    assert list(found) == ["mine", "ours", "größer"]
    assert all(np.array_equal(p.latent, z) for p, z in zip(found.values(), LATENTS, strict=True))
    assert found["mine"].origin == made.origin and found["mine"].made == made.made
    assert list(model.presets)[-3:] == list(found)
    assert np.array_equal(model.preset("mine"), LATENTS[0])
    model.shelf.remove(("mine", "größer"))
    assert list(model.shelf.presets()) == ["ours"]
    with pytest.raises(UserError, match="mine"):
        model.preset("mine")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "1 to 64"),
        ("two words", "without blanks"),
        ("new\nline", "without blanks"),
        ("x" * 65, "1 to 64"),
        ("violin", "take another name"),
    ],
)
def test_names_that_cannot_be(model, name, said):
    with pytest.raises(UserError, match=said):
        model.shelf.add({name: preset(LATENTS[0], "")})
    assert not model.shelf.path.exists()


@pytest.mark.parametrize("z", [draw(255, 0), np.full(256, np.nan, np.float32)])
def test_latents_that_cannot_be(model, z):
    with pytest.raises(UserError, match="256 finite numbers"):
        model.shelf.add({"mine": preset(z, "")})


def test_not_too_many(model):
    with pytest.raises(UserError, match=f"{MOST} presets at most"):
        model.shelf.add({f"n{n}": preset(LATENTS[0], "") for n in range(MOST + 1)})


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        '{"presets": 3}',
        '{"presets": {"a": {"latent": [1, 2]}}}',
        '{"presets": {"a": {"latent": ["x"]}}}',
        '{"presets": {}, "weights": "other"}',
        "[" * 100000,
    ],
)
def test_a_damaged_file_leaves_the_checkpoints_own(model, home, text, caplog):
    home.mkdir(parents=True)
    (home / "all_instruments.json").write_text(text)
    with pytest.raises(UserError, match=r"all_instruments\.json"):
        model.shelf.presets()
    assert model.presets == model.checkpoint.presets
    assert len(model.presets) > 16
    assert len(caplog.records) == 1  # once, though it was looked at twice
    with pytest.raises(UserError):
        model.shelf.add({"mine": preset(LATENTS[0], "")})
    assert (home / "all_instruments.json").read_text() == text  # nothing is lost


def test_presets_of_another_training_are_told(model):
    model.shelf.add({"mine": preset(LATENTS[0], "")})
    other = SimpleNamespace(
        name="all_instruments",
        config=model.checkpoint.config,
        fingerprint="0123456789abcdef",
        presets={},
    )
    with pytest.raises(UserError, match="other weights"):
        Shelf(other).presets()


def test_the_nearest_come_first():
    table = {"a": LATENTS[0], "b": LATENTS[1], "c": -LATENTS[0], "zero": np.zeros(256, np.float32)}
    found = nearest(2 * LATENTS[0], table, 3)
    assert found[0][0] == "a" and len(found) == 3
    assert found[0][1] == pytest.approx(0, abs=1e-3)
    assert nearest(LATENTS[0], table, 9)[-1] == ("c", pytest.approx(180))
    assert nearest(np.zeros(256, np.float32), table, 1)[0][1] == pytest.approx(90)
    assert nearest(LATENTS[0], {}, 3) == []


# the command


def test_add_export_remove_import(model, tmp_path, capsys):
    saved = tmp_path / "slots.json"
    named = {"low": LATENTS[0], "high": LATENTS[1]}
    saved.write_bytes(files.encode("slots.json", named, "all_instruments", {}))
    cli.main(["presets", "add", "--file", str(saved)])
    cli.main(["presets", "add", "high", "--file", str(saved)])  # again
    assert capsys.readouterr().out.count("high") == 2
    cli.main(["presets"])
    assert capsys.readouterr().out.split()[-2:] == ["low", "high"]
    out = tmp_path / "mine.json"
    cli.main(["presets", "export", "--file", str(out)])
    assert json.loads(out.read_text())["presets"]["low"]["from"] == "file slots.json"
    cli.main(["presets", "remove", "low", "high"])
    assert not model.shelf.presets()
    cli.main(["presets", "import", "low", "--file", str(out)])
    assert np.array_equal(model.shelf.presets()["low"].latent, LATENTS[0])
    capsys.readouterr()
    cli.main(["presets", "export"])
    assert list(json.loads(capsys.readouterr().out)["presets"]) == ["low"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("remove", "name the presets"),
        ("remove nobody", "no preset of your own"),
        ("add", "--file"),
        ("add --file missing.json", "cannot be read"),
        ("import --file missing.json", "cannot be read"),
        ("export nobody", "no preset 'nobody'"),
        ("export --file no/where.json", "cannot be written"),
    ],
)
def test_what_is_wrong_is_said(arguments, said):
    with pytest.raises(SystemExit, match=said):
        cli.main(["presets", *arguments.split()])
