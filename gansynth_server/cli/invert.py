"""``gansynth invert``: a recorded note becomes a timbre."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_CHECKPOINT, SEARCH_SECONDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gansynth_server.analysis.inversion import Found
    from gansynth_server.api import Model


@dataclass(frozen=True)
class InvertCommand:
    """Find the timbre that is nearest to a recorded note, and keep it as a preset."""

    sound: Positional[Path]
    """A sound file with one note, or several of which the first is taken."""
    name: str | None = None
    """Name of the preset; the file's if not given."""
    pitch: int | None = None
    """MIDI note number; that of the file's name, or what is heard, if not given."""
    seconds: float = SEARCH_SECONDS
    """Time for the search."""
    seed: int = 0
    """Seed of the random latents among which it starts."""
    picture: Path | None = None
    """PNG to draw: the recorded note, where the search started, and what was found."""
    wave: Path | None = None
    """Sound file to write: the note that was found."""
    torch_device: str = "auto"
    """Where the network runs: auto, cpu, cuda …"""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""

    def run(self) -> None:
        from gansynth_server import api
        from gansynth_server.analysis.inversion import invert
        from gansynth_server.analysis.recorded_note import read
        from gansynth_server.latent.presets import preset
        from gansynth_server.render.backends.eager import torch_device

        if self.picture is not None:
            from gansynth_server.spectral.plot import check_plots

            check_plots()
        model = api.load(self.checkpoint)
        try:
            sound = self.sound.read_bytes()
        except OSError as error:
            raise UserError(f"{self.sound} cannot be read: {error.strerror}") from error
        recorded = read(sound, self.sound.name, model.pitches, self.pitch)
        generator = model.checkpoint.generator.to(torch_device(self.torch_device))
        with _Bar() as bar:
            found = invert(
                *(generator, recorded.wave, recorded.pitch, model.presets),
                *(self.seconds, self.seed, bar.tell),
            )
        name = self.name or "_".join(self.sound.stem.split())
        origin = f"{self.sound.name}, pitch {recorded.pitch}, {found.distance:.2f} dB off"
        model.user_presets.add({name: preset(found.z, origin)})
        how = "heard" if recorded.heard else "given"
        print(
            f"{name}: {found.distance:.2f} dB from {self.sound.name} at pitch {recorded.pitch} "
            f"({how}); started from {found.start}, {found.before:.2f} dB off"
        )
        print(f"kept in {model.user_presets.path}; play it with /z/preset z {name}")
        if self.wave is not None:
            model.generate(recorded.pitch, found.z).save(self.wave)
        if self.picture is not None:
            _draw(self.picture, model, recorded.wave, recorded.pitch, found)


class _Bar:
    """Progress on standard error, where that is a terminal."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

        from gansynth_server.util.progress import bar

        self._progress = bar(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self._task = self._progress.add_task("listening", total=1.0)

    def tell(self, share: float, distance: float) -> None:
        self._progress.update(self._task, completed=share, description=f"{distance:.2f} dB off")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()


def _draw(path: Path, model: Model, wave: NDArray[np.float32], pitch: int, found: Found) -> None:
    import numpy as np
    import torch

    from gansynth_server.spectral import plot

    presets = model.presets
    waves = {"recorded": torch.from_numpy(wave)}
    if found.start in presets:
        begun = model.generate_batch(presets[found.start][None], [pitch])[0]
        waves[f"start: {found.start}, {found.before:.1f} dB"] = torch.from_numpy(begun)
    best = model.generate_batch(np.asarray(found.z)[None], [pitch])[0]
    waves[f"found, {found.distance:.1f} dB"] = torch.from_numpy(best)
    plot.phase_methods(path, waves)
    print(f"{path}: magnitudes and frequencies of {', '.join(waves)}")
