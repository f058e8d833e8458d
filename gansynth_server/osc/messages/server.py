"""The server itself."""

from gansynth_server.osc.schema import ANY, INTEGER, MAX_INTEGER, TEXT, Arg, Row

ROWS: tuple[Row, ...] = (
    Row(
        "/status",
        (),
        "`/status.reply` voices waiting clients load peak rate underruns follow-rate",
        "voices sounding, notes waiting to be rendered, clients, mixing load average % and "
        "peak %, sample rate, underruns, changes a second of notes that follow a latent",
    ),
    Row(
        "/help",
        (Arg("address", TEXT, default="/*"),),
        "`/help.reply` address arguments reply help",
        "what a message is; for a pattern of addresses, or none, `/help.list` addresses…",
        ("/note",),
    ),
    Row("/version", (), "`/version.reply` name major minor patch", "what this server is"),
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
        "1 registers for `/note/start id`, `/note/end id`, `/checkpoint name` and `/late seconds`",
        (1,),
    ),
    Row(
        "/clearSched",
        (),
        "",
        "forgets what this client has sent for later, except for the next quarter of a second",
    ),
    Row(
        "/login",
        (Arg("word", ANY, default=""),),
        "`/done /login`, or `/login.reply` number",
        "for other machines: the password, or the number that was answered, to prove that answers "
        "are heard; until then they get few of them",
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
