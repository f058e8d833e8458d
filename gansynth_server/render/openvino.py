"""OpenVINO: the network compiled for this processor, with no C++ compiler."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gansynth_server.errors import UserError
from gansynth_server.model.generator import Generator
from gansynth_server.render.backend import TOGETHER, Backend, Float32, Labels
from gansynth_server.render.network import Weights, safe_dtype
from gansynth_server.render.rows import Span

HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
BUCKETS = (1, TOGETHER)
"""Sizes of batches that graphs are compiled for."""


class OpenVino(Backend):
    """Graphs per window and size of batch, each compiled when it is first used.

    Raises:
        UserError: OpenVINO is not installed, or the net needs float64.
    """

    def __init__(self, generator: Generator, precision: str = "float32") -> None:
        try:
            import openvino
        except ImportError as error:
            raise UserError(
                "the backend openvino is not installed: pip install 'gansynth-server[openvino]'"
            ) from error
        if safe_dtype(generator) != torch.float32:
            raise UserError("this network needs float64, which openvino has not; use eager")
        self.name = "openvino cpu"
        self.precision = precision
        self.batch = TOGETHER
        self._core = openvino.Core()
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "ENABLE_CPU_PINNING": False,
        }
        self._weights = Weights(generator, torch.float32)
        self._requests: dict[tuple[Span, int], Any] = {}

    def frames(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        count = len(z)
        frames = window[1] - window[0]
        magnitude = np.empty((count, frames, self._weights.config.shape[1]), np.float32)
        increment = np.empty_like(magnitude)
        at = 0
        while at < count:
            size = max(b for b in BUCKETS if b <= count - at)
            span = slice(at, at + size)
            request = self._request(window, size)
            inputs = [np.ascontiguousarray(z[span], np.float32), labels[span]]
            result = request.infer(inputs, share_inputs=True, share_outputs=True)
            magnitude[span], increment[span] = result[0], result[1]
            at += size
        return magnitude, increment

    def _request(self, window: Span, batch: int) -> Any:
        key = (window, batch)
        if key not in self._requests:
            from gansynth_server.render.graph import build

            model = build(self._weights, window, batch)
            compiled = self._core.compile_model(model, "CPU", self._settings)
            self._requests[key] = compiled.create_infer_request()
        return self._requests[key]
