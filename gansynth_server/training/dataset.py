"""Notes to train on: a memory-mapped int16 array beside a JSON index.

A data folder holds ``notes.s16`` (little-endian int16 [N, 64000] at 16 kHz)
and ``index.json``: ``format``, ``about`` (where the notes come from and under
which licence) and ``notes``, one row per note. Spectra are made from the
waves while training, on the training's device.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.spectral.constants import SAMPLES

FORMAT = 1
INDEX = "index.json"
WAVES = "notes.s16"
HELD_OUT = 20
"""One in so many (instrument, pitch) pairs is held out of the training."""

Split = Literal["train", "test"]
Source = Literal["acoustic", "electronic", "synthetic"]


@dataclass(frozen=True, slots=True)
class Note:
    """One row of the data: NSynth's terms."""

    instrument: str
    """Unique name of the instrument, such as ``acoustic_grand_piano``."""
    pitch: int
    """MIDI note number."""
    velocity: int
    """MIDI velocity 1…127."""
    split: Split
    family: str = ""
    """Kind of instrument, such as ``brass``."""
    source: str = ""
    """How it makes its sound: ``acoustic``, ``electronic``, ``synthetic``, or unknown."""


def split_of(instrument: str, pitch: int) -> Split:
    """The split of all notes of an instrument at a pitch, so that velocities never leak.

    The same on every machine: a checksum of both decides.
    """
    return "train" if zlib.crc32(f"{instrument}/{pitch}".encode()) % HELD_OUT else "test"


@dataclass(frozen=True)
class Dataset:
    """An opened data folder."""

    folder: Path
    notes: tuple[Note, ...]
    waves: NDArray[np.int16]
    about: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Maps a data folder; UserError when it is none, or an unfinished one."""
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            if index["format"] != FORMAT:
                raise UserError(f"{folder} has data of format {index['format']}, not {FORMAT}")
            notes = tuple(Note(**entry) for entry in index["notes"])
            waves = np.memmap(folder / WAVES, "<i2", mode="r", shape=(len(notes), SAMPLES))
            return cls(folder, notes, waves, index["about"])
        except FileNotFoundError as error:
            raise UserError(
                f"{folder} holds no finished data set; make one, or go on with one, with: "
                f"gansynth dataset soundfont|nsynth|folder … --output {folder}"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"the data in {folder} is damaged ({error}); make it anew") from error

    def rows(self, split: Split | None = None, source: Source | None = None) -> NDArray[np.int64]:
        """Row numbers of a split and of a kind of instruments; None is all."""
        return np.array(
            [
                row
                for row, note in enumerate(self.notes)
                if split in (None, note.split) and source in (None, note.source)
            ],
            np.int64,
        )

    def audio(self, rows: Sequence[int] | NDArray[np.int64] | slice) -> torch.Tensor:
        """Waves of some rows as float32 [n, 64000]."""
        return torch.from_numpy(self.waves[rows].astype(np.float32) / 32768)

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of the instruments, in the order of their first notes."""
        return tuple(dict.fromkeys(note.instrument for note in self.notes))


class Writer:
    """Makes a data folder note by note; what was written stays if it is interrupted.

    ::

        with Writer(folder, about) as writer:
            for … in …:
                if key not in writer:
                    writer.add(key, note, wave)
        data = writer.finish()

    Args:
        folder: created; a finished data set there is an error, an unfinished
            one of the same ``about`` is continued.
        about: what the notes are made from, as JSON; the settings that
            decide which notes there are belong here too.

    Raises:
        UserError: the folder holds other data.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self.about = folder, json.loads(json.dumps(about))
        if (folder / INDEX).exists():
            raise UserError(f"{folder} holds a data set already; give another --output")
        folder.mkdir(parents=True, exist_ok=True)
        self._rows = folder / "index.partial.jsonl"
        lines = self._rows.read_bytes().splitlines(keepends=True) if self._rows.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        if whole and json.loads(whole[0]) != self.about:
            raise UserError(
                f"{folder} holds the beginning of another data set; delete it, give another "
                "--output, or use the settings it was begun with"
            )
        self._waves = (folder / WAVES).open("r+b" if (folder / WAVES).exists() else "w+b")
        size = SAMPLES * 2
        count = min(max(len(whole) - 1, 0), self._waves.seek(0, 2) // size)
        self._waves.seek(count * size)
        self._waves.truncate()
        kept = whole[: count + 1] or [json.dumps(self.about).encode() + b"\n"]
        self._rows.write_bytes(b"".join(kept))
        self._index = self._rows.open("ab")
        self._notes = [json.loads(line) for line in kept[1:]]
        self._keys = {entry.pop("key") for entry in self._notes}

    def __len__(self) -> int:
        return len(self._notes)

    def __contains__(self, key: str) -> bool:
        """Whether a note was written, now or before an interruption."""
        return key in self._keys

    def add(self, key: str, note: Note, wave: NDArray[np.floating[Any]]) -> None:
        """Appends a note.

        Args:
            key: unique name of the note.
            wave: [64000] within ±1 at 16 kHz.
        """
        if wave.shape != (SAMPLES,) or key in self._keys:
            raise ValueError(f"{key}: {wave.shape}")
        self._waves.write(np.round(np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes())
        self._waves.flush()
        self._index.write(json.dumps(asdict(note) | {"key": key}).encode() + b"\n")
        self._index.flush()
        self._notes.append(asdict(note))
        self._keys.add(key)

    def finish(self) -> Dataset:
        """Writes the index and opens the data; UserError if there are no notes."""
        self.close()
        if not self._notes:
            raise UserError(f"no notes were found for {self.folder}")
        index = {"format": FORMAT, "about": self.about, "notes": self._notes}
        partial = self.folder / (INDEX + ".partial")
        partial.write_text(json.dumps(index), encoding="utf-8")
        partial.replace(self.folder / INDEX)
        self._rows.unlink()
        return Dataset.open(self.folder)

    def close(self) -> None:
        self._waves.close()
        self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


SOURCES: tuple[Source, ...] = get_args(Source)
