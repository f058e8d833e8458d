"""The map of timbres, and directions with names."""

from gansynth_server.latent.descriptors import MEANINGS, MEASURES
from gansynth_server.osc.schema import NUMBER, SLOT_ARG, Arg, Row

ROWS: tuple[Row, ...] = (
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
            f"moves a slot to {meaning}; 0 is where it was, -2…2 is most of what random latents do",
            ("z", 1.0),
        )
        for name, meaning in zip(MEASURES, MEANINGS, strict=True)
    ),
)
