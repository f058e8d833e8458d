"""A line's frames become notes: started, bent, faded and ended, in the order in which it is heard.

It looks at frames one by one, as they come from a microphone, so the same rules follow live input
and files. Each event has the time of the sound that caused it, which may lie a few frames back:
what is played live is played at once, what is written down stands at its own time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from gansynth_server.util.midi_pitch import hz_to_midi

HISTORY_S = 0.3
"""Time (s) for which frames are remembered."""
PARTIALS = (12.0, 19.0, 24.0, 28.0)
"""Distances (semitones) between a pitch and those that trackers take for it by mistake."""
NEAR = 0.6
"""Distance (semitones) within which two pitches are one."""
SETTLED_S, SETTLED = 0.04, 0.5
"""A pitch has settled that stayed within so many semitones for so long (s)."""
RIPPLE = 4.0
"""A level that rises or falls may go back by so many dB on the way."""
BEND_STEP, FADE_STEP = 0.005, 0.1
"""Least change of pitch (semitones) and of level (dB) that makes an event."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a tracker heard at a time (s): hertz (0 or nan for no pitch), level (dB), and how sure
    it is of the pitch (0…1)."""

    seconds: float
    hertz: float
    level: float
    confidence: float = 1.0

    @property
    def pitch(self) -> float:
        """Return the MIDI pitch, fractions included; nan where there is none."""
        return hz_to_midi(self.hertz) if self.hertz > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Start:
    """Note ``note`` begins at a MIDI pitch and a level (dB).

    ``slurred``: it takes over from the note before, which goes on without an end of its own.
    """

    seconds: float
    note: int
    pitch: float
    level: float
    slurred: bool = False


@dataclass(frozen=True, slots=True)
class Bend:
    """A note is ``semitones`` above the pitch of its start."""

    seconds: float
    note: int
    semitones: float


@dataclass(frozen=True, slots=True)
class Fade:
    """A note has a level (dB)."""

    seconds: float
    note: int
    level: float


@dataclass(frozen=True, slots=True)
class End:
    """A note is over."""

    seconds: float
    note: int


Event = Start | Bend | Fade | End


@dataclass(frozen=True)
class FollowOptions:
    """What counts as a note."""

    begin: float = -50.0
    """Level (dB) from which a note may begin."""
    cease: float = -60.0
    """Level (dB) below which it ends."""
    sure: float = 0.7
    """Confidence from which a note may begin."""
    unsure: float = 0.4
    """Confidence below which a frame has no pitch."""
    confirm: float = 0.02
    """Time (s) for which a pitch must be heard before a note begins or leaps to it."""
    doubt: float = 0.06
    """The same for a leap by an octave or to another partial, which is mostly a mistake."""
    gap: float = 0.05
    """Time (s) without a pitch, such as a consonant takes, through which a note goes on."""
    edge: float = 0.04
    """Time (s) for which a note sounds at most before its pitch is heard, and after."""
    speed: float = 160.0
    """Fastest slide (semitones a second); faster ones are leaps."""
    reach: float = 3.0
    """Semitones that a note is bent at most, but while it slides; the next one takes over then."""
    dip: float = 10.0
    """Fall and rise of the level (dB) between two notes of one pitch; voices beat by less."""
    step_dip: float = 4.0
    """The same between two notes of different pitch; without it they are slurred."""
    apart: float = 0.05
    """Time (s) after a note's start in which it is not struck again."""
    rise: float = 0.04
    """Time (s) within which that rise comes; a slower one is a swell."""


@dataclass(slots=True)
class _Sounding:
    """The note that sounds: its number, start, and what was last told of it."""

    number: int
    pitch: float
    began: float
    now: float
    level: float
    heard: float
    """Time (s) of the last frame with its pitch."""


