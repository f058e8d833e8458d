"""The files of the page, read once: no path of a request ever reaches a disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class File:
    """A file as it is sent."""

    body: bytes
    content_type: str


def read_files() -> dict[str, File]:
    """Return the files of the page by their paths in requests."""
    files = {
        f"/{path.relative_to(FOLDER).as_posix()}": File(
            path.read_bytes(), CONTENT_TYPES[path.suffix]
        )
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in CONTENT_TYPES
    }
    return {"/": files[f"/{INDEX}"], **files}
