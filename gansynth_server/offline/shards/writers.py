"""Shards as files: a tar archive that WebDataset reads, or Parquet as Hugging Face reads it."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.sound_file import SoundWriter
from gansynth_server.errors import UserError
from gansynth_server.latent.prior import Prior
from gansynth_server.offline.shards.plan import AudioFormat, Plan
from gansynth_server.util.extras import require

Float32 = NDArray[np.float32]
ROW_GROUP = 100
"""Notes of a row group of Parquet, which is written, and read, as a whole."""
_SAMPLES = {"flac": "PCM_16", "wav": "PCM_16"}


@dataclass(frozen=True, slots=True)
class ShardNote:
    """A note as a shard keeps it: its key, its sound in a file's bytes, latent and facts."""

    key: str
    audio: bytes
    z: Float32
    facts: dict[str, Any]


def check_writer(plan: Plan) -> None:
    """Raise UserError where what writes such shards is not installed."""
    if plan.kind == "parquet":
        require("pyarrow", "--shards parquet", "shards")


def write_shard(plan: Plan, path: Path, notes: Iterable[ShardNote]) -> None:
    """Write a shard so that it is there as a whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    with _whole(path) as file:
        (_write_parquet if plan.kind == "parquet" else _write_tar)(plan, file, notes)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a shard that was rendered elsewhere; see :func:`write_shard`."""
    with _whole(path) as file:
        file.write(data)


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a name must not lead to what is not on the disk yet
        part.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def remove_parts(folder: Path) -> None:
    """Remove what runs that were broken off have left in a folder."""
    for part in folder.glob(".notes-*.part"):
        part.unlink(missing_ok=True)


def encode(sound: Float32, rate: int, format: AudioFormat) -> bytes:
    """Return a sound [samples] as the bytes of a file with 16 bits a sample."""
    buffer = io.BytesIO()
    writer = SoundWriter(Path(f"note.{format}"), rate, 1, buffer, subtype=_SAMPLES[format])
    writer.write(sound[None])
    writer.close()
    return buffer.getvalue()


def _write_tar(plan: Plan, file: Any, notes: Iterable[ShardNote]) -> None:
    # files of one key are one sample to WebDataset; times are left out, so that a shard that is
    # rendered again is the same to the bit
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        for note in notes:
            latent = io.BytesIO()
            np.save(latent, note.z)
            facts = json.dumps(note.facts).encode()
            parts = {plan.audio: note.audio, "json": facts, "npy": latent.getvalue()}
            for suffix, data in parts.items():
                info = tarfile.TarInfo(f"{note.key}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def _write_parquet(plan: Plan, file: Any, notes: Iterable[ShardNote]) -> None:
    parquet = require("pyarrow.parquet", "--shards parquet", "shards")
    schema = _schema(plan)
    # sound is compressed already
    with parquet.ParquetWriter(file, schema, compression="NONE") as writer:
        waiting = iter(notes)
        while rows := list(islice(waiting, ROW_GROUP)):
            writer.write_table(_table(plan, schema, rows))


def _table(plan: Plan, schema: Any, notes: list[ShardNote]) -> Any:
    arrow = require("pyarrow", "--shards parquet", "shards")
    sounds = [{"bytes": note.audio, "path": f"{note.key}.{plan.audio}"} for note in notes]
    columns = {"audio": sounds, "z": [note.z for note in notes]}
    for name in _FACTS:
        columns[name] = [note.facts[name] for note in notes]
    return arrow.Table.from_pydict(columns, schema=schema)


_FACTS = {
    "index": "int64",
    "seed": "int64",
    "pitch": "float32",
    "velocity": "float32",
    "seconds": "float32",
    "rate": "int32",
    "checkpoint": "string",
}
"""Columns besides sound and latent, and their types."""


def _schema(plan: Plan) -> Any:
    """Return the schema, with what Hugging Face ``datasets`` wants to know of the columns."""
    arrow = require("pyarrow", "--shards parquet", "shards")
    fields = [
        ("audio", arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])),
        ("z", arrow.list_(arrow.float32(), plan.latent_size)),
        *((name, getattr(arrow, kind)()) for name, kind in _FACTS.items()),
    ]
    latent = {
        "_type": "Sequence",
        "feature": {"_type": "Value", "dtype": "float32"},
        "length": plan.latent_size,
    }
    features: dict[str, Any] = {
        "audio": {"_type": "Audio", "sampling_rate": plan.rate},
        "z": latent,
        **{name: {"_type": "Value", "dtype": kind} for name, kind in _FACTS.items()},
    }
    known = json.dumps({"info": {"features": features}})
    return arrow.schema(fields, metadata={"huggingface": known})


def shard_notes(
    plan: Plan, shard: int, prior: Prior, sounds: Iterable[Float32]
) -> Iterator[ShardNote]:
    """Yield a shard's notes, of their sounds in order."""
    for index, sound in zip(plan.indices(shard), sounds, strict=True):
        request = plan.request(index, prior)
        audio = encode(sound, plan.rate, plan.audio)
        yield ShardNote(f"{index:09d}", audio, request.z, plan.facts(index, request))
