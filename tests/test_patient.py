"""JSON in small steps says what JSON says."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gansynth_server import patient

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
CONTENT = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
LONG = " " * patient.SHORT


@given(CONTENT)
def test_it_reads_what_json_reads(content):
    for text in (json.dumps(content), json.dumps(content, indent=1)):
        assert patient.loads(text.encode()) == content
        assert patient.loads((LONG + text).encode()) == content  # in Python


@given(CONTENT)
def test_it_writes_what_json_writes(content):
    assert json.loads(patient.dumps(content)) == content
    assert patient.dumps(content) == json.dumps(content, ensure_ascii=False).encode()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32)))
def test_arrays_come_back_to_the_bit(numbers):
    array = np.array(numbers, np.float32)
    found = np.array(json.loads(patient.dumps({"z": array}))["z"], np.float32)
    assert np.array_equal(found.view(np.uint32), array.view(np.uint32))


def test_long_lists_are_read_too():
    content = {"a": list(range(20000)), "b": [[1.5, "]", [2]], {"c": [None, "["]}], "d": []}
    assert patient.loads(json.dumps(content).encode()) == content


@pytest.mark.parametrize("text", ["[1,]", "[1", "[1 2]", '{"a": [1,}', "[" * 5000, "", "[-]"])
def test_what_is_no_json_is_a_value_error(text):
    for data in (text, LONG + text):
        with pytest.raises(ValueError, match=r"\S"):
            patient.loads(data.encode())


def test_there_is_a_wait_before_each_step():
    waits = []
    token = patient.wait.set(waits.append)
    try:
        assert list(patient.steps("abc")) == ["a", "b", "c"]
        assert waits == 3 * [patient.PATIENCE]
        waits.clear()
        rows = [list(range(5000)) for _ in range(50)]
        data = patient.dumps([np.arange(9.0) for _ in range(50)])
        assert len(waits) == 50
        waits.clear()
        assert patient.loads(json.dumps(rows).encode()) == rows and len(data)
        assert len(waits) > 50
    finally:
        patient.wait.reset(token)
