"""Messages of pattern languages."""

from __future__ import annotations

from itertools import count
from typing import Any

from gansynth_server.handlers.call import Call
from gansynth_server.handlers.host import Host
from gansynth_server.instrument.superdirt import PANIC, Sound, event


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
        if note.sound.variation is not None:
            self._fill(call, note.sound)
        id = pairs.get("id", f"play {next(self._numbers)}")
        until = None if note.sustain is None else instrument.time(call.when) + note.sustain
        instrument.play(
            client,
            *(note.pitch, note.velocity, id, note.sound.slot, call.when, until),
            **note.expression,
        )

    dirt_play = play

    def _fill(self, call: Call, sound: Sound) -> None:
        """Has a sound's slot hold it, unless it does already."""
        client, instrument = call.client, self._instrument
        origin = f"sound of {client.model.checkpoint.name}"
        latents, slot = client.latents, sound.slot
        if slot in latents and str(latents.path(slot, instrument.time(call.when))) == origin:
            return
        instrument.set(client, slot, sound.latent(client.model.presets), call.when, origin)
