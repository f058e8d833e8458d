"""The sound, pulled block by block."""

from gansynth_server.osc.schema import INTEGER, MAX_INTEGER, MESSAGE, NUMBER, Arg, Row

_STREAM = Arg("stream-id", INTEGER, 1, MAX_INTEGER)

ROWS: tuple[Row, ...] = (
    Row(
        "/stream/open",
        (
            Arg("rate", NUMBER, 16000, 192000),
            Arg("block", INTEGER, 16, 4096),
            Arg("ahead", INTEGER, 1, 64),
            Arg("channels", INTEGER, 1, 2, 1),
        ),
        "`/done /stream/open` stream-id latency-ms",
        "this client's notes sound in its own stream, pulled block by block",
        (48000, 512, 4),
    ),
    Row(
        "/stream/pull",
        (Arg("block-number", INTEGER, 0, MAX_INTEGER), _STREAM),
        "`/b` k onset floats…",
        "block k of the stream; onset is (k mod 64)·block; asked again, the same block; a stream "
        "of two channels answers a bundle of `/b` (left) and `/r` (right)",
    ),
    Row(
        "/stream/at",
        (
            Arg("block-number", INTEGER, 0, MAX_INTEGER),
            Arg("samples", NUMBER, 0, MAX_INTEGER),
            Arg("message", MESSAGE),
        ),
        "",
        "a message for so many samples after the beginning of a block, exactly: what a time tag is "
        "to others, for listeners such as Pd that have no clock but their sound",
        (0, 48000, "/note", 60, 100),
    ),
    Row(
        "/stream/join",
        (_STREAM,),
        "`/done /stream/join` stream-id",
        "this client's notes sound in another one's stream, whose number it was told",
    ),
    Row("/stream/close", (), "`/done /stream/close`", "ends or leaves the stream"),
)
