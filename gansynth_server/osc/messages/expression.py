"""How notes sound, while they sound."""

from gansynth_server.osc.schema import ID_ARG, INTEGER, NUMBER, SLOT, SLOT_ARG, TEXT, Arg, Row

_MS = Arg("ms", NUMBER, 0, 60000, 0.0)
_ENVELOPE = (
    Arg("attack", NUMBER, 0, 60),
    Arg("decay", NUMBER, 0, 60, 0.0),
    Arg("sustain", NUMBER, 0, 1, 1.0),
    Arg("release", NUMBER, 0, 60, 0.3),
    Arg("curve", NUMBER, -20, 20, 0.0),
)

ROWS: tuple[Row, ...] = (
    Row(
        "/hold",
        (Arg("on", INTEGER, 0, 1, 1),),
        "",
        "1 has the notes to come held: they never end by themselves, moving to and fro in "
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
        "seconds of a note between which held ones stay; without arguments the steadiest second",
        (1.0, 2.0),
    ),
    Row(
        "/note/hold",
        (ID_ARG, Arg("on", INTEGER, 0, 1, 1)),
        "",
        "holds a note that sounds, or lets it go on to its end; the id all means all of them, "
        "here and below",
        (60, 1),
    ),
    Row(
        "/note/position",
        (ID_ARG, Arg("seconds", NUMBER, 0, 4)),
        "",
        "goes on from another time of the note",
        (60, 1.5),
    ),
    Row(
        "/note/speed",
        (ID_ARG, Arg("speed", NUMBER, -16, 16)),
        "",
        "how fast a note goes by, at its pitch: 0 freezes it, 0.25 stretches, -1 goes backwards",
        (60, 0.5),
    ),
    Row(
        "/note/bend",
        (ID_ARG, Arg("semitones", NUMBER, -60, 60), _MS),
        "",
        "bends a note's pitch, within so many milliseconds",
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
        "semitones to either side, and Hz",
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
        "what it changes is said by `/pressure`",
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
        "1 has the notes of a slot follow its latent while they sound",
        ("z", 0),
    ),
    Row(
        "/note/envelope",
        (ID_ARG, *_ENVELOPE),
        "",
        "what is still to come of one note's envelope (see `/envelope`)",
        (60, 0.01, 0.1, 0.7, 0.5),
    ),
    Row(
        "/envelope",
        _ENVELOPE,
        "",
        "of the notes to come: times in seconds, sustain as a level; a curve below 0 falls "
        "fast first, above 0 slowly first",
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
        "the sustain pedal: what is released while it is down sounds on until it comes up",
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
