"""Facts about ``[gansynth-follow~]``: what it tells the server of a tone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.realtime.test_pd import FakeServer
from tests.support.pd_harness import BENCH, Bench, require_sigmund

pytestmark = pytest.mark.real_time
SLOT = "voice"


@pytest.fixture(autouse=True)
def _pd() -> None:
    require_sigmund()


def bench(arguments: str) -> str:
    """The test bench with a tone that is followed: ``shape`` sets its Hz and its level, ``follow``
    talks to the abstraction."""
    lines = BENCH.read_text().splitlines()
    count = sum(line.startswith(("#X obj", "#X msg", "#X text", "#N canvas")) for line in lines) - 1
    objects = (
        f"#X obj 30 500 gansynth-follow~ {arguments}",
        "#X obj 30 460 *~",
        "#X obj 30 430 osc~",
        "#X obj 30 400 r tone",
        "#X obj 90 400 r loud",
        "#X obj 150 400 r follow",
        "#X obj 225 150 route tone loud follow",
        "#X obj 225 170 s tone",
        "#X obj 300 170 s loud",
        "#X obj 375 170 s follow",
    )
    follow, level, tone, hz, loud, told, words, *sends = range(count, count + len(objects))
    cords = [
        *((hz, 0, tone, 0), (tone, 0, level, 0), (loud, 0, level, 1), (level, 0, follow, 0)),
        *((told, 0, follow, 1), (follow, 0, 5, 0), (5, 1, follow, 1), (4, 6, words, 0)),
        *((words, n, send, 0) for n, send in enumerate(sends)),
    ]
    joined = [f"#X connect {' '.join(map(str, cord))};" for cord in cords]
    return "\n".join([*lines, *(f"{each};" for each in objects), *joined, ""])


def test_a_tone_is_told_as_hertz_and_decibels(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port, text=bench(SLOT)) as pd:
        pd.send("tone 330", "loud 0.1", "pd dsp 1")
        pd.wait("gansynth: connected 1")
        pd.settle()
        assert not server.said("/follow/pitch"), "not asked for yet"
        pd.send("follow 1")
        server.until(lambda: len(server.said("/follow/pitch")) > 50)
        assert server.said("/follow/open") == [("/follow/open", SLOT)]
        _, hertz, level = server.said("/follow/pitch")[-1]
        assert hertz == pytest.approx(330, rel=0.002)
        assert level == pytest.approx(-23, abs=0.5)
        pd.send("loud 0")
        server.until(lambda: server.said("/follow/pitch")[-1][1] == 0)
        pd.send("loud 0.1", "tone 440")
        server.until(lambda: abs(server.said("/follow/pitch")[-1][1] - 440) < 1)
        pd.send("follow 0")
        server.until(lambda: server.said("/follow/pitch")[-1] == ("/follow/pitch", 0, -100))
        before = len(server.said("/follow/pitch"))
        pd.settle()
        assert len(server.said("/follow/pitch")) == before
    assert not pd.complaints, pd.stderr


def test_another_slot_and_another_server_are_told(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port, text=bench("")) as pd:
        pd.send("tone 330", "loud 0.1", "pd dsp 1", "follow slot b")
        pd.wait("gansynth: connected 1")
        pd.send("follow 1")
        server.until(lambda: ("/follow/open", "b") in server.messages)
        pd.send("follow slot c")
        server.until(lambda: ("/follow/open", "c") in server.messages)
        server.stream = 0  # forgotten, as by a server that was restarted
        pd.wait("gansynth: connected 0")
        pd.wait("gansynth: connected 1")
        server.until(lambda: server.said("/follow/open")[2:] == [("/follow/open", "c")])
        assert not server.said("/fail")
    assert not pd.complaints, pd.stderr


def test_the_slot_is_z_where_none_is_given(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port, text=bench("")) as pd:
        pd.send("pd dsp 1", "follow 1")
        server.until(lambda: ("/follow/open", "z") in server.messages)
    assert not pd.complaints, pd.stderr
