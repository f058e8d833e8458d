"""Whole notes and their spectra for Pd arrays."""

from gansynth_server.osc.schema import (
    INTEGER,
    LENGTH,
    MAX_INTEGER,
    NUMBER,
    PITCH_ARG,
    SLOT,
    TEXT,
    Arg,
    Row,
    live,
)

_ARRAYS: tuple[Row, ...] = live(
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
            Arg("spacing", LENGTH, 0.01, 60, 1.0),
            Arg("trim", LENGTH, 0, 4, 0.0),
            Arg("attack", LENGTH, 0, 4, 0.5),
            Arg("sustain", LENGTH, 0, 4, 1.0),
            Arg("release", LENGTH, 0, 4, 0.5),
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
_SPECTRA: tuple[Row, ...] = live(
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
ROWS: tuple[Row, ...] = (*_ARRAYS, *_SPECTRA)
