"""Latents by slot: drawing, mixing, paths, files, principal directions, the timbre map."""

from gansynth_server.latent.descriptor_names import MEANINGS, MEASURES
from gansynth_server.options import SEARCH_SECONDS
from gansynth_server.osc.schema import (
    INTEGER,
    LATENT,
    MAX_INTEGER,
    NAME_ARG,
    NUMBER,
    RATE,
    SLOT,
    SLOT_ARG,
    TEXT,
    Arg,
    Row,
)

FILE_ARG = Arg("file", TEXT)
_PAIRS = Arg("component amount …", LATENT)

_LATENTS: tuple[Row, ...] = (
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
        "draws a latent from the checkpoint's prior, times spread; the same seed gives the same "
        "latent; a number alone is no slot but a button's value, and does nothing at 0",
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
    Row(
        "/z/mix",
        (
            *(Arg("slot", SLOT), Arg("a", SLOT), Arg("wa", NUMBER, 0, 1000)),
            *(Arg("b", SLOT), Arg("wb", NUMBER, 0, 1000)),
            *(Arg("c", SLOT, default=None), Arg("wc", NUMBER, 0, 1000, 0.0)),
            *(Arg("d", SLOT, default=None), Arg("wd", NUMBER, 0, 1000, 0.0)),
        ),
        "",
        "mixes two to four slots by their weights, as a four-corner pad does; its length is the "
        "weighted mean of theirs",
        ("c", "z", 1, "z", 0.5),
    ),
    Row(
        "/z/walk",
        (
            Arg("slot", SLOT, default="z"),
            Arg("speed", RATE, 0, 100, 0.5),
            Arg("spread", NUMBER, 0, 100, 1.0),
            Arg("seed", INTEGER, 0, MAX_INTEGER, None),
        ),
        "",
        "the slot walks at random from now on, smoothly and always within the prior, times spread: "
        "1/speed seconds to the next timbre; the same seed gives the same walk; a number alone "
        "is a button's value",
        ("w", 0.5, 1.0, 1),
    ),
    Row(
        "/z/lfo",
        (
            Arg("slot", SLOT),
            Arg("a", SLOT),
            Arg("b", SLOT),
            Arg("rate", RATE, 0, 100),
            Arg("shape", SLOT, default="sine"),
            Arg("phase", NUMBER, 0, 1, 0.0),
        ),
        "",
        "the slot moves to and fro between what slots a and b hold, rate times a second, or once "
        "in so many beats, counted from a beat that is a multiple of them; "
        "shape: sine, triangle, square, saw or 0…3",
        ("l", "z", "z", 0.5),
    ),
    Row(
        "/z/nearest",
        (SLOT_ARG, Arg("count", INTEGER, 1, 64, 5)),
        "`/z/nearest.reply` slot (name degrees)…",
        "the presets nearest to the latent of a slot, and the angles to them: what it is like",
        ("z", 3),
    ),
    Row(
        "/z/invert",
        (
            SLOT_ARG,
            FILE_ARG,
            Arg("pitch", INTEGER, 0, 127, None),
            Arg("seconds", NUMBER, 1, 600, SEARCH_SECONDS),
        ),
        "`/done /z/invert` slot file pitch dB",
        "fills a slot with the timbre nearest to a note recorded in a sound file in `--root`; "
        "its pitch is detected if left out; dB is the distance that remains",
        ("z", "horn.wav", 60, 1.0),
        live=True,
    ),
    Row("/z/freeze", (SLOT_ARG,), "", "a slot that moves stays where it is", ("z",)),
    Row(
        "/z/list",
        (Arg("skip", INTEGER, 0, 1024, 0),),
        "`/z/list.reply` all slots presets (slot what)… names…",
        "how many slots and presets there are in all, how many of each follow, each slot with "
        "what it holds, the presets' names; up to 7 kB, the rest with a skip",
    ),
    Row(
        "/z/save",
        (FILE_ARG,),
        "`/done /z/save` file slots",
        "writes all slots to a .json, .npz or .npy file in `--root`, as they are now",
        ("latents.json",),
    ),
    Row(
        "/z/load",
        (FILE_ARG,),
        "`/done /z/load` file slots",
        "fills slots from such a file in `--root`; those of other names stay",
        ("latents.json",),
    ),
)
_DIRECTIONS: tuple[Row, ...] = (
    Row(
        "/pca",
        (SLOT_ARG, _PAIRS),
        "",
        "moves a slot along principal directions of the checkpoint: amounts in standard "
        "deviations by component, from where the slot was before the first /pca; components "
        "that are not named keep theirs",
        ("z", 0, 1.5, 1, -1.0),
    ),
    Row(
        "/pca/noz",
        (SLOT_ARG, _PAIRS),
        "",
        "the same without the slot's own latent: from the middle of the prior",
        ("n", 0, 1.5, 1, -1.0),
    ),
    Row(
        "/pca/amounts",
        (
            Arg("bare", INTEGER, 0, 1),
            SLOT_ARG,
            Arg("amounts", LATENT),
        ),
        "",
        "the same with the amounts of the first components in their order, as an array holds them: "
        "1 is /pca/noz, 0 is /pca",
        (0, "z", 1.5, -1.0),
    ),
    Row(
        "/pca/info",
        (),
        "`/pca/info.reply` components (share reach)…",
        "how many components this client's checkpoint has; each one's share of the variance, and "
        "its reach: the standard deviations by which an amount of 1 really moves it",
    ),
)
_ATLAS: tuple[Row, ...] = (
    Row(
        "/map",
        (Arg("x", NUMBER, 0, 1), Arg("y", NUMBER, 0, 1), SLOT_ARG),
        "",
        "fills a slot with the timbre at a place of the checkpoint's map, mixed of the nearest "
        "ones (see `gansynth map`)",
        (0.25, 0.75, "z"),
    ),
    *(
        Row(
            f"/z/{name}",
            (SLOT_ARG, Arg("amount", NUMBER, -10, 10)),
            "",
            f"moves a slot to {meaning}; 0 is where it was, most random latents lie within -2…2",
            ("z", 1.0),
        )
        for name, meaning in zip(MEASURES, MEANINGS, strict=True)
    ),
)
ROWS: tuple[Row, ...] = (*_LATENTS, *_DIRECTIONS, *_ATLAS)
