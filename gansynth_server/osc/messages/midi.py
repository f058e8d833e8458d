"""Live MIDI."""

from gansynth_server.osc.schema import INTEGER, NUMBER, TEXT, Arg, Row, live

ROWS: tuple[Row, ...] = live(
    Row(
        "/midi/cc",
        (
            Arg("controller", INTEGER, 0, 119),
            Arg("target", TEXT),
            Arg("amount", NUMBER, -60, 60, None),
        ),
        "",
        "what a MIDI controller changes (docs/midi.md): gain, pan, brightness, vibrato, pressure, "
        "attack, release, pca0 …, pedal or none; the amount is the effect of its full range",
        (74, "brightness", 12.0),
    ),
    Row(
        "/midi/learn",
        (Arg("target", TEXT), Arg("amount", NUMBER, -60, 60, None)),
        "`/done /midi/learn` controller target",
        "gives a target (see /midi/cc) to the controller that is moved next, and answers then; "
        "none ends the waiting, and answers -1 at once",
        ("none",),
    ),
    Row(
        "/midi/join",
        (Arg("on", INTEGER, 0, 1, 1),),
        "`/done /midi/join` on",
        "1 makes this client and the MIDI keyboard share latents, notes, tuning, envelope and "
        "stream; 0 separates them again",
        (0,),
    ),
)
