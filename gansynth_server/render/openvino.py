"""OpenVINO: the network compiled for this processor, with no C++ compiler."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gansynth_server.errors import UserError
from gansynth_server.model.generator import Generator
from gansynth_server.render.backend import Backend, Float32, Labels
from gansynth_server.render.network import Weights, safe_dtype
from gansynth_server.render.rows import Span

HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenVino(Backend):
    """A graph per window, compiled when it is first used, for one note: batches gain nothing.

    Raises:
        UserError: OpenVINO is not installed, or the net needs float64.
    """

    together = 1

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
        self._core = openvino.Core()
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "ENABLE_CPU_PINNING": False,
        }
        self._weights = Weights(generator, torch.float32)
        self._requests: dict[Span, Any] = {}

    def frames(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        count = len(z)
        frames = window[1] - window[0]
        magnitude = np.empty((count, frames, self._weights.config.shape[1]), np.float32)
        increment = np.empty_like(magnitude)
        request = self._request(window)
        for n in range(count):
            span = slice(n, n + 1)
            inputs = [np.ascontiguousarray(z[span], np.float32), labels[span]]
            result = request.infer(inputs, share_inputs=True, share_outputs=True)
            magnitude[span], increment[span] = result[0], result[1]
        return magnitude, increment

    def _request(self, window: Span) -> Any:
        if window not in self._requests:
            from gansynth_server.render.graph import build

            model = build(self._weights, window)
            compiled = self._core.compile_model(model, "CPU", self._settings)
            self._requests[window] = compiled.create_infer_request()
        return self._requests[window]
