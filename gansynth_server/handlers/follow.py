"""Messages about lines that are followed."""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

from gansynth_server.analysis.follower import (
    Bend,
    End,
    Event,
    Fade,
    Follower,
    FollowOptions,
    Frame,
    Start,
    latest,
)
from gansynth_server.errors import UserError
from gansynth_server.handlers.host import Host
from gansynth_server.handlers.request import Request
from gansynth_server.instrument.client import Client
from gansynth_server.instrument.instrument import Instrument
from gansynth_server.synth.envelope import Envelope

VELOCITY = 100.0
REFERENCE = -20.0
"""Level (dB) of a line whose notes are as loud as those of :data:`VELOCITY`."""
MAX_GAIN = 8.0
SMOOTH_S = 0.010
"""Time (s) in which bends and fades take effect: that of a frame."""
ATTACK_S, RELEASE_S, SLUR_S = 0.010, 0.080, 0.030
"""Attack and release (s) of notes that follow, and release of one that another takes over from."""
SLURRED = Envelope(attack=ATTACK_S, release=SLUR_S)
SILENCE_S = 0.5
"""Time (s) without a frame after which its sender counts as gone."""


class FollowMessages:
    def __init__(self, host: Host) -> None:
        self._instrument = host.instrument
        self._lines: WeakKeyDictionary[Client, Line] = WeakKeyDictionary()
        self._live = hasattr(host, "schedule")

    def follow_open(self, request: Request, slot: str, begin: float, gain: float) -> None:
        self._instrument.latent(request.client, slot, request.when)  # there is one
        self._close(request)
        options = FollowOptions(begin=begin, cease=begin - 10)
        self._lines[request.client] = Line(
            *(self._instrument, request.client, slot, options, gain, self._live)
        )
        request.reply("/done", "/follow/open", slot)

    def follow_pitch(
        self, request: Request, frequency: float, level: float, confidence: float
    ) -> None:
        line = self._lines.get(request.client)
        if line is None:
            raise UserError("nothing follows; send /follow/open and a slot first")
        line.feed(frequency, level, confidence, request.when)

    def follow_close(self, request: Request) -> None:
        self._close(request)
        request.reply("/done", "/follow/close")

    def _close(self, request: Request) -> None:
        line = self._lines.pop(request.client, None)
        if line is not None:
            line.end(request.when)


class Line:
    """A line and the note that follows it; for any thread.

    Args:
        gain: of all notes (dB).
        live: whether frames that come no more end the note.
    """

    def __init__(
        self,
        instrument: Instrument,
        client: Client,
        slot: str,
        options: FollowOptions,
        gain: float,
        live: bool,
    ) -> None:
        self._instrument, self._client, self._slot = instrument, client, slot
        self._follower, self._gain, self._live = Follower(options), gain, live
        self._lock = threading.Lock()
        self._heard = 0.0
        self._timer: threading.Timer | None = None

    def feed(
        self, frequency: float, level: float, confidence: float, when: float | None = None
    ) -> None:
        """Take in what is heard at a time: Hz, dB, and how sure that is."""
        with self._lock:
            self._heard = now = self._instrument.time(when)
            for event in latest(self._follower.feed(Frame(now, frequency, level, confidence))):
                self._do(event, when)
            if self._live and self._timer is None:
                self._watch(SILENCE_S)

    def end(self, when: float | None = None) -> None:
        """End the note that sounds, if any."""
        with self._lock:
            self._end(when)

    def _end(self, when: float | None) -> None:
        for event in self._follower.end(self._instrument.time(when)):
            self._do(event, when)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _do(self, event: Event, when: float | None) -> None:
        instrument, client = self._instrument, self._client
        match event:
            case Start(_, note, pitch, level, slurred):
                if slurred:
                    self._change(note - 1, when, envelope=SLURRED)
                instrument.play(
                    *(client, pitch, VELOCITY, _id(note), self._slot, when),
                    hold=True,
                    gain=self._loudness(level),
                    attack=ATTACK_S,
                    release=RELEASE_S,
                )
                instrument.release(client, _id(note - 1), when)
            case Bend(_, note, semitones):
                self._change(note, when, bend=semitones)
            case Fade(_, note, level):
                self._change(note, when, gain=self._loudness(level))
            case End(_, note):
                instrument.release(client, _id(note), when)

    def _change(self, note: int, when: float | None, **changes: float | Envelope) -> None:
        for played in self._instrument.played(self._client, _id(note)):
            self._instrument.change(played, when, SMOOTH_S, **changes)

    def _loudness(self, level: float) -> float:
        return min(MAX_GAIN, float(10 ** ((level - REFERENCE + self._gain) / 20)))

    def _watch(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        """End the note if its sender is gone."""
        with self._lock:
            if self._timer is None:
                return
            left = self._heard + SILENCE_S - self._instrument.time(None)
            if left > 0:
                self._watch(left)
            else:
                self._end(None)


def _id(note: int) -> str:
    return f"follow {note}"
