"""Sound from a sound card, through PortAudio."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansynth_server.audio.devices import JACK, abandon, find_device, portaudio, rescan
from gansynth_server.audio.output import DEFAULT_BLOCKSIZE
from gansynth_server.audio.paced import Pacer
from gansynth_server.audio.playback import Playback
from gansynth_server.errors import UserError

AHEAD = 4
FADE_TIMEOUT_S = 1.0
WATCH_SECONDS = 1.0
RETRY_SECONDS = (0.5, 8.0)  # the first and the longest wait

_log = logging.getLogger(__name__)


class SoundCard:
    """Plays on the first two channels of one device, which it knows by name.

    Threads: the owner makes all calls, and keeps the ring full as ``wanted`` says.
    PortAudio's thread empties it in ``Playback.callback``, for which it needs the
    interpreter lock. The *watcher* looks whether the callback still runs and reopens
    a lost device; meanwhile blocks are wanted in real time and thrown away, so that
    the music's time goes on. PortAudio is never entered by two threads at once: the
    owner's calls come before the watcher's first or after its last.
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
            blocksize: frames per ``put`` and per callback.
            ahead: blocks put in advance: more survive longer hold-ups.
            channels: 1 for mono on both, or 2 for stereo where the device has it.

        Raises:
            UserError: there is no such device, or it cannot play so.
        """
        sd = portaudio()
        found = find_device(device)
        self.name = found.name
        self.rate = rate or found.rate
        self.channels = min(channels, found.channels)
        self.blocksize = blocksize
        card = found.latency if 0.0 < found.latency < 1.0 else blocksize / self.rate
        self.latency = ahead * blocksize / self.rate + card
        self._playback = Playback(self.rate, blocksize, ahead, self.channels)
        self._stream: Any = None
        self._watcher: threading.Thread | None = None
        self._running = False
        self._stopped = threading.Event()
        self._lost = threading.Event()
        self._lost_time: Pacer | None = None
        try:
            sd.check_output_settings(
                found.index, channels=min(2, found.channels), samplerate=self.rate
            )
        except (sd.PortAudioError, ValueError) as error:
            raise UserError(
                f"the sound card '{self.name}' cannot play at {self.rate} Hz ({error}); its own "
                f"rate is {found.rate} Hz: leave --rate out to take that, close other "
                "programs that hold the card, or use --output none"
            ) from error

    @property
    def underruns(self) -> int:
        """Number of callbacks that came too late or found too little in the ring."""
        return self._playback.underruns

    def start(self) -> None:
        self._running = True

    def wanted(self, now: float) -> bool:
        """Return whether the ring has room, or a lost device would have played a block."""
        return self.pause(now) == 0.0

    def pause(self, now: float) -> float:
        pacer = self._pacer()
        if self._running and pacer is not None:
            return max(0.0, pacer.early(now))
        if self._running and self._playback.ring.space >= self.blocksize:
            return 0.0
        return self.blocksize / self.rate / 2  # the callback may come at any time

    def put(self, block: NDArray[np.float32]) -> None:
        """Take the next block; open the device once the ring is full for the first time."""
        pacer = self._pacer()
        if pacer is not None:
            pacer.advance(self.blocksize, time.monotonic())
            return
        ring = self._playback.ring
        ring.write(block)
        if self._watcher is None and ring.space < self.blocksize:
            self._begin()

    def stop(self) -> None:
        """Fade out, end the watcher and close the device."""
        if not self._running:
            return
        self._running = False
        playback = self._playback
        playback.fade_out()
        deadline = time.monotonic() + FADE_TIMEOUT_S
        while not (playback.silent or self._lost.is_set() or time.monotonic() > deadline):
            time.sleep(self.blocksize / self.rate)
        self._stopped.set()
        if self._watcher is not None:
            self._watcher.join()
        self._close(alive=playback.silent and not self._lost.is_set())

    def _pacer(self) -> Pacer | None:
        """Return what paces the blocks of a lost device; None while it plays."""
        if not self._lost.is_set():
            self._lost_time = None
        elif self._lost_time is None:
            self._lost_time = Pacer(self.rate, time.monotonic())
        return self._lost_time

    def _begin(self) -> None:
        # On the owner's thread: WASAPI and ASIO open a device only where COM was
        # initialised, which is the thread that initialised PortAudio.
        sd = portaudio()
        try:
            self._open(sd)
        except (sd.PortAudioError, ValueError, UserError) as error:
            self._lose(f"cannot be opened ({error})")
        self._watcher = threading.Thread(
            target=self._watch, args=(sd,), name="audio-watcher", daemon=True
        )
        self._watcher.start()

    def _open(self, sd: Any) -> None:
        device = find_device(self.name)  # by name: indices change when devices come and go
        self._playback.fade_in()
        self._stream = sd.OutputStream(
            device=device.index,
            channels=min(2, device.channels),
            samplerate=self.rate,
            blocksize=self.blocksize,
            latency="low",
            dtype="float32",
            callback=self._playback.callback,
        )
        self._stream.start()

    def _close(self, *, alive: bool) -> None:
        """Close the stream, if any: after what it holds has been played, or at once."""
        stream, self._stream = self._stream, None
        if not alive and self.name.endswith(JACK):
            abandon()
        elif stream is not None:
            if alive:
                stream.stop()
            stream.close()

    def _watch(self, sd: Any) -> None:
        """Run the watcher thread."""
        if self._lost.is_set():
            self._recover(sd)
        calls = -1
        while not self._stopped.wait(WATCH_SECONDS):
            try:
                alive = self._stream.active and self._playback.calls != calls
            except sd.PortAudioError:
                alive = False
            calls = self._playback.calls
            if not alive:
                self._lose("is gone")
                self._recover(sd)

    def _lose(self, why: str) -> None:
        advice = "restart the server to use a new JACK" if self.name.endswith(JACK) else "trying on"
        _log.warning("the sound card '%s' %s: no sound from it (%s)", self.name, why, advice)
        self._lost.set()

    def _recover(self, sd: Any) -> None:
        """Wait until the callback runs again, or the device can be reopened, or ``stop``."""
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
