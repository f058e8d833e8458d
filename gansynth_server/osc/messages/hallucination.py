"""Hallucinations: overlapping notes whose timbre wanders."""

from gansynth_server.osc.schema import INTEGER, LATENT, LENGTH, MAX_INTEGER, NUMBER, TEXT, Arg, Row

_FILE = Arg("file", TEXT)
_BEGUN = "`/hallucinate.reply` notes seconds, and `/done /hallucinate` when it is over"

ROWS: tuple[Row, ...] = (
    Row(
        "/hallucinate",
        (
            Arg("notes", INTEGER, 1, 64, 5),
            Arg("steps", INTEGER, 0, 64, 5),
            Arg("spacing", LENGTH, 0.01, 60, 1.0),
            Arg("trim", LENGTH, 0, 4, 0.0),
            Arg("attack", LENGTH, 0, 4, 0.5),
            Arg("sustain", LENGTH, 0, 4, 1.0),
            Arg("release", LENGTH, 0, 4, 0.5),
            Arg("seed", INTEGER, 0, MAX_INTEGER, None),
            Arg("pitch", NUMBER, 0, 127, None),
            Arg("velocity", NUMBER, 1, 127, 100.0),
        ),
        _BEGUN,
        "plays random timbres with steps notes between each two, spacing seconds apart, all times "
        "in seconds or beats; at a pitch, or along the melody; slot `hallucination` holds the "
        "latent of the moment",
        (2, 1, 0.2, 0.0, 0.1, 0.1, 0.1, 7),
    ),
    Row(
        "/hallucinate/melody",
        (Arg("pitches", LATENT),),
        "",
        "pitches of the hallucinations to come, a note each, over and over",
        (60, 64, 67),
    ),
    Row("/hallucinate/play", (), _BEGUN, "plays the last hallucination, or the loaded one, again"),
    Row(
        "/hallucinate/stop",
        (),
        "`/done /hallucinate/stop`",
        "releases the notes of the hallucination and lets no more begin",
    ),
    Row(
        "/hallucinate/save",
        (_FILE,),
        "`/done /hallucinate/save` file",
        "writes the last hallucination to a .json file in `--root`, to be edited: key timbres, "
        "steps, times, pitches",
        ("hallucination.json",),
    ),
    Row(
        "/hallucinate/load",
        (_FILE,),
        "`/done /hallucinate/load` file notes seconds",
        "reads such a file, for /hallucinate/play",
        ("hallucination.json",),
    ),
)
