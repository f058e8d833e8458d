"""Lines that are followed: sung, whistled, bowed or blown."""

from gansynth_server.osc.schema import NUMBER, SLOT, Arg, Row

ROWS: tuple[Row, ...] = (
    Row(
        "/follow/open",
        (
            Arg("slot", SLOT, default="z"),
            Arg("begin", NUMBER, -90, 0, -50.0),
            Arg("gain", NUMBER, -60, 60, 0.0),
        ),
        "`/done`",
        "plays what `/follow/pitch` tells by a slot's timbre: notes begin above so many dB, and "
        "are so many dB louder than at -20",
        ("z",),
    ),
    Row(
        "/follow/pitch",
        (
            Arg("frequency", NUMBER, 0, 12544),
            Arg("level", NUMBER, -200, 60),
            Arg("confidence", NUMBER, 0, 1, 1.0),
        ),
        "",
        "what is heard of one voice, about 100 times a second: Hz (0: no pitch), dB (0 is full "
        "scale), and how sure that is",
        (440.0, -20.0),
    ),
    Row("/follow/close", (), "`/done`", "ends the note that follows, and following"),
)
