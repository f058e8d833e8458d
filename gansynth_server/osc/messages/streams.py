"""Audio streams, pulled block by block, and recordings."""

from gansynth_server.osc.schema import (
    INTEGER,
    LENGTH,
    MAX_INTEGER,
    MESSAGE,
    NUMBER,
    TEXT,
    Arg,
    Row,
    live,
)

_STREAM = Arg("stream-id", INTEGER, 1, MAX_INTEGER)

_STREAMS: tuple[Row, ...] = live(
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
            Arg("samples", LENGTH, 0, MAX_INTEGER),
            Arg("message", MESSAGE),
        ),
        "",
        "a message to be handled exactly so many samples, or beats, after the beginning of a "
        "block: a time tag for listeners such as Pd, whose only clock is their sound",
        (0, 48000, "/note", 60, 100),
    ),
    Row(
        "/stream/join",
        (_STREAM,),
        "`/done /stream/join` stream-id",
        "this client's notes sound in the stream of another client, which told it the stream-id",
    ),
    Row("/stream/close", (), "`/done /stream/close`", "ends or leaves the stream"),
)
_RECORDINGS: tuple[Row, ...] = live(
    Row(
        "/record",
        (Arg("file", TEXT),),
        "",
        "writes what this client hears to a .wav or .flac in `--root`, and beside it, as .jsonl, "
        "the score, of the notes that begin from now on: `gansynth render` makes the same sound "
        "of it",
        ("take.wav",),
    ),
    Row(
        "/record/stop",
        (),
        "`/done /record` file seconds",
        "ends the recording; the answer comes when its files are ready",
    ),
)
ROWS: tuple[Row, ...] = (*_STREAMS, *_RECORDINGS)
