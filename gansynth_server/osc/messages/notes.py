"""Notes."""

from gansynth_server.osc.schema import ID_ARG, NOTE_ID, NUMBER, PITCH_ARG, SLOT, Arg, Row

_VELOCITY = Arg("velocity", NUMBER, 0, 127)
_NOTE = (Arg("id", NOTE_ID, default=None), Arg("slot", SLOT, default="z"))

ROWS: tuple[Row, ...] = (
    Row(
        "/note",
        (PITCH_ARG, _VELOCITY, *_NOTE),
        "",
        "starts a note (velocity 0 releases it); the id is the pitch when left out; "
        "fractional pitches are fine",
        (60, 100),
    ),
    Row(
        "/note/hz",
        (Arg("frequency", NUMBER, 8, 12544), _VELOCITY, *_NOTE),
        "",
        "the same with a frequency in Hz, which is then the id when left out",
        (440.0, 100),
    ),
    Row("/note/off", (ID_ARG,), "", "releases a note", (60,)),
    Row("/allnotesoff", (), "", "releases all notes of this client"),
    Row("/allsoundoff", (), "", "silences all notes of this client at once"),
)
