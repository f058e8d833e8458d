"""Recording of messages and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gansynth_server.engine.commands import CAUSE
from gansynth_server.instrument.client import Client
from gansynth_server.osc.schema import Row
from gansynth_server.recording.client_state import Words
from gansynth_server.recording.recorder import Recorder


@contextmanager
def recorded(
    recorder: Recorder | None,
    client: Client,
    row: Row,
    words: Callable[[], Words],
    now: float,
    when: float | None,
) -> Iterator[None]:
    """Record a message, if its bus is recorded, and what comes of it while it is handled.

    Args:
        words: returns the message as it is recorded.
    """
    cause = None
    if recorder is not None and not row.live:
        cause = recorder.asked(client, words(), now, when)
    if recorder is None or cause is None:
        yield
        return
    token = CAUSE.set(cause.number)
    try:
        yield
    except BaseException:
        recorder.failed(cause)
        raise
    finally:
        CAUSE.reset(token)
