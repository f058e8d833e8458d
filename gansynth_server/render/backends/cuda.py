"""CUDA graphs: one launch per batch, for on a GPU a note alone is bound by its launches.

Not tested on a GPU. Where there is none the same code runs the graph's body
instead of replaying it, so that a test can compare its numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gansynth_server.render.backends.base import (
    WHOLE,
    Backend,
    BackendInfo,
    Float32,
    Labels,
    Slice,
)
from gansynth_server.render.backends.eager import Eager
from gansynth_server.render.folded import Weights, Window
from gansynth_server.render.receptive_field import Span

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
"""Sizes of batches that graphs are captured for; others are filled up to the next."""
WARM_UPS = 3  # runs before a capture, in which libraries choose their kernels


class Graph:
    """A window for one size of batch, with its inputs and outputs at fixed addresses.

    Args:
        batch: notes per run.
    """

    def __init__(self, window: Window, batch: int, device: torch.device) -> None:
        config = window.weights.config
        self._z = torch.zeros(batch, config.latent_size, device=device)
        self._labels = torch.zeros(batch, dtype=torch.int64, device=device)
        shape = (2, batch, window.window[1] - window.window[0], config.shape[1])
        self._out = torch.zeros(shape, device=device)
        self._host = torch.zeros(shape, pin_memory=device.type == "cuda")
        self._window = window
        self._replay: Callable[[], None] = self._body
        if device.type == "cuda":
            self._replay = self._captured(device)

    def _body(self) -> None:
        magnitude, increment = self._window(self._z, self._labels)
        self._out[0].copy_(magnitude)
        self._out[1].copy_(increment)

    def _captured(self, device: torch.device) -> Callable[[], None]:
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self._body()
        torch.cuda.current_stream(device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._body()
        return graph.replay

    def __call__(self, z: Tensor, labels: Tensor) -> Tensor:
        """[n, latent_size] and [n] → [2, n, frames, bins] on the host, n up to the batch."""
        count = len(z)
        self._z[:count].copy_(z, non_blocking=True)
        self._labels[:count].copy_(labels, non_blocking=True)
        self._replay()
        self._host.copy_(self._out, non_blocking=True)
        if self._out.is_cuda:
            torch.cuda.current_stream(self._out.device).synchronize()
        return self._host[:, :count].clone()


class CudaGraphs(Backend):
    """Graphs per window and size of batch; a whole note is one slice here."""

    def __init__(self, weights: Weights, device: torch.device) -> None:
        precision, most = str(weights.dtype).removeprefix("torch."), BUCKETS[-1]
        slices = (Slice(WHOLE, most),)
        self.info = BackendInfo(f"cuda graphs {device.type}", precision, most, most, slices)
        self._device = device
        self.weights = weights.to(device)
        self._plain = Eager(self.weights, device)
        self._graphs: dict[tuple[Span, int], Graph] = {}

    @torch.inference_mode()
    def frames(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        parts = []
        for at in range(0, len(z), BUCKETS[-1]):
            span = slice(at, at + BUCKETS[-1])
            latents = torch.from_numpy(np.ascontiguousarray(z[span], np.float32))
            graph = self._graph(window, len(latents))
            parts.append(graph(latents, torch.from_numpy(labels[span])))
        magnitude, increment = torch.cat(parts, dim=1).numpy()
        return magnitude, increment

    def live(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        captured = any(window == other for other, _ in self._graphs)
        return (self if captured else self._plain).frames(z, labels, window)

    def prepare(self, latent_size: int) -> None:
        """Captures the graph of each size of batch; the slices are what they are."""
        for batch in BUCKETS:
            self.seconds(WHOLE, batch, latent_size, takes=1)

    def _graph(self, window: Span, count: int) -> Graph:
        batch = min(b for b in BUCKETS if b >= count)
        if (window, batch) not in self._graphs:
            self._graphs[window, batch] = Graph(Window(self.weights, window), batch, self._device)
        return self._graphs[window, batch]
