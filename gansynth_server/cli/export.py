"""``gansynth export``: a timbre for samplers, or a network for plug-ins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_CHECKPOINT


@dataclass(frozen=True)
class ExportCommand:
    """Export a timbre as a multisample (SFZ and FLAC), or a checkpoint's network (ONNX)."""

    name: Positional[str]
    """A preset of the checkpoint; a network keeps its latent too."""
    sfz: Path | None = None
    """Folder for the multisample: NAME.sfz and its samples."""
    onnx: Path | None = None
    """.onnx file to write: latents and pitches in, linear magnitudes and phase increments out."""
    step: int = 3
    """Semitones from one sample to the next."""
    rate: int = 48000
    """Sample rate of the samples in Hz, 16000 to 192000."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""

    def run(self) -> None:
        from gansynth_server import api
        from gansynth_server.offline import multisample
        from gansynth_server.util.progress import counting

        if self.sfz is None and self.onnx is None:
            raise UserError("give --sfz and a folder, or --onnx and a file, or both")
        if self.onnx is not None and self.onnx.suffix.lower() != ".onnx":
            raise UserError(f"a network is written to an .onnx file, not to {self.onnx}")
        if self.onnx is not None and not self.onnx.parent.is_dir():
            raise UserError(f"cannot write {self.onnx}: there is no folder {self.onnx.parent}")
        model = api.load(self.checkpoint)
        z = model.preset(self.name)
        if self.sfz is not None:
            keys = multisample.pitches(model, self.step)
            with counting("samples", len(keys)) as step:
                path = multisample.write(self.sfz, self.name, model, z, keys, self.rate, step)
            print(f"{path}: {len(keys)} samples at {self.rate} Hz")
        if self.onnx is not None:
            from gansynth_server.render import onnx

            difference = onnx.export(self.onnx, model, {self.name: z})
            size = self.onnx.stat().st_size / 1e6
            print(f"{self.onnx}: {size:.1f} MB, within {difference:.1g} of the network")
