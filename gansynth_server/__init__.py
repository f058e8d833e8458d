"""gansynth-server: GANSynth notes, live, over OSC.

The short way in::

    import gansynth_server as gs

    gs.generate(note_number=60, instrument="acoustic_grand_piano").save("c4.wav")
    model = gs.load("all_instruments")
    note = model.generate(pitch=69, seed=7)

and to a running server::

    with gs.connect() as server:
        server.preset("z", "violin")
        server.note(60)

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gansynth_server.errors import UserError
from gansynth_server.version import __version__

if TYPE_CHECKING:
    from gansynth_server.api import Model, Note, generate, load
    from gansynth_server.client import Client, RequestError, connect

__all__ = [
    "Client",
    "Model",
    "Note",
    "RequestError",
    "UserError",
    "__version__",
    "connect",
    "generate",
    "load",
]


def __getattr__(name: str) -> Any:
    if name in ("Client", "RequestError", "connect"):
        from gansynth_server import client

        return getattr(client, name)
    if name in __all__:
        from gansynth_server import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
