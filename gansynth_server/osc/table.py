"""The message table: every message that the server understands.

The check of arguments, the README's table, OSCQuery and the help come from it.
"""

from __future__ import annotations

from gansynth_server.osc.messages import (
    arrays,
    follow,
    hallucination,
    latents,
    midi,
    notes,
    patterns,
    server,
    sessions,
    streams,
    tempo,
)
from gansynth_server.osc.schema import Row

TABLE: tuple[Row, ...] = (
    *server.ROWS,
    *sessions.ROWS,
    *latents.ROWS,
    *notes.ROWS,
    *tempo.ROWS,
    *follow.ROWS,
    *hallucination.ROWS,
    *patterns.ROWS,
    *midi.ROWS,
    *arrays.ROWS,
    *streams.ROWS,
)

ROWS = {row.address: row for row in TABLE}


def markdown() -> str:
    """Return the table in Markdown, for the README."""
    lines = ["| message | arguments | reply | does |", "|---|---|---|---|"]
    for row in TABLE:
        args = ", ".join(arg.text for arg in row.args) or "–"
        lines.append(f"| `{row.address}` | {args} | {row.reply or '–'} | {row.help} |")
    return "\n".join(lines) + "\n"
