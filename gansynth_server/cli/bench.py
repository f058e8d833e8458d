"""``gansynth bench``: how fast it is here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gansynth_server.options import DEFAULT_CHECKPOINT, BackendName, PrecisionName, ServerOptions

Section = Literal[
    "network",
    "live",
    "voices",
    "mixing",
    "precision",
    "memory",
    "clients",
    "streams",
    "ipc",
    "bulk",
    "class",
]
WIDTH = 140
SMALLER = 10e9  # operations per note; below it a full-size net is timed too


@dataclass(frozen=True)
class BenchCommand:
    """Measure rendering, first sound, mixing and precision on this machine."""

    sections: tuple[Section, ...] = ("network", "live", "mixing", "precision")
    """What to measure; voices are those with latents that move; memory, with thousands of
    --notes, takes minutes; clients plays many, streams are many listeners,
    ipc is what the ways between the processes take; bulk is many notes without a listener, class a
    room of players with new notes each time."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""
    backends: tuple[BackendName, ...] = ("eager", "openvino", "compile", "cuda")
    """What to time; those that cannot run here say why."""
    precisions: tuple[PrecisionName, ...] = ("float32",)
    """Precisions to time them in."""
    torch_device: str = "auto"
    """Where the network runs."""
    threads: int = 0
    """CPU threads of the network; 0 takes all cores but one."""
    notes: int = 50
    """Live notes per row; for memory, notes in all."""
    workers: int = 1
    """Render processes of the server, for class."""
    voices: tuple[int, ...] = (0, 8, 32)
    """Other voices that sound meanwhile."""
    seconds: float = 20.0
    """Longest time per size of batch; what would take longer is left out."""
    runs: int = 5
    """The median of so many runs counts."""
    full_size: bool = True
    """Time a network as large as Magenta's too, of no training, where the checkpoint is smaller."""
    json: Path | None = None
    """File for all figures."""
    plot: Path | None = None
    """PNG of times per note against batches, and of mixing against voices."""

    def run(self) -> None:
        from gansynth_server.bench import report
        from gansynth_server.errors import UserError
        from gansynth_server.util.threads import set_threads

        if self.plot is not None:
            from gansynth_server.spectral.plot import check_plots

            check_plots()
        if self.notes < 1 or self.runs < 1 or not self.seconds > 0:
            raise UserError("--notes, --runs and --seconds must be more than 0")
        console = report.console(WIDTH)
        figures: dict[str, Any] = {}
        if "live" in self.sections:  # first, while this process is small and idle
            figures["live"] = self._live(console)
            report.save_json(self.json, figures)  # a bench may be ended early
        if "voices" in self.sections:
            from gansynth_server.bench import voices

            figures["voices"] = voices.measure(self._options)
            report.table(console, "New frames for voices whose latents move", figures["voices"])
        if "memory" in self.sections:
            from gansynth_server.bench import memory

            figures["memory"] = memory.measure(self._flags, self.notes)
            report.table(console, "Resident memory after so many notes", figures["memory"])
        if "clients" in self.sections:
            from gansynth_server.bench import clients

            figures["clients"] = clients.measure(self._flags)
            report.table(console, "From /note to /note/start", figures["clients"])
        if "streams" in self.sections:
            from gansynth_server.bench import streams

            figures["streams"] = streams.measure(self._flags, self.seconds)
            report.table(console, "Streams of 48 kHz, 512 by 4", figures["streams"])
        if "class" in self.sections:
            from gansynth_server.bench import classroom

            flags = [*self._flags, "--workers", str(self.workers)]
            figures["class"] = classroom.measure(flags, self.seconds)
            title = "A class: each with a stream of 48 kHz, 512 by 4, and new notes all the time"
            report.table(console, title, figures["class"])
        if "ipc" in self.sections:
            from gansynth_server.bench import ipc

            figures["ipc"] = ipc.measure(self._flags)
            report.table(console, "Between the processes, ms", figures["ipc"])
        report.save_json(self.json, figures)  # a bench may be ended early
        if {"mixing", "network", "precision"} & set(self.sections):
            set_threads(self.threads)
        if "mixing" in self.sections:
            from gansynth_server.bench import mixing

            figures["mixing"] = mixing.measure()
            report.table(console, "Mixing at 48 kHz in blocks of 512", figures["mixing"])
        if "bulk" in self.sections:
            from gansynth_server.bench import bulk

            set_threads(self.threads)
            figures["bulk"] = bulk.measure(
                *(self.checkpoint, self.torch_device, self.backends, self.precisions),
                *(self.notes, self.runs),
            )
            report.table(console, f"{self.notes} notes at a time, in turns", figures["bulk"])
        if {"network", "precision"} & set(self.sections):
            self._networks(console, figures)
        report.save_json(self.json, figures)
        if self.plot is not None:
            report.plot(self.plot, figures)

    @property
    def _flags(self) -> list[str]:
        """Return the flags of a server."""
        flags = ["--checkpoint", self.checkpoint, "--torch-device", self.torch_device]
        return [*flags, "--threads", str(self.threads), "--seed", "1"]

    @property
    def _options(self) -> ServerOptions:
        """Return the options of the network of a server with these flags."""
        return ServerOptions(
            checkpoint=self.checkpoint, torch_device=self.torch_device, threads=self.threads
        )

    def _live(self, console: Any) -> dict[str, Any]:
        from gansynth_server.bench import live, report

        figures = live.measure(self._flags, self.notes, self.voices)
        for name, value in figures.items():
            if name != "rows" and value is not None:
                console.print(f"{name}: {value:.2f}" if isinstance(value, float) else value)
        report.table(console, "From /note to the first audible sample", figures["rows"])
        return figures

    def _networks(self, console: Any, figures: dict[str, Any]) -> None:
        import torch

        from gansynth_server.bench import network, networks, report
        from gansynth_server.model import checkpoint
        from gansynth_server.render.backends.base import WHOLE
        from gansynth_server.render.backends.eager import torch_device

        device = torch_device(self.torch_device)
        loaded = checkpoint.load(self.checkpoint)
        generators = {loaded.name: loaded.generator}
        if self.full_size and networks.operations(loaded.config, WHOLE) < SMALLER:
            generators["full size, golden rule"] = networks.full_size()
        figures["threads"] = torch.get_num_threads()
        if "network" in self.sections:
            limits, figures["network"] = network.Limits(self.seconds, self.runs), {}
            for name, generator in generators.items():
                figures["network"][name] = network.measure(
                    generator, device, self.backends, self.precisions, limits
                )
                report.save_json(self.json, figures)  # a bench may be ended early
            for name, rows in figures["network"].items():
                report.table(console, f"{name}, {figures['threads']} threads", rows)
        if "precision" in self.sections:
            figures["precision"] = [
                {"net": loaded.name, **network.audibility(loaded.generator, device, precision)}
                for precision in ("bfloat16", "float16")
            ]
            report.table(console, "Against float32", figures["precision"])
