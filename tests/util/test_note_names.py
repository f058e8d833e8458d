"""Names of notes."""

import pytest

from gansynth_server.analysis import file_names
from gansynth_server.errors import UserError
from gansynth_server.instrument.superdirt import named_key
from gansynth_server.util.note_names import note_number


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *(("c4", 60), ("C4", 60), ("a4", 69), ("c-1", 0), ("g9", 127), ("b3", 59)),
        *(("c#4", 61), ("C♯4", 61), ("cs4", 61), ("eb3", 51), ("E♭3", 51), ("ef3", 51)),
        *(("bb2", 46), ("BB2", 46), ("ff5", 76), ("c##4", 62), ("ebb4", 62)),
        *(("h4", None), ("c10", None), ("4", None), ("", None), ("c 4", None), ("cſ4", None)),
    ],
)
def test_names_and_their_numbers(name, number):
    assert note_number(name) == number


def test_a_name_without_an_octave_has_that_of_the_caller():
    assert note_number("e") is None
    assert note_number("e", 3) == 52 and note_number("fs", 4) == 66
    assert note_number("e5", 3) == 76
    assert named_key("e") == 52  # a pattern's octave is 3
    assert file_names.parse("Horn E").pitch is None  # a file has to name one


def test_patterns_and_files_agree():
    for name in ("c4", "Eb3", "f#2", "As5"):
        assert named_key(name) == file_names.parse(f"horn_{name}").pitch == note_number(name)
    with pytest.raises(UserError, match="a name as c4"):
        named_key("h4")
