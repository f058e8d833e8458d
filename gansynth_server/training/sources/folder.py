"""Notes of a folder of recordings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gansynth_server.analysis import file_names, segmentation
from gansynth_server.analysis.sound_reader import SUFFIXES, UNREADABLE, way_out
from gansynth_server.errors import UserError
from gansynth_server.spectral.constants import SAMPLE_RATE
from gansynth_server.training.dataset import Dataset, Note, Source, Writer, split_of
from gansynth_server.training.sources import PITCHES
from gansynth_server.util.progress import track

DAMAGED = "file is damaged"
MAX_NAMED = 100
"""Files left out that are named one by one."""
SHORTEST = SAMPLE_RATE // 10


def collect(
    recordings: Path,
    folder: Path,
    *,
    pitches: Sequence[int] = PITCHES,
    family: str = "",
    source: Source | None = None,
    licence: str = "",
) -> Dataset:
    """Cuts recordings to notes; goes on where it was interrupted.

    A file whose name says its pitch (see :func:`names.parse`) is parted only
    by silence. Any other is cut where notes are struck or the pitch moves on,
    and its pitches are heard.

    Args:
        recordings: sound files of any rate and length, also in subfolders. The
            subfolder is the instrument's name, or else the file name without
            its pitch.
        folder: where the data goes; created.
        pitches: MIDI note numbers that are taken.
        family: label of all instruments, such as ``brass``.
        source: label of all instruments.
        licence: of the recordings.

    Returns:
        The opened data; every note has its peak at 0.5.

    Raises:
        UserError: there are no recordings, librosa is missing, or the folder
            holds other data.
    """
    there = sorted(
        path for path in recordings.rglob("*") if path.is_file() and not path.name.startswith(".")
    )
    files = [path for path in there if path.suffix.lower() in SUFFIXES]
    others = [path for path in there if path.suffix.lower() in UNREADABLE]
    if not files:
        kinds = sorted({path.suffix.lower() for path in others})
        why = f"; {way_out(kinds[0])}" if kinds else "; give a folder of recordings"
        raise UserError(f"{recordings} holds no sound files that can be read{why}")
    left_out = _LeftOut()
    for path in others:
        left_out.tell(path.relative_to(recordings).as_posix(), way_out(path.suffix))
    if any(file_names.parse(path.stem).pitch is None for path in files):
        segmentation.need_librosa()
    title = recordings.resolve().name
    about = {
        "kind": "folder",
        "title": title,
        "licence": licence,
        "settings": {"pitches": list(pitches), "family": family, "source": source},
    }
    with Writer(folder, about) as writer:
        for path in track(files, recordings.name):
            name = path.relative_to(recordings).as_posix()
            if name in writer:
                continue
            named = file_names.parse(path.stem)
            within = "_".join(path.relative_to(recordings).parent.parts)
            instrument = file_names.clean(within) or named.instrument or file_names.clean(title)
            sound, found = _notes(path, named.pitch, pitches)
            for n, each in enumerate(found, 1):
                # the last note has the file's name: where that is written, all of it is
                key = name if n == len(found) else f"{name}#{n}"
                if key in writer:
                    continue
                if isinstance(each, str):
                    left_out.tell(key, each)
                    writer.skip(key, each.partition(":")[0])
                    continue
                pitch, span = each
                split = split_of(instrument, pitch)
                note = Note(instrument, pitch, named.velocity, split, family, source or "")
                writer.add(key, note, segmentation.note(sound, span))
        left_out.end()
        return writer.finish()


class _LeftOut:
    """Names what is left out on standard error, each with its reason."""

    def __init__(self) -> None:
        self._count = 0

    def tell(self, name: str, why: str) -> None:
        """Name a file or a part of one."""
        self._count += 1
        if self._count <= MAX_NAMED:
            print(f"left out: {name}: {why}", file=sys.stderr)

    def end(self) -> None:
        """Tell how many were not named."""
        if self._count > MAX_NAMED:
            print(f"left out: {self._count - MAX_NAMED} more", file=sys.stderr)


def _notes(
    path: Path, pitch: int | None, pitches: Sequence[int]
) -> tuple[segmentation.Float32, list[tuple[int, segmentation.Span] | str]]:
    """The sound of a file, and the pitch and place of each note, or why it is left out."""
    try:
        sound = segmentation.load(path)
    except ValueError as error:
        return np.zeros(0, np.float32), [f"{DAMAGED}: {error}"]
    takes = segmentation.takes(sound)
    if pitch is None:
        spans = [span for take in takes for span in segmentation.melody(sound, take)]
    else:
        spans = [replace(take, pitch=pitch) for take in takes]
    return sound, [_judged(span, pitches) for span in spans] or ["silent"]


def _judged(span: segmentation.Span, pitches: Sequence[int]) -> tuple[int, segmentation.Span] | str:
    if span.stop - span.start < SHORTEST:
        return "shorter than 0.1 s"
    if span.pitch is None:
        return "no steady pitch heard"
    return (span.pitch, span) if span.pitch in pitches else "pitch out of range"
