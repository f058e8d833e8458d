"""Live MIDI."""

from gansynth_server.osc.schema import INTEGER, NUMBER, TEXT, Arg, Row

ROWS: tuple[Row, ...] = (
    Row(
        "/midi/cc",
        (
            Arg("controller", INTEGER, 0, 119),
            Arg("target", TEXT),
            Arg("amount", NUMBER, -60, 60, None),
        ),
        "",
        "what a MIDI controller changes (docs/midi.md): gain, pan, brightness, vibrato, pressure, "
        "attack, release, pca0 …, pedal or none; and what all of its way comes to",
        (74, "brightness", 12.0),
    ),
    Row(
        "/midi/join",
        (Arg("on", INTEGER, 0, 1, 1),),
        "`/done /midi/join` on",
        "1 has this client and the MIDI keyboard share latents, notes, tuning, envelope and "
        "stream; 0 parts them again",
        (0,),
    ),
)
