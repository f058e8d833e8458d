"""The Python interface: load a checkpoint, generate notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio import sound_file
from gansynth_server.errors import UserError
from gansynth_server.instrument.offline_player import render_mono
from gansynth_server.latent.sequence import Sequence as NoteSequence
from gansynth_server.offline.notes import (
    MAX_SECONDS,
    NoteRenderer,
    NoteRequest,
    check_duration,
    check_velocity,
)
from gansynth_server.options import SEARCH_SECONDS, BackendName, FallbackName, PrecisionName
from gansynth_server.render import model
from gansynth_server.render.model import nearest_pitch
from gansynth_server.spectral.constants import SAMPLE_RATE
from gansynth_server.spectral.inverse import check_rate
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.envelope import RELEASE
from gansynth_server.synth.note import Note as VoiceNote

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Note:
    """Rendered sound: float32 [samples], and its sample rate in Hz."""

    audio: Float32
    sample_rate: int

    def save(self, path: str | Path) -> None:
        """Write an audio file; the suffix names the format (wav, flac, ogg).

        Raises:
            UserError: the folder cannot be written or the format is unknown.
        """
        sound_file.save(Path(path), self.audio[None], self.sample_rate)


class Model(model.Model):
    """A checkpoint ready to generate; get one from :func:`load`."""

    def generate(
        self,
        pitch: float = 60,
        z: Float32 | None = None,
        seed: int = 0,
        duration: float = 4.0,
        velocity: float = 100,
        sample_rate: int = SAMPLE_RATE,
    ) -> Note:
        """One note as the server would play it, without its master gain.

        Args:
            pitch: MIDI note number, fractional if you like.
            z: [latent_size]; drawn from ``seed`` if None.
            seed: of the latent.
            duration: seconds, at most 4; the last 0.3 are the release.
            velocity: 0…127, linear.
            sample_rate: 16000…192000 Hz.

        Raises:
            UserError: a value outside of these ranges.
        """
        check_duration(duration)
        check_velocity(velocity)
        check_rate(sample_rate)
        rendered = nearest_pitch(self.pitches, pitch)
        latent = self.draw(seed) if z is None else np.asarray(z, np.float32)
        note = VoiceNote(0, 0, pitch, velocity, rendered)
        (note.spectrum,) = self.whole_spectra(latent[None], [rendered])
        if duration < MAX_SECONDS:
            note.off = max(0.0, duration - RELEASE)
        bus = Bus(sample_rate, 1, gain=1.0)
        bus.start(note)
        skip = round(bus.delay * sample_rate)
        samples = round(duration * sample_rate)
        return Note(bus.render(samples + skip)[0, skip:], sample_rate)

    def generate_notes(
        self,
        z: Float32,
        pitches: Sequence[float],
        velocities: Sequence[float] | None = None,
        duration: float = MAX_SECONDS,
        sample_rate: int = SAMPLE_RATE,
        batch: int = 0,
    ) -> Iterator[Note]:
        """Yield many notes, each as :meth:`generate` gives it, rendered in batches.

        Args:
            z: [N, latent_size].
            pitches: N MIDI note numbers, fractional if you like.
            velocities: N of 0…127; 100 each if None.
            duration: seconds, at most 4; the last 0.3 are the release.
            sample_rate: 16000…192000 Hz.
            batch: notes that go through the network at once; 0 is what suits the backend.

        Raises:
            UserError: a value outside of these ranges, or not as many of each.
        """
        latents = np.asarray(z, np.float32)
        levels = [100.0] * len(latents) if velocities is None else list(velocities)
        if not len(latents) == len(pitches) == len(levels):
            counts = f"{len(latents)} latents, {len(pitches)} pitches, {len(levels)} velocities"
            raise UserError(f"each note needs one of each, and there are {counts}")
        renderer = NoteRenderer(self, duration, sample_rate, batch)
        requests = map(NoteRequest, latents, pitches, levels)
        return (Note(sound, sample_rate) for sound in renderer.render(requests))

    def hallucination(self, sequence: NoteSequence, sample_rate: int) -> Float32:
        """The sound of a sequence of notes, as the server plays it, in mono: [samples].

        Raises:
            UserError: the rate is out of range, or the sequence cannot be played.
        """
        return render_mono(self, sequence, sample_rate)

    def invert(
        self,
        sound: bytes,
        name: str,
        pitch: int | None = None,
        seconds: float = SEARCH_SECONDS,
        seed: int = 0,
    ) -> Float32:
        """The latent whose note is nearest to a recorded one: see ``inversion.search``.

        Args:
            sound: a sound file, and its name.
            pitch: of the note; None is that of the name, or what is heard.
            seconds: for the search.

        Returns:
            [latent_size + 2]: the latent, the pitch, and the distance in dB.

        Raises:
            UserError: there is no such note in it.
        """
        from gansynth_server.analysis.inversion import invert_file

        generator = self.checkpoint.generator
        return invert_file(generator, self.presets, sound, name, pitch, seconds, seed)


def load(
    name: str = "all_instruments",
    torch_device: str = "auto",
    backend: BackendName = "eager",
    precision: PrecisionName = "auto",
    fallback: FallbackName = "none",
) -> Model:
    """Load a checkpoint: a bundled name, a folder, or a .safetensors file.

    Args:
        torch_device: auto, cpu, cuda …
        backend: what renders its notes: eager, compile, openvino, cuda, or auto to measure.
        precision: of the network: float32, bfloat16, float16, or auto.
        fallback: cpu has plain PyTorch take over on the CPU when the backend fails; where a
            GPU has no memory for it, the CPU takes over in any case.

    Raises:
        UserError: it cannot be found or is not whole, or the backend cannot run here.
    """
    return Model.load(name, torch_device, backend, precision, fallback)


@cache
def _shared(name: str) -> Model:
    return load(name)


def generate(
    note_number: float = 60,
    instrument: str = "acoustic_grand_piano",
    duration: float = 4.0,
    velocity: float = 100,
    sample_rate: int = SAMPLE_RATE,
    checkpoint: str = "all_instruments",
) -> Note:
    """One note of a named instrument; the checkpoint stays loaded for the next call."""
    model = _shared(checkpoint)
    return model.generate(
        note_number,
        model.preset(instrument),
        duration=duration,
        velocity=velocity,
        sample_rate=sample_rate,
    )
