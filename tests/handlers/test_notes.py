"""Messages about notes, given to a stand-in for the instrument."""

from types import SimpleNamespace

import pytest

from gansynth_server.handlers.notes import NoteMessages
from gansynth_server.instrument.tuning import (
    Tuning,
    read_scale,
)

NINETEEN = "19-tone equal temperament\n19\n" + "\n".join(
    f"{1200 * step / 19:.5f}" if step < 19 else "2/1" for step in range(1, 20)
)


def test_glides_go_to_keys_too():
    changes = []
    instrument = SimpleNamespace(
        played=lambda client, id: [id],
        change=lambda note, when, seconds, **what: changes.append((note, seconds, what)),
    )
    messages = NoteMessages(SimpleNamespace(instrument=instrument, root=None))
    client = SimpleNamespace(tuning=Tuning(read_scale(NINETEEN)))
    messages.note_glide(SimpleNamespace(client=client, when=None), 7, 79.0, 500.0)
    assert changes == [(7, 0.5, {"pitch": pytest.approx(72)})]
