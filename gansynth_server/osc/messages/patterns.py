"""Notes as pairs of keys and values, as pattern languages send them to SuperDirt."""

from gansynth_server.osc.schema import (
    ANY,
    INTEGER,
    MAX_INTEGER,
    NOTE_ID,
    NUMBER,
    PAIRS,
    SLOT,
    TEXT,
    Arg,
    Row,
)

_HOUR = 3600
_KEYS = (
    Arg("s", TEXT),
    Arg("sound", TEXT),
    Arg("preset", TEXT),
    Arg("z", SLOT),
    Arg("slot", SLOT),
    Arg("n", NUMBER, -MAX_INTEGER, MAX_INTEGER),
    Arg("note", ANY, -128, 128),
    Arg("midinote", NUMBER, 0, 127),
    Arg("freq", NUMBER, 8, 12544),
    Arg("octave", NUMBER, -5, 15),
    Arg("speed", NUMBER, -64, 64),
    Arg("gain", NUMBER, 0, 128),
    Arg("velocity", NUMBER, 0, 127),
    Arg("pan", NUMBER, 0, 1),
    Arg("sustain", NUMBER, 0, _HOUR),
    Arg("legato", NUMBER, 0, 1024),
    Arg("delta", NUMBER, 0, _HOUR),
    Arg("attack", NUMBER, 0, 60),
    Arg("release", NUMBER, 0, 60),
    Arg("bend", NUMBER, -48, 48),
    Arg("brightness", NUMBER, -24, 24),
    Arg("cut", INTEGER, -MAX_INTEGER, MAX_INTEGER),
    Arg("orbit", INTEGER, 0, MAX_INTEGER),
    Arg("id", NOTE_ID),
)
_PAIRS = (Arg("pairs", PAIRS, keys=_KEYS),)
_EXAMPLE = ("s", "violin", "note", 4, "sustain", 0.5)

ROWS: tuple[Row, ...] = (
    Row(
        "/play",
        _PAIRS,
        "",
        "plays a note, described as SuperDirt's are, in any order (docs/patterns.md); "
        "keys that are not known are ignored, numbers out of range are taken as the nearest within",
        _EXAMPLE,
    ),
    Row("/dirt/play", _PAIRS, "", "the same, where TidalCycles and others send it", _EXAMPLE),
    Row("/play2", _PAIRS, "", "the same, where TidalCycles before 1.0 sends it", _EXAMPLE),
    Row(
        "/dirt/handshake",
        (),
        "`/dirt/handshake/reply` &serverHostname address &serverPort port &controlBusIndices "
        "numbers…",
        "answers TidalCycles, so that it sends; there are no control buses behind the numbers",
        live=True,
    ),
)
