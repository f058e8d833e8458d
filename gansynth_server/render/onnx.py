"""The network as an ONNX file, for plug-ins and other programs.

The folded network with all that comes behind it: latents and pitches in, linear magnitudes and
phase increments out, as the voices read them (see docs/playing.md).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gansynth_server.errors import UserError
from gansynth_server.render.backends.base import WHOLE
from gansynth_server.render.folded import Window, fold
from gansynth_server.render.model import Model
from gansynth_server.spectral.constants import FFT, HOP, LEAD, SAMPLE_RATE
from gansynth_server.util.extras import require

Float32 = NDArray[np.float32]

TOLERANCE = 1e-4
"""Largest difference of the file's output from the network's, relative to the largest value."""
PITCHES = 128
OPSET = 18


class NetworkByPitch(nn.Module):
    """The whole notes of a folded network, by MIDI pitches instead of labels."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.window = Window(fold(model.checkpoint.generator), WHOLE)
        pitches = np.array(model.pitches)
        # a pitch that was not trained has the label of the nearest that was
        nearest = [int(np.abs(pitches - pitch).argmin()) for pitch in range(PITCHES)]
        labels = [model.checkpoint.config.label(int(pitches[place])) for place in nearest]
        self.labels: Tensor
        self.register_buffer("labels", torch.tensor(labels))

    def forward(self, latent: Tensor, pitch: Tensor) -> tuple[Tensor, Tensor]:
        """Return magnitudes and increments [N, 128, 1024] of latents [N, size] and pitches [N]."""
        magnitude, increment = self.window(latent, self.labels.index_select(0, pitch))
        return magnitude, increment


def export(path: Path, model: Model, latents: Mapping[str, Float32] | None = None) -> float:
    """Write a checkpoint's network, and compare what it computes with the original.

    Args:
        latents: by name, kept in the file's metadata.

    Returns:
        the largest difference, relative to the largest value.

    Raises:
        UserError: onnx or onnxruntime is missing, or the file cannot be written or is wrong.
    """
    onnx = require("onnx", "writing ONNX files", "onnx")
    require("onnxscript", "writing ONNX files", "onnx")
    require("onnxruntime", "checking ONNX files", "onnx")
    network = NetworkByPitch(model).eval()
    batch = torch.export.Dim.DYNAMIC
    example = torch.zeros(3, model.latent_size), torch.tensor([60, 61, 62])
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        program = torch.onnx.export(
            network,
            example,
            input_names=["latent", "pitch"],
            output_names=["magnitude", "increment"],
            dynamic_shapes={"latent": {0: batch}, "pitch": {0: batch}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    written: Any = program.model_proto
    for key, value in metadata(model, latents or {}).items():
        written.metadata_props.add(key=key, value=value)
    try:
        onnx.save(written, str(path))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    difference = compare(path, network, model)
    if difference > TOLERANCE:
        path.unlink(missing_ok=True)
        raise UserError(
            f"{path} would compute {difference:.2g} of another output than the network, more than "
            f"{TOLERANCE:g}; it was not kept"
        )
    return difference


def metadata(model: Model, latents: Mapping[str, Float32]) -> dict[str, str]:
    """Return what a program has to know of the file besides its inputs and outputs."""
    return {
        "checkpoint": model.checkpoint.name,
        "latent_size": str(model.latent_size),
        "pitches": json.dumps(list(model.pitches)),
        "sample_rate": str(SAMPLE_RATE),
        "fft": str(FFT),
        "hop": str(HOP),
        "lead": str(LEAD),
        "latents": json.dumps({name: z.tolist() for name, z in latents.items()}),
    }


def compare(path: Path, network: nn.Module, model: Model) -> float:
    """Return the largest difference between a file's output and the network's, relative to the
    largest value."""
    onnxruntime = require("onnxruntime", "checking ONNX files", "onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst = 0.0
    for pitches in ([model.pitches[0]], [60, model.pitches[-1], 127]):
        z = rng.standard_normal((len(pitches), model.latent_size)).astype(np.float32)
        pitch = np.array(pitches, np.int64)
        theirs = session.run(None, {"latent": z, "pitch": pitch})
        with torch.no_grad():
            ours = network(torch.from_numpy(z), torch.from_numpy(pitch))
        for given, expected in zip(theirs, ours, strict=True):
            reference = expected.numpy()
            worst = max(worst, float(np.abs(given - reference).max() / np.abs(reference).max()))
    return worst
