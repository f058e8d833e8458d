"""``gansynth gpu``: what one GPU and ten minutes are good for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from gansynth_server.errors import UserError


@dataclass(frozen=True)
class GpuCommand:
    """Test, measure and train on a GPU, each within its time; results are written at once."""

    data: Path
    """Notes to train on: a soundfont (.sf2, .sf3), or a folder that gansynth dataset made."""
    out: Path = Path("out/gpu")
    """Folder for the results: at most 8 files of at most 16 MiB."""
    work: Path = Path("work/gpu")
    """Folder for all else, such as the notes and the training that goes on from here."""
    minutes: float = 8.0
    """For everything; the training gets what the tests and measurements leave over."""
    torch_device: str = "cuda"
    """Where the networks run."""
    rehearsal: bool = False
    """Tiny sizes, in less than a minute; with --torch-device cpu no GPU is needed."""
    pack: Path | None = None
    """Only make this folder, which has all that a machine without a network needs: wheels too."""

    def run(self) -> None:
        from gansynth_server.bench import gpu, pack

        if not 0.5 <= self.minutes <= 600:
            raise UserError(f"--minutes must be 0.5 to 600, not {self.minutes:g}")
        if self.pack is not None:
            print(pack.make(self.pack, self.data))
            return
        day = gpu.Day(
            *(self.out.resolve(), self.work.resolve(), self.data.resolve()),
            *(self.minutes, self.torch_device, self.rehearsal),
        )
        fine = gpu.run(day)
        print((self.out / "report.md").read_text(encoding="utf-8"))
        if not fine:
            sys.exit(f"gansynth: some steps did not end well: see {self.out / 'log.txt'}")
