"""A score to a sound file."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.file import SUBTYPES
from gansynth_server.errors import UserError

Float32 = NDArray[np.float32]


def write(path: Path, blocks: Iterable[Float32], rate: int) -> int:
    """Writes blocks [channels, frames], at their level, as they come; returns all frames.

    Raises:
        UserError: the file cannot be written.
    """
    import soundfile

    blocks = iter(blocks)
    first = list(islice(blocks, 1))  # what is wrong with a score is told before a file is made
    channels, total = len(first[0]) if first else 1, 0
    try:
        kind = SUBTYPES[path.suffix.lower()]
        with soundfile.SoundFile(path, "w", rate, channels, kind) as file:
            for block in chain(first, blocks):
                file.write(block.T)
                total += block.shape[1]
    except UserError:
        path.unlink(missing_ok=True)  # half a score
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"cannot write {path} at {rate} Hz: {error}") from error
    return total
