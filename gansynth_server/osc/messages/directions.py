"""Principal directions of timbre."""

from gansynth_server.osc.schema import INTEGER, LATENT, SLOT_ARG, Arg, Row

_PAIRS = Arg("component amount …", LATENT)

ROWS: tuple[Row, ...] = (
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
        "how far it goes, 1 being as told and 0 where no latent leads",
    ),
)
