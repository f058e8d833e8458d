"""Messages of pattern languages."""

from __future__ import annotations

from itertools import count
from typing import Any

from gansynth_server.handlers.host import Host
from gansynth_server.handlers.request import Request
from gansynth_server.instrument.superdirt import PANIC, Sound, event
from gansynth_server.latent.slots import ConstantPath


class PatternMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument
        self._numbers = count(1)

    def play(self, request: Request, pairs: dict[str, Any]) -> None:
        client, instrument = request.client, self._instrument
        self._warn(request, pairs)
        if pairs.get("s", pairs.get("sound")) == PANIC:
            instrument.silence(client, request.when)
            return
        note = event(pairs, client)
        if note.sound.variation is not None:
            self._fill(request, note.sound)
        id = pairs.get("id", f"play {next(self._numbers)}")
        until = None if note.sustain is None else instrument.time(request.when) + note.sustain
        instrument.play(
            client,
            *(note.pitch, note.velocity, id, note.sound.slot, request.when, until),
            **note.expression,
        )

    dirt_play = play2 = play

    def _warn(self, request: Request, pairs: dict[str, Any]) -> None:
        """Tell the client, once for each key, which values are not played as they came."""
        for key, remark in getattr(pairs, "remarks", {}).items():
            warning = f"play {key}"
            if warning not in request.client.warned:
                request.client.warned.add(warning)
                request.reply("/warning", "/dirt/play", remark)

    def _fill(self, request: Request, sound: Sound) -> None:
        """Fill a sound's slot, unless it holds the sound already."""
        client, slot = request.client, sound.slot
        checkpoint, source = client.model.checkpoint, (client.model.checkpoint.weights, sound)
        if slot in client.latents:
            held = client.latents.path(slot, self._instrument.time(request.when))
            if isinstance(held, ConstantPath) and held.source == source:
                return
        z, origin = (
            sound.latent(client.model.presets, client.model.prior),
            f"sound of {checkpoint.name}",
        )
        self._instrument.set_latent(client, slot, z, request.when, origin, source)
