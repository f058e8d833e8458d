"""The plan of a data set: what each of its notes is, by the note's number alone.

Any process can render any shard at any time, and renders the same. So a run that was broken off is
continued by the shards that are missing, and machines share a run by numbers of shards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gansynth_server.errors import UserError
from gansynth_server.latent.prior import Prior
from gansynth_server.offline.notes import MAX_SECONDS, NoteRequest, check_duration, check_velocity
from gansynth_server.options import BackendName, PrecisionName, ShardKind
from gansynth_server.render.model import nearest_pitch
from gansynth_server.spectral.constants import SAMPLE_RATE
from gansynth_server.spectral.inverse import check_rate
from gansynth_server.util.files import write_atomically

AudioFormat = Literal["flac", "wav"]
FILE = "plan.json"
_PITCH_STREAM = 1
"""Second word of the seed from which pitch and velocity of a note are drawn."""


@dataclass(frozen=True)
class Plan:
    """What a data set holds, and all that its samples depend on."""

    checkpoint: str
    """Name, as it was given."""
    fingerprint: str
    """Hash of the weights (see ``Checkpoint.fingerprint``)."""
    latent_size: int
    count: int
    """Notes in all."""
    pitches: tuple[float, ...]
    """MIDI pitches, one of which is drawn for each note."""
    velocities: tuple[float, float] = (100.0, 100.0)
    """Lowest and highest velocity, between which one is drawn for each note."""
    seed: int = 0
    """Seed of the first note; the next ones count up."""
    duration: float = MAX_SECONDS
    """Length (s) of each note."""
    rate: int = SAMPLE_RATE
    """Sample rate (Hz)."""
    kind: ShardKind = "tar"
    audio: AudioFormat = "flac"
    size: int = 1000
    """Notes of a shard."""
    backend: BackendName = "eager"
    precision: PrecisionName = "float32"
    batch: int = 1
    """Notes that go through the network at once: sums in another order round otherwise."""

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.count // self.size)

    def name(self, shard: int) -> str:
        """Return the file name of a shard."""
        if self.kind == "parquet":
            return f"notes-{shard:06d}-of-{self.shards:06d}.parquet"
        return f"notes-{shard:06d}.tar"

    def indices(self, shard: int) -> range:
        """Return the numbers of a shard's notes."""
        return range(shard * self.size, min(self.count, (shard + 1) * self.size))

    def request(self, index: int, prior: Prior) -> NoteRequest:
        """Return what the note of a number is rendered from; its latent is the prior's."""
        seed = self.seed + index
        random = np.random.default_rng([seed, _PITCH_STREAM])
        pitch = self.pitches[int(random.integers(len(self.pitches)))]
        low, high = self.velocities
        velocity = low if low == high else round(float(random.uniform(low, high)), 2)
        return NoteRequest(prior.draw(seed), pitch, velocity)

    def requests(self, shard: int, prior: Prior) -> Iterator[NoteRequest]:
        """Yield what a shard's notes are rendered from."""
        return (self.request(index, prior) for index in self.indices(shard))

    def facts(self, index: int, request: NoteRequest) -> dict[str, Any]:
        """Return what is written beside the sound of a note, but for its latent."""
        return {
            "index": index,
            "seed": self.seed + index,
            "pitch": request.pitch,
            "velocity": request.velocity,
            "seconds": self.duration,
            "rate": self.rate,
            "checkpoint": self.checkpoint,
        }

    def check(self, pitches: tuple[int, ...]) -> None:
        """Check what a user may have got wrong.

        Args:
            pitches: on which the network was trained.

        Raises:
            UserError: a number is out of range.
        """
        if self.count < 1 or self.size < 1 or not self.pitches:
            raise UserError("there is nothing to render: give a --count, --pitches and --shard")
        if self.seed < 0:
            raise UserError(f"a seed is 0 or more, not {self.seed}")
        check_duration(self.duration)
        check_rate(self.rate)
        for pitch in self.pitches:
            nearest_pitch(pitches, pitch)
        for velocity in self.velocities:
            check_velocity(velocity)
        if self.velocities[0] > self.velocities[1]:
            raise UserError(f"--velocities go up: not from {self.velocities[0]:g} down")

    def save(self, folder: Path) -> None:
        """Write it into the folder of the data set."""
        text = json.dumps(asdict(self), indent=1) + "\n"
        write_atomically(folder / FILE, text.encode())

    def settle(self, folder: Path) -> None:
        """Write the plan into a folder, or check it against the one that is there.

        Raises:
            UserError: shards of another plan are in the folder; says what differs.
        """
        file = folder / FILE
        if not file.exists():
            self.save(folder)
            return
        found, mine = json.loads(file.read_text()), json.loads(json.dumps(asdict(self)))
        differing = [name for name in mine if found.get(name) != mine[name]]
        if differing:
            said = ", ".join(f"{n} {found.get(n)!r}, not {mine[n]!r}" for n in differing)
            raise UserError(
                f"{folder} holds a data set with {said}: give the same flags to go on with it, "
                "or another --output"
            )

    def missing(self, folder: Path) -> list[int]:
        """Return the shards that are not in a folder yet."""
        there = {path.name for path in folder.iterdir()}
        return [shard for shard in range(self.shards) if self.name(shard) not in there]
