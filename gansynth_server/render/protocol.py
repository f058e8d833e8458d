"""Requests to the render process and its replies: plain records, one kind a request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.options import BackendName, PrecisionName, ServerOptions
from gansynth_server.render.backends.base import BackendInfo, Firsts, Labels
from gansynth_server.render.channel import Channel
from gansynth_server.render.receptive_field import Span
from gansynth_server.spectral.arena import SharedSpectra

if TYPE_CHECKING:
    from gansynth_server.latent.sequence import Sequence as NoteSequence
    from gansynth_server.model.checkpoint import Checkpoint

Float32 = NDArray[np.float32]


class Lane(IntEnum):
    """Lanes of requests, each with a channel and a thread: none waits for another lane."""

    LIVE = 0
    """Frames of notes that sound."""
    LOAD = 1
    """Checkpoints."""
    WORK = 2
    """Work that takes long and that no sounding note waits for."""
    SEARCH = 3
    """Work that takes a minute or more."""


TIMEOUT_S = {Lane.LIVE: 120.0, Lane.LOAD: 600.0, Lane.WORK: 3600.0, Lane.SEARCH: 3600.0}
"""Time (s) after which no reply is expected: compilations take some, a device may hang."""


@dataclass(frozen=True)
class LoadRequest:
    """Load a checkpoint (a bundled name, a folder or a file) → :class:`Loaded`.

    ``backend`` and ``precision`` are those of the other workers; None is what the options say.
    """

    name: str
    backend: BackendName | None = None
    precision: PrecisionName | None = None


@dataclass(frozen=True)
class DropRequest:
    """Forget the network of these weights."""

    path: str


@dataclass(frozen=True)
class FramesRequest:
    """Render frames of notes → :class:`BackendInfo`, magnitudes and increments.

    ``live`` requests must not wait for a compilation (see :meth:`Backend.live`).
    """

    path: str
    z: Float32
    labels: Labels
    window: Span
    live: bool


@dataclass(frozen=True)
class FramesIntoRequest:
    """Render frames of notes into places of the arena (see :meth:`Backend.live_into`) →
    :class:`BackendInfo`."""

    path: str
    z: Float32
    labels: Labels
    window: Span
    slots: tuple[int, ...]


@dataclass(frozen=True)
class FramesAtRequest:
    """Render ``length`` frames of notes, each from a frame of its own (see
    :meth:`Backend.live_at`) → :class:`BackendInfo`, magnitudes and increments."""

    path: str
    z: Float32
    labels: Labels
    firsts: Firsts
    length: int


@dataclass(frozen=True)
class WavesRequest:
    """Render whole notes as waves (see :meth:`Backend.waves`) → :class:`BackendInfo`, waves."""

    path: str
    z: Float32
    labels: Labels


@dataclass(frozen=True)
class SpectraRequest:
    """Compute the network's normalised output (see :meth:`Model.spectra`) → one array."""

    path: str
    z: Float32
    pitches: NDArray[np.int64] | list[int]


@dataclass(frozen=True)
class HallucinationRequest:
    """Render a hallucination as a whole → float32 [samples]."""

    path: str
    sequence: NoteSequence
    sample_rate: int


@dataclass(frozen=True)
class InvertRequest:
    """Search the latent of a recorded note → float32 [latent_size + 2], with pitch and dB."""

    path: str
    sound: bytes
    name: str
    pitch: int | None
    seconds: float
    seed: int


RenderRequest = (
    LoadRequest
    | DropRequest
    | FramesRequest
    | FramesIntoRequest
    | FramesAtRequest
    | WavesRequest
    | SpectraRequest
    | HallucinationRequest
    | InvertRequest
)


@dataclass(frozen=True)
class Loaded:
    """A checkpoint whose network is on the other side."""

    checkpoint: Checkpoint
    info: BackendInfo
    nbytes: int
    remark: str


@dataclass(frozen=True)
class RenderReply:
    """A value that comes back beside arrays, or the reason why nothing does."""

    value: Any = None
    user_error: str | None = None
    error: str | None = None


Serve = Callable[[ServerOptions, Sequence[Channel], SharedSpectra | None], None]
"""Runs in the render process: reply on each lane's channel until the other end is closed."""
