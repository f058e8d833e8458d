"""A training run: networks, optimisers and counters, kept so that it resumes bit by bit."""

from __future__ import annotations

import json
import time
import zlib
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from gansynth_server.errors import UserError
from gansynth_server.model import checkpoint
from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.discriminator import Discriminator
from gansynth_server.model.generator import Generator
from gansynth_server.training import parallel
from gansynth_server.training.codes import Codes
from gansynth_server.training.distillation import Teacher
from gansynth_server.training.options import TrainOptions
from gansynth_server.util.files import write_atomically

STATE = "state.safetensors"
FREE = ("device", "compile", "cache_gb", "keep_minutes", "sample_minutes", "start")
"""Options that a resumed run may change."""


@dataclass
class Run:
    """The state of a run.

    Nothing random lives between two steps: every draw is seeded by the run's
    seed and the number of images so far, and so is the order of the data.
    """

    options: TrainOptions
    generator: Generator
    average: Generator
    """Moving average of the generator's weights, which is kept and played."""
    judge: Discriminator
    codes: Codes | None
    device: torch.device
    instruments: tuple[str, ...] = ()
    """Instruments of the codes."""
    provenance: dict[str, Any] = field(default_factory=dict)
    optimisers: dict[str, torch.optim.Optimizer] = field(default_factory=dict)
    stage: int = 0
    images: int = 0
    """Images so far, over all devices."""
    stage_images: int = 0
    stage_steps: int = 0
    stage_seconds: float = 0.0
    seconds: float = 0.0
    progress: float | None = None
    """Growth of the networks in the present stage; None is full."""
    judged: bool = False
    """True once the discriminator has learnt anything."""
    teacher: Teacher | None = None
    _since: float = field(default_factory=time.monotonic)
    _waiting: dict[str, Tensor] = field(default_factory=dict)

    @property
    def config(self) -> GeneratorConfig:
        return self.generator.config

    # one step

    def seeds(self, purpose: str) -> list[int]:
        """Return seeds of a draw of the present step, different for every purpose and device."""
        return [
            self.options.seed,
            self.stage,
            self.images,
            parallel.rank(),
            zlib.crc32(purpose.encode()),
        ]

    def chance(self, purpose: str) -> torch.Generator:
        """Return the random generator of the present step for one purpose."""
        seed = int(np.random.SeedSequence(self.seeds(purpose)).generate_state(1, "uint64")[0])
        return torch.Generator(self.device).manual_seed(seed >> 1)

    def first_sample(self, size: int) -> int:
        """Return the number of the first of this step's samples on this device."""
        return self.images + parallel.rank() * size

    def precision(self) -> AbstractContextManager[Any]:
        """Return a context in which convolutions run in the precision of the options."""
        lower = self.options.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=lower)

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the average towards the generator's weights."""
        ours, theirs = tuple(self.average.parameters()), tuple(self.generator.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - decay)  # a few kernels instead of one for each

    def count(self, images: int) -> None:
        """End a step."""
        self.images += images * parallel.world()
        self.stage_images += images * parallel.world()
        self.stage_steps += 1
        self.tick()

    def tick(self) -> None:
        """Bring the clocks up to date."""
        now = time.monotonic()
        passed = parallel.agree(now - self._since)
        self._since = now
        self.seconds += passed
        self.stage_seconds += passed

    # stages

    def take_up(self) -> None:
        """Give new optimisers the moments that were kept, when a stage is resumed."""
        for name, optimiser in self.optimisers.items():
            parameters = [p for group in optimiser.param_groups for p in group["params"]]
            for key, value in self._waiting.items():
                owner, index, kind = key.split("/")
                if owner == name:
                    parameter = parameters[int(index)]
                    here = kind == "step" and not optimiser.defaults.get("fused")
                    value = value if here else value.to(parameter.device)
                    optimiser.state[parameter][kind] = value.clone()
        self._waiting = {}

    def next_stage(self) -> None:
        self.stage += 1
        self.stage_images = self.stage_steps = 0
        self.stage_seconds = 0.0
        self.optimisers = {}

    # keeping

    def keep(self, folder: Path) -> None:
        """Write the run to ``state.safetensors`` and what can be played beside it."""
        tensors: dict[str, Tensor] = {}
        nets: dict[str, Any] = {
            "generator": self.generator,
            "average": self.average,
            "judge": self.judge,
            "codes": self.codes,
        }
        for name, net in nets.items():
            if net is not None:
                tensors |= {f"{name}/{k}": v for k, v in net.state_dict().items()}
        for name, optimiser in self.optimisers.items():
            parameters = [p for group in optimiser.param_groups for p in group["params"]]
            for i, parameter in enumerate(parameters):
                for kind, value in optimiser.state[parameter].items():
                    tensors[f"optimiser/{name}/{i}/{kind}"] = torch.as_tensor(value)
        info = {
            "options": asdict(self.options),
            "config": self.config.to_dict(),
            "provenance": self.provenance,
            "instruments": self.instruments,
            "counters": {name: getattr(self, name) for name in COUNTERS},
        }
        folder.mkdir(parents=True, exist_ok=True)
        contiguous = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        write_atomically(folder / STATE, serialise(contiguous, {"run": json.dumps(info)}))
        self.export(folder)

    def export(self, folder: Path) -> None:
        """Write the checkpoint: the average as float16, presets, and the discriminator."""
        provenance = self.provenance | {
            "images": self.images,
            "minutes": round(self.seconds / 60, 1),
        }
        presets = None
        if self.teacher is not None:
            presets = dict(self.teacher.checkpoint.presets)
        elif self.codes is not None:
            presets = dict(zip(self.instruments, self.codes.presets(), strict=True))
        config = replace(self.config, progress=self.progress)
        weights = {k: v.half().cpu().numpy() for k, v in self.average.state_dict().items()}
        checkpoint.write(folder, weights, config, provenance, presets)
        if self.judged:
            half = {k: v.half().cpu().contiguous() for k, v in self.judge.state_dict().items()}
            write_atomically(folder / checkpoint.DISCRIMINATOR, serialise(half))


