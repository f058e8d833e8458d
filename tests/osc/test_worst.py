"""What a datagram may cost, and what may come of hostile arguments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gansynth_server.errors import UserError
from gansynth_server.osc.codec import MAX_ATOMS, Message, OscError, decode
from gansynth_server.osc.dispatch import dispatch
from gansynth_server.osc.schema import LATENT, NUMBER, parse
from gansynth_server.osc.table import ROWS, TABLE
from tests.support.hostile import WORST


@pytest.mark.parametrize("name", WORST)
def test_the_worst_datagrams_cost_no_more_than_so_many_steps(name):
    """Counted as calls of Python, which a machine's speed does not change."""
    import sys

    calls = 0

    def count(frame, event, arg):
        nonlocal calls
        calls += event.endswith("call")

    sys.setprofile(count)
    try:
        decode(WORST[name])
    except OscError:
        pass
    finally:
        sys.setprofile(None)
    # each argument read one by one is a few calls; 64 kB of them would be 16 times as many
    assert calls < 10 * MAX_ATOMS + 20_000


HOSTILE = st.one_of(
    st.integers(),
    st.floats(),  # with NaN and infinities
    st.text(max_size=300),
    st.binary(max_size=64),
    st.sampled_from([None, True, False, "all", "z", "", "\0", "../x", "/", 1e38, -(2**63)]),
)


@given(st.sampled_from(TABLE), st.lists(HOSTILE, max_size=12))
def test_what_handlers_get_is_always_within_the_table(row, values):
    try:
        args = parse(row, tuple(values))
    except UserError:
        return
    for arg, value in zip(row.args, args, strict=True):
        if isinstance(value, float) and value != arg.default:
            assert np.isfinite(value)
            assert arg.kind != NUMBER or arg.low <= value <= arg.high
        if arg.kind == LATENT:
            assert value.dtype == np.float32 and np.isfinite(value).all()
        if isinstance(value, str):
            value.encode()
            assert len(value) <= 32768


@given(st.text(st.sampled_from("/?*[]{}!-,abnotezsu"), min_size=1, max_size=80), st.data())
def test_dispatch_ends_in_rows_or_one_failure(address, data):
    args = tuple(data.draw(st.lists(HOSTILE, max_size=4)))
    handled, failed = [], []
    dispatch(
        Message("/" + address, args),
        lambda row, values: handled.append(row),
        lambda *why: failed.append(why),
    )
    assert len(failed) <= 1 and (handled or failed)
    assert not any(row.exact for row in handled if "/" + address not in ROWS)
