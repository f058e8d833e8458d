"""The page's process from inside."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

from gansynth_server.errors import UserError
from gansynth_server.page.setup import PageSetup, Ready, Refused
from gansynth_server.util import log
from gansynth_server.util.threads import PAGE, follow_sound, name_process


def run(setup: PageSetup) -> None:
    """Serve the page until the server is gone; then end the process.

    Signals are ignored: the server ends first, by closing the pipe or by dying.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    name_process(PAGE)
    follow_sound()  # which passes through here
    log.set_up(setup.options.verbosity, setup.options.log)
    from gansynth_server.page.door import Door

    try:
        door = Door(setup)
    except UserError as error:
        setup.pipe.send(Refused(str(error)))
        return
    threading.Thread(target=door.run, name="door", daemon=True).start()
    setup.pipe.send(Ready(door.port))
    with contextlib.suppress(EOFError, OSError):
        setup.pipe.recv()  # nothing is ever sent: this waits for the end of the server
    # browsers that do not answer would delay the end
    os._exit(0)
