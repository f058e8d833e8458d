"""``/map.json``: the timbre map of a checkpoint, small enough for a page.

Measures are sent as ranks, so that each colour of a scale is seen as often as any other.
"""

from __future__ import annotations

import json
import logging
import threading
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.latent import timbre_map
from gansynth_server.latent.descriptor_names import ADJECTIVES, MEASURES
from gansynth_server.latent.timbre_map import TimbreMap
from gansynth_server.model import checkpoint
from gansynth_server.page.files import File
from gansynth_server.util.general_midi import family_of

RANKS = 100
MAX_MAPS = 16

_log = logging.getLogger(__name__)


class MapFiles:
    """The maps of all checkpoints that can be chosen by name; any thread.

    Args:
        first: the checkpoint that the server begins with, which may lie anywhere.
    """

    def __init__(self, first: str) -> None:
        self._first = first
        self._lock = threading.Lock()
        self._encoded = lru_cache(MAX_MAPS)(_encode)

    def file(self, name: str) -> File | None:
        """Return the map of a checkpoint, "" for the first; None if there is none."""
        try:
            with self._lock:
                described = self._describe(name)
                body = self._encoded(described.name, timbre_map.load(described))
        except UserError as error:
            _log.info("no map for the page: %s", error)
            return None
        return File(body, "application/json")

    def _describe(self, name: str) -> checkpoint.Checkpoint:
        first = checkpoint.describe(self._first)
        if name in ("", first.name):
            return first
        if name not in checkpoint.available():  # which a path would be, too
            raise UserError(f"no checkpoint called {name!r}")
        return checkpoint.describe(name)


def _encode(name: str, atlas: TimbreMap) -> bytes:
    content = {
        "checkpoint": name,
        "measures": [
            {
                "name": measure,
                "words": words,
                "fit": round(float(fit), 2),
                "ranks": _ranks(atlas.measures[:, number]),
            }
            for number, (measure, words, fit) in enumerate(
                zip(MEASURES, ADJECTIVES, atlas.fit, strict=True)
            )
        ],
        "presets": [_preset(atlas, number) for number in range(len(atlas.presets))],
        "x": atlas.places[:, 0].astype(np.float64).round(4).tolist(),
        "y": atlas.places[:, 1].astype(np.float64).round(4).tolist(),
        "nearest": atlas.nearest.tolist(),
    }
    return json.dumps(content, separators=(",", ":")).encode()


def _preset(atlas: TimbreMap, number: int) -> dict[str, Any]:
    """Return a preset and its place: amid the latents that sound most like it."""
    name = atlas.presets[number]
    own = atlas.places[atlas.nearest == number].astype(np.float64)
    place = np.median(own, axis=0).round(4).tolist() if len(own) else None
    return {"name": name, "family": family_of(name), "place": place}


def _ranks(values: NDArray[np.float32]) -> list[int]:
    order = values.argsort(kind="stable").argsort(kind="stable")
    return [int(rank) for rank in order * RANKS // max(1, len(values) - 1)]
