"""Sound from a sound card, through PortAudio."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from gansynth_server.audio.devices import JACK, abandon, find_device, portaudio, rescan
from gansynth_server.audio.output import DEFAULT_BLOCKSIZE, Guarded, Source
from gansynth_server.audio.paced import Pacer
from gansynth_server.audio.playback import Playback
from gansynth_server.errors import UserError
from gansynth_server.util.threads import raise_priority

AHEAD = 4
FADE_TIMEOUT_S = 1.0
PREFILL_SECONDS = 5.0
WATCH_SECONDS = 1.0
RETRY_SECONDS = (0.5, 8.0)  # the first and the longest wait

_log = logging.getLogger(__name__)


class SoundCard:
    """Plays on the first two channels of one device, which it knows by name.

    Threads: the owner calls ``start`` and ``stop``. The *filler* calls
    ``source.render`` and keeps the ring full; PortAudio's thread empties it in
    ``Playback.callback``, for which it needs the interpreter lock: lower
    ``sys.setswitchinterval`` in a busy process. The *watcher* looks whether the
    callback still runs and reopens a lost device, while the filler renders into
    nothing so that the music's time goes on. PortAudio is never entered by two
    threads at once: the owner's calls come before the watcher's first or after
    its last.
    """

    def __init__(
        self,
        device: str | None = None,
        *,
        rate: int | None = None,
        blocksize: int = DEFAULT_BLOCKSIZE,
        ahead: int = AHEAD,
        channels: int = 1,
    ) -> None:
        """Find and try the device.

        Args:
            device: part of its name, or its index; None takes the default one.
            rate: samples per second; None takes the device's own.
            blocksize: frames per ``render`` and per callback.
            ahead: blocks rendered in advance: more survive longer hold-ups.
            channels: 1 for mono on both, or 2 for stereo where the device has it.
        """
        sd = portaudio()
        found = find_device(device)
        self.name = found.name
        self.rate, self._own_rate = rate or found.rate, found.rate
        self.channels = min(channels, found.channels)
        card = found.latency if 0.0 < found.latency < 1.0 else blocksize / self.rate
        self.latency = ahead * blocksize / self.rate + card
        self._blocksize = blocksize
        self._ahead = ahead
        self._playback = self._new_playback()
        self._earlier_underruns = 0
        self._stream: Any = None
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()
        self._full = threading.Event()
        self._lost = threading.Event()
        played = min(2, found.channels)
        try:
            sd.check_output_settings(found.index, channels=played, samplerate=self.rate)
        except (sd.PortAudioError, ValueError) as error:
            raise self._cannot_play(error) from error

    def _new_playback(self) -> Playback:
        return Playback(self.rate, self._blocksize, self._ahead, self.channels)

    @property
    def underruns(self) -> int:
        """Number of callbacks that came too late or found too little in the ring."""
        return self._earlier_underruns + self._playback.underruns

    def start(self, source: Source) -> None:
        self._earlier_underruns = self.underruns
        self._playback = self._new_playback()
        for event in (self._stopped, self._full, self._lost):
            event.clear()
        self._launch("audio-filler", self._fill, Guarded(source, self.channels))
        self._full.wait(PREFILL_SECONDS)
        sd = portaudio()
        try:
            self._open(sd)
        except (sd.PortAudioError, ValueError, UserError) as error:
            self.stop()
            raise self._cannot_play(error) from error
        self._launch("audio-watcher", self._watch, sd)

    def stop(self) -> None:
        """Fade out, end the threads and close the device."""
        playback = self._playback
        playback.fade_out()
        deadline = time.monotonic() + FADE_TIMEOUT_S
        while not (playback.silent or self._lost.is_set() or time.monotonic() > deadline):
            time.sleep(self._blocksize / self.rate)
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._close(alive=playback.silent and not self._lost.is_set())

    def _launch(self, name: str, target: Any, argument: Any) -> None:
        thread = threading.Thread(target=target, args=(argument,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _cannot_play(self, error: Exception) -> UserError:
        return UserError(
            f"the sound card '{self.name}' cannot play at {self.rate} Hz ({error}); its own "
            f"rate is {self._own_rate} Hz: leave --rate out to take that, close other "
            "programs that hold the card, or use --output none"
        )

    def _fill(self, source: Source) -> None:
        """Run the filler thread."""
        raise_priority()
        pacer = Pacer(self.rate)
        ring = self._playback.ring
        while not self._stopped.is_set():
            if self._lost.is_set():
                source.render(self._blocksize)
                pacer.wait(self._blocksize, self._stopped)
            elif ring.space >= self._blocksize:
                ring.write(source.render(self._blocksize))
            else:
                self._full.set()
                self._stopped.wait(self._blocksize / self.rate / 2)

    def _open(self, sd: Any) -> None:
        device = find_device(self.name)  # by name: indices change when devices come and go
        self._playback.fade_in()
        self._stream = sd.OutputStream(
            device=device.index,
            channels=min(2, device.channels),
            samplerate=self.rate,
            blocksize=self._blocksize,
            latency="low",
            dtype="float32",
            callback=self._playback.callback,
        )
        self._stream.start()

    def _close(self, *, alive: bool) -> None:
        """Close the stream, if any: after what it holds has been played, or at once."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        if alive:
            stream.stop()
        elif self.name.endswith(JACK):
            abandon()
            return
        stream.close()

    def _watch(self, sd: Any) -> None:
        """Run the watcher thread."""
        calls = -1
        while not self._stopped.wait(WATCH_SECONDS):
            try:
                alive = self._stream.active and self._playback.calls != calls
            except sd.PortAudioError:
                alive = False
            calls = self._playback.calls
            if not alive:
                self._recover(sd)

    def _recover(self, sd: Any) -> None:
        advice = "restart the server to use a new JACK" if self.name.endswith(JACK) else "trying on"
        _log.warning("the sound card '%s' is gone: no sound from it (%s)", self.name, advice)
        self._lost.set()
        calls = self._playback.calls
        delay, longest = RETRY_SECONDS
        while not self._stopped.wait(delay):
            if self._playback.calls != calls or self._reopen(sd):
                self._lost.clear()
                _log.warning("the sound card '%s' is back", self.name)
                return
            delay = min(2 * delay, longest)

    def _reopen(self, sd: Any) -> bool:
        if self.name.endswith(JACK):  # PortAudio cannot leave a JACK server that is gone
            return False
        try:
            self._close(alive=False)
            rescan()
            self._open(sd)
        except (sd.PortAudioError, ValueError, UserError):
            return False
        return True
