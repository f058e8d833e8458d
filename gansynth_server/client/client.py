"""What a program does with a server: notes, latents, presets, status and sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gansynth_server.client.connection import TIMEOUT_S, Connection
from gansynth_server.client.stream import Stream
from gansynth_server.options import DEFAULT_PORT

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Status:
    """The server's state, of all its clients together."""

    voices: int
    waiting: int
    """Notes that are not rendered yet."""
    clients: int
    load: float
    """Average of mixing (%)."""
    peak: float
    """Highest of mixing (%)."""
    rate: float
    """Sample rate of the output (Hz)."""
    underruns: int
    follow_rate: float
    """Changes of notes that follow a latent (1/s)."""
    failures: int = 0
    """What clients were told that it cannot be."""


def connect(
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    timeout: float = TIMEOUT_S,
    password: str = "",
) -> Client:
    """Return a client of the server at an address, once that has answered.

    Args:
        timeout: for each reply (s).
        password: of a server that asks other machines for one.

    Raises:
        NoReplyError: no server answers there.
        RequestError: the server refuses this client.
    """
    client = Client(host, port, timeout)
    try:
        # other machines get few replies until they repeat the number that the first one tells
        welcome = client.ask("/login", password)
        if welcome.address == "/login.reply":
            client.ask("/login", *welcome.args)
    except BaseException:
        client.close()
        raise
    return client


class Client(Connection):
    """A client of a server, told apart by its socket: it has its own latents, notes and stream.

    Get one from :func:`connect`.
    """

    def note(
        self, pitch: float, velocity: float = 100, id: float | str | None = None, slot: str = "z"
    ) -> float | str:
        """Start a note and return its id, for :meth:`release`.

        Args:
            pitch: MIDI note number, 0…127, fractional if you like.
            velocity: 0…127; 0 releases it.
            id: a number or word of your choice; None is the pitch.
            slot: holds the latent of its timbre.
        """
        id = pitch if id is None else id
        self.send("/note", pitch, velocity, id, slot)
        return id

    def release(self, id: float | str) -> None:
        """Release a note."""
        self.send("/note/off", id)

    def all_notes_off(self) -> None:
        """Release all notes of this client."""
        self.send("/allnotesoff")

    def set(self, slot: str, z: ArrayLike) -> None:
        """Store a latent, [latent_size], in a slot."""
        self.send("/z/set", slot, np.asarray(z, np.float32))

    def get(self, slot: str = "z") -> Float32:
        """Return the latent of a slot as it is now, [latent_size]. Raises as :meth:`ask`."""
        return np.array(self.ask("/z/get", slot).args[1:], np.float32)

    def random(self, slot: str = "z", seed: int | None = None) -> None:
        """Draw a slot's latent from the prior; the same seed, 0…16777216, draws the same."""
        self.send("/z/random", slot, *([] if seed is None else [seed]))

    def preset(self, slot: str, name: str) -> None:
        """Fill a slot with a preset: see :meth:`presets`."""
        self.send("/z/preset", slot, name)

    def slerp(self, slot: str, a: str, b: str, amount: float) -> None:
        """Fill a slot by spherical interpolation from what slot a holds (0) to slot b (1)."""
        self.send("/z/slerp", slot, a, b, amount)

    def presets(self) -> list[str]:
        """Return the names of all presets of this client's checkpoint. Raises as :meth:`ask`."""
        names: list[str] = []
        skip, total = 0, 1
        while skip < total:  # a reply holds 7 kB
            total, slots, presets, *entries = self.ask("/z/list", skip).args
            names += entries[2 * slots :]
            skip += slots + presets
        return names

    def status(self) -> Status:
        """Return the server's state. Raises as :meth:`ask`."""
        return Status(*self.ask("/status").args)

    def notify(self, on: bool = True) -> None:
        """Have the server tell of ``/note/start id``, ``/note/end id``, ``/checkpoint name`` and
        ``/late seconds``, or no more; :meth:`receive` returns them. Raises as :meth:`ask`.
        """
        self.ask("/notify", on)

    def stream(
        self, rate: float = 48000, block: int = 512, ahead: int = 4, channels: int = 1
    ) -> Stream:
        """Open this client's stream, where its notes sound from now on, and not on the output.

        Args:
            rate: 16000…192000 Hz.
            block: 16…4096 samples.
            ahead: 1…64 blocks that may be asked for before the first of them has come.
            channels: 1 or 2.

        Raises: as :meth:`ask`.
        """
        return Stream(self, rate, block, ahead, channels)
