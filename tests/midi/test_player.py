"""MIDI messages as notes and changes of them."""

import logging

import mido
import numpy as np
import pytest

import gansynth_server as gs
from gansynth_server.errors import UserError
from gansynth_server.instrument.tuning import Mapping, Tuning
from gansynth_server.latent import directions
from gansynth_server.midi.mapping import target
from gansynth_server.midi.player import MidiPlayer
from tests.support.stage import Stage


class MidiStage(Stage):
    """A player on a bus that is rendered by hand."""

    def __init__(self, model):
        super().__init__(model, channels=2, keep=0)
        self.player = MidiPlayer(self.instrument, self.client)

    def send(self, type, **values):
        self.player.take(mido.Message(type, **values))

    def cc(self, control, value, channel=0):
        self.send("control_change", control=control, value=value, channel=channel)

    @property
    def notes(self):
        """Those that sound once all that was sent is rendered."""
        self.render()
        return super().notes

    def released(self, id):
        return self.notes[id].off is not None


@pytest.fixture(scope="module")
def model():
    return gs.load("all_instruments")


@pytest.fixture
def stage(model):
    made = MidiStage(model)
    yield made
    made.close()


def test_notes_begin_and_end(stage):
    stage.send("note_on", note=60, velocity=80)
    ((id, note),) = stage.notes.items()
    assert (id, note.pitch, note.off) == ("midi 1 60", 60, None)
    assert note.loudness == pytest.approx(80 / 127)
    assert np.abs(stage.render(4800)).max() > 0.001
    stage.send("note_off", note=60)
    assert stage.released("midi 1 60")
    stage.render(48000)
    assert not stage.notes


def test_velocity_0_ends_a_note(stage):
    stage.send("note_on", note=60, velocity=80)
    stage.send("note_on", note=60, velocity=0)
    assert stage.released("midi 1 60")


def test_bends_change_their_own_channel_only(stage):
    stage.send("note_on", note=60, channel=0)
    stage.send("note_on", note=60, channel=1)
    stage.send("pitchwheel", pitch=8191, channel=0)
    assert stage.notes["midi 1 60"].bend == 2 and stage.notes["midi 2 60"].bend == 0
    stage.send("pitchwheel", pitch=-8192, channel=0)
    assert stage.notes["midi 1 60"].bend == -2
    stage.send("note_on", note=64, channel=0)
    assert stage.notes["midi 1 64"].bend == -2  # also the notes that begin under it


def test_the_bend_range_can_be_set(stage):
    for control, value in ((101, 0), (100, 0), (6, 12)):
        stage.cc(control, value)
    stage.send("note_on", note=60)
    stage.send("pitchwheel", pitch=8191)
    assert stage.notes["midi 1 60"].bend == 12


def test_an_mpe_zone(stage):
    for control, value in ((101, 0), (100, 6), (6, 3)):
        stage.cc(control, value)  # three members: channels 2 to 4
    for channel in (0, 1, 4):
        stage.send("note_on", note=60, channel=channel)
    stage.send("pitchwheel", pitch=8191, channel=1)
    stage.send("pitchwheel", pitch=-8192, channel=0)
    notes = stage.notes
    assert notes["midi 2 60"].bend == 48 - 2  # its own and the master's
    assert notes["midi 1 60"].bend == -2
    assert notes["midi 5 60"].bend == 0  # outside of the zone
    stage.cc(64, 127, channel=0)
    stage.send("note_off", note=60, channel=1)
    assert not stage.released("midi 2 60")
    stage.cc(64, 0, channel=0)
    assert stage.released("midi 2 60")


def test_the_pedal_holds_what_is_let_go(stage):
    stage.cc(64, 127)
    stage.send("note_on", note=60)
    stage.send("note_on", note=64)
    stage.send("note_on", note=60, channel=1)
    stage.send("note_off", note=60)
    stage.send("note_off", note=60, channel=1)
    assert not stage.released("midi 1 60")
    assert stage.released("midi 2 60")  # a pedal is its channel's
    stage.cc(64, 0)
    assert stage.released("midi 1 60") and not stage.released("midi 1 64")


