"""Finding a TensorFlow checkpoint in a folder or an archive, and safe unpacking."""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, TypeVar

from gansynth_server.errors import UserError

LIMIT = 2 * 2**30
"""Most bytes that are unpacked; a full checkpoint has 0.2 GB."""
SCAN_LIMIT = 16 * LIMIT
"""Most bytes of all members; a tar has to be read through to be listed."""
STAGE = re.compile(r"stage_(\d+)")
DATA = re.compile(r".*\.data-\d{5}-of-\d{5}")
SETTINGS = ("experiment.json", "meta.json")
PREFIX_FILE = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
"""What the names of a checkpoint's files have behind their prefix."""
PACKED = (b"PK\3\4", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
"""Beginnings of archives."""

AnyPath = TypeVar("AnyPath", bound=PurePath)


def find_stage(source: Path, files: Iterable[AnyPath]) -> AnyPath:
    """Folder of the last training stage among some files.

    Raises:
        UserError: there is no checkpoint, or more than one.
    """
    folders = {
        file.parent
        for file in files
        # Apple's archives hold a shadow of every file
        if file.suffix == ".index" and not file.name.startswith("._")
    }
    stages = {folder for folder in folders if STAGE.fullmatch(folder.name)}
    several = {stage.parent for stage in stages} if stages else folders
    if len(several) > 1:
        names = ", ".join(sorted(repr(folder.name) for folder in several))
        raise UserError(f"{source} holds several checkpoints ({names}); give one folder of them")
    if not folders:
        raise UserError(
            f"{source} holds no TensorFlow checkpoint: there is no .index file in it or in its "
            "stage folders"
        )
    return max(stages, key=stage_number) if stages else folders.pop()


def prefix_of(path: Path) -> Path | None:
    """Return TensorFlow's prefix of a checkpoint, also for one of its files; None for other paths.

    A prefix is no file: ``model.ckpt-200000`` stands for ``model.ckpt-200000.index`` and others.
    """
    name = PREFIX_FILE.sub("", path.name) if path.is_file() else path.name
    prefix = path.with_name(name) if name else path
    return prefix if prefix.with_name(f"{name}.index").is_file() else None


def stage_number(folder: PurePath) -> int:
    """12 for ``stage_00012``; -1 for other names."""
    match = STAGE.fullmatch(folder.name)
    return int(match[1]) if match else -1


@dataclass(frozen=True)
class _Member:
    """One member of a zip or tar archive."""

    name: str
    size: int
    special: bool
    """A link or a device: neither file nor folder."""
    open: Callable[[], IO[bytes] | None]

    @property
    def path(self) -> PurePosixPath:
        return PurePosixPath(self.name)


def unpack(archive: Path, folder: Path) -> Path:
    """Extract the last stage and its settings; return the stage's folder in ``folder``.

    Raises:
        UserError: it is no archive, is damaged, holds no checkpoint, or holds what
            no training writes: paths out of it, links, far too much.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                return _unpack(archive, _zip_members(opened), folder)
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tar:
                return _unpack(archive, _tar_members(tar), folder)
    except (
        *(zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError),
        *(NotImplementedError, RuntimeError, OSError, ValueError),
    ) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{archive} cannot be unpacked ({reason}); copy it again") from error
    raise UserError(
        f"{archive} {_what(archive)} that can be read; give Magenta's zip or its folder"
    )


def _what(archive: Path) -> str:
    """Return what a file is that is no archive, or why one cannot be read."""
    with archive.open("rb") as file:
        begin = file.read(512)
    if begin.startswith(PACKED):
        raise UserError(f"{archive} is cut off or damaged: its end is missing; copy it again")
    if begin.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "is a web page, as a server sends that does not have the file, and no archive"
    return "is no zip or tar archive"


def _unpack(archive: Path, listed: Iterable[_Member], folder: Path) -> Path:
    members = _within_limits(archive, listed)
    stage = find_stage(archive, [member.path for member in members])
    needed = [member for member in members if _is_needed(member.path, stage)]
    if sum(member.size for member in needed) > LIMIT:
        raise UserError(
            f"{archive} would unpack to more than {LIMIT >> 30} GB, so it is no checkpoint of "
            "GANSynth; give one stage folder"
        )
    for member in needed:
        target = folder / member.path
        target.parent.mkdir(parents=True, exist_ok=True)
        source = member.open()
        assert source is not None  # links and folders are not needed
        with source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 2**20)
    return folder / stage


def _within_limits(archive: Path, members: Iterable[_Member]) -> list[_Member]:
    """List the members, each checked before the next is read."""
    found: list[_Member] = []
    total = 0
    for member in members:
        path = member.path
        if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name:
            raise UserError(
                f"{archive} holds the path {member.name!r}, which leads out of it: refused"
            )
        if member.special:
            raise UserError(f"{archive} holds the link or device {member.name!r}: refused")
        total += member.size
        if total > SCAN_LIMIT:
            raise UserError(f"{archive} claims to hold more than {SCAN_LIMIT >> 30} GB: refused")
        found.append(member)
    return found


def _is_needed(path: PurePosixPath, stage: PurePosixPath) -> bool:
    if path.parent == stage:
        kept = path.name == "checkpoint" or path.suffix == ".index" or DATA.fullmatch(path.name)
        return bool(kept) and not path.name.startswith("._")
    return path.parent == stage.parent and path.name in SETTINGS


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        special = kind not in (0, stat.S_IFREG, stat.S_IFDIR)
        yield _Member(info.filename, info.file_size, special, partial(archive.open, info))


def _tar_members(archive: tarfile.TarFile) -> Iterator[_Member]:
    for info in archive:
        special = not (info.isfile() or info.isdir())
        yield _Member(info.name, info.size, special, partial(archive.extractfile, info))
