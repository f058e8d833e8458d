"""Writes TensorFlow bundles for tests, and Magenta's tensors by the golden rule."""

import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.discriminator import Discriminator
from gansynth_server.model.magenta import convert
from gansynth_server.model.magenta.bundle import MAGIC, Entry
from gansynth_server.model.magenta.crc32c import crc32c, masked
from gansynth_server.model.magenta.stage import Source
from tests import golden_rule

Tensors = dict[str, np.ndarray]
EMA = "/ExponentialMovingAverage"
DTYPES = {"float32": 1, "int64": 9}


def magentas_tensors(config: GeneratorConfig, features: int, step: int = 11_000_000) -> Tensors:
    """G, its averages and D of a training, each as the golden rule says."""
    shapes: dict[str, tuple[int, ...]] = {}
    filters = config.filters
    for b, count in enumerate(filters):
        name = f"Generator/progressive_gan_generator/progressive_gan_block_{b + 1}"
        inputs = filters[b - 1] if b else config.input_size
        judge = f"Discriminator/progressive_gan_discriminator/progressive_gan_block_{b + 1}"
        out = filters[b - 1] if b else features
        for part, shape in {
            f"{name}/conv0": (*((3, 3) if b else config.start), inputs, count),
            f"{name}/conv1": (3, 3, count, count),
            f"{name}/to_rgb": (1, 1, count, 2),
            f"{judge}/from_rgb": (1, 1, 2, count),
            f"{judge}/conv0": (3, 3, count + (b == 0), count),
            f"{judge}/conv1": (*((3, 3) if b else config.start), count, out),
        }.items():
            for suffix in ("", EMA) if part.startswith("Generator") else ("",):
                shapes[f"{part}/conv2d/kernel{suffix}"] = shape
                shapes[f"{part}/bias{suffix}"] = shape[3:]
    score = "Discriminator/progressive_gan_discriminator/progressive_gan_block_1/logits"
    pitch = "Discriminator/discriminator_cond/classification_logits"
    shapes[f"{score}/dense/kernel"], shapes[f"{score}/bias"] = (features, 1), (1,)
    labels = len(config.pitches)
    shapes[f"{pitch}/dense/kernel"], shapes[f"{pitch}/bias"] = (features, labels), (labels,)
    tensors = {name: golden_rule.tensor(name, shape) for name, shape in shapes.items()}
    return {**tensors, "global_step": np.array(step, np.int64)}


def source(tensors: Tensors) -> Source:
    """A training's stage that lies in memory."""
    entries = {k: Entry(DTYPES[v.dtype.name], v.shape, 0, 0, 0, 0) for k, v in tensors.items()}
    bundle: Any = SimpleNamespace(prefix=Path("memory"), entries=entries, tensor=tensors.get)
    return Source(bundle, 12, {}, [])


def judge(config: GeneratorConfig, features: int) -> Discriminator:
    """The discriminator of the golden rule, as the converter reads it."""
    net = Discriminator(config, features)
    state = convert.discriminator_state(source(magentas_tensors(config, features)), config)
    net.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()})
    return net.eval().requires_grad_(False)


def write_training(
    root: Path, tensors: Tensors, stage: int = 12, settings: dict[str, Any] | None = None
) -> Path:
    """Writes a training's folder with one stage; returns the stage's folder."""
    folder = root / f"stage_{stage:05}"
    folder.mkdir(parents=True)
    write_bundle(folder / f"model.ckpt-{tensors.get('global_step', 0)}", tensors)
    if settings is not None:
        (root / "experiment.json").write_text(json.dumps(settings))
    return folder


def write_bundle(prefix: Path, tensors: Tensors) -> None:
    data, records = bytearray(), {b"": b"\x08\x01\x1a\x02\x08\x01"}
    for name in sorted(tensors):
        tensor = tensors[name]
        raw = tensor.tobytes()
        dims = b"".join(_bytes(2, b"\x08" + _varint(n) if n else b"") for n in tensor.shape)
        entry = b"\x08" + _varint(DTYPES[tensor.dtype.name]) + _bytes(2, dims)
        entry += (b"\x20" + _varint(len(data)) if data else b"") + b"\x28" + _varint(len(raw))
        records[name.encode()] = entry + b"\x35" + struct.pack("<I", masked(crc32c(raw)))
        data += raw
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)
    prefix.with_name(prefix.name + ".index").write_bytes(_table(records))


def _table(records: dict[bytes, bytes]) -> bytes:
    """A LevelDB table whose blocks hold 20 records each."""
    names = list(records)
    table, index = b"", {}
    for i in range(0, len(names), 20):
        part = names[i : i + 20]
        block = _block({name: records[name] for name in part})
        index[part[-1]] = _varint(len(table)) + _varint(len(block) - 5)
        table += block
    handles = b""
    for block in (_block({}), _block(index)):
        handles += _varint(len(table)) + _varint(len(block) - 5)
        table += block
    return table + handles.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def _block(records: dict[bytes, bytes]) -> bytes:
    block, last, restarts = b"", b"", [0]
    for i, (key, value) in enumerate(records.items()):
        shared = 0
        if i % 16 == 0:
            restarts += [len(block)] if i else []
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        own = key[shared:]
        block += _varint(shared) + _varint(len(own)) + _varint(len(value)) + own + value
        last = key
    block += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts)) + b"\0"
    return block + struct.pack("<I", masked(crc32c(block)))


def _bytes(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
