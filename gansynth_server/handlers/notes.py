"""Messages about notes."""

from __future__ import annotations

import math

from gansynth_server.handlers.call import Call
from gansynth_server.handlers.host import Host
from gansynth_server.synth.note import NoteId


class NoteMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument

    def note(self, call: Call, pitch: float, velocity: float, id: NoteId | None, slot: str) -> None:
        id = _named(pitch) if id is None else id
        if velocity > 0:  # a key that is silent by now can still be released
            pitch = call.client.tuning(pitch)
        self._instrument.play(call.client, pitch, velocity, id, slot, call.when)

    def note_hz(
        self, call: Call, frequency: float, velocity: float, id: NoteId | None, slot: str
    ) -> None:
        pitch = 69 + 12 * math.log2(frequency / 440)
        id = _named(frequency) if id is None else id
        # a frequency never meant a hundredth of a cent
        self._instrument.play(call.client, round(pitch, 4), velocity, id, slot, call.when)

    def note_off(self, call: Call, id: NoteId) -> None:
        self._instrument.release(call.client, id, call.when)

    def allnotesoff(self, call: Call) -> None:
        self._instrument.release_all(call.client, call.when)

    def allsoundoff(self, call: Call) -> None:
        self._instrument.silence(call.client, call.when)


def _named(number: float) -> NoteId:
    """The id of a note that has none of its own: the number that it was asked for by."""
    return int(number) if number == int(number) else number
