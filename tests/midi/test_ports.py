"""MIDI devices that are found, go, and come again."""

import logging

import mido
import pytest

from gansynth_server.errors import UserError
from gansynth_server.midi import ports
from tests.support import memory_midi
from tests.support.memory_midi import devices  # noqa: F401


def test_a_device_is_found_by_part_of_its_name(devices):  # noqa: F811
    devices.update({"Drum Pad 20:0": None, "Grand Keys MIDI 1 24:0": None})
    heard = []
    keys = ports.MidiInput("grand keys", heard.append, heard.clear)
    assert "Grand Keys MIDI 1" in keys.remark
    memory_midi.send("Grand Keys MIDI 1 24:0", memory_midi.NOTE)
    memory_midi.until(lambda: heard == [memory_midi.NOTE])
    keys.stop()
    assert devices["Grand Keys MIDI 1 24:0"] is None


def test_a_device_that_is_not_there_names_those_that_are(devices):  # noqa: F811
    devices["Drum Pad 20:0"] = None
    with pytest.raises(UserError, match=r"'piano'.*Drum Pad 20:0"):
        ports.MidiInput("piano", print, print)
    assert ports.list_ports() == "Drum Pad 20:0"
    devices.clear()
    assert "virtual" in ports.list_ports()


def test_a_device_that_vanishes_is_opened_again(devices, caplog):  # noqa: F811
    devices["Keys 24:0"] = None
    heard, gone = [], []
    keys = ports.MidiInput("Keys", heard.append, lambda: gone.append(True))
    with caplog.at_level(logging.WARNING):
        del devices["Keys 24:0"]
        memory_midi.until(lambda: gone == [True])
        devices["Keys 28:0"] = None  # another number, as ALSA gives
        memory_midi.until(lambda: devices["Keys 28:0"] is not None)
        memory_midi.send("Keys 28:0", memory_midi.NOTE)
        memory_midi.until(lambda: heard == [memory_midi.NOTE])
    assert [record.message.split(" is ")[1][:4] for record in caplog.records] == ["gone", "back"]
    keys.stop()


def test_a_virtual_input(devices):  # noqa: F811
    heard = []
    keys = ports.MidiInput("virtual", heard.append, heard.clear)
    memory_midi.send(ports.NAME, memory_midi.NOTE)
    memory_midi.until(lambda: heard == [memory_midi.NOTE])
    keys.stop()


def test_a_message_that_fails_does_not_end_the_thread(devices, caplog):  # noqa: F811
    devices["Keys"] = None
    heard = []

    def take(message):
        if message.note == 61:
            raise RuntimeError("oh")
        heard.append(message)

    keys = ports.MidiInput("Keys", take, heard.clear)
    memory_midi.send("Keys", mido.Message("note_on", note=61))
    memory_midi.send("Keys", memory_midi.NOTE)
    memory_midi.until(lambda: heard == [memory_midi.NOTE])
    keys.stop()
