"""``gansynth note``: one note to a sound file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from gansynth_server.options import DEFAULT_CHECKPOINT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gansynth_server.api import Model


@dataclass(frozen=True)
class NoteCommand:
    """Render one note to an audio file."""

    pitch: Positional[float]
    """MIDI note number; fractional is fine."""
    output: Annotated[Path, arg(aliases=("-o",))]
    """File to write: .wav, .flac or .ogg."""
    preset: str | None = None
    """Timbre by name; a random one from --seed if not given."""
    seed: int = 0
    """Seed of the random timbre."""
    duration: float = 4.0
    """Seconds, at most 4."""
    velocity: float = 100
    """0 to 127."""
    rate: int = 16000
    """Sample rate in Hz."""
    phase: Literal["if", "griffinlim", "random"] = "if"
    """Where the phases come from: the network's instantaneous frequency, Griffin-Lim, or chance."""
    spectrogram: Path | None = None
    """PNG to draw of the note with each of the three kinds of phases."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""

    def run(self) -> None:
        from gansynth_server import api

        if self.spectrogram is not None:
            from gansynth_server.spectral.plot import check_plots

            check_plots()
        model = api.load(self.checkpoint)
        z = model.draw(self.seed) if self.preset is None else model.preset(self.preset)
        if self.spectrogram is not None:
            self._draw(model, z)
        if self.phase != "if":
            _rephase(model, self.phase)
        note = model.generate(
            self.pitch,
            z,
            duration=self.duration,
            velocity=self.velocity,
            sample_rate=self.rate,
        )
        note.save(self.output)
        print(f"{self.output}: {self.duration:g} s at {self.rate} Hz")

    def _draw(self, model: Model, z: NDArray[np.float32]) -> None:
        import numpy as np

        from gansynth_server.render.model import nearest_pitch
        from gansynth_server.spectral import phase, plot

        assert self.spectrogram is not None
        label = model.checkpoint.config.label(nearest_pitch(model.pitches, self.pitch))
        (spectrum,) = model.backend.render(z[None], np.array([label]))
        titles = {"if": "instantaneous frequency", "griffinlim": "Griffin-Lim", "random": "random"}
        plot.phase_methods(
            self.spectrogram,
            {titles[m]: phase.wave(phase.with_phase(spectrum, m)) for m in phase.METHODS},
        )
        print(f"{self.spectrogram}: magnitudes and frequencies with three kinds of phases")


def _rephase(model: Model, method: Literal["griffinlim", "random"]) -> None:
    """Give all further notes of a model other phases."""
    from gansynth_server.render.backends.eager import Eager, torch_device
    from gansynth_server.spectral.phase import with_phase
    from gansynth_server.spectral.spectrum import Spectrum

    class Rephased(Eager):
        def render(self, z: NDArray[np.float32], labels: NDArray[np.int64]) -> list[Spectrum]:
            return [with_phase(spectrum, method) for spectrum in super().render(z, labels)]

    model.backend = Rephased(model.backend.weights, torch_device("auto"))
