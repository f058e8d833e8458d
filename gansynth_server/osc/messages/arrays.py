"""Whole notes for Pd arrays."""

from gansynth_server.osc.schema import INTEGER, MAX_INTEGER, NUMBER, PITCH_ARG, SLOT, TEXT, Arg, Row

ROWS: tuple[Row, ...] = (
    Row(
        "/synthesize",
        (Arg("array", TEXT), PITCH_ARG, Arg("slot", SLOT, default="z")),
        "`/synthesized` array samples rate chunks",
        "renders a whole note at 16 kHz for a Pd array, to be fetched in chunks",
        ("sound", 60),
    ),
    Row(
        "/hallucinate/array",
        (
            Arg("array", TEXT),
            Arg("notes", INTEGER, 1, 64, 5),
            Arg("steps", INTEGER, 0, 64, 5),
            Arg("spacing", NUMBER, 0.01, 60, 1.0),
            Arg("trim", NUMBER, 0, 4, 0.0),
            Arg("attack", NUMBER, 0, 4, 0.5),
            Arg("sustain", NUMBER, 0, 4, 1.0),
            Arg("release", NUMBER, 0, 4, 0.5),
            Arg("seed", INTEGER, 0, MAX_INTEGER, None),
            Arg("pitch", NUMBER, 0, 127, 32.0),
        ),
        "`/synthesized` array samples rate chunks",
        "renders a hallucination at 16 kHz, without playing it, for a Pd array, to be fetched in "
        "chunks; up to ten minutes",
        ("dream", 2, 1, 0.2, 0.0, 0.1, 0.1, 0.1, 7),
    ),
    Row(
        "/synthesize/get",
        (Arg("array", TEXT), Arg("chunk", INTEGER, 0, 16384)),
        "`/chunk` array chunk onset floats…",
        "one chunk of the note that was synthesized under this name",
        ("sound", 0),
    ),
)
