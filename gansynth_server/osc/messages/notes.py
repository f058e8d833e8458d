"""Notes, their expression, envelopes and tuning."""

from gansynth_server.osc.schema import (
    ANY,
    ID_ARG,
    INTEGER,
    NOTE_ID,
    NUMBER,
    PITCH_ARG,
    SLOT,
    SLOT_ARG,
    TEXT,
    Arg,
    Row,
)

_VELOCITY = Arg("velocity", NUMBER, 0, 127)
_NOTE = (Arg("id", NOTE_ID, default=None), Arg("slot", SLOT, default="z"))
_MS = Arg("ms", NUMBER, 0, 60000, 0.0)
_ENVELOPE = (
    Arg("attack", NUMBER, 0, 60),
    Arg("decay", NUMBER, 0, 60, 0.0),
    Arg("sustain", NUMBER, 0, 1, 1.0),
    Arg("release", NUMBER, 0, 60, 0.3),
    Arg("curve", NUMBER, -20, 20, 0.0),
)
_WHAT = ("info", "12tet", "a4", "scl", "kbm", "file")

_NOTES: tuple[Row, ...] = (
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
_EXPRESSION: tuple[Row, ...] = (
    Row(
        "/hold",
        (Arg("on", INTEGER, 0, 1, 1),),
        "",
        "1 holds the notes to come: they never end by themselves, but move to and fro in "
        "their steadiest part",
        (0,),
    ),
    Row(
        "/hold/region",
        (
            Arg("from", NUMBER, 0, 4, None),
            Arg("to", NUMBER, 0, 4, None),
        ),
        "",
        "part of a note (seconds) in which held notes stay; without arguments the steadiest second",
        (1.0, 2.0),
    ),
    Row(
        "/note/hold",
        (ID_ARG, Arg("on", INTEGER, 0, 1, 1)),
        "",
        "holds a sounding note, or lets it go on to its end; here and below, the id all means all "
        "notes",
        (60, 1),
    ),
    Row(
        "/note/position",
        (ID_ARG, Arg("seconds", NUMBER, 0, 4)),
        "",
        "continues a note from another time in it",
        (60, 1.5),
    ),
    Row(
        "/note/speed",
        (ID_ARG, Arg("speed", NUMBER, -16, 16)),
        "",
        "playback speed of a note, at the same pitch: 0 freezes it, 0.25 stretches it, -1 plays it "
        "backwards",
        (60, 0.5),
    ),
    Row(
        "/note/bend",
        (ID_ARG, Arg("semitones", NUMBER, -60, 60), _MS),
        "",
        "bends a note's pitch within so many milliseconds",
        (60, 0.5),
    ),
    Row(
        "/note/glide",
        (ID_ARG, Arg("pitch", NUMBER, 0, 127), _MS),
        "",
        "takes a note to another pitch",
        (60, 67, 200),
    ),
    Row(
        "/note/vibrato",
        (ID_ARG, Arg("depth", NUMBER, 0, 12), Arg("rate", NUMBER, 0, 50, 5.0)),
        "",
        "vibrato: semitones to either side, and Hz",
        (60, 0.3, 5.5),
    ),
    Row(
        "/note/gain",
        (ID_ARG, Arg("gain", NUMBER, 0, 4), _MS),
        "",
        "loudness on top of the velocity; 1 is as it was",
        (60, 0.5, 100),
    ),
    Row(
        "/note/pan",
        (ID_ARG, Arg("pan", NUMBER, -1, 1), _MS),
        "",
        "-1 left, 0 middle, 1 right, where the output or stream is stereo",
        (60, -0.5),
    ),
    Row(
        "/note/brightness",
        (ID_ARG, Arg("dB-per-octave", NUMBER, -24, 24)),
        "",
        "tilts the spectrum above the note's own frequency",
        (60, -3),
    ),
    Row(
        "/note/pressure",
        (ID_ARG, Arg("pressure", NUMBER, 0, 1)),
        "",
        "pressure on a note; `/pressure` sets what it changes",
        (60, 0.5),
    ),
    Row(
        "/note/morph",
        (ID_ARG, SLOT_ARG, _MS),
        "",
        "moves a note's timbre to a slot's latent while it sounds",
        (60, "z", 500),
    ),
    Row(
        "/z/follow",
        (SLOT_ARG, Arg("on", INTEGER, 0, 1, 1)),
        "",
        "1 makes the notes of a slot follow its latent while they sound",
        ("z", 0),
    ),
    Row(
        "/note/envelope",
        (ID_ARG, *_ENVELOPE),
        "",
        "changes the rest of one note's envelope (see `/envelope`)",
        (60, 0.01, 0.1, 0.7, 0.5),
    ),
    Row(
        "/envelope",
        _ENVELOPE,
        "",
        "envelope of the notes to come: times in seconds, sustain as a level; a curve below 0 "
        "falls fast first, above 0 slowly first",
        (0.01, 0, 1, 0.3),
    ),
    Row(
        "/velocity/curve",
        (Arg("exponent", NUMBER, 0, 8),),
        "",
        "loudness is (velocity / 127)^exponent: 1 is linear, 0 the same for all",
        (1,),
    ),
    Row(
        "/pressure",
        (Arg("target", TEXT), Arg("amount", NUMBER, -60, 60)),
        "",
        "what full pressure adds to the notes to come: gain (dB), brightness (dB per octave), "
        "bend or vibrato (semitones)",
        ("brightness", 6),
    ),
    Row(
        "/pedal",
        (Arg("down", INTEGER, 0, 1, 1),),
        "",
        "the sustain pedal: notes released while it is down sound on until it comes up",
        (0,),
    ),
    Row(
        "/choke",
        (SLOT_ARG, Arg("group", SLOT, default=None)),
        "",
        "notes of slots in one choke group end each other; without a group the slot leaves it",
        ("z", "hats"),
    ),
)
_TUNING: tuple[Row, ...] = (
    Row(
        "/tuning",
        (
            Arg("what", TEXT, default="info", choices=_WHAT),
            Arg("value", ANY, default=None),
        ),
        "`/tuning.reply` scale degrees a4",
        "tunes this client's keys from now on: `12tet` alone, `a4` and Hz, "
        "`scl` or `kbm` and Scala's text, `file` and the name of a .scl or .kbm in `--root`",
        ("a4", 440.0),
    ),
)
ROWS: tuple[Row, ...] = (*_NOTES, *_EXPRESSION, *_TUNING)
