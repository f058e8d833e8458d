"""Checks before a server starts: numbers in range, a free port, a network that works."""

from __future__ import annotations

import queue

import numpy as np

from gansynth_server.errors import UserError
from gansynth_server.net.listener import Listener
from gansynth_server.options import ServerOptions
from gansynth_server.render.jobs import Job, Rendering
from gansynth_server.render.model import Model
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.util.threads import check_threads

MIN_PLACES = 64
"""Different notes that there is always memory for."""
RANGES: tuple[tuple[str, float, float, str], ...] = (
    ("max_voices", 1, 1024, ""),
    ("workers", 1, 64, ""),
    ("max_clients", 1, 65536, ""),
    ("rate_limit", 0, 10**7, ""),
    ("client_timeout", 0.1, 10**6, " seconds"),
    ("models_mb", 0, 1 << 20, ""),
    ("cache_mb", 0, 1 << 20, ""),
)
"""Setting, minimum, maximum, and their unit."""


def check(options: ServerOptions) -> None:
    """Check the numbers; UserError for one that is out of range."""
    check_threads(options.threads)
    for name, least, most, remark in RANGES:
        value = getattr(options, name)
        if not least <= value <= most:
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag} must be {least} to {most}{remark}, not {value}")


def bind(options: ServerOptions) -> Listener:
    """Open the sockets of the options' address and ports; UserError if that fails."""
    return Listener(options.bind, options.port, options.tcp)


def places(options: ServerOptions) -> int:
    """Return for how many different notes there is memory: those kept, and enough to sound."""
    return max(options.cache_mb, 2 * options.max_voices, MIN_PLACES)


def warm_up(model: Model, renderer: Rendering) -> None:
    """Render a note, so that the first one heard is as fast as the rest.

    Raises:
        UserError: the network does not work here.
    """
    done: queue.SimpleQueue[Spectrum | str] = queue.SimpleQueue()
    z = np.ones(model.latent_size, np.float32)
    for _ in range(2):
        renderer.submit(Job(model.backend, z, 0, done.put, done.put))
        result = done.get()
        if isinstance(result, str):
            raise UserError(f"{model.checkpoint.name} does not work here: {result}")
