"""torch.compile: needs a C++ compiler where the server runs, and time at its first start."""

from __future__ import annotations

import os
import shutil

import torch

from gansynth_server.errors import UserError
from gansynth_server.render.backends.base import Float32, Labels
from gansynth_server.render.backends.eager import Eager
from gansynth_server.render.folded import Weights, Window
from gansynth_server.render.receptive_field import Span

COMPILERS = ("g++", "clang++", "cl")


class Compiled(Eager):
    """Every window compiled by torch's inductor when it is first used.

    Raises:
        UserError: there is no C++ compiler.
    """

    kind = "compile"

    def __init__(self, weights: Weights, device: torch.device) -> None:
        named = os.environ.get("CXX")
        if not any(shutil.which(name) for name in ([named] if named else COMPILERS)):
            raise UserError(
                "--backend compile needs a C++ compiler (g++, clang++ or cl) and found none; "
                "install one, or use --backend openvino or eager"
            )
        super().__init__(weights, device)
        self._plain = Eager(weights, device)

    def live(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        compiled = window in self._modules
        return (self if compiled else self._plain).frames(z, labels, window)

    def prepare(self, latent_size: int) -> None:
        """Compile a graph for the head and one for the rest: each more would take its time."""
        for part in self.info.slices:
            self.seconds(part.window, part.batch, latent_size, takes=1)

    def _module(self, window: Span) -> torch.nn.Module:
        compiled = torch.compile(Window(self.weights, window), dynamic=False)
        assert isinstance(compiled, torch.nn.Module)
        return compiled