def test_controllers(stage):
    stage.send("note_on", note=60)
    stage.cc(74, 127)
    stage.cc(10, 0)
    stage.cc(1, 127)
    stage.cc(7, 127)
    stage.cc(11, 64)
    note = stage.notes["midi 1 60"]
    assert (note.brightness, note.pan, note.vibrato) == (12, -1, (0.5, 5.0))
    assert note.gain == pytest.approx((64 / 127) ** 2)
    stage.cc(72, 127)
    stage.cc(73, 64)
    stage.send("note_on", note=62)
    later = stage.notes["midi 1 62"]
    assert later.envelope.release == pytest.approx(16 * note.envelope.release)
    assert later.envelope.attack == note.envelope.attack
    assert (later.brightness, later.pan) == (12, -1)
    stage.cc(121, 0)
    note = stage.notes["midi 1 60"]
    assert (note.brightness, note.vibrato) == (0, (0.0, 5.0))
    assert note.pan == -1 and note.gain == 1  # volume and pan stay, as MIDI wants it


def test_controllers_can_be_given_other_targets(stage):
    stage.player.mapping[30] = target("brightness", -6)
    stage.player.mapping[74] = target("none")
    stage.send("note_on", note=60)
    stage.cc(74, 127)
    stage.cc(30, 127)
    assert stage.notes["midi 1 60"].brightness == -6
    assert target("pca12").component == 12
    for name in ("loudness", "pca", "pca-1", "none1", ""):
        with pytest.raises(UserError, match="brightness"):
            target(name)
    with pytest.raises(UserError, match="attack"):
        target("attack", 0)


def test_pressure_of_a_channel_and_of_a_key(stage):
    stage.send("note_on", note=60)
    stage.send("note_on", note=64)
    stage.send("aftertouch", value=127)
    assert {note.pressure for note in stage.notes.values()} == {1.0}
    stage.send("polytouch", note=64, value=0)
    notes = stage.notes
    assert (notes["midi 1 60"].pressure, notes["midi 1 64"].pressure) == (1, 0)


def latent_of(stage, channel):
    slot = stage.player.channels[channel].slot
    return stage.instrument.latent(stage.client, slot)


def test_a_program_is_a_preset(stage, model):
    before = latent_of(stage, 0)
    stage.send("program_change", program=40, channel=2)
    assert np.array_equal(latent_of(stage, 2), model.preset("violin"))
    assert np.array_equal(latent_of(stage, 0), before)
    stage.send("note_on", note=60, channel=2)
    (played,) = stage.client.notes.values()
    assert np.array_equal(played.path.at(0), model.preset("violin"))
    stage.send("program_change", program=0, channel=2)  # what sounds keeps its timbre
    assert np.array_equal(played.path.at(0), model.preset("violin"))