COUNTERS = (
    "stage",
    "images",
    "stage_images",
    "stage_steps",
    "stage_seconds",
    "seconds",
    "progress",
)


def load(folder: Path, options: TrainOptions, device: torch.device) -> Run | None:
    """Load the run that was kept in a folder; None where there is none.

    Raises:
        UserError: it was begun with other options, or the file is damaged.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            info = json.loads(file.metadata()["run"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it to begin anew") from error
    before = info["options"]
    for name, value in asdict(options).items():
        # a run of an earlier version lacks some, and was made as their defaults say
        if name not in FREE and before.get(name, getattr(TrainOptions, name)) != value:
            flag = "--" + name.replace("_", "-")
            raise UserError(
                f"{folder} holds a run with {flag} {before.get(name)}, not {value}; go on with "
                "its own options, or give another --output and --start with this folder"
            )
    nets = networks(GeneratorConfig.from_dict(info["config"]), options, device)
    names = tuple(info["instruments"])
    codes = None
    if "codes/values" in tensors:
        values, axes = (tensors[f"codes/{name}"].to(device) for name in ("values", "axes"))
        codes = Codes(values, axes, options.code_noise)
    run = Run(options, *nets, codes, device, names, info["provenance"], **info["counters"])
    run.teacher = teacher(options, device)
    for name in ("generator", "average", "judge"):
        getattr(run, name).load_state_dict(_under(tensors, name + "/"))
    run._waiting = _under(tensors, "optimiser/")
    return run


def teacher(options: TrainOptions, device: torch.device) -> Teacher | None:
    """Load the run's teacher, if it has one; UserError if it is not there."""
    if options.teacher is None:
        return None
    return Teacher(checkpoint.load(options.teacher), device, _order(options))


def networks(
    config: GeneratorConfig, options: TrainOptions, device: torch.device
) -> tuple[Generator, Generator, Discriminator]:
    """Make new weights from the seed: generator, its average, discriminator."""
    torch.manual_seed(options.seed)
    order = _order(options)
    generator = Generator(config)
    judge = Discriminator(config, options.judge_features)
    average = Generator(config)
    average.load_state_dict(generator.state_dict())
    average.requires_grad_(False)
    for net in (generator, average, judge):
        net.to(device).to(memory_format=order)  # type: ignore[call-overload]
    return generator, average, judge


def _order(options: TrainOptions) -> torch.memory_format:
    return torch.channels_last if options.channels_last else torch.contiguous_format


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
