"""The folder (``--root``) that clients may read and write files in.

A client names a file by its path inside the folder. Links are followed as long
as they stay inside. A file that is swapped while it is being opened is noticed:
the opened file is compared with the one whose path was checked.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from gansynth_server.errors import UserError

MAX_BYTES = 32 << 20
MAX_NAME = 512
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# O_NONBLOCK: opening a FIFO without a writer would block the server
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _SAFE
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE


class SandboxedFolder:
    """The folder given as ``--root``; any thread may call all methods.

    Args:
        folder: None refuses clients all files.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self._folder: Path | None = None
        if folder is not None:
            given = Path(folder).expanduser()
            if not given.is_dir():
                raise UserError(f"--root {given} is no folder; make it, or name another one")
            self._folder = given.resolve()

    def find(self, name: str) -> Path:
        """Return the path at which a file lies or would lie, with all links followed.

        Raises:
            UserError: there is no ``--root``, or the name leads out of it.
        """
        if self._folder is None:
            raise UserError(
                "this server reaches no files: start it with --root and a folder for them"
            )
        kinds = PurePosixPath(name), PureWindowsPath(name)
        if not name or len(name) > MAX_NAME or "\0" in name:
            raise UserError(f"a file's name has 1 to {MAX_NAME} characters and no NUL")
        if any(path.root or path.drive or ".." in path.parts for path in kinds):
            raise UserError(f"{name!r} leads out of --root; give a path inside of it, without ..")
        try:
            found = (self._folder / name).resolve()
        # links in a circle, bytes that are no text
        except (OSError, RuntimeError, ValueError) as error:
            raise _cannot("find", name, error) from error
        if found == self._folder or not found.is_relative_to(self._folder):
            raise UserError(f"{name!r} is no file inside of --root")
        return found

    def read(self, name: str, most: int = MAX_BYTES) -> bytes:
        """Read the content of a file.

        Raises:
            UserError: the file cannot be reached or read, is no plain file, or has more
                than ``most`` bytes.
        """
        path = self.find(name)
        try:
            with os.fdopen(os.open(path, _READ), "rb") as file:
                _check(path, file, name)
                data = file.read(most + 1)
        except (OSError, ValueError) as error:
            raise _cannot("read", name, error) from error
        if len(data) > most:
            raise UserError(f"{name!r} is too large: up to {most:,} bytes are read")
        return data

    def text(self, name: str, most: int = MAX_BYTES) -> str:
        """Read a file in UTF-8; UserError as for :meth:`read`, and where it is no text."""
        try:
            return self.read(name, most).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(f"{name!r} is no text in UTF-8") from error

    def write(self, name: str, data: bytes) -> None:
        """Write a file as a whole or not at all; UserError where it cannot be written."""
        draft = self.create(name)
        try:
            draft.file.write(data)
            draft.keep()
        except OSError as error:
            raise _cannot("write", name, error) from error
        finally:
            draft.drop()

    def create(self, name: str) -> Draft:
        """Begin a file that is written piece by piece; UserError where it cannot be written."""
        path = self.find(name)
        try:
            if path.exists() and not path.is_file():
                raise UserError(
                    f"{name!r} is there already, and no plain file; choose another name"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = Draft(name, path)
        except (OSError, ValueError) as error:
            raise _cannot("write", name, error) from error
        try:
            _check(draft.path, draft.file, name)
        except BaseException:
            draft.drop()
            raise
        return draft


class Draft:
    """A file in the making: ``file`` is written to, then it is kept or dropped.

    Until it is kept it has a temporary name in the same folder, so that half a
    file is never read under its name, and an older one stays until then.
    """

    def __init__(self, name: str, target: Path) -> None:
        self.name = name
        self._target = target
        self.path = target.with_name(f".{secrets.token_hex(8)}.part")
        self.file: BinaryIO = os.fdopen(os.open(self.path, _CREATE, 0o666), "w+b")
        self._kept = False

    def keep(self) -> None:
        """Close the file and give it its name; UserError where it cannot be written."""
        try:
            self.file.close()
            self.path.replace(self._target)
        except OSError as error:
            raise _cannot("write", self.name, error) from error
        self._kept = True

    def drop(self) -> None:
        """Remove the file, unless it was kept."""
        if not self._kept:
            self._kept = True
            try:
                self.file.close()
            finally:
                self.path.unlink(missing_ok=True)


def _check(path: Path, file: BinaryIO, name: str) -> None:
    """Raise UserError unless an open file is a plain one, and still the one at its path."""
    opened = os.fstat(file.fileno())
    if not stat.S_ISREG(opened.st_mode):
        raise UserError(f"{name!r} is no plain file")
    if path.resolve() != path or not os.path.samestat(opened, path.lstat()):
        raise UserError(f"{name!r} was changed while it was opened; try again")


def _cannot(what: str, name: str, error: Exception) -> UserError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else error
    return UserError(f"cannot {what} {name!r} in --root: {why}")
