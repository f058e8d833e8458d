"""Every message that the server understands: the one table.

Checking of arguments, the README's table and the help come from it.
"""

from __future__ import annotations

from gansynth_server.osc.messages import (
    arrays,
    atlas,
    checkpoints,
    directions,
    expression,
    hallucination,
    latents,
    midi,
    notes,
    patterns,
    recordings,
    server,
    spectra,
    streams,
    tuning,
)
from gansynth_server.osc.schema import Row

TABLE: tuple[Row, ...] = (
    *server.ROWS,
    *latents.ROWS,
    *directions.ROWS,
    *atlas.ROWS,
    *notes.ROWS,
    *expression.ROWS,
    *hallucination.ROWS,
    *patterns.ROWS,
    *tuning.ROWS,
    *midi.ROWS,
    *checkpoints.ROWS,
    *arrays.ROWS,
    *spectra.ROWS,
    *streams.ROWS,
    *recordings.ROWS,
)

ROWS = {row.address: row for row in TABLE}


def markdown() -> str:
    """The table as the README shows it."""
    lines = ["| message | arguments | reply | does |", "|---|---|---|---|"]
    for row in TABLE:
        args = ", ".join(arg.text for arg in row.args) or "–"
        lines.append(f"| `{row.address}` | {args} | {row.reply or '–'} | {row.help} |")
    return "\n".join(lines) + "\n"
