"""Messages of pattern languages."""

from __future__ import annotations

from itertools import count
from typing import Any

from gansynth_server.dirt import PANIC, event
from gansynth_server.handlers.call import Call
from gansynth_server.handlers.host import Host


class PatternMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument
        self._numbers = count(1)

    def play(self, call: Call, pairs: dict[str, Any]) -> None:
        client, instrument = call.client, self._instrument
        if pairs.get("s", pairs.get("sound")) == PANIC:
            instrument.silence(client, call.when)
            return
        note = event(pairs, client)
        latent = note.sound.latent(client.model.presets)
        if latent is not None:
            instrument.set(client, note.sound.slot, latent, call.when, f"sound {note.sound.slot}")
        id = pairs.get("id", f"play {next(self._numbers)}")
        until = None if note.sustain is None else instrument.time(call.when) + note.sustain
        instrument.play(
            client,
            *(note.pitch, note.velocity, id, note.sound.slot, call.when, until),
            **note.expression,
        )

    dirt_play = play
