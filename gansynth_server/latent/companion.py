"""Files of arrays that belong to a checkpoint's weights and lie in its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from gansynth_server.errors import UserError
from gansynth_server.model.safe_files import open_npz

if TYPE_CHECKING:
    from gansynth_server.model.checkpoint import Checkpoint


class Companion(Protocol):
    """What such a file holds."""

    @property
    def latent_size(self) -> int:
        """Size of the latents that it is for."""
        ...


C = TypeVar("C", bound=Companion)


def load(
    checkpoint: Checkpoint, path: Path, what: str, how: str, read: Callable[..., tuple[C, str]]
) -> C:
    """Return what a file beside a checkpoint holds.

    Args:
        what: it holds, in words.
        how: it is made, in words.
        read: takes the path, the file's time and ``how``; returns the content and the
            fingerprint of the weights that it belongs to. Cached, it returns the same object
            until the file changes.

    Raises:
        UserError: there is none, it is damaged, or it belongs to other weights.
    """
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"{checkpoint.name} has no {what}; {how}") from error
    found, weights = read(path, stamp, how)
    if weights != checkpoint.fingerprint or found.latent_size != checkpoint.config.latent_size:
        raise UserError(f"{path} belongs to other weights than {checkpoint.name}'s; {how}")
    return found


@contextmanager
def reading(path: Path, what: str, how: str) -> Iterator[Any]:
    """Open a file of arrays; UserError for whatever comes up in damaged bytes."""
    try:
        with open_npz(path) as file:
            yield file
    except Exception as error:  # of NumPy's and zipfile's many kinds
        raise UserError(f"{path} holds no {what} ({error}); {how}") from error
