"""Renders that clients ask for: notes, arrays, and keys that may be played next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count

import numpy as np
from numpy.typing import NDArray

from gansynth_server.errors import UserError
from gansynth_server.instrument.client import Client
from gansynth_server.latent.slots import ConstantPath
from gansynth_server.latent.vectors import Latent
from gansynth_server.render.jobs import Job, Rendering
from gansynth_server.spectral.spectrum import Spectrum

REACH = 7
"""Keys to either side of the last notes that are prefetched."""


class RenderRequests:
    """Asks the renderer for what clients need, and counts what ``/sync`` waits for.

    Args:
        lock: guards the clients.
        clock: seconds.
    """

    def __init__(
        self, renderer: Rendering, lock: threading.RLock, clock: Callable[[], float]
    ) -> None:
        self._renderer, self._lock, self._clock = renderer, lock, clock
        self._jobs = count()

    def begin(self, client: Client) -> Callable[[], None]:
        """Begin something that ``/sync`` waits for; call the result when it is done."""
        number = next(self._jobs)
        with self._lock:
            client.begin(number)

        def finish() -> None:
            with self._lock:
                client.finish(number)

        return finish

    def render(
        self,
        client: Client,
        z: Latent,
        pitch: int,
        done: Callable[[Spectrum], None],
        failed: Callable[[str], None],
        begun: Callable[[Spectrum], None] | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Render a note by a client's network, see :class:`Job`; UserError if too many wait.

        Args:
            z: [latent_size].
            pitch: one that the network was trained on.
        """
        finish = self.begin(client)

        def then(call: Callable[[], None]) -> None:
            try:
                call()
            finally:
                finish()

        label = client.model.checkpoint.config.label(pitch)
        try:
            self._renderer.submit(
                Job(
                    client.model.backend,
                    z,
                    label,
                    lambda spectrum: then(lambda: done(spectrum)),
                    lambda why: then(lambda: failed(why)),
                    begun,
                    wanted,
                    client,
                )
            )
        except UserError:
            finish()
            raise

    def wave(
        self,
        client: Client,
        z: Latent,
        pitch: float,
        done: Callable[[NDArray[np.float32]], None],
        failed: Callable[[str], None],
    ) -> None:
        """Render a whole note as a wave [64000] at 16 kHz, without envelope.

        Raises:
            UserError: the network was not trained on the pitch, or too many renders wait.
        """
        pitches = client.model.pitches
        if pitch not in pitches:
            raise UserError(
                f"a note for an array has a whole pitch from {pitches[0]} to {pitches[-1]}"
            )

        def invert(spectrum: Spectrum) -> None:
            import torch

            from gansynth_server.spectral import transform

            parts = (torch.from_numpy(p)[None] for p in (spectrum.magnitude, spectrum.increment))
            done(transform.waves(*parts)[0].numpy())

        self.render(client, z, int(pitch), invert, failed)

    def prefetch(self, client: Client) -> None:
        """Render the keys around a client's last notes while there is nothing else to render."""
        now = self._clock()
        path = client.latents.path(client.slot, now)
        if not isinstance(path, ConstantPath):
            self.cancel_prefetch(client)  # it will have moved on
            return
        z, config = path.at(now), client.model.checkpoint.config
        near = [pitch + s * d for d in range(REACH + 1) for pitch in client.recent for s in (1, -1)]
        keys = [config.label(pitch) for pitch in dict.fromkeys(near) if pitch in config.pitches]
        self._renderer.ahead(client, client.model.backend, [(z, label) for label in keys])

    def cancel_prefetch(self, client: Client) -> None:
        """Prefetch no keys for a client any more."""
        self._renderer.ahead(client, client.model.backend, [])
