"""Sessions in files, and undoing."""

from gansynth_server.osc.schema import TEXT, Arg, Row

_FILE = Arg("file", TEXT)

ROWS: tuple[Row, ...] = (
    Row(
        "/session/save",
        (_FILE,),
        "`/done /session/save` file slots",
        "writes all that this client has set to a .json file in `--root`: checkpoint, slots as "
        "they are now, envelope, holding, tuning, choke groups, melody, tempo, and the form of its "
        "stream",
        ("session.json",),
    ),
    Row(
        "/session/load",
        (_FILE,),
        "`/done /session/load` file slots, and `/session/stream` rate block ahead channels, where "
        "a stream was open",
        "sets this client to what such a file has; slots of other names stay",
        ("session.json",),
    ),
    Row(
        "/undo",
        (),
        "`/done /undo` slot",
        "takes back this client's last change of a slot, up to 100 of them; what a slider does in "
        "a moment counts as one",
    ),
    Row("/redo", (), "`/done /redo` slot", "makes the change again that was undone last"),
)
