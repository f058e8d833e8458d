"""The engine's process from inside."""

from __future__ import annotations

import functools
import gc
import os
import signal

import numpy as np

from gansynth_server.audio.open import open_output
from gansynth_server.audio.output import Output
from gansynth_server.audio.sample_clock import ClockLink
from gansynth_server.engine.engine import Engine
from gansynth_server.engine.events import Opened, Refused
from gansynth_server.engine.loop import EngineLoop
from gansynth_server.engine.setup import EngineSetup
from gansynth_server.engine.udp import UdpSockets
from gansynth_server.engine.watchdog import Watchdog
from gansynth_server.errors import UserError
from gansynth_server.spectral.constants import BINS, FRAMES
from gansynth_server.spectral.inverse import check_rate
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.note import Note
from gansynth_server.util import log
from gansynth_server.util.threads import ENGINE, name_process, raise_priority, use_realtime

WARM_BLOCKS = 30


def run(setup: EngineSetup) -> None:
    """Run the engine until the server says so, or is gone; then end the process.

    Signals are ignored: the server is told to stop, and fades the sound out first.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    name_process(ENGINE)
    options, records = setup.options, setup.records
    log.set_up(options.verbosity, options.log)
    try:
        output, remark = _open(setup)
    except UserError as error:
        records.put([Refused(str(error))])
        records.flush(1.0)
        return
    remarks = [remark] if remark else []
    if options.realtime:
        remarks.append(use_realtime())
    setup.gauges.clear()
    spectra = functools.cache(setup.spectra.spectrum)
    loop = EngineLoop(
        lambda tell: Engine(spectra, tell, ring=setup.rings.ring, live=True, link=ClockLink),
        *(records, UdpSockets(setup.sockets), output, setup.gauges),
    )
    watchdog = Watchdog([loop.timer])
    _warm_up(output.rate)
    records.put([Opened(output.name, output.rate, output.channels, output.latency, remarks)])
    gc.collect()
    gc.freeze()  # collections need not look at what lives as long as the process
    watchdog.start()
    raise_priority()
    try:
        loop.run(lambda: (watchdog.stalls, watchdog.longest))
    except (EOFError, ConnectionError):
        loop.fade()
    finally:
        # threads inside native code would delay the end
        os._exit(0)


def _open(setup: EngineSetup) -> tuple[Output, str | None]:
    options = setup.options
    output, remark = open_output(
        options.output,
        rate=options.rate,
        blocksize=options.blocksize,
        device=options.device,
        channels=options.channels,
    )
    check_rate(output.rate)
    return output, remark


def _warm_up(rate: int) -> None:
    """Render a note that is not heard, so that the first one that is takes no longer."""
    shape = FRAMES, BINS
    spectrum = Spectrum(np.full(shape, 1e-6, np.float32), np.zeros(shape, np.float32))
    bus = Bus(rate, 2, channels=2)
    bus.start(Note(0, 0, 60.1, 100, 60, spectrum=spectrum, hold=True))
    for _ in range(WARM_BLOCKS):
        bus.render(512)
