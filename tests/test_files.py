"""Files asked for over the wire stay in their folder."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gansynth_server import UserError
from gansynth_server.util import sandbox
from gansynth_server.util.sandbox import Root


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret").write_text("not yours")
    inside = tmp_path / "inside"
    inside.mkdir()
    return inside


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_is_written_is_read(folder):
    root = Root(folder)
    root.write("a.bin", b"\0\1\2")
    assert root.read("a.bin") == b"\0\1\2"
    root.write("deep/down/b.txt", "grün".encode())
    assert root.text("deep/down/b.txt") == "grün"
    root.write("a.bin", b"again")
    assert (folder / "a.bin").read_bytes() == b"again"
    assert listing(folder) == ["a.bin", "deep", "deep/down", "deep/down/b.txt"]


def test_no_root_no_files():
    for ask in (lambda root: root.read("a"), lambda root: root.write("a", b"")):
        with pytest.raises(UserError, match="--root"):
            ask(Root(None))
    with pytest.raises(UserError, match="no folder"):
        Root("/nonexistent/folder")


OUTSIDE = [
    *("../secret", "a/../../secret", "..", ".", "", "/etc/passwd", "//etc/passwd", "a\0b"),
    *("C:\\boot.ini", "\\\\host\\share\\a", "..\\secret", "C:secret", "x" * 513),
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out(folder, name):
    root = Root(folder)
    for ask in (root.read, root.create, lambda name: root.write(name, b"gone")):
        with pytest.raises(UserError):
            ask(name)
    assert (folder.parent / "secret").read_text() == "not yours"
    assert listing(folder.parent) == ["inside", "secret"]


@given(st.text(st.sampled_from("./\\ab~:\0 "), max_size=12))
def test_whatever_the_name_what_is_found_lies_inside(name):
    try:
        found = Root("/usr").find(name)
    except UserError:
        return
    assert found.is_relative_to("/usr") and found != Path("/usr")


def test_links_are_followed_only_inside(folder):
    root = Root(folder)
    (folder / "real").mkdir()
    root.write("real/a", b"a")
    (folder / "alias").symlink_to("real")
    (folder / "away").symlink_to(folder.parent)
    (folder / "file").symlink_to(folder.parent / "secret")
    (folder / "dangling").symlink_to(folder.parent / "new")
    (folder / "circle").symlink_to("circle")
    assert root.read("alias/a") == b"a"
    for name in ("away/secret", "file", "dangling", "circle", "circle/a"):
        for ask in (root.read, lambda name: root.write(name, b"gone")):
            with pytest.raises(UserError):
                ask(name)
    assert (folder.parent / "secret").read_text() == "not yours"
    assert not (folder.parent / "new").exists()
    through = Root(folder / "alias")  # the root itself may be a link
    assert through.read("a") == b"a"


def test_only_plain_files(folder):
    root = Root(folder)
    os.mkfifo(folder / "pipe")  # reading it would wait for ever
    (folder / "sub").mkdir()
    (folder / "null").symlink_to("/dev/null")
    for name in ("pipe", "sub", "null"):
        with pytest.raises(UserError):
            root.read(name)
        with pytest.raises(UserError):
            root.write(name, b"")
    with pytest.raises(UserError, match="No such file"):
        root.read("missing")
    root.write("file", b"")
    with pytest.raises(UserError):
        root.write("file/below", b"")
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)


def test_size_and_text_are_checked(folder):
    root = Root(folder)
    root.write("a", b"x" * 100)
    assert len(root.read("a", 100)) == 100
    with pytest.raises(UserError, match="too large"):
        root.read("a", 99)
    root.write("b", b"\xff\xfe\xfa")
    with pytest.raises(UserError, match="UTF-8"):
        root.text("b")


def test_a_draft_appears_whole_or_not_at_all(folder):
    root = Root(folder)
    root.write("take", b"old")
    draft = root.create("take")
    draft.file.write(b"new")
    draft.file.flush()
    assert root.read("take") == b"old"
    draft.keep()
    assert root.read("take") == b"new"
    lost = root.create("take")
    lost.file.write(b"lost")
    lost.drop()
    assert root.read("take") == b"new"
    lost.drop()
    assert listing(folder) == ["take"]


def test_a_folder_exchanged_for_a_link_meanwhile_is_noticed(folder, monkeypatch):
    root = Root(folder)
    root.write("sub/a", b"mine")
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "a").write_text("not yours")
    real = os.open

    def exchange_first(path, flags, *mode):
        if (folder / "sub").is_symlink():
            return real(path, flags, *mode)
        (folder / "sub").rename(folder / "moved")
        (folder / "sub").symlink_to(outside)
        return real(path, flags, *mode)

    monkeypatch.setattr(sandbox.os, "open", exchange_first)
    with pytest.raises(UserError, match="changed"):
        root.read("sub/a")
    (folder / "sub").unlink()
    (folder / "moved").rename(folder / "sub")
    with pytest.raises(UserError, match="changed"):
        root.write("sub/a", b"gone")
    assert listing(outside) == ["a"]
    assert (outside / "a").read_text() == "not yours"
