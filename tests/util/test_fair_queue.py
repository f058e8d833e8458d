"""A queue with turns."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gansynth_server.util.fair_queue import FairQueue


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_turns_are_fair_and_keep_each_owners_order(owners):
    turns: FairQueue[tuple[str, int]] = FairQueue(100, 100, 1)
    for number, owner in enumerate(owners):
        assert turns.put(owner, (owner, number))
    taken = [turns.take() for _ in owners]
    assert not turns
    left = Counter(owners)
    served: Counter[str] = Counter()
    for owner, _ in taken:
        served[owner] += 1
        # nobody who still waits is more than one behind
        assert all(served[owner] - served[o] <= 1 for o in left if served[o] < left[o])
    for owner in "abc":
        assert [n for o, n in taken if o == owner] == [
            n for n, o in enumerate(owners) if o == owner
        ]


def test_turns_are_bounded():
    turns: FairQueue[int] = FairQueue(5, 3, 400)
    assert [turns.put("a", n) for n in range(4)] == [True] * 3 + [False]
    assert [turns.put("b", n) for n in range(4)] == [True] * 2 + [False] * 2
    for _ in range(5):
        turns.take()
    with pytest.raises(KeyError):
        turns.take()
    assert turns.put("a", 0, 100) and not turns.put("a", 0, 1) and not turns.put("b", 0, 101)
    turns.take()
    assert turns.put("a", 0, 100)
