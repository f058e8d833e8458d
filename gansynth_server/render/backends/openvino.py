"""OpenVINO: the network compiled for this processor, with no C++ compiler."""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np
import torch

from gansynth_server.errors import UserError
from gansynth_server.render.backends.base import Backend, BackendInfo, Float32, Labels
from gansynth_server.render.backends.eager import Eager
from gansynth_server.render.folded import Weights
from gansynth_server.render.receptive_field import Span

HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}

_log = logging.getLogger(__name__)


class OpenVino(Backend):
    """A graph per window, compiled when it is first used, for one note: batches gain nothing.

    For live notes the head's graph is there from the beginning. Those of their
    rests are compiled in the background; until then, and for windows that come
    up once, plain PyTorch has the same weights and nothing to compile.

    Args:
        weights: in float32, whatever the precision.

    Raises:
        UserError: OpenVINO is not installed, or the net needs float64.
    """

    together = 1

    def __init__(self, weights: Weights, precision: str = "float32") -> None:
        try:
            import openvino
        except ImportError as error:
            raise UserError(
                "the backend openvino is not installed: pip install 'gansynth-server[openvino]'"
            ) from error
        if weights.dtype != torch.float32:
            raise UserError("this network needs float64, which openvino has not; use eager")
        self.info = BackendInfo("openvino cpu", precision)
        self._core = openvino.Core()
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "ENABLE_CPU_PINNING": False,
        }
        self.weights = weights
        self._plain = Eager(weights, torch.device("cpu"))
        self._compiling = threading.Lock()
        self._requests: dict[Span, Any] = {}

    def frames(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        count = len(z)
        frames = window[1] - window[0]
        magnitude = np.empty((count, frames, self.weights.config.shape[1]), np.float32)
        increment = np.empty_like(magnitude)
        if window not in self._requests:
            self.compile(window)
        request = self._requests[window]
        for n in range(count):
            span = slice(n, n + 1)
            inputs = [np.ascontiguousarray(z[span], np.float32), labels[span]]
            result = request.infer(inputs, share_inputs=True, share_outputs=True)
            magnitude[span], increment[span] = result[0], result[1]
        return magnitude, increment

    def live(self, z: Float32, labels: Labels, window: Span) -> tuple[Float32, Float32]:
        compiled = window in self._requests
        return (self if compiled else self._plain).frames(z, labels, window)

    def prepare(self, latent_size: int) -> None:
        """Compile and measure the head, and begin with the rests in the background."""
        super().prepare(latent_size)
        threading.Thread(target=self._compile_rests, name="compile").start()

    def compile(self, window: Span) -> None:
        """Compile the graph of a window, unless it is there."""
        with self._compiling:
            if window not in self._requests:
                from gansynth_server.render.backends.openvino_graph import build

                model = build(self.weights, window)
                compiled = self._core.compile_model(model, "CPU", self._settings)
                self._requests[window] = compiled.create_infer_request()

    def _compile_rests(self) -> None:
        try:
            for part in self.info.slices[1:]:
                if not threading.main_thread().is_alive():  # the program ends
                    return
                self.compile(part.window)
        except Exception:
            _log.exception("the rests of notes are not compiled")