class Follower:
    """Turns the frames of one line into events; for one thread."""

    def __init__(self, options: FollowOptions | None = None) -> None:
        self._options = options or FollowOptions()
        self._past: deque[Frame] = deque()
        self._note: _Sounding | None = None
        self._leap: Frame | None = None
        """The first frame of a pitch that may be the next one."""
        self._last: Frame | None = None
        """The last frame of that pitch."""
        self._count, self._ended = 0, -math.inf

    def feed(self, frame: Frame) -> list[Event]:
        """Take in the next frame; return what follows from it, in the order of time."""
        self._past.append(frame)
        while self._past[0].seconds < frame.seconds - HISTORY_S:
            self._past.popleft()
        note = self._note
        if note is None:
            return self._wait(frame)
        if not self._heard(frame):
            return self._miss(note, frame)
        slack = NEAR + self._options.speed * (frame.seconds - self._before(frame))
        if abs(frame.pitch - note.now) > slack:
            return self._doubt(note, frame)
        self._leap = None
        if (valley := self._struck(note)) is not None:
            return self._begin(valley.seconds)
        return self._slide(note, frame)

    def end(self, seconds: float) -> list[Event]:
        """End the note that sounds, if any: no more frames come."""
        note, self._note, self._leap, self._ended = self._note, None, None, seconds
        return [] if note is None else [End(seconds, note.number)]

    # the three states: no note, a note whose pitch is heard, a note whose pitch is in doubt

    def _wait(self, frame: Frame) -> list[Event]:
        """Begin a note once a pitch has been heard for long enough."""
        options = self._options
        loud = frame.level >= options.begin and frame.confidence >= options.sure
        if not (loud and self._heard(frame)):
            self._leap = None
            return []
        first = self._candidate(frame)
        if frame.seconds - first.seconds < options.confirm - 1e-9:
            return []
        return self._begin(self._rise(first))

    def _slide(self, note: _Sounding, frame: Frame) -> list[Event]:
        """Go on with a note, or hand over to the next one where it was bent too far and rests."""
        note.heard = frame.seconds
        far = abs(frame.pitch - note.pitch) > self._options.reach
        if far and (first := self._settled(frame)) is not None:
            return self._begin(first.seconds, slurred=True)
        return self._tell(note, frame)

    def _doubt(self, note: _Sounding, frame: Frame) -> list[Event]:
        """Keep a note's pitch until another one has been heard for long enough to be believed."""
        options = self._options
        first = self._candidate(frame)
        distance = abs(frame.pitch - note.now)
        wrong = any(abs(distance - partial) < NEAR for partial in PARTIALS)
        # after a gap there is nothing to slip from
        wait = options.doubt if wrong and note.heard >= self._before(first) else options.confirm
        if frame.seconds - first.seconds < wait - 1e-9:
            return self._fade(note, frame)
        fallen = self._fallen(note, first)
        if fallen or abs(frame.pitch - note.pitch) > options.reach:
            return self._begin(first.seconds, slurred=not fallen)
        self._leap, note.heard = None, frame.seconds
        return [
            event
            for past in self._past
            if past.seconds >= first.seconds and past.hertz > 0
            for event in self._tell(note, past)
        ]

    def _miss(self, note: _Sounding, frame: Frame) -> list[Event]:
        """Go on through a short time without a pitch; end the note after a long one."""
        self._leap = None
        if frame.seconds - note.heard <= self._options.gap:
            return self._fade(note, frame)
        return self.end(self._fall(note))

    # what they are made of

    def _heard(self, frame: Frame) -> bool:
        """Return whether a frame has a pitch."""
        options = self._options
        return (
            frame.hertz > 0 and frame.confidence >= options.unsure and frame.level >= options.cease
        )

    def _before(self, frame: Frame) -> float:
        """Return the time of the frame before one."""
        times = [past.seconds for past in self._past if past.seconds < frame.seconds]
        return times[-1] if times else frame.seconds

    def _candidate(self, frame: Frame) -> Frame:
        """Return the first frame of the pitch that may be the next one."""
        last = self._last
        if self._leap is None or last is None or not self._follows(last, frame):
            self._leap = frame
        self._last = frame
        return self._leap

    def _follows(self, before: Frame, frame: Frame) -> bool:
        """Return whether a slide leads from one frame to another."""
        slack = NEAR + self._options.speed * (frame.seconds - before.seconds)
        return abs(frame.pitch - before.pitch) <= slack

    def _rise(self, first: Frame) -> float:
        """Return when the sound begins whose pitch is first heard in a frame: it is still rising
        while its first periods go by."""
        begun = first
        for past in reversed(self._past):
            if first.seconds - past.seconds > self._options.edge or past.seconds <= self._ended:
                break
            if past.seconds < first.seconds:
                if not self._options.cease <= past.level <= begun.level + RIPPLE:
                    break
                begun = past
        return begun.seconds

    def _fall(self, note: _Sounding) -> float:
        """Return when the sound is over whose pitch is last heard at a time."""
        over, level = note.heard, math.inf
        for past in self._past:
            if past.seconds < note.heard:
                continue
            if not self._options.cease <= past.level <= level + RIPPLE:
                break
            if past.seconds - note.heard > self._options.edge:
                break
            over, level = past.seconds, past.level
        return over

    def _settled(self, frame: Frame) -> Frame | None:
        """Return the first of the frames since which the pitch has settled, if it has."""
        since = [past for past in self._past if past.seconds >= frame.seconds - SETTLED_S]
        steady = all(abs(past.pitch - frame.pitch) <= SETTLED for past in since)
        long = since[-1].seconds - since[0].seconds >= SETTLED_S * 0.7
        return since[0] if steady and long else None

    def _fallen(self, note: _Sounding, first: Frame) -> bool:
        """Return whether the level fell before a leap, as between notes that are not slurred."""
        since = [past.level for past in self._past if past.seconds >= first.seconds]
        recent = (note.began + self._options.apart, first.seconds - self._options.apart * 2)
        before = [p.level for p in self._past if max(recent) <= p.seconds <= first.seconds]
        return bool(before) and max(before) - min(before + since) >= self._options.step_dip

    def _struck(self, note: _Sounding) -> Frame | None:
        """Return the frame from which a note was struck again: the level fell, and rose quickly."""
        options, now = self._options, self._past[-1]
        since = [past for past in self._past if past.seconds > note.began + options.apart]
        recent = [past for past in since if past.seconds >= now.seconds - options.rise]
        if not recent:
            return None
        valley = min(recent, key=lambda past: past.level)
        earlier = [past for past in since if past.seconds <= valley.seconds]
        before = max(earlier, key=lambda past: past.level)
        other = abs(now.pitch - before.pitch) >= NEAR
        wanted = options.step_dip if other else options.dip
        return valley if min(now.level, before.level) - valley.level >= wanted else None

    def _begin(self, seconds: float, slurred: bool = False) -> list[Event]:
        """Begin a note at a time that may lie back, and catch up with the frames since then."""
        before, self._leap = self._note, None
        frames = [past for past in self._past if past.seconds >= seconds]
        heard = [past for past in frames if self._heard(past)]
        first, now = heard[0], heard[-1]
        self._count += 1
        events: list[Event] = [] if before is None or slurred else [End(seconds, before.number)]
        # the pitch of its start is the one that it is rendered for
        pitch = sorted(past.pitch for past in heard)[len(heard) // 2]
        note = _Sounding(self._count, pitch, seconds, math.nan, frames[0].level, now.seconds)
        self._note = note
        events.append(Start(seconds, note.number, pitch, note.level, slurred))
        for past in frames:
            if past.seconds < first.seconds:  # it has no pitch yet
                past = Frame(past.seconds, first.hertz, past.level)
            heard_now = past.seconds < first.seconds or self._heard(past)
            events += self._tell(note, past) if heard_now else self._fade(note, past)
        return events

    def _tell(self, note: _Sounding, frame: Frame) -> list[Event]:
        """Tell pitch and level of a note, where they have changed."""
        events: list[Event] = []
        if not abs(frame.pitch - note.now) < BEND_STEP:
            note.now = frame.pitch
            events.append(Bend(frame.seconds, note.number, note.now - note.pitch))
        if abs(frame.level - note.level) >= FADE_STEP:
            note.level = frame.level
            events.append(Fade(frame.seconds, note.number, note.level))
        return events

    def _fade(self, note: _Sounding, frame: Frame) -> list[Event]:
        """Tell the level alone; a consonant is no reason to be louder."""
        if frame.level > note.level - FADE_STEP:
            return []
        note.level = frame.level
        return [Fade(frame.seconds, note.number, note.level)]


def follow(frames: Iterable[Frame], options: FollowOptions | None = None) -> list[Event]:
    """Follow a line that is there as a whole; return its events in the order of time.

    What was told of a note after the moment at which it turned out to be over, or the next one to
    begin, is left out.
    """
    follower, events = Follower(options), []
    last = 0.0
    for frame in frames:
        events += follower.feed(frame)
        last = frame.seconds
    events += follower.end(last)
    starts = [event for event in events if isinstance(event, Start)]
    over = {before.note: after.seconds for before, after in pairwise(starts)}
    over |= {event.note: event.seconds for event in events if isinstance(event, End)}
    kept = [e for e in events if e.seconds <= over.get(e.note, math.inf)]
    return sorted(kept, key=lambda event: event.seconds)


def latest(events: Iterable[Event]) -> list[Event]:
    """Leave out what is no news any more by the time it is heard: for input that is live.

    Of the bends and fades of a note between two other events, the last of each stays.
    """
    kept: list[Event] = []
    for event in events:
        if isinstance(event, (Bend, Fade)):
            kept = [
                old for old in kept if not (type(old) is type(event) and old.note == event.note)
            ]
        kept.append(event)
    return kept
