"""Files that are written as a whole or not at all, and told apart by their checksums."""

from __future__ import annotations

import hashlib
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all; OSError where it cannot be written."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
