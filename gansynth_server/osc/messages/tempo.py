"""Time in beats."""

from gansynth_server.osc.schema import MESSAGE, NUMBER, Arg, Row, live

_SET: tuple[Row, ...] = (
    Row(
        "/tempo",
        (Arg("bpm", NUMBER, 1, 1000, None), Arg("beat", NUMBER, -1e6, 1e6, None)),
        "`/tempo.reply` bpm beat",
        "this client's beats a minute, and the number of the beat at this moment, from which they "
        "count on; lengths in beats, as 2b, are of this tempo, which is that of MIDI's clock, or "
        "120, until it is set",
        (120, 0),
    ),
    Row(
        "/tempo/follow",
        (),
        "`/done /tempo/follow`",
        "this client's tempo is again that of MIDI's clock, or 120",
    ),
)
_LIVE: tuple[Row, ...] = live(
    Row(
        "/at",
        (Arg("beat", NUMBER, -1e6, 1e6), Arg("message", MESSAGE)),
        "",
        "a message to be handled at a beat of this client's tempo, up to 60 s ahead",
        (4, "/note", 60, 100),
    ),
)
ROWS: tuple[Row, ...] = (*_SET, *_LIVE)
