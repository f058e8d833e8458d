"""A played line becomes a score: notes that follow its pitch, loudness and brightness.

The line is heard (:mod:`gansynth_server.analysis.pitch_track`), its frames become notes
(:mod:`gansynth_server.analysis.follower`), and their curves messages: a bend or a gain is a
straight line to the next break point, so that a score has some tens of messages a second and not
four hundred.

A timbre has an attack, a loudness and an intonation of its own, in which the line's would drown.
So the score is first played with all gains at 1. Notes whose attack is slower than the line's are
begun so much earlier, unheard; then it is played once more, and what is heard of loudness and
intonation is taken off: the sound has the line's, not their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gansynth_server.analysis import follower, line_features
from gansynth_server.analysis.follower import Bend, End, Event, Fade, FollowOptions, Frame, Start
from gansynth_server.analysis.line_features import Stroke
from gansynth_server.analysis.pitch_track import HIGHEST, LOWEST, track
from gansynth_server.errors import UserError
from gansynth_server.spectral.constants import SAMPLE_RATE

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Message = tuple[str | float, ...]
Timed = tuple[float, int, Message]
"""When (s), the client, and what it sends."""

FRAME_S = line_features.HOP / SAMPLE_RATE
SLOT = "z"
VELOCITY = 127.0
QUIETEST, SILENT = -40.0, -50.0
"""Levels (dB below the line's loudest) from which a note begins, and below which it is over."""
LOUDEST = -18.0
"""RMS level (dB full scale) of the loudest part of what comes out."""
MAX_GAIN = 4.0
"""Most that /note/gain takes."""
ENOUGH, MAX_SHORTAGE = 95.0, 20.0
"""Share (%) of a line for which a timbre's gain is to suffice, and the dB given up for that."""
BEND_TOLERANCE = 0.02
"""Distance (semitones) of a bend from the line's pitch, at most."""
GAIN_TOLERANCE, FADED = 0.04, 0.004
"""Distance of a gain from what it should be, at most, as a share of it; or, if more, so much."""
GAIN_AHEAD, END_AHEAD = 1, 2
"""Frames (5 ms) by which gains and ends are sent ahead: a voice takes 10 ms and more for them."""
LONGEST = 4000
"""Most frames (20 s) from one break point to the next: a message takes a minute at most."""
ATTACK_S, RELEASE_S = 0.005, 0.015
"""Times (s) of a note's envelope: the line's own beginning and end are in its gain already."""
SLUR_S = 0.03
"""Time (s) in which a slurred note takes over from the one before."""
SUSTAINED_S = 0.5
"""Time (s) in its own note at which a slurred one is first heard: past its attack."""
EASY_DB = 9.0
"""Gain (dB) at a note's beginning above which it is begun earlier, for a louder part of it."""
MAX_EARLY_S = 1.0
"""Most (s) by which a note is begun earlier."""
SHORT = 40
"""Frames (0.2 s) of which a note needs more to tell whether its timbre dies away."""
LOOP_S = 0.1
"""Least length (s) of the part in which the notes of such a timbre are held."""
ONSET = 30
"""Frames (0.15 s) of a note's beginning that are to be as loud as the line's."""
MAX_OFF = 0.6
"""Intonation (semitones) of a timbre that is corrected; more is no pitch of its own."""
MATCH_S = 0.064
"""Time (s) from one change of the timbre to the next, as often as the instrument follows."""
MAX_SECONDS = 600.0
"""Most (s) that is heard of a line."""
MATCH_AHEAD_S = 0.16
"""Time (s) that such a change takes to be heard."""
MAX_BRIGHTER = 4.0
"""Standard deviations by which the timbre is moved, at most."""
ANSWER = 0.4
"""Share of a wanted change of brightness that is heard: a preset's neighbours answer by less than
the map's regression over all latents tells."""
BRIGHTER_STEP = 0.1
DRUM_CHECKPOINT = "drum_kits"
DRUM_CLIENT = 1
DRUMS = ((400.0, 36), (2500.0, 38), (float("inf"), 42))
"""Centre of the spectrum (Hz) below which a stroke is General MIDI's bass drum, snare, hi-hat."""


@dataclass(frozen=True)
class HeardNote:
    """A note of the line, with its curves frame by frame.

    first: number of its first frame.
    pitch: MIDI pitch of its start.
    slurred: whether it takes over from the note before.
    pitches: MIDI pitch of each frame.
    levels: level (dB) of each frame.
    """

    first: int
    pitch: float
    slurred: bool
    pitches: Float64
    levels: Float64

    @property
    def frames(self) -> slice:
        """Return its frames among those of the line."""
        return slice(self.first, self.first + len(self.pitches))


@dataclass(frozen=True)
class HeardLine:
    """What is heard of a line.

    notes: in their order; no two sound at once.
    brightness: octaves above the note, [frames]; nan where there is no pitch.
    strokes: sounds without pitch.
    seconds: length.
    """

    notes: list[HeardNote]
    brightness: Float64
    strokes: list[Stroke]
    seconds: float


@dataclass(frozen=True)
class OwnSound:
    """What a timbre does by itself while it plays the line with all gains at 1.

    early: frames by which each note begins before it is heard.
    region: part of a note (s) in which held ones stay; None is the steadiest second.
    levels: dB, [frames]; None for all gains at 1.
    off: semitones above the line's pitch, one for each note.
    """

    early: NDArray[np.int64]
    region: tuple[float, float] | None
    levels: Float64 | None
    off: Float64


def hear(sound: Float32, lowest: float = LOWEST, highest: float = HIGHEST) -> HeardLine:
    """Hear the notes of a line.

    Args:
        sound: [n] at 16 kHz, one voice.
        lowest: Hz, as ``highest``: the pitches that are looked for.

    Raises:
        UserError: there is nothing in it but silence or steady noise.
    """
    heard = track(sound, lowest, highest)
    top = float(heard.level.max())
    options = FollowOptions(begin=top + QUIETEST, cease=top + SILENT)
    columns = (heard.seconds, heard.hertz, heard.level, heard.confidence)
    frames = [Frame(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]
    notes = list(_notes(follower.follow(frames, options), len(frames)))
    strokes = line_features.strokes(sound, heard.hertz, options.begin)
    if not notes and not strokes:
        raise UserError("nothing is heard in it; give a line that is louder than its noise")
    brightness = line_features.brightness(sound, heard.hertz)
    return HeardLine(notes, brightness, strokes, len(sound) / SAMPLE_RATE)


def compose(
    line: HeardLine, own: OwnSound | None = None, brighter: float | None = None
) -> Iterator[Timed]:
    """Yield the messages that play a line with the latent of slot ``z``.

    Those of notes that begin before they are heard may lie before the line, at times below 0.
    A note's number is its id, so that no two sound under one.

    Args:
        own: what the timbre does by itself; None is a first try, with all gains at 1.
        brighter: brightness (octaves) of a standard deviation of /z/brighter, with which the
            timbre follows the line's; None keeps it.
    """
    own = own or OwnSound(_slurs(line), None, None, _zeros(line))
    firsts = np.array([note.first for note in line.notes], np.int64)
    begin = _time(min(0, int(np.min(firsts - np.maximum(own.early, GAIN_AHEAD), initial=0))))
    yield begin, 0, ("/hold", 1)
    yield begin, 0, ("/envelope", ATTACK_S, 0, 1, RELEASE_S)
    if own.region is not None:
        yield begin, 0, ("/hold/region", *own.region)
    offset = _offset(line) - _shortage(line, own)
    for number, note in enumerate(line.notes):
        yield from _play(number, note, own, offset)
        over = note.first + len(note.pitches) - END_AHEAD
        yield _time(over), 0, ("/note/off", number)
    if brighter is not None:
        yield from _brighten(line, brighter)


def drum(line: HeardLine) -> Iterator[Timed]:
    """Yield the messages that play the strokes of a line with drums."""
    yield 0.0, DRUM_CLIENT, ("/checkpoint/load", DRUM_CHECKPOINT)
    yield 0.0, DRUM_CLIENT, ("/z/random", SLOT, 0)
    top = max((stroke.level for stroke in line.strokes), default=0.0)
    for stroke in line.strokes:
        velocity = 127 * 10 ** ((stroke.level - top) / 20)
        pitch = next(pitch for below, pitch in DRUMS if stroke.centroid < below)
        yield stroke.seconds, DRUM_CLIENT, ("/note", pitch, round(velocity, 1))


def first_hearing(line: HeardLine, sound: Float32) -> OwnSound:
    """Find how much earlier the notes must begin for their beginnings to be as loud as the line's,
    and where they may be held.

    Args:
        sound: [n] at 16 kHz, what the first try sounds like.
    """
    levels, early = line_features.level(sound), _slurs(line)
    wanted = _offset(line) - EASY_DB
    for number, note in enumerate(line.notes):
        own = levels[note.frames]
        if note.slurred or not len(own):
            continue
        missing = [
            float(np.max(note.levels[: len(part)] + wanted - part))
            for frame in range(min(len(own), round(MAX_EARLY_S / FRAME_S)))
            if len(part := own[frame : frame + ONSET])
        ]
        enough = [frame for frame, most in enumerate(missing) if most <= 0]
        early[number] = enough[0] if enough else int(np.argmin(missing))
    return OwnSound(early, _region(line, levels), None, _zeros(line))


def second_hearing(line: HeardLine, first: OwnSound, sound: Float32) -> OwnSound:
    """Measure the loudness and the intonation of a timbre.

    Args:
        first: what is known of it from the first hearing.
        sound: [n] at 16 kHz, what a try with that and all gains at 1 sounds like.
    """
    heard = track(sound)
    pitches = 69 + 12 * np.log2(heard.hertz / 440)
    off = _zeros(line)
    for number, note in enumerate(line.notes):
        played = pitches[note.frames]
        distance = played - note.pitches[: len(played)]
        close = distance[np.abs(distance) < MAX_OFF]
        if len(close) > len(note.pitches) / 2:
            off[number] = np.median(close)
    return replace(first, levels=heard.level, off=off)


def transfer(
    sound: Float32,
    opening: Sequence[Timed],
    play: Callable[[Sequence[Timed], float], Float32],
    *,
    brighter: float | None = None,
    drums: bool = False,
) -> tuple[list[Timed], float]:
    """Turn a line into the messages that play it.

    Args:
        sound: [n] at 16 kHz, one voice.
        opening: messages that come before all others, and fill slot ``z``.
        play: returns the sound, [n] at 16 kHz, of messages, from a time (s) on.
        brighter: see :func:`compose`.
        drums: plays what has no pitch as well.

    Returns:
        The messages, and the time (s) at which the line begins among them: some notes need to begin
        before they are heard.

    Raises:
        UserError: nothing is heard in it.
    """
    line = hear(sound)
    own = None
    if line.notes:
        own = first_hearing(line, play(*_in_order(opening, compose(line))))
        own = second_hearing(line, own, play(*_in_order(opening, compose(line, own))))
    strokes = drum(line) if drums else ()
    return _in_order(opening, [*compose(line, own, brighter), *strokes])


def _in_order(opening: Sequence[Timed], messages: Iterable[Timed]) -> tuple[list[Timed], float]:
    """Sort messages by time, from 0 on; return them and the time that was 0."""
    timed = sorted(messages, key=lambda message: message[0])
    lead = max(0.0, -timed[0][0])
    later = [(round(time + lead, 4), client, words) for time, client, words in timed]
    return [*opening, *later], lead


def _time(frame: float) -> float:
    return round(frame * FRAME_S, 4)


def _notes(events: Sequence[Event], count: int) -> Iterator[HeardNote]:
    """Yield the notes of a line's events, with a pitch and a level for each frame."""
    starts = {event.note: event for event in events if isinstance(event, Start)}
    ends = {event.note: event.seconds for event in events if isinstance(event, End)}
    for before, after in pairwise(starts.values()):
        # the crossfade to a slurred note needs the one before for that long
        ends.setdefault(before.note, after.seconds + SLUR_S if after.slurred else after.seconds)
    pitches = {number: [(start.seconds, start.pitch)] for number, start in starts.items()}
    levels = {number: [(start.seconds, start.level)] for number, start in starts.items()}
    for event in events:
        if isinstance(event, Bend):
            pitch = starts[event.note].pitch + event.semitones
            pitches[event.note].append((event.seconds, pitch))
        elif isinstance(event, Fade):
            levels[event.note].append((event.seconds, event.level))
    for number, start in starts.items():
        first = round(start.seconds / FRAME_S)
        length = min(max(2, round(ends[number] / FRAME_S) - first), count - first)
        yield HeardNote(
            *(first, start.pitch, start.slurred),
            _held(pitches[number], first, length),
            _held(levels[number], first, length),
        )


def _held(points: list[tuple[float, float]], first: int, length: int) -> Float64:
    """Return a value for each frame: that of the last point until then."""
    at = np.rint(np.array([seconds for seconds, _ in points]) / FRAME_S) - first
    index = np.searchsorted(at, np.arange(length), side="right") - 1
    return np.array([value for _, value in points])[np.maximum(index, 0)]


def _zeros(line: HeardLine) -> Float64:
    return np.zeros(len(line.notes))


def _region(line: HeardLine, levels: Float64) -> tuple[float, float] | None:
    """Return the loud beginning (s) of a timbre that dies away, for its notes to be held in.

    The steadiest second of a plucked string is its silence.
    """
    struck = [levels[n.frames] for n in line.notes if not n.slurred and len(n.levels) > SHORT]
    if not struck:
        return None
    longest = max(map(len, struck))
    rows = np.array(
        [np.pad(row, (0, longest - len(row)), constant_values=np.nan) for row in struck]
    )
    course = np.nanmedian(rows, axis=0)
    loudest = int(np.argmax(course[: round(MAX_EARLY_S / FRAME_S)]))
    low = np.flatnonzero(course[loudest:] < course[loudest] - EASY_DB)
    if not len(low):
        return None
    begin = loudest * FRAME_S
    return round(begin, 3), round(begin + max(float(low[0]) * FRAME_S, LOOP_S), 3)


def _slurs(line: HeardLine) -> NDArray[np.int64]:
    """Return how many frames earlier notes begin of which the slurred ones alone have no attack."""
    sustained = round(SUSTAINED_S / FRAME_S)
    return np.array([sustained if note.slurred else 0 for note in line.notes], np.int64)


def _offset(line: HeardLine) -> float:
    """Return the dB that bring the line's loudest part to the level of what comes out."""
    return LOUDEST - max((float(np.max(note.levels)) for note in line.notes), default=0.0)


def _shortage(line: HeardLine, own: OwnSound) -> float:
    """Return the dB by which a timbre is too quiet, so that what comes out must be as well: rather
    than that its loudest parts alone were."""
    if own.levels is None or not line.notes:
        return 0.0
    missing = [_wanted(note, own.levels) + _offset(line) for note in line.notes]
    most = float(np.percentile(np.concatenate(missing), ENOUGH)) - 20 * np.log10(MAX_GAIN)
    return float(np.clip(most, 0, MAX_SHORTAGE))


def _wanted(note: HeardNote, own: Float64) -> Float64:
    """Return by how many dB each frame of a note is louder than a timbre is by itself."""
    frames = note.first + np.arange(len(note.levels))
    return note.levels - own[np.minimum(frames, len(own) - 1)]


def _play(number: int, note: HeardNote, own: OwnSound, offset: float) -> Iterator[Timed]:
    """Yield the messages of one note, but for its end."""
    early = int(own.early[number])
    heard = note.first - GAIN_AHEAD
    begin = _time(min(heard, note.first - early))
    yield begin, 0, ("/note", round(note.pitch, 3), VELOCITY, number, SLOT)
    bends = note.pitches - note.pitch - own.off[number]
    yield begin, 0, ("/note/bend", number, round(float(bends[0]), 4), 0)
    yield begin, 0, ("/note/gain", number, 0 if early else 1, 0)
    gains = np.ones(len(note.levels))
    if own.levels is not None:
        gains = np.minimum(10 ** ((_wanted(note, own.levels) + offset) / 20), MAX_GAIN)
        if note.slurred:
            fade = round(SLUR_S / FRAME_S)
            gains[:fade] *= np.linspace(0, 1, fade, endpoint=False)[: len(gains)]
    elif early:
        yield _time(heard), 0, ("/note/gain", number, 1, 0)
    yield from _ramps("/note/bend", number, note.first, bends, BEND_TOLERANCE)
    if own.levels is not None:
        tolerance = np.maximum(GAIN_TOLERANCE * gains, FADED)
        yield from _ramps("/note/gain", number, heard, gains, tolerance)


def _ramps(
    address: str, number: int, first: int, values: Float64, tolerance: float | Float64
) -> Iterator[Timed]:
    """Yield the messages that lead a note along values, a frame each, in straight lines."""
    if address == "/note/gain":
        yield _time(first), 0, (address, number, round(float(values[0]), 4), 0)
    for here, there in pairwise(break_points(values, tolerance)):
        ms = round((there - here) * FRAME_S * 1000, 3)
        yield _time(first + here), 0, (address, number, round(float(values[there]), 4), ms)


def break_points(values: Float64, tolerance: float | Float64) -> list[int]:
    """Choose indices, the first and the last among them, so that straight lines between them stay
    within a tolerance of all values.

    The cone of slopes that still fit is narrowed value by value, as in J. Sklansky & V. Gonzalez,
    "Fast polygonal approximation of digitized curves", Pattern Recognition 12, 1980.
    """
    room = np.broadcast_to(tolerance, values.shape).tolist()
    points, chosen = values.tolist(), [0]
    low, high, last = -np.inf, np.inf, 0
    for n in range(1, len(points)):
        start = chosen[-1]
        slope = (points[n] - points[start]) / (n - start)
        if not low <= slope <= high or n - start > LONGEST:
            chosen.append(last)
            start, low, high = last, -np.inf, np.inf
        low = max(low, (points[n] - room[n] - points[start]) / (n - start))
        high = min(high, (points[n] + room[n] - points[start]) / (n - start))
        last = n
    return [*chosen, last] if last else chosen


def _brighten(line: HeardLine, octaves: float) -> Iterator[Timed]:
    """Yield the messages that move the timbre as the line's brightness moves about its middle."""
    heard = np.isfinite(line.brightness)
    if not heard.any():
        return
    middle = float(np.median(line.brightness[heard]))
    amounts = (line.brightness - middle) / (octaves * ANSWER)
    amounts = np.clip(amounts, -MAX_BRIGHTER, MAX_BRIGHTER)
    yield 0.0, 0, ("/z/follow", SLOT)
    told = 0.0
    for frame in range(0, len(amounts), round(MATCH_S / FRAME_S)):
        amount = float(amounts[frame])
        if np.isfinite(amount) and abs(amount - told) >= BRIGHTER_STEP:
            told = amount
            at = max(0.0, _time(frame) - MATCH_AHEAD_S)
            yield at, 0, ("/z/brighter", SLOT, round(amount, 3))
