"""CUDA graphs: a whole batch in one launch, for on a GPU a note alone is bound by its launches.

What is where, and why (PyTorch's notes on CUDA semantics, "CUDA Graphs", and those of
``torch.cuda.graph``):

* A graph reads and writes the addresses it was captured with, so inputs are copied into
  static tensors and the output is copied out of one.
* The body runs a few times on the stream of the capture before it is captured: libraries
  choose kernels, allocate workspaces and compile then, none of which a capture allows.
* Graphs may share a pool of memory if they are never replayed at once and none needs what
  another left there: those of a lane are replayed on one stream, under one lock, and each
  reads its inputs and writes the output outside of the pool. The largest is captured first,
  so that the others find room in its memory.
* Only one capture may be under way in a process, and by default the calls of other threads
  spoil it (``global``); here a checkpoint is loaded while another one plays, so captures
  take turns and are ``thread_local``.
* Only the thread that asked waits, for an event behind its own copy; never for the device.

Not tested on a GPU. Where there is none the same code runs the graph's body
instead of replaying it, so that a test can compare its numbers.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gansynth_server.render.backends.base import (
    HEAD,
    WHOLE,
    Backend,
    BackendInfo,
    Firsts,
    Float32,
    Labels,
    Slice,
)
from gansynth_server.render.backends.eager import Eager, full_float32
from gansynth_server.render.channel import CAPACITY
from gansynth_server.render.folded import Weights, Window
from gansynth_server.render.receptive_field import Span
from gansynth_server.spectral import transform
from gansynth_server.spectral.constants import BINS, FRAMES, SAMPLES

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
"""Sizes of batches that graphs are captured for; others are filled up to the next."""
RESTS = CAPACITY // (2 * FRAMES * BINS)
"""Rests of notes at once: more do not fit in the memory that two processes share."""
WARM_UPS = 3  # runs before a capture
URGENT = -1
"""Priority of the stream of notes that sound: a GPU starts its kernels before others' (0)."""
Body = Callable[[Tensor, Tensor], Sequence[Tensor]]
"""Latents [N, latent_size] and labels [N] → what a graph computes of them, [N, …] each."""

_log = logging.getLogger(__name__)
_capturing = threading.Lock()


class Lane:
    """Graphs that run one after another on a stream of their own; for any thread.

    Args:
        body: what its graphs compute, by the number of notes.
        shape: of what a note becomes, the number of the body's results first.
        latent_size: of a note's latent.
        short: whether the body multiplies numbers of 16 bits.
    """

    def __init__(
        self,
        body: Body,
        shape: tuple[int, ...],
        latent_size: int,
        device: torch.device,
        short: bool,
        priority: int = 0,
    ) -> None:
        self._body, self._short = body, short
        self._real = device.type == "cuda"
        self._lock = threading.Lock()
        self._replays: dict[int, Callable[[], None]] = {}
        most = BUCKETS[-1]
        self._z, self._labels = _inputs(most, latent_size, device)
        # from pageable memory a copy would wait for a detour through the driver's own
        self._z_host, self._labels_host = (
            torch.zeros(x.shape, dtype=x.dtype, pin_memory=self._real)
            for x in (self._z, self._labels)
        )
        self._out = torch.zeros(most, *shape, device=device)
        if self._real:
            self._stream = torch.cuda.Stream(device, priority)  # type: ignore[no-untyped-call]
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()
            # the tensors above and the weights were written on another stream
            self._stream.wait_stream(torch.cuda.current_stream(device))

    @property
    def batches(self) -> list[int]:
        """Return the sizes of batches that are captured."""
        return sorted(self._replays)

    # a capture makes tensors of PyTorch's random numbers, which a replay writes to: made in
    # inference mode they may be written in it alone, so both always are in it

    @torch.inference_mode()
    def prepare(self, batch: int) -> None:
        """Capture the graph of a size of batch, if it was not captured yet."""
        with self._lock:
            if batch not in self._replays:
                self._replays[batch] = self._captured(batch)

    @torch.inference_mode()
    def __call__(self, z: Tensor, labels: Tensor, pick: Callable[[Tensor], Tensor]) -> Tensor:
        """Run the smallest captured graph that all notes fit in.

        Args:
            z: [n, latent_size] on the host, n up to the largest captured batch.
            labels: [n] on the host.
            pick: takes what is wanted out of [n, …], on the device.

        Returns:
            what was picked, on the host; its memory is the caller's.
        """
        count = len(z)
        with self._lock, self._on_stream():
            self._z_host[:count].copy_(z)
            self._labels_host[:count].copy_(labels)
            self._z[:count].copy_(self._z_host[:count], non_blocking=True)
            self._labels[:count].copy_(self._labels_host[:count], non_blocking=True)
            self._replays[min(b for b in self._replays if b >= count)]()
            picked = pick(self._out[:count]).contiguous()
            # pinned memory is kept by PyTorch when it is freed, and given out again; so this
            # allocates nothing in the long run, and no second copy is needed to own the result
            host = torch.empty(picked.shape, dtype=picked.dtype, pin_memory=self._real)
            host.copy_(picked, non_blocking=True)
            if self._real:
                self._done.record(self._stream)
                self._done.synchronize()
        return host

    def _on_stream(self) -> AbstractContextManager[Any]:
        return torch.cuda.stream(self._stream) if self._real else nullcontext()

    def _captured(self, batch: int) -> Callable[[], None]:
        def body() -> None:
            for k, part in enumerate(self._body(self._z[:batch], self._labels[:batch])):
                self._out[:batch, k].copy_(part)

        if not self._real:
            return body
        with _capturing:
            with torch.cuda.stream(self._stream), _measured(self._short):
                for _ in range(WARM_UPS):
                    body()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                body()
        return graph.replay


