"""The instrument: clients with their latents and notes. Knows no OSC and no samples.

All methods may be called from any thread; one lock guards the clients. Audio
threads never wait for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from gansynth_server.errors import UserError
from gansynth_server.instrument.client import ActiveNote, Client, Sequencer
from gansynth_server.instrument.morphing import Morpher
from gansynth_server.instrument.rendering import RenderRequests
from gansynth_server.latent.presets import find_preset
from gansynth_server.latent.slots import ConstantPath, Path, SlotPath, Slots
from gansynth_server.latent.vectors import Latent, slerp
from gansynth_server.render.jobs import Rendering
from gansynth_server.render.model import Model, nearest_pitch
from gansynth_server.spectral.spectrum import Spectrum
from gansynth_server.spectral.steady import find_region
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.note import Note, NoteId

MAX_NOTES = 4096
MAX_UNHEARD = 16
"""Notes of a client whose stream is not pulled."""
Tell = Callable[..., None]


class Instrument:
    """Turns what clients ask for into latents, renders and notes.

    Args:
        seed: of the latents that are drawn without a seed of their own.
        tell: sends a client an address and its arguments.
        clock: time (s) that each ``when`` refers to; there, None is now.
        most_notes: notes that a client may have begun and not ended, each 1 MB.
    """

    def __init__(
        self,
        renderer: Rendering,
        seed: int,
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
        most_notes: int = MAX_NOTES,
    ) -> None:
        self._most_notes = most_notes
        self.lock = threading.RLock()
        self._seeds = np.random.default_rng(seed)
        self._tell = tell
        self._clock = clock
        self.renders = RenderRequests(renderer, self.lock, clock)
        self.morpher = Morpher(renderer, clock)

    def time(self, when: float | None) -> float:
        """Return the time (s) of the clock that is meant by a ``when``."""
        return self._clock() if when is None else when

    # clients

    def add_client(self, number: int, model: Model, bus: Bus) -> Client:
        """Make a client, whose slot ``z`` holds a random latent."""
        client = Client(number, model, bus, Slots(model.latent_size), self.lock)
        self.random(client, "z")
        return client

    def remove_client(self, client: Client) -> None:
        """End all notes of a client that is gone, also those that no listener pulls."""
        self.silence(client)
        with self.lock:
            for note in client.alive:
                note.over = True
            client.alive.clear()
            client.notes.clear()
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
        **expression: Any,
    ) -> None:
        """Start a note, or release it at velocity 0.

        Args:
            until: when it is released by itself (s); it may still be before.
            sequencer: what plays it in the client's place.
            expression: attributes of :class:`Note` (gain, pan, bend …) and of its
                :class:`Envelope` (attack, decay, sustain, release, curve), where
                they differ from the client's.
        """
        if velocity == 0:
            self.release(client, id, when)
            return
        most = min(MAX_UNHEARD, self._most_notes) if client.bus.link.idle else self._most_notes
        if len(client.alive) >= most:
            raise UserError(
                f"{most} of your notes wait or sound already: release some, or pull their stream "
                "(in Pd: switch DSP on)"
            )
        z = self.latent(client, slot, when)
        rendered = nearest_pitch(client.model.pitches, pitch)
        note = client.new_note(id, pitch, velocity, rendered, slot, self.time(when), expression)
        if abs(pitch - rendered) > 0.5:
            self._warn_of_range(client, pitch, rendered)
        label = client.model.checkpoint.config.label(rendered)
        played = ActiveNote(
            *(note, client.bus, client.model, label, slot, ConstantPath(z), sequencer)
        )

        def begun(spectrum: Spectrum) -> None:
            note.spectrum = spectrum
            with self.lock:
                wanted = note in client.rendering  # not silenced meanwhile
                client.rendering.discard(note)
                if wanted:
                    played.bus.start(note, when)

        def done(spectrum: Spectrum) -> None:
            if not find_region(spectrum):  # the note was over before
                return
            if note.hold:
                played.bus.post(lambda voices: voices.change(note), None, note)

        def failed(why: str) -> None:
            with self.lock:
                client.rendering.discard(note)
            played.bus.silence(lambda other: other is note)  # its head may sound already
            self._tell(client, "/fail", "/note", f"{id}: {why}")
            self.on_note_ended(note)

        with self.lock:
            client.rendering.add(note)
            client.alive.add(note)
            before = client.notes.get(id)
            try:
                self.renders.render(
                    *(client, z, rendered, done, failed, begun, lambda: not note.over)
                )
            except UserError:
                client.rendering.discard(note)
                client.alive.discard(note)
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
            self.morpher.follow(played, SlotPath(client.latents, slot), note.on)

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
                played.note.pedalled = True
                return
            del client.notes[id]
        self._release(played, when)

    def _release(self, played: ActiveNote, when: float | None) -> None:
        note = played.note
        note.off = self.time(when)
        played.bus.release(note, when)

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
                    if played.note.pedalled:
                        self.release(client, id, when)

    def change(
        self, played: ActiveNote, when: float | None = None, seconds: float = 0.0, **changes: Any
    ) -> None:
        """Set attributes of a note (see :meth:`Voices.change`) at a time."""
        note = played.note
        played.bus.post(lambda voices: voices.change(note, seconds, **changes), when, note)

    def seek(self, played: ActiveNote, place: float, when: float | None = None) -> None:
        """Go on from another frame of a note at a time."""
        note = played.note
        played.bus.post(lambda voices: voices.seek(note, place), when, note)

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
            rendering = {note for note in client.rendering if note.on <= end}
            held = [id for id, played in client.notes.items() if played.note.on <= end]
            buses = {client.bus, *(client.notes[id].bus for id in held)}
            doomed = rendering | {client.notes.pop(id).note for id in held}

        def forget(*_: object) -> None:
            client.rendering.difference_update(rendering)
            for note in rendering:
                note.over = True

        if when is None:
            forget()
        for bus in buses:
            bus.post(forget, when)
            bus.silence(
                lambda note: note.owner is client and (note.on < end or note in doomed), when
            )

    def on_note_ended(self, note: Note) -> None:
        """Forget a note whose sound is over."""
        note.over = True
        self.morpher.drop(note)
        with self.lock:
            assert isinstance(note.owner, Client)
            note.owner.alive.discard(note)
            played = note.owner.notes.get(note.id)
            if played is not None and played.note is note:
                del note.owner.notes[note.id]
            then, note.then = note.then, None
        if then is not None:
            then()
