"""Messages about hallucinations."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.handlers.request import Request
from gansynth_server.instrument.client import Client
from gansynth_server.instrument.hallucination import Hallucination
from gansynth_server.instrument.tempo import length
from gansynth_server.latent import sequence as sequences
from gansynth_server.latent.files import MAX_BYTES
from gansynth_server.latent.presets import find_preset
from gansynth_server.latent.sequence import Sequence
from gansynth_server.osc.table import ROWS
from gansynth_server.util.beats import Beats

if TYPE_CHECKING:
    from gansynth_server.handlers.host import Host

PITCH = 60.0
"""Pitch of hallucinations where neither the message nor a melody gives one."""


class HallucinationMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument
        self._root = host.root
        self._background = host.background
        self._numbers = count(1)

    def hallucinate(
        self,
        request: Request,
        notes: int,
        steps: int,
        spacing: float | Beats,
        trim: float | Beats,
        attack: float | Beats,
        sustain: float | Beats,
        release: float | Beats,
        seed: int | None,
        pitch: float | None,
        velocity: float,
    ) -> None:
        client = request.client
        pitches = (pitch,) if pitch is not None else client.melody or (PITCH,)
        keys = sequences.random_keys(notes, client.model.prior, self._instrument.seed(seed))
        times = times_of(client, (spacing, trim, attack, sustain, release))
        self._play(request, sequences.check(Sequence(keys, steps, *times, velocity, pitches)))

    def hallucinate_melody(self, request: Request, pitches: NDArray[np.float32]) -> None:
        if ((pitches < 0) | (pitches > 127)).any() or len(pitches) > sequences.MAX_PITCHES:
            raise UserError(f"a melody is up to {sequences.MAX_PITCHES} pitches of 0 to 127")
        request.client.set_melody(tuple(pitches.tolist()))

    def hallucinate_play(self, request: Request) -> None:
        self._play(request, self._last(request))

    def hallucinate_stop(self, request: Request) -> None:
        if request.client.hallucination is not None:
            request.client.hallucination.stop(request.when)
        request.reply("/done", "/hallucinate/stop")

    def hallucinate_save(self, request: Request, file: str) -> None:
        _check_name(file)
        data = sequences.encode(self._last(request), request.client.model.checkpoint.name)

        def save() -> None:
            self._root.write(file, data)
            request.reply("/done", "/hallucinate/save", file)

        self._background.run(request, "/hallucinate/save", save)

    def hallucinate_load(self, request: Request, file: str) -> None:
        _check_name(file)

        def load() -> None:
            data, client = self._root.read(file, MAX_BYTES), request.client
            presets = client.model.presets
            found = sequences.decode(
                file, data, client.model.prior, lambda name: find_preset(presets, name)
            )
            client.set_sequence(found)
            request.reply("/done", "/hallucinate/load", file, len(found), round(found.seconds, 3))

        self._background.run(request, "/hallucinate/load", load)

    def _last(self, request: Request) -> Sequence:
        sequence = request.client.sequence
        if sequence is None or sequence.keys.shape[1] != request.client.latents.size:
            raise UserError("there is none yet; send /hallucinate or /hallucinate/load first")
        return sequence

    def _play(self, request: Request, sequence: Sequence) -> None:
        client = request.client
        hallucination = Hallucination(
            self._instrument,
            client,
            sequence,
            next(self._numbers),
            request.when,
            over=lambda: request.reply("/done", "/hallucinate"),
            failed=request.failing("/hallucinate"),
        )
        client.set_sequence(sequence)
        client.set_hallucination(hallucination, request.when)
        request.reply("/hallucinate.reply", len(sequence), round(sequence.seconds, 3))
        hallucination.begin()


def _check_name(file: str) -> None:
    if not file.lower().endswith(".json"):
        raise UserError(f"a hallucination is kept in a .json file, not in {file!r}")


def times_of(
    client: Client, given: tuple[float | Beats, ...]
) -> tuple[float, float, float, float, float]:
    """Return spacing, trim, attack, sustain and release (s) of a hallucination; UserError where
    beats make one of them too long."""
    args = {arg.name: arg for arg in ROWS["/hallucinate"].args}
    chosen = [args[name] for name in ("spacing", "trim", "attack", "sustain", "release")]
    spacing, trim, attack, sustain, release = (
        length(client, value, arg.low, arg.high, arg.name)
        for value, arg in zip(given, chosen, strict=True)
    )
    return spacing, trim, attack, sustain, release
