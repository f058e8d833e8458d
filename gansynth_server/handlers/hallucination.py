"""Messages about hallucinations."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gansynth_server.api import find_preset
from gansynth_server.errors import UserError
from gansynth_server.handlers.call import Call
from gansynth_server.instrument.hallucination import Hallucination
from gansynth_server.latent import sequence as sequences
from gansynth_server.latent.files import MOST_BYTES
from gansynth_server.latent.sequence import Sequence

if TYPE_CHECKING:
    from gansynth_server.handlers.host import Host

PITCH = 60.0


class HallucinationMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument
        self._root = host.root
        self._background = host.background
        self._numbers = count(1)

    def hallucinate(
        self,
        call: Call,
        notes: int,
        steps: int,
        spacing: float,
        trim: float,
        attack: float,
        sustain: float,
        release: float,
        seed: int | None,
        pitch: float | None,
        velocity: float,
    ) -> None:
        client = call.client
        pitches = (pitch,) if pitch is not None else client.melody or (PITCH,)
        keys = sequences.random_keys(notes, client.latents.size, self._instrument.seed(seed))
        times = spacing, trim, attack, sustain, release
        self._play(call, sequences.check(Sequence(keys, steps, *times, velocity, pitches)))

    def hallucinate_melody(self, call: Call, pitches: NDArray[np.float32]) -> None:
        if ((pitches < 0) | (pitches > 127)).any() or len(pitches) > sequences.MOST_PITCHES:
            raise UserError(f"a melody is up to {sequences.MOST_PITCHES} pitches of 0 to 127")
        call.client.melody = tuple(pitches.tolist())

    def hallucinate_play(self, call: Call) -> None:
        self._play(call, self._last(call))

    def hallucinate_stop(self, call: Call) -> None:
        if call.client.hallucination is not None:
            call.client.hallucination.stop(call.when)
        call.reply("/done", "/hallucinate/stop")

    def hallucinate_save(self, call: Call, file: str) -> None:
        _check_name(file)
        data = sequences.encode(self._last(call), call.client.model.checkpoint.name)

        def save() -> None:
            self._root.write(file, data)
            call.reply("/done", "/hallucinate/save", file)

        self._background.run(call, "/hallucinate/save", save)

    def hallucinate_load(self, call: Call, file: str) -> None:
        _check_name(file)

        def load() -> None:
            data, client = self._root.read(file, MOST_BYTES), call.client
            presets = client.model.presets
            found = sequences.decode(
                file, data, client.latents.size, lambda name: find_preset(presets, name)
            )
            client.sequence = found
            call.reply("/done", "/hallucinate/load", file, len(found), round(found.seconds, 3))

        self._background.run(call, "/hallucinate/load", load)

    def _last(self, call: Call) -> Sequence:
        sequence = call.client.sequence
        if sequence is None or sequence.keys.shape[1] != call.client.latents.size:
            raise UserError("there is none yet; send /hallucinate or /hallucinate/load first")
        return sequence

    def _play(self, call: Call, sequence: Sequence) -> None:
        client = call.client
        if client.hallucination is not None:
            client.hallucination.stop(call.when)
        client.sequence = sequence
        client.hallucination = Hallucination(
            self._instrument,
            client,
            sequence,
            next(self._numbers),
            call.when,
            over=lambda: call.reply("/done", "/hallucinate"),
            failed=call.failing("/hallucinate"),
        )
        call.reply("/hallucinate.reply", len(sequence), round(sequence.seconds, 3))
        client.hallucination.begin()


def _check_name(file: str) -> None:
    if not file.lower().endswith(".json"):
        raise UserError(f"a hallucination is kept in a .json file, not in {file!r}")
