"""Recordings."""

from gansynth_server.osc.schema import TEXT, Arg, Row

ROWS: tuple[Row, ...] = (
    Row(
        "/record",
        (Arg("file", TEXT),),
        "",
        "writes what this client hears to a .wav or .flac in `--root`, and beside it, as .jsonl, "
        "the score: `gansynth render` makes the same sound of it, from the notes that begin now on",
        ("take.wav",),
    ),
    Row(
        "/record/stop",
        (),
        "`/done /record` file seconds",
        "ends the recording; the answer comes when its files are ready",
    ),
)
