"""The Python interface: load a checkpoint, generate notes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.latent.presets import Shelf
from gansynth_server.latent.sequence import Sequence
from gansynth_server.latent.vectors import draw
from gansynth_server.model import checkpoint as checkpoints
from gansynth_server.options import SEARCH_SECONDS, BackendName, FallbackName, PrecisionName
from gansynth_server.render.backends.base import Backend
from gansynth_server.spectral.constants import SAMPLE_RATE, SAMPLES
from gansynth_server.spectral.inverse import check_rate
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.envelope import RELEASE
from gansynth_server.synth.note import Note as VoiceNote
from gansynth_server.util.threads import behind_others

Float32 = NDArray[np.float32]
COPIES = 6
_log = logging.getLogger(__name__)
LONGEST = SAMPLES / SAMPLE_RATE


@dataclass(frozen=True)
class Note:
    """Rendered sound: float32 [samples], and its sample rate in Hz."""

    audio: Float32
    sample_rate: int

    def save(self, path: str | Path) -> None:
        """Writes an audio file; the suffix names the format (wav, flac, ogg).

        Raises:
            UserError: the folder cannot be written or the format is unknown.
        """
        import soundfile

        subtype = "FLOAT" if Path(path).suffix.lower() == ".wav" else None
        try:
            soundfile.write(path, self.audio, self.sample_rate, subtype=subtype)
        except (soundfile.LibsndfileError, TypeError, ValueError) as error:
            raise UserError(f"cannot write {path}: {error}; use .wav, .flac or .ogg") from error


class Model:
    """A checkpoint ready to generate; get one from :func:`load`.

    Args:
        remark: why this backend, if there is something to say.
    """

    def __init__(
        self, checkpoint: checkpoints.Checkpoint, backend: Backend, remark: str = ""
    ) -> None:
        self.checkpoint, self.backend, self.remark = checkpoint, backend, remark

    @property
    def latent_size(self) -> int:
        return self.checkpoint.config.latent_size

    @property
    def nbytes(self) -> int:
        """Memory that it takes, roughly: the network, and what its backend makes of it."""
        return COPIES * sum(4 * p.numel() for p in self.checkpoint.generator.parameters())

    @property
    def pitches(self) -> tuple[int, ...]:
        """MIDI pitches that the network was trained on."""
        return self.checkpoint.config.pitches

    @property
    def presets(self) -> dict[str, Float32]:
        """Named latents of this checkpoint: its own, and the user's."""
        own = self.shelf.known()
        return {**self.checkpoint.presets, **own} if own else self.checkpoint.presets

    @cached_property
    def shelf(self) -> Shelf:
        """The user's own presets."""
        return Shelf(self.checkpoint)

    def preset(self, name: str) -> Float32:
        """The latent of a preset; UserError lists the names near to an unknown one."""
        return find_preset(self.presets, name)

    def spectra(self, z: Float32, pitches: NDArray[np.int64] | list[int]) -> Float32:
        """Normalised raw output of the network, always as trained and in full precision.

        Notes are rendered one by one, so each is the same to the bit in any company.

        Args:
            z: [N, latent_size].
            pitches: N MIDI pitches out of ``self.pitches``.

        Returns:
            [N, 128, 1024, 2]: frame, mel bin, (log magnitude, instantaneous
            frequency), each in (-1, 1).
        """
        import torch

        from gansynth_server.render.folded import safe_dtype

        generator = self.checkpoint.generator
        generator = generator.to("cpu", safe_dtype(generator))
        dtype = next(generator.parameters()).dtype
        parts = []
        with torch.inference_mode():
            for latents, labels in self._batches(z, pitches, 1):
                inputs = torch.from_numpy(latents).to(dtype), torch.from_numpy(labels)
                with behind_others():
                    images = generator(*inputs)
                parts.append(images.permute(0, 2, 3, 1).float().numpy())
        return np.concatenate(parts)

    def generate_batch(self, z: Float32, pitches: NDArray[np.int64] | list[int]) -> Float32:
        """Whole notes as Magenta gives them: [N, 64000] at 16 kHz, no envelope, no scaling."""
        batches = self._batches(z, pitches, self.backend.batch)
        return np.concatenate([self.backend.waves(*batch) for batch in batches])

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
        if not 0 < duration <= LONGEST:
            raise UserError(f"a note lasts up to {LONGEST:g} s, not {duration:g}")
        if not 0 <= velocity <= 127:
            raise UserError(f"a velocity is 0 to 127, not {velocity:g}")
        check_rate(sample_rate)
        rendered = nearest_pitch(self.pitches, pitch)
        latent = draw(self.latent_size, seed) if z is None else np.asarray(z, np.float32)
        ((one, labels),) = self._batches(latent[None], [rendered], 1)
        note = VoiceNote(None, 0, pitch, velocity, rendered)
        note.spectrum = self.backend.render(one, labels)[0]
        if duration < LONGEST:
            note.off = max(0.0, duration - RELEASE)
        bus = Bus(sample_rate, 1, gain=1.0)
        bus.start(note)
        skip = round(bus.delay * sample_rate)
        samples = round(duration * sample_rate)
        return Note(bus.render(samples + skip)[0, skip:], sample_rate)

    def hallucination(self, sequence: Sequence, sample_rate: int) -> Float32:
        """The sound of a sequence of notes, as the server plays it, in mono: [samples].

        Raises:
            UserError: the rate is out of range, or the sequence cannot be played.
        """
        from gansynth_server.instrument.hallucination import render

        blocks = list(render(self, sequence, sample_rate))
        return np.ascontiguousarray(np.concatenate(blocks, axis=1)[0])

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
        from gansynth_server.analysis.inversion import invert
        from gansynth_server.analysis.recorded_note import read

        recorded = read(sound, name, self.pitches, pitch)
        generator = self.checkpoint.generator
        found = invert(generator, recorded.wave, recorded.pitch, self.presets, seconds, seed)
        return np.append(found.z, np.array([recorded.pitch, found.distance], np.float32))

    def warm(self) -> None:
        """Prepares live notes, so that the first is as fast as the second."""
        self.backend.prepare(self.latent_size)

    def close(self) -> None:
        """Lets go of what others hold for it."""

    def _batches(
        self, z: Float32, pitches: NDArray[np.int64] | list[int], size: int
    ) -> list[tuple[Float32, NDArray[np.int64]]]:
        z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape != (len(pitches), self.latent_size):
            expected = f"[{len(pitches)}, {self.latent_size}]"
            raise UserError(f"z must be {expected}, one latent per pitch, not {list(z.shape)}")
        if not np.isfinite(z).all():
            raise UserError("z holds numbers that are not finite")
        try:
            labels = np.array([self.checkpoint.config.label(int(p)) for p in pitches], np.int64)
        except ValueError as error:
            raise UserError(
                f"pitches must be among {self.pitches[0]}…{self.pitches[-1]}: {list(pitches)}"
            ) from error
        return [(z[i : i + size], labels[i : i + size]) for i in range(0, len(z), size)]


