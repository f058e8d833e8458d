import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gansynth_server.osc.pattern import MAX_LENGTH, is_pattern, match

METHODS = [
    f"/{group}/{name}" for group in ("z", "note", "stream", "checkpoint") for name in "abcde"
]


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("/note", ["/note"], ["/not", "/notes", "/note/off", "/Note", "note"]),
        ("/", ["/"], ["/a", ""]),
        ("/n?te", ["/note", "/n?te"], ["/nte", "/noote", "/n/te"]),
        ("/*", ["/", "/a", "/note"], ["/note/off", ""]),
        ("/a*", ["/a", "/ab", "/aa"], ["/ba"]),
        ("/*a", ["/a", "/ba", "/aba"], ["/ab"]),
        ("/*/off", ["/note/off", "//off"], ["/note/on", "/off", "/a/note/off"]),
        ("/z/[abc]", ["/z/a", "/z/c"], ["/z/d", "/z/", "/z/ab"]),
        ("/z/[a-c]", ["/z/a", "/z/b", "/z/c"], ["/z/d", "/z/-"]),
        ("/z/[!a-c]", ["/z/d", "/z/!"], ["/z/a", "/z/", "/z//"]),
        ("/z/[a!]", ["/z/a", "/z/!"], ["/z/b"]),
        ("/z/[ab-]", ["/z/a", "/z/-"], ["/z/c"]),
        ("/z/[-a]", ["/z/a", "/z/-"], ["/z/b"]),
        ("/z/[a-c-e]", ["/z/b", "/z/-", "/z/e"], ["/z/d"]),
        ("/z/[*?{,}]", ["/z/*", "/z/?", "/z/{", "/z/,"], ["/z/a"]),
        ("/{foo,bar}", ["/foo", "/bar"], ["/foobar", "/foo,bar", "/{foo,bar}", "/"]),
        ("/{a,ab,abc}c", ["/ac", "/abc", "/abcc"], ["/a", "/abb"]),
        ("/x{,y}", ["/x", "/xy"], ["/xyy"]),
        ("/x{}", ["/x"], ["/xx"]),
        ("/{a,b}{c,d}*", ["/ac", "/bd", "/ade"], ["/ab", "/cd"]),
        ("/Flöte/*", ["/Flöte/ü"], ["/Flote/a"]),
    ],
)
def test_matches(pattern: str, matching: list[str], others: list[str]):
    assert [address for address in matching if not match(pattern, address)] == []
    assert [address for address in others if match(pattern, address)] == []


@pytest.mark.parametrize(
    "pattern",
    ["", "*", "*/a", "a", "/[", "/]", "/[]", "/[!]", "/[c-a]", "/[a-ü]", "/{", "/}", "/{a", "/a}",
     "/{a,{b}}", "/[a/b]", "/{a/b}", "/*" + "?" * MAX_LENGTH],
)  # fmt: skip
def test_malformed_patterns_match_nothing(pattern: str):
    literally = pattern.replace("*", "a").replace("?", "a")
    for address in ["", "/", "/a", "/b", "/a/b", "/a/b]", pattern, literally]:
        assert not match(pattern, address)


@pytest.mark.parametrize("address", ["/?", "/a*", "/[a]", "/{a}", "/]", "/}"])
def test_is_pattern(address: str):
    assert is_pattern(address)


@pytest.mark.parametrize("address", ["", "/", "/note/off", "/a,b-!#"])
def test_is_not_pattern(address: str):
    assert not is_pattern(address)


LETTERS = "ab-!"
TOKEN = st.one_of(  # (OSC, the same as a regular expression)
    st.just(("*", "[^/]*")),
    st.just(("?", "[^/]")),
    st.just(("/", "/")),
    st.sampled_from(LETTERS).map(lambda char: (char, re.escape(char))),
    st.sampled_from(
        [("[ab]", "[ab]"), ("[!a-b]", "[^ab/]"), ("[!-a]", "[^a/-]"), ("[a!]", "[a!]")]
    ),
    st.lists(st.text(LETTERS, max_size=3), min_size=1, max_size=3).map(
        lambda names: ("{" + ",".join(names) + "}", f"(?:{'|'.join(map(re.escape, names))})")
    ),
)


@given(st.lists(TOKEN, max_size=6), st.lists(st.text(LETTERS + "/", max_size=6), max_size=20))
def test_agrees_with_regular_expressions(tokens: list[tuple[str, str]], names: list[str]):
    pattern = "/" + "".join(osc for osc, _ in tokens)
    expression = re.compile("/" + "".join(regex for _, regex in tokens))
    for name in names:
        assert match(pattern, "/" + name) == bool(expression.fullmatch("/" + name)), (pattern, name)


@given(st.text(st.sampled_from("/?*[]{}!-,ab"), max_size=300), st.text("/ab", max_size=20))
def test_nothing_raises(pattern: str, address: str):
    assert match(pattern, address) in (True, False)
    assert match("/" + pattern, "/" + address) in (True, False)


def seconds(pattern: str) -> float:
    """The shortest of some runs of one pattern over the methods and one long address."""
    spans = []
    for _ in range(20):
        start = time.perf_counter()
        matched = [match(pattern, address) for address in [*METHODS, "/" + "a" * 200]]
        spans.append(time.perf_counter() - start)
        assert not any(matched)
    return min(spans)


@pytest.mark.parametrize("piece", ["*", "*a", "*?", "{a,*}*", "{,a}", "*{a,aa}", "[!b]*"])
def test_time_grows_with_the_length_of_the_pattern_only(piece: str):
    # backtracking over 200 characters would take more than 2^30 times as long
    assert seconds("/" + piece * 30 + "x") < 30 * seconds("/" + piece * 10 + "x")
