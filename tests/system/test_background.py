"""What takes time is done in turns, and is not let pile up."""

from __future__ import annotations

import time

from gansynth_server.handlers.host import Task
from tests.support.client import Client
from tests.support.server import ServerProcess


def test_a_flood_of_pictures_is_refused_and_holds_nobody_up(server: ServerProcess) -> None:
    with Client(server.port) as greedy, Client(server.port) as modest:
        # the first picture of a server takes longer, so it is no measure of a turn
        modest.send("/spectrum", 59)
        modest.until("/spectrum.reply")
        count = 4 * Task.SOUND.most
        for number in range(count):
            greedy.send("/spectrum", 40 + number)
        modest.send("/spectrum", 60)
        greedy.send("/sync", 1)
        begun = time.monotonic()
        assert modest.until("/spectrum.reply")[2] == 60
        turn = time.monotonic() - begun
        answers = []
        while not answers or answers[-1][0] != "/synced":
            answers.append(greedy.receive())
        whole = time.monotonic() - begun
        failed = [answer for answer in answers if answer[0] == "/fail"]
        shown = [answer for answer in answers if answer[0] == "/spectrum.reply"]
        assert len(failed) + len(shown) == count
        assert len(shown) >= Task.SOUND.most
        assert failed
        assert all("wait already" in str(answer[2]) for answer in failed)
        assert turn < whole / 2