def test_a_program_without_a_preset_is_one_line(stage, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            stage.send("program_change", program=127)
    assert len(caplog.records) == 1 and "program 127" in caplog.text


def test_principal_directions_move_the_latent_and_the_notes_that_sound(stage, model):
    violin, way = model.preset("violin"), directions.load(model.checkpoint).latent
    stage.send("program_change", program=40)
    stage.send("note_on", note=60)
    stage.cc(20, 127)
    moved = violin + 2 * way[0]
    assert latent_of(stage, 0) == pytest.approx(moved, abs=1e-5)
    (played,) = stage.client.notes.values()
    assert played.path.at(stage.time) == pytest.approx(moved, abs=1e-5)
    stage.cc(21, 0)
    assert latent_of(stage, 0) == pytest.approx(moved - 2 * way[1], abs=1e-5)
    stage.cc(20, 64)
    stage.cc(21, 64)
    assert latent_of(stage, 0) == pytest.approx(violin, abs=1e-6)
    assert np.array_equal(latent_of(stage, 1), stage.instrument.latent(stage.client, "z"))


def test_principal_directions_start_from_the_slot_z(stage, model):
    way = directions.load(model.checkpoint).latent[0]
    stage.instrument.random(stage.client, "z", 5)
    stage.cc(20, 127)
    assert latent_of(stage, 0) == pytest.approx(model.draw(5) + 2 * way, abs=1e-5)
    stage.instrument.random(stage.client, "z", 6)  # and follow it
    assert latent_of(stage, 0) == pytest.approx(model.draw(6) + 2 * way, abs=1e-5)


def test_a_component_that_is_not_there_is_one_line(stage, caplog):
    stage.player.mapping[20] = target("pca9999")
    with caplog.at_level(logging.WARNING):
        stage.cc(20, 127)
        stage.cc(20, 126)
    assert len(caplog.records) == 1 and "components are 0 to" in caplog.text


def test_all_notes_off_and_all_sound_off(stage):
    for key in (60, 64):
        stage.send("note_on", note=key)
    stage.send("note_on", note=60, channel=1)
    stage.cc(123, 0)
    assert stage.released("midi 1 60") and stage.released("midi 1 64")
    assert not stage.released("midi 2 60")
    stage.send("note_on", note=67)
    stage.cc(120, 0)
    stage.render(2400)
    assert not stage.notes


def test_keys_are_tuned_and_silent_ones_say_so_once(stage, caplog):
    stage.client.set_tuning(Tuning(mapping=Mapping((0, None), octave=1)))
    stage.send("note_on", note=62)
    assert stage.notes["midi 1 62"].pitch == pytest.approx(61)
    with caplog.at_level(logging.WARNING):
        stage.send("note_on", note=61)
        stage.send("note_on", note=61)
    assert len(caplog.records) == 1 and "key 61 is silent" in caplog.text
    stage.send("note_off", note=61)
    assert len(stage.notes) == 1


def test_other_messages_are_left_alone(stage):
    for type in ("clock", "start", "stop", "reset", "active_sensing", "songpos", "sysex"):
        stage.send(type)
    stage.cc(119, 3)
    assert not stage.notes


def test_learning_a_controller(stage):
    learned = []
    stage.player.learn(target("brightness", 6.0), learned.append)
    for number in (0, 32, 6, 38, 98, 99, 100, 101, 120, 123):  # no knobs
        stage.cc(number, 1)
    assert not learned
    stage.cc(33, 127)
    stage.cc(34, 127)
    assert learned == [33] and stage.player.mapping[33].name == "brightness"
    assert 34 not in stage.player.mapping
    stage.send("note_on", note=60, velocity=100)
    assert stage.notes["midi 1 60"].brightness == pytest.approx(6)  # the move counts already
    stage.player.learn(target("pan"), learned.append)
    stage.player.learn(None, learned.append)
    stage.cc(35, 1)
    assert learned == [33]


def test_a_makers_own_parameter_leaves_the_bend_alone(stage):
    for number, value in ((101, 0), (100, 0), (99, 1), (98, 8), (6, 24)):
        stage.cc(number, value)
    assert stage.player.channels[0].range == 2


def test_fine_and_coarse_tuning_move_sounding_notes(stage):
    stage.send("note_on", note=60, velocity=100)
    stage.render()
    for number, value in ((101, 0), (100, 2), (6, 67)):
        stage.cc(number, value)
    assert stage.notes["midi 1 60"].bend == 3
    for number, value in ((100, 1), (6, 96), (38, 0)):
        stage.cc(number, value)
    assert stage.notes["midi 1 60"].bend == pytest.approx(3.5)


def test_clock_messages_set_the_common_tempo(stage):
    from gansynth_server.instrument.tempo import TEMPOS, Tempo

    try:
        stage.send("start")
        for n in range(30):
            stage.player.take(mido.Message("clock"), when=100 + n / 36)
        assert TEMPOS.of(stage.client).bpm == pytest.approx(90)
    finally:
        TEMPOS.set_common(Tempo())
