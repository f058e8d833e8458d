"""Several data folders to one, without instruments that sound alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.training.dataset import INDEX, Dataset, Source, Writer
from gansynth_server.training.near_duplicates import Instruments, Waves
from gansynth_server.training.sources.selection import PROBES, by_nearness
from gansynth_server.util.files import sha256
from gansynth_server.util.progress import track

NEAR = "sounds like an instrument before"


@dataclass(frozen=True)
class _Part:
    """The notes of an instrument."""

    data: Dataset
    name: str
    """As the merged data calls it."""
    rows: NDArray[np.int64]
    origin: int
    """Place of what it comes from in the merged data's sources."""
    fixed: bool
    """It is taken whatever it sounds like."""

    def probes(self, pitches: Sequence[int]) -> Waves:
        """Its notes at some pitches, each at the usual velocity or the nearest to it."""
        found: dict[int, NDArray[np.float32]] = {}
        velocities = by_nearness(sorted({self.data.notes[row].velocity for row in self.rows}))
        for velocity in velocities:
            for row in self.rows:
                note = self.data.notes[row]
                if note.velocity == velocity and note.pitch in pitches:
                    found.setdefault(note.pitch, self.data.audio([row])[0].numpy())
        return found


def merge(
    folders: Sequence[Path],
    folder: Path,
    *,
    distinct: float = 0.0,
    probes: Sequence[int] = PROBES,
    keep: int = 0,
    source: Source | None = None,
) -> Dataset:
    """Copies the notes of data folders, bit for bit; goes on where it was interrupted.

    Instruments of the same name get that of their source's file, @FILE. Each
    one keeps its licence: :meth:`Dataset.source_of`.

    Args:
        folders: data folders.
        folder: where the data goes; created.
        distinct: distance in dB, as :class:`Target` measures it, that an
            instrument must have from all taken before, averaged over the
            probes; 0 takes all.
        probes: MIDI pitches at which instruments are compared.
        keep: so many folders, from the first, whose instruments are all taken.
        source: only instruments of this kind.

    Returns:
        The opened data.

    Raises:
        UserError: a folder holds no data, no notes are left, or the folder
            holds other data.
    """
    if len({path.resolve() for path in folders}) < len(folders):
        raise UserError("a data folder is named twice; leave out one")
    sets = [Dataset.open(path) for path in folders]
    sources = [dict(each) for data in sets for each in data.sources]
    about = {
        "kind": "merged",
        "title": ", ".join(dict.fromkeys(str(each.get("title", "")) for each in sources)),
        "licence": _licences(sources),
        "sources": sources,
        "settings": {
            "sets": [sha256(data.folder / INDEX) for data in sets],
            "distinct": distinct,
            "probes": list(probes),
            "keep": keep,
            "source": source,
        },
    }
    with Writer(folder, about) as writer:
        parts = _parts(sets, keep, source)
        near = _near(parts, distinct, probes) if distinct else set()
        for part in track(parts, folder.name):
            for row in part.rows:
                note = part.data.notes[row]
                # recordings may have several notes of a pitch and velocity
                key = f"{part.name}/{note.pitch}/{note.velocity}/{row}"
                if key in writer:
                    continue
                if part.name in near:
                    writer.skip(key, NEAR)
                else:
                    named = replace(note, instrument=part.name)
                    writer.add(key, named, part.data.audio([row])[0].numpy())
        origins = {part.name: part.origin for part in parts if part.name not in near}
        return writer.finish(origins)


def _licences(sources: Sequence[dict[str, Any]]) -> str:
    """All licences, each after the titles of what is under it."""
    titles: dict[str, list[str]] = {}
    for each in sources:
        licence = str(each.get("licence") or "licence not known")
        titles.setdefault(licence, []).append(str(each.get("title", "")))
    return "\n".join(f"{', '.join(who)}: {licence}" for licence, who in titles.items())


def _parts(sets: Sequence[Dataset], keep: int, source: Source | None) -> list[_Part]:
    """The instruments of all sets in their order, under names of their own."""
    parts: list[_Part] = []
    names: set[str] = set()
    before = 0
    for place, data in enumerate(sets):
        rows: dict[str, list[int]] = {}
        for row in data.rows(source=source):
            rows.setdefault(data.notes[row].instrument, []).append(int(row))
        for instrument, mine in rows.items():
            name = _free(instrument, data, names)
            names.add(name)
            origin = before + data.origins.get(instrument, 0)
            parts.append(_Part(data, name, np.array(mine, np.int64), origin, place < keep))
        before += len(data.sources)
    return parts


def _free(instrument: str, data: Dataset, taken: set[str]) -> str:
    """The name of an instrument, with its source's where it is taken."""
    about = data.source_of(instrument)
    fonts = about.get("soundfonts", [{}])
    file = about.get("file") or fonts[0].get("file") or data.folder.resolve().name
    name = f"{instrument.split('@')[0]}@{Path(file).stem}"
    numbered = (f"{name}_{n}" for n in range(2, len(taken) + 3))
    return next(each for each in (instrument, name, *numbered) if each not in taken)


def _near(parts: Sequence[_Part], distinct: float, probes: Sequence[int]) -> set[str]:
    """Names of the instruments that sound like one before them."""
    taken = Instruments(probes, distinct)
    near: set[str] = set()
    for part in track(parts, "sounds that are alike"):
        waves = part.probes(probes)
        if not part.fixed and taken.near(waves):
            near.add(part.name)
        else:
            taken.add(waves)
    return near
