"""Tuning."""

from gansynth_server.osc.schema import ANY, TEXT, Arg, Row

_WHAT = ("info", "12tet", "a4", "scl", "kbm", "file")

ROWS: tuple[Row, ...] = (
    Row(
        "/tuning",
        (
            Arg("what", TEXT, default="info", choices=_WHAT),
            Arg("value", ANY, default=None),
        ),
        "`/tuning.reply` scale degrees a4",
        "which pitches this client's keys sound from now on: `12tet` alone, `a4` and Hz, "
        "`scl` or `kbm` and Scala's text, `file` and the name of a .scl or .kbm in `--root`",
        ("a4", 440.0),
    ),
)
