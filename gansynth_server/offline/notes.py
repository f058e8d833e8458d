"""Many notes without a listener: batches through the network, whole notes to sound beside it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.render.model import Model, nearest_pitch
from gansynth_server.spectral.constants import SAMPLE_RATE, SAMPLES
from gansynth_server.synth.envelope import RELEASE
from gansynth_server.synth.note import Note
from gansynth_server.synth.whole_notes import WholeNotes

Float32 = NDArray[np.float32]
MAX_SECONDS = SAMPLES / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class NoteRequest:
    """A note to render: a latent [latent_size], a MIDI pitch, and a velocity 0…127."""

    z: Float32
    pitch: float
    velocity: float = 100.0


class NoteRenderer:
    """Renders notes in batches: the next one goes through the network while one becomes sound.

    Args:
        duration: of each note (s), at most 4; the last 0.3 are the release.
        rate: sample rate (Hz), 16000…192000.
        batch: notes that go through the network at once; 0 is the backend's own choice.

    Raises:
        UserError: the duration or the rate is out of range.
    """

    def __init__(
        self, model: Model, duration: float = MAX_SECONDS, rate: int = SAMPLE_RATE, batch: int = 0
    ) -> None:
        check_duration(duration)
        self._model, self._batch = model, batch or model.backend.info.batch
        self._sounds = WholeNotes(rate)
        self._samples = round(duration * rate)
        self._off = max(0.0, duration - RELEASE) if duration < MAX_SECONDS else None
        self.network_seconds = 0.0
        """Time (s) that the network has taken so far."""

    def render(self, requests: Iterable[NoteRequest]) -> Iterator[Float32]:
        """Yield the sound of each note, float32 [samples], in order.

        Two batches are in memory at once, however many notes there are.

        Raises:
            UserError: a pitch, a velocity or a latent is out of range.
        """
        waiting = iter(requests)
        # one thread: a backend is used by one at a time
        with ThreadPoolExecutor(1, thread_name_prefix="network") as network:
            part = list(islice(waiting, self._batch))
            coming = network.submit(self._through_network, part)
            while part:
                notes = coming.result()
                part = list(islice(waiting, self._batch))
                if part:
                    coming = network.submit(self._through_network, part)
                yield from self._sounds.render(notes, self._samples)

    def _through_network(self, requests: list[NoteRequest]) -> list[Note]:
        """Return notes with their spectra."""
        notes = [self._note(request) for request in requests]
        if not notes:
            return notes
        z = np.stack([request.z for request in requests])
        begun = time.perf_counter()
        spectra = self._model.whole_spectra(z, [note.rendered for note in notes])
        self.network_seconds += time.perf_counter() - begun
        for note, spectrum in zip(notes, spectra, strict=True):
            note.spectrum = spectrum
        return notes

    def _note(self, request: NoteRequest) -> Note:
        check_velocity(request.velocity)
        rendered = nearest_pitch(self._model.pitches, request.pitch)
        return Note(0, 0, request.pitch, request.velocity, rendered, off=self._off)


def check_duration(duration: float) -> None:
    """Raise UserError for a note's length (s) out of range."""
    if not 0 < duration <= MAX_SECONDS:
        raise UserError(f"a note lasts up to {MAX_SECONDS:g} s, not {duration:g}")


def check_velocity(velocity: float) -> None:
    """Raise UserError for a velocity out of range."""
    if not 0 <= velocity <= 127:
        raise UserError(f"a velocity is 0 to 127, not {velocity:g}")
