"""What the network makes, to be looked at."""

from gansynth_server.osc.schema import INTEGER, PITCH_ARG, SLOT, Arg, Row

ROWS: tuple[Row, ...] = (
    Row(
        "/spectrum",
        (PITCH_ARG, Arg("slot", SLOT, default="z")),
        "`/spectrum.reply` slot pitch frames bins levels…",
        "renders a note and keeps the image of its spectrum, to be fetched frame by frame; the "
        "levels are the mean magnitudes of its frames",
        (60,),
    ),
    Row(
        "/spectrum/frame",
        (Arg("frame", INTEGER, 0, 127),),
        "`/magnitude` frame floats…, `/frequency` frame floats…",
        "one frame of the image: log magnitude and instantaneous frequency by mel bin, each from "
        "-1 to 1 as the network gives them",
        (10,),
    ),
)
