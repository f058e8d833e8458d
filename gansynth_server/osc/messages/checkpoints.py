"""Checkpoints."""

from gansynth_server.osc.schema import NAME_ARG, Row

ROWS: tuple[Row, ...] = (
    Row(
        "/checkpoint/load",
        (NAME_ARG,),
        "`/done /checkpoint/load` name",
        "this client's notes come from another checkpoint; sounding ones go on",
        ("all_instruments",),
    ),
    Row("/checkpoint/list", (), "`/checkpoint/list.reply` names…", "the checkpoints there are"),
    Row(
        "/checkpoint/info",
        (),
        "`/checkpoint/info.reply` name latent-size lowest-pitch highest-pitch presets…",
        "what this client's checkpoint is, with the names of its presets",
    ),
)