@contextmanager
def _measured(short: bool) -> Iterator[None]:
    """Let cuDNN measure its kernels; not in float32, of which some are fast and less exact."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or short
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _inputs(count: int, latent_size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    z = torch.zeros(count, latent_size, device=device)
    return z, torch.zeros(count, dtype=torch.int64, device=device)


class CudaGraphs(Backend):
    """A graph of whole notes per size of batch; any frames are cut out of them on the device.

    Notes that sound have a lane of their own, with the higher priority. A note's head still
    comes first: from the render process to the server it takes 0.13 ms, a whole note 1.2 ms.

    Args:
        weights: are moved to the device.
        fused: whether small steps are compiled to kernels; None: on CUDA, where that works.
    """

    def __init__(self, weights: Weights, device: torch.device, fused: bool | None = None) -> None:
        full_float32(device)
        precision = str(weights.dtype).removeprefix("torch.")
        self.info = BackendInfo(f"cuda graphs {device.type}", precision, mixed=True)
        self._allow(BUCKETS[-1])
        self._device = device
        self.weights = weights.to(device)
        self._plain = Eager(self.weights, device)
        self._window = self._made(device.type == "cuda" if fused is None else fused)
        self._live = self._lane(priority=URGENT)
        self._work: Lane | None = None
        self._waves: Lane | None = None
        self._making = threading.Lock()

    def frames(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        with self._making:
            self._work = self._work or self._lane()
        return self._cut(self._work, z, labels, lambda out: out[:, :, slice(*window)])

    def live(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        if not self._live.batches:
            return self._plain.frames(z, labels, window)
        return self._cut(self._live, z, labels, lambda out: out[:, :, slice(*window)])

    def live_at(
        self, z: Float32, labels: Labels, firsts: Firsts, length: int
    ) -> tuple[Float32, Float32]:
        if not self._live.batches or len(z) > self._live.batches[-1]:
            return super().live_at(z, labels, firsts, length)
        rows = torch.from_numpy(firsts)[:, None, None, None] + torch.arange(length)[:, None]

        def pick(out: Tensor) -> Tensor:
            index = rows.to(out.device).expand(-1, out.shape[1], -1, out.shape[3])
            return out.gather(2, index)

        return self._cut(self._live, z, labels, pick)

    def waves(self, z: Float32, labels: Labels) -> Float32:
        """Render whole notes [N, 64000]: the inverse transform is part of the graph."""
        with self._making:
            if self._waves is None:
                self._waves = self._lane(self._wave_body, (1, SAMPLES))
        return self._run(self._waves, z, labels, lambda out: out[:, 0]).numpy()

    def prepare(self, latent_size: int) -> None:
        """Capture the graphs of notes that sound, the largest first.

        Where there is no memory for a size, the next smaller one is the largest.
        """
        for batch in reversed(BUCKETS):
            try:
                self._live.prepare(batch)
            except torch.OutOfMemoryError:
                if batch == BUCKETS[0]:
                    raise
                self._allow(batch // 2)
                _log.warning("no memory for %d notes at once: %d it is", batch, self._most)

    def _allow(self, most: int) -> None:
        """Set the most notes to render at once."""
        self._most = most
        slices = Slice(HEAD, most), Slice((HEAD[1], FRAMES), min(RESTS, most))
        self.info = replace(self.info, batch=most, windows=most, slices=slices)

    def _made(self, fused: bool) -> Window:
        if fused:
            from gansynth_server.render.backends.fused import FusedWindow, can_compile

            if can_compile(self._device):
                return FusedWindow(self.weights, WHOLE)
        return Window(self.weights, WHOLE)

    def _lane(
        self, body: Body | None = None, shape: tuple[int, ...] | None = None, priority: int = 0
    ) -> Lane:
        config, short = self.weights.config, self.weights.dtype.itemsize == 2
        return Lane(
            body or self._window,
            shape or (2, *config.shape),
            config.latent_size,
            self._device,
            short,
            priority,
        )

    def _wave_body(self, z: Tensor, labels: Tensor) -> Sequence[Tensor]:
        return (transform.waves(*self._window(z, labels)),)

    def _cut(
        self, lane: Lane, z: Float32, labels: Labels, pick: Callable[[Tensor], Tensor]
    ) -> tuple[Float32, Float32]:
        both = self._run(lane, z, labels, lambda out: pick(out).transpose(0, 1))
        magnitude, increment = both.numpy()
        return magnitude, increment

    def _run(
        self, lane: Lane, z: Float32, labels: Labels, pick: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Run notes in batches that have a graph, joined: [N, …], or [2, N, …] where cut."""
        latents, numbers = torch.from_numpy(np.asarray(z, np.float32)), torch.from_numpy(labels)
        parts = []
        for at in range(0, len(z), self._most):
            some = latents[at : at + self._most], numbers[at : at + self._most]
            if lane is not self._live:  # which has what it needs, and waits for no capture
                lane.prepare(min(b for b in BUCKETS if b >= len(some[0])))
            parts.append(lane(*some, pick))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=parts[0].dim() // 4)
