"""Whole notes for Pd arrays."""

from gansynth_server.osc.row import INTEGER, PITCH_ARG, SLOT, TEXT, Arg, Row

ROWS: tuple[Row, ...] = (
    Row(
        "/synthesize",
        (Arg("array", TEXT), PITCH_ARG, Arg("slot", SLOT, default="z")),
        "`/synthesized` array samples rate chunks",
        "renders a whole note at 16 kHz for a Pd array, to be fetched in chunks",
        ("sound", 60),
    ),
    Row(
        "/synthesize/get",
        (Arg("array", TEXT), Arg("chunk", INTEGER, 0, 1000)),
        "`/chunk` array chunk onset floats…",
        "one chunk of the note that was synthesized under this name",
        ("sound", 0),
    ),
)
