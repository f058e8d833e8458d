"""What the engine tells: plain records, which may be pickled."""

from __future__ import annotations

from dataclasses import dataclass

from gansynth_server.osc.codec import Source


@dataclass(frozen=True, slots=True)
class Started:
    """A note began to sound."""

    note: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A note is over, or will not begin; so many of its frames were not there in time."""

    note: int
    late: int


@dataclass(frozen=True, slots=True)
class Late:
    """A note began so many seconds after its time."""

    note: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Freed:
    """A slot that was lent is needed no more."""

    slot: int


@dataclass(frozen=True, slots=True)
class Looked:
    """The next frame of a note at the time of a look (s), and the step to the one after; None
    where it is silent."""

    note: int
    when: float
    next_frame: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Tapped:
    """What is copied into a ring begins with this sample of the voices, at a time (s)."""

    ring: int
    sample: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Untapped:
    """Nothing more is copied into a ring; so many frames found no room, and are silent."""

    ring: int
    lost: int


@dataclass(frozen=True, slots=True)
class Ran:
    """A command of a recorded message was run before this sample."""

    ring: int
    cause: int
    sample: int
    starts: bool
    released: int | None
    """Note that it released, if any."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Datagrams that came, with the addresses that they came from."""

    datagrams: list[tuple[bytes, Source]]


@dataclass(frozen=True, slots=True)
class Lost:
    """So many datagrams of an address found no room."""

    source: Source
    count: int


@dataclass(frozen=True, slots=True)
class Pulled:
    """A stream was pulled: for the first time, or still is, told once a second."""

    stream: int


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a stream that has no address, as the datagram for its listener."""

    stream: int
    datagram: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """The process is ready: its output, and lines for the user."""

    output: str
    rate: int
    channels: int
    latency: float
    remarks: list[str]


@dataclass(frozen=True, slots=True)
class Refused:
    """The process cannot begin, as the user is told."""

    why: str


Event = (
    Started
    | Ended
    | Late
    | Freed
    | Looked
    | Tapped
    | Untapped
    | Ran
    | Heard
    | Lost
    | Pulled
    | Block
    | Opened
    | Refused
)
