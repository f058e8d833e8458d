"""Messages about what the network makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gansynth_server.api import nearest_pitch
from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.server.background import Task

if TYPE_CHECKING:
    from gansynth_server.server.server import Server


class SpectrumMessages:
    def __init__(self, server: Server) -> None:
        self._instrument = server.instrument
        self._background = server.background

    def spectrum(self, call: Call, pitch: float, slot: str) -> None:
        model = call.client.model
        rendered = nearest_pitch(model.pitches, pitch)
        z = self._instrument.latent(call.client, slot, call.when)

        def render() -> None:
            image = call.peer.spectrum = model.spectra(z[None], [rendered])[0]
            frames, bins, _ = image.shape
            levels = image[..., 0].mean(axis=1)
            call.reply("/spectrum.reply", slot, rendered, frames, bins, levels)

        self._background.run(call, "/spectrum", render, Task.SOUND)

    def spectrum_frame(self, call: Call, frame: int) -> None:
        image = call.peer.spectrum
        if image is None:
            raise UserError("there is no spectrum yet; send /spectrum and a pitch first")
        call.reply("/magnitude", frame, image[frame, :, 0])
        call.reply("/frequency", frame, image[frame, :, 1])
