"""Recording of messages and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gansynth_server.instrument.client import Client
from gansynth_server.osc.schema import Row
from gansynth_server.recording.client_state import Words
from gansynth_server.recording.recorder import Recorder
from gansynth_server.synth.note import CAUSE


@contextmanager
def recorded(
    client: Client, row: Row, words: Callable[[], Words], now: float, when: float | None
) -> Iterator[None]:
    """Record a message, if its bus is recorded, and what comes of it while it is handled.

    Args:
        words: returns the message as it is recorded.
    """
    tap = client.bus.tap
    cause = None
    if isinstance(tap, Recorder) and not row.live:
        cause = tap.asked(client, words(), now, when)
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
