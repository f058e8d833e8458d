"""The instrument: clients with their latents and notes. Knows no OSC and no samples.

All methods may be called from any thread; one lock guards the clients.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from gansynth_server.engine.events import Ended, Event, Looked
from gansynth_server.engine.handle import BusHandle
from gansynth_server.errors import UserError
from gansynth_server.instrument.client import ActiveNote, Client, NoteId, Sequencer
from gansynth_server.instrument.morphing import Morpher
from gansynth_server.instrument.rendering import RenderRequests
from gansynth_server.latent.presets import find_preset
from gansynth_server.latent.slots import ConstantPath, Path, SlotPath, Slots
from gansynth_server.latent.vectors import Latent, slerp
from gansynth_server.render.jobs import Rendering
from gansynth_server.render.model import Model, nearest_pitch
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.spectral.steady import find_region

MAX_NOTES = 4096
MAX_UNHEARD = 16
"""Notes of a client whose stream is not pulled."""
Tell = Callable[..., None]


class Instrument:
    """Turns what clients ask for into latents, renders and notes.

    Args:
        seed: of the latents that are drawn without a seed of their own.
        tell: sends a client an address and its arguments.
        tell_frames: tells the engine what there is of a spectrum, and where notes are held in it.
        clock: time (s) that each ``when`` refers to; there, None is now.
        most_notes: notes that a client may have begun and not ended, each 1 MB.
    """

    def __init__(
        self,
        renderer: Rendering,
        seed: int,
        tell: Tell,
        tell_frames: Callable[[Spectrum], None],
        clock: Callable[[], float] = time.monotonic,
        most_notes: int = MAX_NOTES,
    ) -> None:
        self._most_notes = most_notes
        self.lock = threading.RLock()
        self._seeds = np.random.default_rng(seed)
        self._tell, self._tell_frames = tell, tell_frames
        self._clock = clock
        self._numbers = count(1)
        self._notes: dict[int, ActiveNote] = {}  # those that are not over
        self.renders = RenderRequests(renderer, self.lock, clock)
        self.morpher = Morpher(renderer, clock, tell_frames)

    def time(self, when: float | None) -> float:
        """Return the time (s) of the clock that is meant by a ``when``."""
        return self._clock() if when is None else when

    # clients

    def add_client(self, number: int, model: Model, bus: BusHandle) -> Client:
        """Make a client, whose slot ``z`` holds a random latent."""
        client = Client(number, model, bus, Slots(model.latent_size), self.lock)
        self.random(client, "z")
        return client

    def remove_client(self, client: Client) -> None:
        """End all notes of a client that is gone, also those that no listener pulls."""
        self.silence(client)
        self._end_all(client)
        self.morpher.forget(client)

    def set_checkpoint(self, client: Client, model: Model) -> None:
        """Change a client's checkpoint; latents of another size give way to a random one."""
        with self.lock:
            client.model = model
            client.recent.clear()
            self.renders.cancel_prefetch(client)
            if client.latents.size != model.latent_size:
                client.latents = Slots(model.latent_size)
            if "z" not in client.latents:
                self.random(client, "z")

    # latents

    def latent(self, client: Client, slot: str, when: float | None = None) -> Latent:
        """Return the latent of a slot; UserError where it is empty."""
        return client.latents.at(slot, self.time(when))

    def set_latent(
        self,
        client: Client,
        slot: str,
        z: Latent,
        when: float | None = None,
        origin: str = "still",
        source: object = None,
    ) -> None:
        """Fill a slot; UserError for a latent of another size, or too many slots.

        Args:
            origin: see :class:`ConstantPath`, as ``source``.
        """
        self.set_path(client, slot, client.latents.still(z, origin, source), when)

    def set_path(self, client: Client, slot: str, path: Path, when: float | None = None) -> None:
        """Fill a slot with a latent that may move; UserError if there are too many slots."""
        with self.lock:
            start = self.time(when)
            client.latents.put(slot, path, start)
            self.morpher.wake(client, start)
            if slot == client.slot and client.recent:
                self.renders.prefetch(client)

    def seed(self, given: int | None) -> int:
        """Return a given seed, or the next of the instrument's own."""
        with self.lock:
            return int(self._seeds.integers(2**24)) if given is None else given

    def random(
        self,
        client: Client,
        slot: str,
        seed: int | None = None,
        spread: float = 1.0,
        when: float | None = None,
    ) -> None:
        """Fill a slot with a latent drawn from the prior, times the spread."""
        seed = self.seed(seed)
        z = client.model.prior.draw(seed, spread)
        self.set_latent(client, slot, z, when, f"random seed {seed} spread {spread:g}")

    def slerp(
        self,
        client: Client,
        to: str,
        a: str,
        b: str,
        amount: float,
        when: float | None = None,
    ) -> None:
        """Fill a slot with a latent between those of two others."""
        first, second = (self.latent(client, slot, when) for slot in (a, b))
        self.set_latent(client, to, slerp(first, second, amount), when, f"slerp {amount:g}")

    def preset(self, client: Client, slot: str, name: str, when: float | None = None) -> None:
        """Fill a slot with a preset of the client's checkpoint."""
        z = find_preset(client.model.presets, name)
        self.set_latent(client, slot, z, when, f"preset {name}")

    # notes

    def play(
        self,
        client: Client,
        pitch: float,
        velocity: float,
        id: NoteId,
        slot: str,
        when: float | None = None,
        until: float | None = None,
        sequencer: Sequencer | None = None,
        then: Callable[[], None] | None = None,
        **expression: Any,
    ) -> None:
        """Start a note, or release it at velocity 0.

        Args:
            until: when it is released by itself (s); it may still be before.
            sequencer: what plays it in the client's place.
            then: called once it is over, or could not be rendered.
            expression: attributes of :class:`Note` (gain, pan, bend …) and of its
                :class:`Envelope` (attack, decay, sustain, release, curve), where
                they differ from the client's.
        """
        if velocity == 0:
            self.release(client, id, when)
            return
        bus = client.bus
        most = min(MAX_UNHEARD, self._most_notes) if bus.idle else self._most_notes
        if len(client.alive) >= most:
            raise UserError(
                f"{most} of your notes wait or sound already: release some, or pull their stream "
                "(in Pd: switch DSP on)"
            )
        z = self.latent(client, slot, when)
        rendered, on = nearest_pitch(client.model.pitches, pitch), self.time(when)
        if abs(pitch - rendered) > 0.5:
            self._warn_of_range(client, pitch, rendered)
        label = client.model.checkpoint.config.label(rendered)
        number = next(self._numbers)
        played = ActiveNote(
            *(number, client, id, on, bus, client.model, label, slot, ConstantPath(z), sequencer),
            then=then,
        )
        note = client.new_note(number, pitch, velocity, rendered, slot, on, expression)

        def begun(spectrum: Spectrum) -> None:
            with self.lock:
                wanted = played in client.rendering  # not silenced meanwhile
                client.rendering.discard(played)
                if wanted:
                    bus.start(number, spectrum, when, played.cause)

        def failed(why: str) -> None:
            with self.lock:
                client.rendering.discard(played)
            bus.cut([number])  # its head may sound already
            self._tell(client, "/fail", "/note", f"{id}: {why}")
            self._on_note_ended(played)

        with self.lock:
            client.rendering.add(played)
            client.alive.add(played)
            self._notes[number] = played
            before = client.notes.get(id)
            bus.new_note(note)
            try:
                self.renders.render(
                    *(client, z, rendered, self._whole, failed, begun, lambda: not played.over)
                )
            except UserError:
                bus.cut([number])
                self._forget(played)
                raise
            if before is not None:  # the same id again is a new note
                self._release(before, when)
            client.notes[id] = played
            if until is not None:
                self._release(played, until)
            client.slot = slot
            client.recent.append(rendered)
            self.renders.prefetch(client)
        if slot in client.followed:
            self.morpher.follow(played, SlotPath(client.latents, slot), on)

    def _whole(self, spectrum: Spectrum) -> None:
        """Find where notes of a spectrum are held, unless they were over before it was whole."""
        if find_region(spectrum):
            self._tell_frames(spectrum)

    def _warn_of_range(self, client: Client, pitch: float, rendered: int) -> None:
        """Tell a client, once, that a pitch is beyond those of its checkpoint."""
        if "range" in client.warned:
            return
        client.warned.add("range")
        low, high = client.model.pitches[0], client.model.pitches[-1]
        self._tell(
            client,
            "/warning",
            "/note",
            f"pitch {pitch:g} is outside of this checkpoint's {low} to {high}: "
            f"it and others like it are repitched from {rendered}",
        )

    def follow(self, client: Client, slot: str, on: bool, when: float | None = None) -> None:
        """Follow a slot's latent with its notes while they sound, or no longer."""
        with self.lock:
            (client.followed.add if on else client.followed.discard)(slot)
            for played in [p for p in client.notes.values() if p.slot == slot]:
                # since the note began the checkpoint, and with it the slots, may have changed
                fits = played.model.latent_size == client.latents.size and slot in client.latents
                if on and fits:
                    self.morpher.follow(played, SlotPath(client.latents, slot), self.time(when))
                elif not on:
                    self.morpher.rest(played, self.time(when))

    def morph(
        self,
        played: ActiveNote,
        client: Client,
        slot: str,
        seconds: float,
        when: float | None = None,
    ) -> None:
        """Move the timbre of a note that sounds to a slot's, within so many seconds."""
        start = self.time(when)
        target: Path = client.latents.path(slot, start)
        if slot in client.followed:
            target = SlotPath(client.latents, slot)
        if client.latents.size == played.model.latent_size:
            self.morpher.morph(played, target, start, seconds)

    def release(self, client: Client, id: NoteId, when: float | None = None) -> None:
        """Release a note, or hold it by the pedal; one that is over already is no error."""
        with self.lock:
            played = client.notes.get(id)
            if played is None:
                return
            if client.style.pedal_down:
                played.pedalled = True
                played.bus.change(played.number, pedalled=True)
                return
            del client.notes[id]
        self._release(played, when)

    def _release(self, played: ActiveNote, when: float | None) -> None:
        played.bus.release(played.number, self.time(when), when)

    def release_all(self, client: Client, when: float | None = None) -> None:
        """Release all notes of a client."""
        if client.hallucination is not None:
            client.hallucination.stop(when)
        with self.lock:
            for id in list(client.notes):
                self.release(client, id, when)

    def pedal(self, client: Client, down: bool, when: float | None = None) -> None:
        """Move the sustain pedal: what is released while it is down sounds until it comes up."""
        with self.lock:
            client.set_style(pedal_down=down)
            if not down:
                for id, played in list(client.notes.items()):
                    if played.pedalled:
                        self.release(client, id, when)

    def change(
        self, played: ActiveNote, when: float | None = None, seconds: float = 0.0, **changes: Any
    ) -> None:
        """Set attributes of a note (see :meth:`Voices.change`) at a time."""
        played.bus.change(played.number, when, seconds, **changes)

    def seek(self, played: ActiveNote, place: float, when: float | None = None) -> None:
        """Go on from another frame of a note at a time."""
        played.bus.seek(played.number, place, when)

    def played(self, client: Client, id: NoteId) -> list[ActiveNote]:
        """Return the notes that an id means: one, all for "all", or none if it is over."""
        with self.lock:
            if id == "all":
                return list(client.notes.values())
            return [client.notes[id]] if id in client.notes else []

    def silence(self, client: Client, when: float | None = None) -> None:
        """End the sound of a client's notes, also of those being rendered, but of none that
        begins later."""
        if client.hallucination is not None:
            client.hallucination.stop(when)
        end = self.time(when)
        with self.lock:
            doomed = {played for played in client.rendering if played.on <= end}
            held = [id for id, played in client.notes.items() if played.on <= end]
            doomed |= {client.notes.pop(id) for id in held}
            buses = {client.bus, *(played.bus for played in doomed)}
        numbers = [played.number for played in doomed]
        for bus in buses:
            bus.silence(client.number, end, numbers, when)
        if when is None:
            for played in doomed & client.rendering:  # these need not wait to be heard of
                self._on_note_ended(played)

    # what the engine tells

    def hear(self, event: Event) -> ActiveNote | None:
        """Take note of what happened to a note; return the note, if it is not over already."""
        played = self._notes.get(getattr(event, "note", -1))
        if played is None:
            return None
        match event:
            case Ended():
                self._on_note_ended(played)
            case Looked():
                self.morpher.put_look(played, event)
        return played

    def note(self, number: int | None) -> ActiveNote | None:
        """Return a note by its number, unless it is over."""
        return None if number is None else self._notes.get(number)

    def end_all(self) -> list[Client]:
        """End all notes, whose engine is gone; return the clients that had some."""
        with self.lock:
            clients = {played.client for played in self._notes.values()}
        for client in clients:
            self._end_all(client)
        return sorted(clients, key=lambda client: client.number)

    def _end_all(self, client: Client) -> None:
        for played in list(client.alive):
            self._on_note_ended(played)

    def _on_note_ended(self, played: ActiveNote) -> None:
        self.morpher.drop(played)
        self._forget(played)
        then, played.then = played.then, None
        if then is not None:
            then()

    def _forget(self, played: ActiveNote) -> None:
        """Forget a note whose sound is over."""
        client = played.client
        with self.lock:
            played.over = True
            self._notes.pop(played.number, None)
            client.alive.discard(played)
            client.rendering.discard(played)
            if client.notes.get(played.id) is played:
                del client.notes[played.id]
