"""The command lines: ``gansynth-server`` serves, ``gansynth`` does the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import tyro

from gansynth_server.errors import UserError
from gansynth_server.options import DEFAULT_PAGE_PORT, ServerOptions
from gansynth_server.version import __version__


def main(args: Sequence[str] | None = None) -> None:
    """Run ``gansynth``: notes, lists and training from the command line."""
    from gansynth_server.cli.commands import Command

    command = tyro.cli(
        Command,
        prog="gansynth",
        description="GANSynth notes from the command line; gansynth-server plays them live.",
        args=args,
    )
    _guarded(command.run)


def server(args: Sequence[str] | None = None) -> None:
    """Run ``gansynth-server`` until it is told to end."""
    options = tyro.cli(
        ServerOptions,
        prog="gansynth-server",
        args=_with_page_port(sys.argv[1:] if args is None else args),
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    if options.version:
        print(f"gansynth-server {__version__}")
    elif options.list_devices:
        from gansynth_server.audio.devices import list_devices

        _guarded(lambda: print(list_devices()))
    elif options.list_midi:
        from gansynth_server.midi.ports import list_ports

        _guarded(lambda: print(list_ports()))
    else:
        _guarded(lambda: _serve(options))


def _with_page_port(args: Sequence[str]) -> list[str]:
    """Add the usual port where --page stands alone, for tyro wants each flag to have a value."""
    given = list(args)
    for place in reversed([n for n, arg in enumerate(given) if arg == "--page"]):
        if place + 1 == len(given) or given[place + 1].startswith("-"):
            given.insert(place + 1, str(DEFAULT_PAGE_PORT))
    return given


def _serve(options: ServerOptions) -> None:
    """Run a server until /quit, Ctrl-C or SIGTERM ends it."""
    import logging
    import os
    import signal

    from gansynth_server.util import log

    throttle = log.set_up(options.verbosity, options.log)
    from gansynth_server.server.server import Server

    server = Server(options, lambda: throttle.spared)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.quit())
    server.start()
    for remark in server.remarks:
        print(remark)
    print(server.ready_line(), flush=True)
    try:
        server.wait()
    finally:
        server.stop()
        logging.shutdown()
        sys.stdout.flush()
    # threads inside native code would delay the end, or crash it
    os._exit(0)


def _guarded(run: Callable[[], object]) -> None:
    """Run a command; a UserError is one line on stderr and exit status 1."""
    try:
        run()
    except UserError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
