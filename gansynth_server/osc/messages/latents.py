"""Latents by slot."""

from gansynth_server.osc.row import (
    INTEGER,
    LATENT,
    MAX_INTEGER,
    NAME_ARG,
    NUMBER,
    SLOT,
    SLOT_ARG,
    Arg,
    Row,
)

ROWS: tuple[Row, ...] = (
    Row(
        "/z/set",
        (SLOT_ARG, Arg("latent", LATENT)),
        "",
        "stores a latent: one blob of big-endian float32 (fast) or the numbers themselves",
        ("z", *[0.5] * 256),
    ),
    Row("/z/get", (SLOT_ARG,), "`/z` slot floats…", "the latent of a slot", ("z",)),
    Row(
        "/z/random",
        (
            Arg("slot", SLOT, default="z"),
            Arg("seed", INTEGER, 0, MAX_INTEGER, None),
            Arg("spread", NUMBER, 0, 100, 1.0),
        ),
        "",
        "draws a latent from N(0, 1)·spread; the same seed gives the same latent",
        ("z", 1, 1.0),
    ),
    Row(
        "/z/slerp",
        (Arg("to", SLOT), Arg("a", SLOT), Arg("b", SLOT), Arg("amount", NUMBER, 0, 1)),
        "",
        "spherical interpolation from slot a (0) to slot b (1) into a slot",
        ("c", "z", "z", 0.5),
    ),
    Row(
        "/z/preset",
        (SLOT_ARG, NAME_ARG),
        "",
        "a named timbre of the checkpoint",
        ("z", "violin"),
    ),
)