def nearest_pitch(pitches: tuple[int, ...], pitch: float) -> int:
    """The trained pitch from which another is played; UserError for one that is none at all."""
    if not 0 <= pitch <= 127:
        raise UserError(f"a pitch is 0 to 127, not {pitch:g}")
    return min(pitches, key=lambda p: abs(p - pitch))


def find_preset(presets: dict[str, Float32], name: str) -> Float32:
    """The latent of a preset; UserError names those with similar names."""
    if name in presets:
        return presets[name]
    import difflib

    close = difflib.get_close_matches(name, presets, n=3, cutoff=0.4)
    known = ", ".join(close) if close else ", ".join(list(presets)[:5]) or "none"
    raise UserError(f"no preset called {name!r}; this checkpoint has, among others: {known}")


def load(
    name: str = "all_instruments",
    torch_device: str = "auto",
    backend: BackendName = "eager",
    precision: PrecisionName = "auto",
    fallback: FallbackName = "none",
) -> Model:
    """Loads a checkpoint: a bundled name, a folder, or a .safetensors file.

    Args:
        torch_device: auto, cpu, cuda …
        backend: what renders its notes: eager, compile, openvino, cuda, or auto to measure.
        precision: of the network: float32, bfloat16, float16, or auto.
        fallback: cpu has plain PyTorch take over on the CPU when the backend fails; where a
            GPU has no memory for it, the CPU takes over in any case.

    Raises:
        UserError: it cannot be found or is not whole, or the backend cannot run here.
    """
    import torch

    from gansynth_server.render.backends import choose, eager

    checkpoint = checkpoints.load(name)
    device = eager.torch_device(torch_device)
    lighter = checkpoints.lighter(checkpoint.name)
    generator = checkpoint.generator
    try:
        chosen, remark = choose.choose(generator, device, backend, precision, lighter)
    except torch.OutOfMemoryError as error:
        reason = str(error).partition("\n")[0]
        _log.warning("no room for %s on %s (%s)", checkpoint.name, device, reason)
        chosen, remark = choose.choose(generator, torch.device("cpu"), lighter=lighter)
    if fallback == "cpu":
        chosen = choose.with_fallback(generator, chosen)
    elif device.type != "cpu":
        chosen = choose.with_fallback(generator, chosen, torch.OutOfMemoryError)
    return Model(checkpoint, chosen, remark)


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
