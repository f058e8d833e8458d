"""The choice of a backend and its precision: by name, or by measuring."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from functools import cache
from typing import get_args

import torch

from gansynth_server.errors import UserError
from gansynth_server.model.generator import Generator
from gansynth_server.options import BackendName, PrecisionName
from gansynth_server.render.backends.base import HEAD, Backend
from gansynth_server.render.backends.eager import Eager
from gansynth_server.render.backends.fallback import WithFallback
from gansynth_server.render.folded import Weights, fold
from gansynth_server.spectral.constants import HOP, LEAD, SAMPLE_RATE

HEAD_SOUND = (HEAD[1] * HOP - LEAD) / SAMPLE_RATE
"""Length (s) of the sound in the head of a note, by when the rest should be rendered."""
Fold = Callable[[str], Weights]
"""Weights in a precision by name, folded once each."""

_log = logging.getLogger(__name__)


def choose(
    generator: Generator,
    device: torch.device,
    name: BackendName = "auto",
    precision: PrecisionName = "auto",
    lighter: str | None = None,
) -> tuple[Backend, str]:
    """Make a backend, and a line that says why it was chosen (empty if it was named).

    Args:
        name: ``auto`` takes CUDA graphs on CUDA, and what renders a note's head
            fastest on a CPU: eager, or OpenVINO where it is installed and fits.
        precision: ``auto`` is bfloat16 on CUDA and, in OpenVINO, on a CPU that has it and
            is faster with it; else float32. The difference is not to be heard.
        lighter: a checkpoint that the line proposes where ``auto`` finds this one too slow.

    Raises:
        UserError: what was named cannot run here.
    """
    if name not in get_args(BackendName) or precision not in get_args(PrecisionName):
        raise UserError(f"no backend {name!r} in {precision!r}; see --help for those there are")
    folded = cache(lambda kind: fold(generator, kind))
    if name != "auto":
        return _named(folded, device, name, precision), ""
    if device.type == "cuda":
        return _named(folded, device, "cuda", precision), "cuda graphs, for there is CUDA"
    backends = [_named(folded, device, "eager", precision)]
    if (
        device.type == "cpu"
        and importlib.util.find_spec("openvino") is not None
        and folded("float32").dtype == torch.float32
    ):
        backends.append(_named(folded, device, "openvino", precision))
    alone = len(backends) == 1
    if alone and lighter is None:
        return backends[0], ""
    size = generator.config.latent_size
    times = [backend.seconds(HEAD, 1, size) for backend in backends]
    if not alone and precision == "auto" and has_bfloat16():
        half = _named(folded, device, "openvino", "bfloat16")
        try:
            times.append(half.seconds(HEAD, 1, size))
            backends.append(half)
        except RuntimeError as error:  # OpenVINO's, on a processor that has it in part
            _log.info("no bfloat16 here: %s", error)
    order = sorted(range(len(backends)), key=times.__getitem__)
    said = ", ".join(
        f"{backends[k].info.name} {backends[k].info.precision} {1000 * times[k]:.1f} ms"
        for k in order
    )
    fastest = backends[order[0]]
    lines = [
        "" if alone else f"the head of a note: {said}",
        _proposal(fastest, times[order[0]], lighter) if lighter is not None else "",
    ]
    return fastest, "; ".join(line for line in lines if line)


def _proposal(backend: Backend, head: float, lighter: str) -> str:
    """Propose a lighter checkpoint, where the rest of a note comes after its head was heard."""
    note = head + backend.rest_seconds(head)
    if note <= HEAD_SOUND:
        return ""
    return (
        f"a note takes about {1000 * note:.0f} ms here, longer than its head sounds, "
        f"{1000 * HEAD_SOUND:.0f} ms: --checkpoint {lighter} is made for such machines"
    )


def with_fallback(
    generator: Generator, backend: Backend, errors: type[Exception] = Exception
) -> Backend:
    """Return a backend that plain PyTorch on the CPU replaces when it fails with such an error."""
    cpu = torch.device("cpu")
    return WithFallback(backend, lambda: Eager(fold(generator, "float32"), cpu), errors)


def has_bfloat16() -> bool:
    """Return whether this processor multiplies matrices of bfloat16; needs OpenVINO."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _named(folded: Fold, device: torch.device, name: str, precision: PrecisionName) -> Backend:
    exact = "float32" if precision == "auto" else precision
    if name == "eager":
        return Eager(folded(exact), device)
    if name == "compile":
        from gansynth_server.render.backends.compiled import Compiled

        return Compiled(folded(exact), device)
    if name == "openvino":
        from gansynth_server.render.backends.openvino import OpenVino

        if device.type != "cpu":
            raise UserError(f"--backend openvino runs on the CPU, not on {device.type}")
        return OpenVino(folded("float32"), exact)
    from gansynth_server.render.backends.cuda import CudaGraphs

    if device.type != "cuda":
        raise UserError("--backend cuda needs a CUDA device, and there is none; try auto")
    return CudaGraphs(folded("bfloat16" if precision == "auto" else precision), device)
