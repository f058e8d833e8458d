"""The generator as an OpenVINO graph, built without tracing: same rows, same numbers."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import openvino as ov
import torch
from openvino import opset13 as op
from torch import nn

from gansynth_server.model.config import ONSET, SILENT
from gansynth_server.model.decoder import SILENCE as DECODED_SILENCE
from gansynth_server.model.decoder import TINY, Decoder
from gansynth_server.model.layers import LEAKY_SLOPE
from gansynth_server.model.templates import CURVES, Templates
from gansynth_server.render.folded import EPSILON, Weights
from gansynth_server.render.receptive_field import BlockRows, Span, plan
from gansynth_server.spectral.constants import SILENCE

Node = Any  # openvino's functions are not typed


def build(weights: Weights, window: Span) -> ov.Model:
    """Build a graph with inputs z [1, latent_size] and label [1] for some frames.

    Its outputs are magnitude and phase increment, float32 [1, frames, 1024].
    """
    rows = plan(weights.config, weights.shares, window)
    z = op.parameter([1, weights.config.latent_size], np.float32, name="z")
    label = op.parameter([1], np.int64, name="label")
    condition = _condition(weights, z, label)
    if weights.decoder is not None:
        drawn = _decoder(weights.decoder, condition, label, *window)
        return ov.Model(list(_polar(weights, drawn)), [z, label], "window")
    x = _first(weights, condition, rows[0].middle)
    total: Node = None
    for b, part in enumerate(rows):
        if b:
            before = rows[b - 1].out
            x = _span(x, part.source[0] - before[0], part.source[1] - before[0])
            top, bottom = part.cropping
            kernel = _scaled(weights, f"kernel0_{b}", 0)
            x = op.convolution_backprop_data(
                x, kernel, [2, 2], pads_begin=[top, 1], pads_end=[bottom, 1]
            )
            x = op.add(x, _bias(weights, f"bias0_{b}"))
        x = _activated(x)
        top, bottom = part.padding
        kernel = _scaled(weights, f"kernel1_{b}", 1)
        x = op.convolution(x, kernel, [1, 1], [top, 1], [bottom, 1], [1, 1])
        x = _activated(op.add(x, _bias(weights, f"bias1_{b}")))
        if part.image is not None:
            image = _image(weights, b, x, condition, label, part, window)
            total = image if total is None else op.add(total, image)
    return ov.Model(list(_polar(weights, total)), [z, label], "window")


def _array(weights: Weights, name: str) -> np.ndarray[Any, Any]:
    value: torch.Tensor = getattr(weights, name)
    return value.contiguous().numpy()


def _constant(value: Any) -> Node:
    return op.constant(np.ascontiguousarray(value))


def _bias(weights: Weights, name: str) -> Node:
    return _constant(_array(weights, name)[None, :, None, None])


def _scaled(weights: Weights, name: str, axis: int) -> Node:
    """Return a kernel for what :func:`_activated` gives; ``axis`` is that of its inputs."""
    kernel = _array(weights, name)
    return _constant(kernel * np.float32(math.sqrt(kernel.shape[axis])))


def _condition(weights: Weights, z: Node, label: Node) -> Node:
    """Compute what the first layer reads, [1, input_size]."""
    config = weights.config
    if weights.axes is not None:
        z = op.matmul(z, _constant(_array(weights, "axes")), False, False)
    onehot = op.gather(_constant(np.eye(len(config.pitches), dtype=np.float32)), label, np.int64(0))
    if weights.decoder is not None:
        square = op.reduce_mean(op.multiply(z, z), _constant([1]), True)
        z = op.divide(z, op.sqrt(op.maximum(square, np.float32(1))))
        return op.concat([z, onehot], 1)
    squares = op.add(op.reduce_sum(op.multiply(z, z), _constant([1]), True), np.float32(1))
    size = np.float32(config.input_size)
    norm = op.sqrt(op.add(op.divide(squares, size), np.float32(EPSILON)))
    return op.divide(op.concat([z, onehot], 1), norm)


def _first(weights: Weights, condition: Node, rows: Span) -> Node:
    config = weights.config
    span = slice(*rows)
    matrix = np.concatenate(
        [_array(weights, name)[:, span] for name in ("first_latent", "first_label")]
    ).reshape(config.input_size, -1)
    x = op.matmul(condition, _constant(matrix), False, False)
    x = op.add(x, _constant(_array(weights, "first_bias")[span].reshape(1, -1)))
    shape = [0, rows[1] - rows[0], config.start[1], config.filters[0]]
    return op.transpose(op.reshape(x, _constant(shape), True), _constant([0, 3, 1, 2]))


def _span(x: Node, first: int, last: int) -> Node:
    """Return rows first…last-1."""
    if first == 0 and last == x.output(0).shape[2]:
        return x
    return op.slice(x, *(_constant([v]) for v in (first, last, 1, 2)))


def _activated(x: Node) -> Node:
    """Apply leaky ReLU and pixel norm, but for a factor √channels: the next kernel has it."""
    x = op.prelu(x, _constant(np.full(1, LEAKY_SLOPE, np.float32)))
    channels = x.output(0).shape[1]
    # as a convolution the sum is exact enough, and faster than normalize_l2
    ones = _constant(np.ones((1, channels, 1, 1), np.float32))
    squares = op.convolution(op.multiply(x, x), ones, [1, 1], [0, 0], [0, 0], [1, 1])
    return op.divide(x, op.sqrt(op.add(squares, np.float32(EPSILON * channels))))


def _templates(
    weights: Weights, templates: Templates, x: Node, label: Node, first: int, last: int, scale: int
) -> Node:
    """Compute frames first…last-1 of the outline, at a resolution lower by the scale."""
    values = _values(templates)
    x = _perceptron(templates.levels, values, x)
    count = values["magnitude"].shape[1]
    levels, constant = _split(x, count * CURVES, values["phase"].shape[1])
    levels = op.reshape(levels, _constant([count, CURVES]), False)
    levels = op.matmul(levels, _constant(values["curves"][:, first:last]), False, False)
    magnitude, phase = (_row(values[name], label) for name in ("magnitude", "phase"))
    both = op.matmul(levels, magnitude, True, False), op.matmul(constant, phase, False, False)
    shape = _constant([last - first, weights.config.shape[1]])
    outline = op.concat([op.unsqueeze(op.broadcast(x, shape), _constant([0, 1])) for x in both], 1)
    if scale == 1:
        return outline
    size = [scale, scale]
    return op.avg_pool(outline, size, [0, 0], [0, 0], size, True)


def _decoder(decoder: Decoder, x: Node, label: Node, first: int, last: int) -> Node:
    """Draw frames first…last-1 as :class:`Decoder` does, [1, 2, frames, bins]."""
    values = _values(decoder)
    weights, onset, phase = _split(_perceptron(decoder.levels, values, x), *decoder.sizes)
    curves = values["curves"]
    weights = op.reshape(weights, _constant([-1, len(curves)]), False)
    weights = op.matmul(weights, _constant(curves[:, first:last]), False, False)
    magnitude = op.matmul(weights, _row(values["magnitude"], label), True, False)
    magnitude = op.clamp(op.add(magnitude, _row(values["mean"], label)), DECODED_SILENCE, 1.0)
    if first < SILENT:
        count = min(last, SILENT) - first
        silent = np.full((count, values["mean"].shape[1]), DECODED_SILENCE, np.float32)
        sounding = [_rows(magnitude, count, last - first)] if last > SILENT else []
        magnitude = op.concat([_constant(silent), *sounding], 0)
    shape = _constant([last - first, values["mean"].shape[1]])
    steps = op.broadcast(_angle(*_sum(phase, values["phase"], label)), shape)
    if first < ONSET:
        early = _increments(*_sum(onset, values["onset"], label))
        frames = min(last, ONSET)
        early = op.slice(early, *(_constant([v]) for v in (first, frames, 1, 0)))
        rest = op.slice(steps, *(_constant([v]) for v in (0, last - frames, 1, 0)))
        steps = op.concat([early, rest], 0) if last > ONSET else early
    steps = op.multiply(steps, np.float32(decoder.phase_scale))
    return op.concat([op.unsqueeze(x, _constant([0, 1])) for x in (magnitude, steps)], 1)


def _sum(levels: Node, vectors: np.ndarray[Any, Any], label: Node) -> tuple[Node, Node]:
    """Sum complex spectra [pitches, K, 2, …, bins]: real and imaginary part, […, bins]."""
    count, bins = vectors.shape[1], vectors.shape[-1]
    a, b = _split(levels, count, count)
    real, imaginary = (
        _row(vectors[:, :, part].reshape(len(vectors), count, -1), label) for part in (0, 1)
    )

    def times(level: Node, spectra: Node) -> Node:
        return op.reshape(op.matmul(level, spectra, False, False), _constant([-1, bins]), False)

    return (
        op.subtract(times(a, real), times(b, imaginary)),
        op.add(times(a, imaginary), times(b, real)),
    )


def _increments(real: Node, imaginary: Node) -> Node:
    """Phases in frames 3…7 as vectors [5, bins] → increments (rad) in frames 0…7."""
    count = ONSET - SILENT
    (before, then), (before_i, then_i) = (
        (_rows(x, 0, count - 1), _rows(x, 1, count)) for x in (real, imaginary)
    )
    turned = (
        op.add(op.multiply(then, before), op.multiply(then_i, before_i)),
        op.subtract(op.multiply(then_i, before), op.multiply(then, before_i)),
    )
    start = _angle(_rows(real, 0, 1), _rows(imaginary, 0, 1))
    silent = np.zeros((SILENT, real.output(0).shape[1]), np.float32)
    return op.concat([_constant(silent), start, _angle(*turned)], 0)


def _angle(real: Node, imaginary: Node) -> Node:
    """Compute the angle (rad) of vectors as the decoder does."""
    squares = op.add(op.multiply(real, real), op.multiply(imaginary, imaginary))
    length = op.sqrt(op.add(squares, np.float32(TINY)))
    near = op.atan(op.divide(imaginary, op.add(length, op.absolute(real))))
    near = op.multiply(near, np.float32(2))
    zero, half = np.float32(0), np.float32(math.pi)
    turn = op.select(op.less(imaginary, zero), _constant(-half), _constant(half))
    return op.select(op.less(real, zero), op.subtract(turn, near), near)


def _rows(x: Node, first: int, last: int) -> Node:
    return op.slice(x, *(_constant([v]) for v in (first, last, 1, 0)))


def _values(module: nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    return {name: t.contiguous().numpy() for name, t in module.state_dict().items()}


def _perceptron(layers: nn.Sequential, values: dict[str, np.ndarray[Any, Any]], x: Node) -> Node:
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.LeakyReLU):
            x = op.prelu(x, _constant(np.full(1, LEAKY_SLOPE, np.float32)))
        elif isinstance(layer, nn.GELU):
            x = op.gelu(x, "erf")
        else:
            x = op.matmul(x, _constant(values[f"levels.{number}.weight"]), False, True)
            x = op.add(x, _constant(values[f"levels.{number}.bias"][None]))
    return x


def _split(x: Node, *sizes: int) -> list[Node]:
    """Split [1, sum(sizes)] into columns."""
    ends = [0, *accumulate(sizes)]
    return [op.slice(x, *(_constant([v]) for v in (*span, 1, 1))) for span in pairwise(ends)]


def _row(values: np.ndarray[Any, Any], label: Node) -> Node:
    """Return the values of the label, without its axis."""
    return op.squeeze(op.gather(_constant(values), label, np.int64(0)), _constant([0]))


def _image(
    weights: Weights,
    b: int,
    x: Node,
    condition: Node,
    label: Node,
    rows: BlockRows,
    window: Span,
) -> Node:
    assert rows.image is not None
    config = weights.config
    first, last = (row - rows.out[0] for row in rows.image)
    kernel = _scaled(weights, f"rgb_{b}", 1)
    image = op.convolution(_span(x, first, last), kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    scale = config.shape[0] // (config.start[0] * 2**b)
    frames = rows.image[0] * scale, rows.image[1] * scale
    if b == len(config.filters) - 1:
        image, frames, scale = _enlarged(image, frames, scale, window), window, 1
    bias = op.gather(_constant(_array(weights, f"rgb_bias_{b}")), label, np.int64(0))
    image = op.add(image, op.unsqueeze(bias, _constant([2])))
    if weights.templates is not None:
        outline = _templates(weights, weights.templates, condition, label, *frames, scale)
        image = op.add(image, outline)
    image = op.tanh(image)
    if weights.shares[b] != 1:
        image = op.multiply(image, np.float32(weights.shares[b]))
    return _enlarged(image, frames, scale, window)


def _enlarged(image: Node, frames: Span, scale: int, window: Span) -> Node:
    """Return the window's part of an image of some frames, at the output's size."""
    if scale == 1:
        return image
    enlarged = (np.arange(*window) - frames[0]) // scale
    image = op.gather(image, _constant(enlarged), np.int64(2))
    bins = image.output(0).shape[3]
    return op.gather(image, _constant(np.arange(bins * scale) // scale), np.int64(3))


def _polar(weights: Weights, image: Node) -> tuple[Node, Node]:
    n = weights.config.normalizer
    magnitude, step = (op.gather(image, np.int64(c), np.int64(1)) for c in (0, 1))
    power = op.subtract(magnitude, np.float32(n.magnitude_b))
    power = op.exp(op.divide(power, np.float32(n.magnitude_a)))
    step = op.subtract(step, np.float32(n.phase_b))
    if weights.config.representation == "linear":  # and then it was magnitude, not power
        return power, op.multiply(step, np.float32(math.pi / n.phase_a))
    power = _gathered(weights, power, "power_weights")
    phase = _gathered(weights, step, "phase_weights")
    return op.sqrt(op.add(power, np.float32(SILENCE))), phase


def _gathered(weights: Weights, bands: Node, name: str) -> Node:
    total: Node = None
    for tap, weight in zip(_array(weights, "taps"), _array(weights, name), strict=True):
        part = op.multiply(op.gather(bands, _constant(tap), np.int64(2)), _constant(weight))
        total = part if total is None else op.add(total, part)
    return total
