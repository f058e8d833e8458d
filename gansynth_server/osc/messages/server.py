"""The server itself: status, help, login, checkpoints."""

from gansynth_server.osc.schema import ANY, INTEGER, MAX_INTEGER, NAME_ARG, TEXT, Arg, Row, live

_SERVER: tuple[Row, ...] = live(
    Row(
        "/status",
        (),
        "`/status.reply` voices waiting clients load peak rate underruns follow-rate",
        "voices sounding, notes waiting to be rendered, clients, mixing load average % and "
        "peak %, sample rate, underruns, changes a second of notes that follow a latent, "
        "`/fail` of all clients",
    ),
    Row(
        "/help",
        (Arg("address", TEXT, default="/*"),),
        "`/help.reply` address arguments reply help",
        "what a message is; for a pattern of addresses, or none, `/help.list` addresses…",
        ("/note",),
    ),
    Row(
        "/version", (), "`/version.reply` name major minor patch", "name and version of this server"
    ),
    Row(
        "/sync",
        (Arg("id", INTEGER, -MAX_INTEGER, MAX_INTEGER, 0),),
        "`/synced` id",
        "answers once all that this client asked for before is done",
        (7,),
    ),
    Row(
        "/notify",
        (Arg("on", INTEGER, 0, 1, 1),),
        "`/done /notify` clientID maxClients",
        "1 registers for `/note/start id`, `/note/end id`, `/checkpoint name` and `/late seconds`, "
        "which says with the word ahead that time tags are so far in the future",
        (1,),
    ),
    Row(
        "/reply/to",
        (Arg("port", INTEGER, 0, 65535, 0),),
        "`/done /reply/to` port",
        "sends this client's replies and blocks to another port of its own host from now on, for "
        "programs that listen elsewhere than they send from; 0 sends them back as before",
        (0,),
        exact=True,
    ),
    Row(
        "/clearSched",
        (),
        "",
        "discards what this client has sent for later, except for the next quarter of a second",
    ),
    Row(
        "/login",
        (Arg("word", ANY, default=""),),
        "`/done /login`, or `/login.reply` number",
        "for clients on other machines: the password, or the number that was replied, which proves "
        "that the client receives replies; until then it gets few of them",
        exact=True,
    ),
    Row(
        "/metrics",
        (),
        "`/metrics.reply` name value…",
        "all that the server counts, as pairs",
    ),
    Row(
        "/dump",
        (Arg("level", INTEGER, 0, 2, 1),),
        "",
        "logs what comes in: 1 messages, 2 bytes, 0 nothing",
        (0,),
        exact=True,
    ),
    Row("/quit", (), "`/done /quit`", "ends the server", exact=True),
)
_CHECKPOINTS: tuple[Row, ...] = (
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
ROWS: tuple[Row, ...] = (*_SERVER, *_CHECKPOINTS)
