"""JSON in small steps says what JSON says."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gansynth_server.util import yielding_json

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
CONTENT = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
LONG = " " * yielding_json.SHORT


@given(CONTENT)
def test_it_reads_what_json_reads(content):
    for text in (json.dumps(content), json.dumps(content, indent=1)):
        assert yielding_json.loads(text.encode()) == content
        assert yielding_json.loads((LONG + text).encode()) == content  # in Python


@given(CONTENT)
def test_it_writes_what_json_writes(content):
    assert json.loads(yielding_json.dumps(content)) == content
    assert yielding_json.dumps(content) == json.dumps(content, ensure_ascii=False).encode()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32)))
def test_arrays_come_back_to_the_bit(numbers):
    array = np.array(numbers, np.float32)
    found = np.array(json.loads(yielding_json.dumps({"z": array}))["z"], np.float32)
    assert np.array_equal(found.view(np.uint32), array.view(np.uint32))


def test_long_lists_are_read_too():
    content = {"a": list(range(20000)), "b": [[1.5, "]", [2]], {"c": [None, "["]}], "d": []}
    assert yielding_json.loads(json.dumps(content).encode()) == content


@pytest.mark.parametrize("text", ["[1,]", "[1", "[1 2]", '{"a": [1,}', "[" * 5000, "", "[-]"])
def test_what_is_no_json_is_a_value_error(text):
    for data in (text, LONG + text):
        with pytest.raises(ValueError, match=r"\S"):
            yielding_json.loads(data.encode())


def test_there_is_a_wait_before_each_step():
    waits = []
    token = yielding_json.wait.set(waits.append)
    try:
        assert list(yielding_json.steps("abc")) == ["a", "b", "c"]
        assert waits == 3 * [yielding_json.PATIENCE]
        waits.clear()
        rows = [list(range(5000)) for _ in range(50)]
        data = yielding_json.dumps([np.arange(9.0) for _ in range(50)])
        assert len(waits) == 50
        waits.clear()
        assert yielding_json.loads(json.dumps(rows).encode()) == rows and len(data)
        assert len(waits) > 50
    finally:
        yielding_json.wait.reset(token)
