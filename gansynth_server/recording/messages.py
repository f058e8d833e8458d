"""Messages on their way into a recording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gansynth_server.client import Client
from gansynth_server.handlers import HEARD
from gansynth_server.recording.recorder import Recorder
from gansynth_server.recording.state import Words
from gansynth_server.synth.note import CAUSE


def flat(args: list[Any]) -> Iterator[Any]:
    """Checked arguments as numbers and words; what was left out ends them."""
    for arg in args:
        if isinstance(arg, np.ndarray):
            yield from arg.tolist()
        elif isinstance(arg, dict):
            for pair in arg.items():
                yield from pair
        elif arg is None:
            return
        else:
            yield arg


@contextmanager
def recorded(client: Client, words: Words, now: float, when: float | None) -> Iterator[None]:
    """While a message is dealt with: if it is recorded, so is what comes of it."""
    tap = client.bus.tap
    cause = None
    if isinstance(tap, Recorder) and words[0] in HEARD:
        cause = tap.asked(client, words, now, when)
    if not isinstance(tap, Recorder) or cause is None:
        yield
        return
    token = CAUSE.set(cause)
    try:
        yield
    except BaseException:
        tap.failed(cause)
        raise
    finally:
        CAUSE.reset(token)
        cause.unfinished = False
