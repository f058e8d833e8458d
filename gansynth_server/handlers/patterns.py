"""Messages of pattern languages."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from gansynth_server.dirt import PANIC, event
from gansynth_server.handlers.call import Call

if TYPE_CHECKING:
    from gansynth_server.server import Server

BUSES = 128
"""As many as SuperDirt has; TidalCycles waits until it is told of some."""


class PatternMessages:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._instrument = server.instrument
        self._numbers = count(1)

    def play(self, call: Call, pairs: dict[str, Any]) -> None:
        client, instrument = call.client, self._instrument
        if pairs.get("s", pairs.get("sound")) == PANIC:
            instrument.silence(client)
            return
        note = event(pairs, client)
        latent = note.sound.latent(client.model.presets)
        if latent is not None:
            instrument.set(client, note.sound.slot, latent, call.when, f"sound {note.sound.slot}")
        id = pairs.get("id", f"play {next(self._numbers)}")
        start = instrument.time(call.when)
        instrument.play(
            client,
            *(note.pitch, note.velocity, id, note.sound.slot, call.when),
            **note.expression,
        )
        if note.sustain is not None:
            instrument.release(client, id, start + note.sustain)

    dirt_play = play

    def dirt_handshake(self, call: Call) -> None:
        call.reply(
            "/dirt/handshake/reply",
            *("&serverHostname", self._server.options.bind),
            *("&serverPort", self._server.port),
            *("&controlBusIndices", *range(BUSES)),
        )
