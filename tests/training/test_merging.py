"""``gansynth dataset merge``: several folders of notes to one, without near-duplicates."""

import numpy as np
import pytest

from gansynth_server import UserError, cli
from gansynth_server.training import merging
from gansynth_server.training.dataset import Dataset, Note, Writer
from gansynth_server.training.sources import soundfont
from tests.support.training_runs import interrupted_after, soundfont_file

FILES = ("notes.s16", "index.json")
PROGRAMS = (0, 16, 56)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """One font, a second one of the same sounds and one more, and a folder of other notes."""
    root, path = tmp_path_factory.mktemp("sets"), soundfont_file()
    (root / "copy.sf3").symlink_to(path)
    pitches = (48, 60, 61)
    soundfont.render([path], root / "a", pitches=pitches, programs=PROGRAMS)
    soundfont.render([root / "copy.sf3"], root / "b", pitches=pitches, programs=(*PROGRAMS, 73))
    about = {"kind": "folder", "title": "mine", "licence": "CC0"}
    with Writer(root / "c", about) as writer:
        for key in "xy":  # two takes of a note
            wave = np.random.default_rng(0).uniform(-0.5, 0.5, 64000)
            writer.add(key, Note("hiss", 60, 64, "train", "noise"), wave)
        writer.finish()
    return root


def test_all_notes_come_through_with_their_licences(sets, tmp_path, capsys):
    cli.main(["dataset", "merge", *(str(sets / name) for name in "abc"), "-o", str(tmp_path)])
    data = Dataset.open(tmp_path)
    names = Dataset.open(sets / "a").instruments
    assert data.instruments == (*names, *(f"{n}@copy" for n in names), "flute", "hiss")
    parts = [Dataset.open(sets / name) for name in "abc"]
    assert np.array_equal(data.waves, np.concatenate([part.waves for part in parts]))
    assert [n.pitch for n in data.notes] == [n.pitch for part in parts for n in part.notes]
    assert [n.split for n in data.notes] == [n.split for part in parts for n in part.notes]
    assert data.source_of("trumpet")["soundfonts"][0]["file"] == soundfont_file().name
    assert data.source_of("trumpet@copy")["soundfonts"][0]["file"] == "copy.sf3"
    assert data.source_of("hiss")["licence"] == "CC0"
    assert "MIT" in data.about["licence"] and "mine: CC0" in data.about["licence"]
    said = capsys.readouterr().out
    assert "CC0" in said and "mine" in said
    # and a merged set can be merged on
    again = merging.merge([tmp_path, sets / "c"], tmp_path / "again")
    assert again.source_of("hiss")["title"] == again.source_of("hiss@c")["title"] == "mine"
    assert len(again.sources) == 4


def test_instruments_that_sound_alike_are_left_out(sets, tmp_path):
    folders = [sets / name for name in "abc"]
    data = merging.merge(folders, tmp_path / "out", distinct=4)
    assert data.instruments == (*Dataset.open(sets / "a").instruments, "flute", "hiss")
    assert data.left_out == {merging.NEAR: 9}
    # a copy of the font gives nothing new
    data = merging.merge([sets / "a", sets / "b"], tmp_path / "kept", distinct=4, keep=2)
    assert len(data.instruments) == 7 and not data.left_out
    data = merging.merge(folders, tmp_path / "electronic", distinct=4, source="electronic")
    assert data.instruments == ("drawbar_organ",)


def test_interrupted_merging_goes_on_to_the_same_bytes(sets, tmp_path):
    folders = [sets / name for name in "abc"]
    merging.merge(folders, tmp_path / "whole", distinct=4)
    with interrupted_after(10), pytest.raises(KeyboardInterrupt):
        merging.merge(folders, tmp_path / "parts", distinct=4)
    with pytest.raises(UserError, match="another data set"):
        merging.merge(folders, tmp_path / "parts", distinct=3)
    merging.merge(folders, tmp_path / "parts", distinct=4)
    for name in FILES:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_cannot_be_merged_says_so(sets, tmp_path):
    with pytest.raises(UserError, match="no finished data set"):
        merging.merge([sets / "a", tmp_path], tmp_path / "out")
    with pytest.raises(UserError, match="named twice"):
        merging.merge([sets / "a", sets / "." / "a"], tmp_path / "out")
    for options in (["--distinct", "-1"], ["--keep", "3"], ["--probes", "128"]):
        with pytest.raises(SystemExit):
            cli.main(["dataset", "merge", str(sets / "a"), "-o", str(tmp_path / "out"), *options])
