"""Notes to train on: a memory-mapped int16 array beside a JSON index.

A data folder holds ``notes.s16`` (little-endian int16 [N, 64000] at 16 kHz)
and ``index.json``: ``format``, ``about`` (where the notes come from and under
which licence), ``notes``, one row per note, ``left_out``, how many were not
taken, by reason, and ``origins``, the place in ``about["sources"]`` of what
each instrument comes from, if there are several. Spectra are made from the
waves while training, on the training's device.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from gansynth_server.analysis.labelled_notes import LabelledNotes
from gansynth_server.errors import UserError
from gansynth_server.spectral.constants import SAMPLES
from gansynth_server.util.files import write_atomically

FORMAT = 1
INDEX = "index.json"
WAVES = "notes.s16"
HELD_OUT = 20
"""One in so many (instrument, pitch) pairs is held out of the training."""

Split = Literal["train", "test"]
Source = Literal["acoustic", "electronic", "synthetic"]
SOURCES: tuple[Source, ...] = get_args(Source)
FULL_SCALE = 32768
"""What ±1 is in the file, so that int16 sources come through bit for bit."""


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
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many notes were not taken, by reason."""
    origins: Mapping[str, int] = field(default_factory=dict)
    """Instrument → its place in :attr:`sources`; 0 where it is not there."""

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Maps a data folder; UserError when it is none, or an unfinished one."""
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            if index["format"] != FORMAT:
                raise UserError(f"{folder} has data of format {index['format']}, not {FORMAT}")
            notes = tuple(Note(**entry) for entry in index["notes"])
            waves = np.memmap(folder / WAVES, "<i2", mode="r", shape=(len(notes), SAMPLES))
            left_out, origins = index.get("left_out", {}), index.get("origins", {})
            return cls(folder, notes, waves, index["about"], left_out, origins)
        except FileNotFoundError as error:
            raise UserError(
                f"{folder} holds no finished data set; make one, or go on with one, with: "
                f"gansynth dataset soundfont|dssi|nsynth|folder|merge … --output {folder}"
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
        return torch.from_numpy(self.waves[rows].astype(np.float32) / FULL_SCALE)

    def sounds(self, rows: NDArray[np.int64]) -> LabelledNotes:
        """Notes of some rows, to be measured."""
        notes = [self.notes[row] for row in rows]
        pitches = np.array([note.pitch for note in notes], np.int64)
        return LabelledNotes(
            self.audio(rows).numpy(), pitches, tuple(note.instrument for note in notes)
        )

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of the instruments, in the order of their first notes."""
        return tuple(dict.fromkeys(note.instrument for note in self.notes))

    @property
    def sources(self) -> list[Mapping[str, Any]]:
        """Where the notes come from: ``kind``, ``title`` and ``licence`` of each source."""
        return list(self.about.get("sources", [self.about]))

    def source_of(self, instrument: str) -> Mapping[str, Any]:
        """Where an instrument comes from, one of :attr:`sources`."""
        return self.sources[self.origins.get(instrument, 0)]

    @property
    def families(self) -> dict[str, str]:
        """The family of each instrument; where it is not known, the instrument is its own."""
        return {note.instrument: note.family or note.instrument for note in self.notes}


class Writer:
    """Makes a data folder note by note; what was written stays if it is interrupted.

    ::

        with Writer(folder, about) as writer:
            for … in …:
                if key not in writer:
                    writer.add(key, note, wave)  # or writer.skip(key, "silent")
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
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._rows = folder / "index.partial.jsonl"
            self._waves = (folder / WAVES).open("a+b")
            self._resume()
            self._index = self._rows.open("ab")
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror}") from error
        except (ValueError, KeyError) as error:
            raise UserError(f"the unfinished data in {folder} is damaged; delete it") from error

    def _resume(self) -> None:
        """Takes over the rows of an interrupted run, up to the last whole note."""
        lines = self._rows.read_bytes().splitlines(keepends=True) if self._rows.exists() else []
        whole = [json.loads(line) for line in lines if line.endswith(b"\n")]
        if len(whole) > 1 and whole[0] != self.about:
            self._waves.close()
            raise UserError(
                f"{self.folder} holds the beginning of another data set; delete it, give another "
                "--output, or use the settings it was begun with"
            )
        size = SAMPLES * 2
        stored = self._waves.seek(0, 2) // size
        self._notes: list[dict[str, Any]] = []
        self._left_out: Counter[str] = Counter()
        self._keys: set[str] = set()
        kept = [json.dumps(self.about)]
        for row in whole[1:]:
            if "left_out" not in row and len(self._notes) == stored:
                break
            kept.append(json.dumps(row))
            self._take(row)
        self._waves.truncate(len(self._notes) * size)
        write_atomically(self._rows, ("\n".join(kept) + "\n").encode())

    def _take(self, row: dict[str, Any]) -> None:
        row = dict(row)
        self._keys.add(row.pop("key"))
        if "left_out" in row:
            self._left_out[row["left_out"]] += 1
        else:
            self._notes.append(row)

    def _write(self, row: dict[str, Any]) -> None:
        self._index.write(json.dumps(row).encode() + b"\n")
        self._index.flush()
        self._take(row)

    def __len__(self) -> int:
        return len(self._notes)

    def __contains__(self, key: str) -> bool:
        """Whether a note was written or left out, now or before an interruption."""
        return key in self._keys

    def add(self, key: str, note: Note, wave: NDArray[np.floating[Any]]) -> None:
        """Appends a note.

        Args:
            key: unique name of the note.
            wave: [64000] within ±1 at 16 kHz.

        Raises:
            UserError: the disk is full, or such.
        """
        if wave.shape != (SAMPLES,) or key in self._keys:
            raise ValueError(f"{key}: {wave.shape}")
        top = FULL_SCALE - 1
        scaled = np.clip(np.round(wave * FULL_SCALE), -FULL_SCALE, top)
        try:
            self._waves.write(scaled.astype("<i2").tobytes())
            self._waves.flush()
            self._write(asdict(note) | {"key": key})
        except OSError as error:
            raise UserError(
                f"cannot write to {self.folder}: {error.strerror}; mend that and run it again"
            ) from error

    def skip(self, key: str, reason: str) -> None:
        """Counts a note that is left out, and remembers it over an interruption."""
        if key not in self._keys:
            self._write({"left_out": reason, "key": key})

    def finish(self, origins: Mapping[str, int] | None = None) -> Dataset:
        """Writes the index and opens the data; UserError if there are no notes.

        Args:
            origins: instrument → place in ``about["sources"]``, if there are several.
        """
        self.close()
        if not self._notes:
            reasons = ", ".join(f"{n} {reason}" for reason, n in self._left_out.items())
            raise UserError(
                f"no notes were found for {self.folder}" + (f": {reasons}" if reasons else "")
            )
        index = {"format": FORMAT, "about": self.about, "notes": self._notes}
        index["left_out"] = dict(self._left_out)
        if origins:
            index["origins"] = dict(origins)
        write_atomically(self.folder / INDEX, json.dumps(index).encode())
        self._rows.unlink()
        return Dataset.open(self.folder)

    def close(self) -> None:
        for file in (self._waves, self._index):
            # all was flushed but for what could not be written, which was told
            with contextlib.suppress(OSError):
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
