"""The soak test: hours of everything at once, on a server of its own.

One client holds the polyphony full and listens to a stream, pulled in real time
as Pure Data does; others send random messages from the whole table, and their
notes sound in that stream too. Now and then the checkpoint changes, and sometimes
to one that is broken. At the end the server is told to stop while all of that goes on.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gansynth_server.bench.plan import SoakPlan
from gansynth_server.bench.process import ServerProcess, ask_again
from gansynth_server.bench.soak_clients import BROKEN, CountingClient, Listener, RandomClient
from gansynth_server.client import Status
from gansynth_server.errors import UserError
from gansynth_server.model import checkpoint

WIND_UP = 0.1
"""Share of the time after which memory should be flat."""
GREET_SECONDS = 20.0
"""Time (s) within which the watcher sends a message, so that it is not forgotten and then told
another bus's load."""
ROWS = 12
"""Lines of the table."""
COPIES = 3
MUST_BE_ZERO = (
    "underruns on the server's side",
    "blocks with wrong samples",
    "switches gone wrong",
    "exit status",
)


def measure(
    flags: Sequence[str],
    name: str,
    plan: SoakPlan,
    tell: Callable[[dict[str, Any]], None] = lambda row: None,
) -> dict[str, Any]:
    """Run a server for a while; ``tell`` is given each row of figures as it is taken.

    Args:
        flags: of the server.
        name: of the checkpoint, copies of which are switched between.

    Raises:
        UserError: the checkpoint is none, or the server does not start or answer.
    """
    with tempfile.TemporaryDirectory(prefix="gansynth-soak-") as folder:
        names = copies(name, Path(folder))
        server = ServerProcess(
            [
                *("--checkpoint", names[0], "--seed", str(plan.seed)),
                *("--max-voices", str(plan.voices), *flags),
            ],
            env={**os.environ, checkpoint.VARIABLE: folder},
            log=Path(folder, "log"),
        )
        try:
            return _measure(server, names, plan, tell)
        except UserError as error:
            code, lines = server.stop(), "".join(server.errors[-100:])
            raise UserError(f"{error}; it ended with {code}, its log with: {lines}") from error
        finally:
            server.stop()


def copies(name: str, folder: Path) -> list[str]:
    """Copy a checkpoint to names of their own, and one whose weights are cut off."""
    path = checkpoint.locate(name)
    if path.is_file():
        raise UserError(f"{path} is a file; the soak test needs a checkpoint's folder")
    names = [f"soak-{n}" for n in range(COPIES)]
    for copy in (*names, BROKEN):
        (folder / copy).mkdir()
        parts = (path / part for part in (checkpoint.CONFIG, checkpoint.PRESETS))
        for part in (*checkpoint.shards(path / checkpoint.WEIGHTS), *parts):
            if part.is_file():
                shutil.copyfile(part, folder / copy / part.name)
    weights = folder / BROKEN / checkpoint.WEIGHTS
    os.truncate(weights, weights.stat().st_size // 2)
    return names


def _measure(
    server: ServerProcess, names: list[str], plan: SoakPlan, tell: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    interval, sys_interval = plan.seconds / ROWS, sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    listener, watch = Listener(server.port, plan), CountingClient(server.port)
    watch.ask("/stream/join", listener.stream.id)  # whose load it is to tell
    over = threading.Event()
    others = [RandomClient(server.port, plan, n, listener.stream.id) for n in range(plan.clients)]
    threads = [
        threading.Thread(target=run, args=(over,), daemon=True)
        for run in (listener.run, *(other.run for other in others))
    ]
    begun = time.monotonic()
    switched = sampled = greeted = begun
    rows: list[dict[str, Any]] = []
    loads = 0
    try:
        for thread in threads:
            thread.start()
        while (now := time.monotonic()) - begun < plan.seconds:
            if listener.error is not None:
                raise listener.error
            if now - switched >= plan.switch:
                switched = now
                loads += 1
                listener.loads.put(BROKEN if loads % 4 == 0 else names[loads % len(names)])
            if now - sampled >= interval:
                sampled = now
                rows.append(_row(now - begun, server, watch, listener, others))
                tell(rows[-1])
            if now - greeted >= GREET_SECONDS:
                greeted = now
                watch.send("/sync")
            time.sleep(min(0.1, interval / 4))
        rows.append(_row(time.monotonic() - begun, server, watch, listener, others))
        tell(rows[-1])
        stopping = time.monotonic()
        code = server.stop()
        stopped = time.monotonic() - stopping
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=5)
        for client in (listener.client, watch, *(other.client for other in others)):
            client.close()
        sys.setswitchinterval(sys_interval)
    wound_up = next((r for r in rows if r["seconds"] >= WIND_UP * plan.seconds), rows[0])
    first, last = wound_up["resident MB"], rows[-1]["resident MB"]
    delays = 1000 * np.array(listener.delays or [np.nan])
    return {
        "server": server.line,
        "seconds": rows[-1]["seconds"],
        "underruns on the server's side": rows[-1]["underruns"],
        "blocks heard": listener.stream.number,
        "blocks late at the listener": listener.stream.late,
        "blocks that the listener asked for too late": listener.held_up,
        "blocks with wrong samples": listener.wrong,
        "peak": listener.peak,
        **{f"block answered ms, p{q:g}": float(np.percentile(delays, q)) for q in (50, 99, 99.9)},
        "block answered ms, longest": float(delays.max()),
        "messages sent": rows[-1]["messages"],
        "failures told": sum(other.client.failed for other in others) + listener.client.failed,
        "checkpoints switched": listener.switches["done"],
        "broken checkpoints refused": listener.switches["refused"],
        "switches gone wrong": listener.switches["wrong"],
        "memory growth after the first tenth %": 100 * (last / first - 1) if first else None,
        "lines in the server's log": len(server.errors),
        "seconds from SIGTERM to the end under load": stopped,
        "exit status": code,
        "log": server.errors[-50:],
        "rows": rows,
    }


def _row(
    seconds: float,
    server: ServerProcess,
    watch: CountingClient,
    listener: Listener,
    others: list[RandomClient],
) -> dict[str, Any]:
    status = Status(*ask_again(watch, "/status").args)
    clients = (listener.client, watch, *(other.client for other in others))
    return {
        "seconds": seconds,
        "voices": status.voices,
        "waiting": status.waiting,
        "clients": status.clients,
        "load %": status.load,
        "peak %": status.peak,
        "underruns": status.underruns,
        "late": listener.stream.late,
        "messages": sum(client.sent for client in clients),
        "switches": listener.switches["done"],
        "resident MB": server.megabytes(),
    }


def plot(path: Path, figures: dict[str, Any]) -> None:
    """Write a PNG of memory, voices and late blocks over time.

    Raises:
        UserError: matplotlib is missing or the file cannot be written.
    """
    from gansynth_server.spectral.plot import load_pyplot, save

    pyplot = load_pyplot()
    figure, axes = pyplot.subplots(3, 1, sharex=True, figsize=(9, 7), layout="constrained")
    rows = figures["rows"]
    minutes = [row["seconds"] / 60 for row in rows]
    for axis, names in zip(
        axes, (("resident MB",), ("voices", "waiting"), ("underruns", "late")), strict=True
    ):
        for name in names:
            axis.plot(minutes, [row[name] for row in rows], "o-", label=name)
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=8)
    axes[-1].set(xlabel="minutes")
    save(figure, path, dpi=120)
