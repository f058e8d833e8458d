"""Facts about the patches for people: each control, by what it sends and by what is heard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.realtime.test_pd import FakeServer
from tests.support.pd_harness import RATE, Player, require_pd
from tests.support.pd_window import Window

Messages = list[tuple[Any, ...]]
ZEROS = tuple([0.0] * 256)
KIT = ["synth_bass_1", "marimba", "kalimba", "tubular_bells"]


@pytest.fixture(autouse=True)
def _pd() -> None:
    require_pd()


def pairs(*amounts: float) -> tuple[float, ...]:
    """What /pca is sent for the sixteen sliders."""
    full = [*amounts, *[0.0] * (16 - len(amounts))]
    return tuple(value for pair in enumerate(full) for value in pair)


def moved(*amounts: float, slot: str = "with", ms: float = 200) -> Messages:
    """What a move of a direction's slider sends."""
    return [
        ("/pca", "with", *pairs(*amounts)),
        ("/pca/noz", "without", *pairs(*amounts)),
        ("/note/morph", "all", slot, ms),
    ]


def same(sent: tuple[Any, ...], wanted: tuple[Any, ...]) -> bool:
    """Whether two messages are the same, to the precision of a slider."""
    return len(sent) == len(wanted) and all(
        a == b if isinstance(b, str) else abs(a - b) < 1e-5
        for a, b in zip(sent, wanted, strict=True)
    )


CONTROLS: dict[str, list[tuple[str, Messages]]] = {
    "gansynth.pd": [
        ("main-random bang", [("/z/random", "z"), ("/z/get", "z")]),
        ("main-send bang", [("/z/set", "z", *ZEROS)]),
        ("main-length 20", []),
        ("main-velocity 90", []),
        ("main-lowest 50", []),
        ("main-keys 3", [("/note", 53, 90), ("/note", 53, 0)]),
        ("main-pitch 62", []),
        ("main-render bang", [("/synthesize", "whole-note", 62)]),
        ("click 360 355", [("/allnotesoff",)]),
        ("click 380 385", [("/allsoundoff",)]),
        ("click 530 380", [("/checkpoint/load", "all_instruments")]),
        ("click 550 405", [("/checkpoint/load", "acoustic_only")]),
        ("#notein 64 90 1", [("/note", 64, 90)]),
        ("#notein 64 0 1", [("/note", 64, 0)]),
        *(
            (f"click {at}", [("/z/preset", "z", name), ("/z/get", "z")])
            for at, name in (
                ("786 297", "acoustic_grand_piano"),
                ("800 320", "violin"),
                ("802 345", "flute"),
                ("810 369", "trumpet"),
                ("818 393", "drawbar_organ"),
            )
        ),
        ("click 690 447", [("/z/get", "z")]),
    ],
    "gansynth_multi.pd": [
        (
            "multi-random bang",
            [*(("/z/random", slot) for slot in "abcd"), *(("/z/get", slot) for slot in "abcd")],
        ),
        (
            "multi-slerp 0.25",
            [
                *(("/z/set", slot, *ZEROS) for slot in "ab"),
                *[("/z/slerp", "c", "a", "b", 0.25), ("/z/get", "c")],
            ],
        ),
        (
            "multi-synthesize bang",
            [
                *(("/z/set", slot, *ZEROS) for slot in "abcd"),
                *(
                    ("/synthesize", f"multi-s{n + 1}", pitch, "abcd"[n])
                    for n, pitch in enumerate((52, 55, 59, 62))
                ),
            ],
        ),
        (
            "multi-chord 1",
            [
                ("/z/mix", "pad", "a", 0.25, "b", 0.25, "c", 0.25, "d", 0.25),
                ("/hold", 1),
                ("/z/follow", "pad"),
                *(
                    ("/note", pitch, 90, f"p{n + 1}", "pad")
                    for n, pitch in enumerate((52, 55, 59, 62))
                ),
            ],
        ),
        ("multi-x 1", [("/z/mix", "pad", "a", 0, "b", 0.5, "c", 0, "d", 0.5)]),
        ("multi-y 0", [("/z/mix", "pad", "a", 0, "b", 1, "c", 0, "d", 0)]),
        ("multi-chord 0", [*(("/note/off", f"p{n}") for n in range(1, 5)), ("/hold", 0)]),
    ],
    "gansynth_live.pd": [
        (
            "live-drone 1",
            [
                ("/hold", 1),
                *(("/note", p, 80, id, "live") for p, id in ((48, "x"), (55, "y"), (63, "z"))),
                ("/hold", 0),
            ],
        ),
        ("live-bend 2", [("/note/bend", "all", 2, 30)]),
        ("live-vibrato 0.5", [("/note/vibrato", "all", 0.5, 5.5)]),
        ("live-brightness 3", [("/note/brightness", "all", 3)]),
        ("live-pan 1", [("/note/pan", "all", 1)]),
        ("live-gain 0.5", [("/note/gain", "all", 0.5, 30)]),
        ("live-position 1", [("/note/position", "all", 1)]),
        ("live-speed 0", [("/note/speed", "all", 0)]),
        ("live-drone 0", [("/note/off", id) for id in "xyz"]),
        ("live-hold 1", [("/hold", 1)]),
        ("live-pedal 1", [("/pedal", 1)]),
        ("live-a bang", [("/z/random", "a")]),
        ("live-b bang", [("/z/random", "b")]),
        ("live-follow 1", [("/z/follow", "live", 1)]),
        ("live-morph 0.5", [("/z/slerp", "live", "a", "b", 0.5)]),
        ("live-rate 2", []),
        ("live-lfo 1", [("/z/lfo", "live", "a", "b", 2, "sine")]),
        ("live-lfo 0", [("/z/freeze", "live")]),
        ("live-walk 1", [("/z/walk", "live", 2)]),
        ("live-walk 0", [("/z/freeze", "live")]),
        ("live-kit bang", [("/z/random", f"k{n}") for n in range(1, 5)]),
        ("live-named bang", [("/z/preset", f"k{n + 1}", name) for n, name in enumerate(KIT)]),
        ("#notein 64 90 1", [("/note", 64, 90, 64, "live")]),
        ("#notein 64 0 1", [("/note", 64, 0, 64, "live")]),
        ("click 30 207", [("/allnotesoff",)]),
    ],
    "gansynth_hallucination.pd": [
        ("hallu-generate bang", [("/hallucinate", 5, 5, 0.4, 0, 0.5, 1, 0.5)]),
        ("hallu-notes 3", []),
        ("hallu-steps 0", []),
        ("hallu-spacing 0.2", []),
        ("hallu-trim 1", []),
        ("hallu-attack 1", []),
        ("hallu-sustain 4", []),
        ("hallu-release 2", []),
        ("hallu-generate bang", [("/hallucinate", 3, 0, 0.2, 0.5, 0.5, 2, 1)]),
        ("hallu-stop bang", [("/hallucinate/stop",)]),
        ("hallu-use bang", [("/hallucinate/melody", *[60] * 8)]),
        ("hallu-low bang", [("/hallucinate/melody", 32)]),
        ("hallu-again bang", [("/hallucinate/play",)]),
        ("hallu-save bang", [("/hallucinate/save", "dream.json")]),
        ("hallu-load bang", [("/hallucinate/load", "dream.json")]),
    ],
    "gansynth_directions.pd": [
        ("directions-0 1.5", moved(1.5)),
        ("directions-1 -2", moved(1.5, -2)),
        ("directions-add bang", moved(1.5, -2)),
        ("directions-2 0.5", moved(1.5, -2, 0.5)),
        ("directions-previous bang", moved(1.5, -2)),
        ("directions-next bang", moved(1.5, -2, 0.5)),
        ("directions-file write $FOLDER/steps.txt", []),
        ("directions-remove bang", moved(1.5, -2)),
        ("directions-zero bang", moved(0)),
        ("directions-file read $FOLDER/steps.txt", moved(1.5, -2)),
        ("directions-next bang", moved(1.5, -2, 0.5)),
        ("directions-glide 500", []),
        ("directions-noz 1", [("/note/morph", "all", "without", 200)]),
        ("directions-zero bang", moved(0, slot="without", ms=500)),
        (
            "directions-hold 1",
            [
                *[("/hold", 1), ("/note", 48, 90, "d", "with"), ("/hold", 0)],
                *moved(0, slot="without", ms=500),
            ],
        ),
        ("directions-pitch 50", [("/note/glide", "d", 50, 200)]),
        ("directions-z bang", [("/z/random", "with"), *moved(0, slot="without", ms=500)]),
        ("directions-hold 0", [("/note/off", "d")]),
        ("directions-noz 0", [("/note/morph", "all", "with", 200)]),
        *(
            (f"directions-{n} {(n + 1) / 4}", moved(*((k + 1) / 4 for k in range(n + 1)), ms=500))
            for n in range(16)
        ),
    ],
    "gansynth_spectrum.pd": [
        ("spectrum-show bang", [("/spectrum", 60, "z")]),
        ("spectrum-pitch 62", []),
        ("spectrum-random bang", [("/z/random", "z"), ("/spectrum", 62, "z")]),
        ("spectrum-frame 30", [("/spectrum/frame", 30)]),
        *(
            (f"click {x} 617", [("/z/preset", "z", name), ("/spectrum", 62, "z")])
            for x, name in ((30, "flute"), (150, "violin"), (274, "marimba"))
        ),
    ],
}
"""By patch: what is done with each control, and all that it sends."""


def sent_by(server: FakeServer, pd: Player, done: str, least: int) -> Messages:
    """All that a control sends, once so many messages have come."""
    before = len(server.messages)
    if done.startswith("click"):
        pd.click(*map(int, done.split()[1:]))
    else:
        pd.send(done)
    server.until(lambda: len(server.messages) >= before + least)
    pd.settle()
    return server.messages[before:]


@pytest.mark.parametrize("patch", CONTROLS)
def test_controls_send_what_they_say(patch: str, tmp_path: Path) -> None:
    with FakeServer() as server, Player(tmp_path, patch, server.port) as pd:
        server.until(lambda: bool(server.said("/notify")))
        time.sleep(0.4)  # what a new server is told
        for done, wanted in CONTROLS[patch]:
            sent = sent_by(server, pd, done.replace("$FOLDER", str(tmp_path)), len(wanted))
            assert len(sent) == len(wanted), (done, sent)
            assert all(same(*both) for both in zip(sent, wanted, strict=True)), (done, sent)
    assert not pd.complaints, pd.stderr


def test_dice_move_every_direction_somewhere_else(tmp_path: Path) -> None:
    with FakeServer() as server, Player(tmp_path, "gansynth_directions.pd", server.port) as pd:
        server.until(lambda: bool(server.said("/notify")))
        time.sleep(0.4)
        thrown = []
        for _ in range(2):
            sent = sent_by(server, pd, "directions-dice bang", 3)
            assert [message[0] for message in sent] == ["/pca", "/pca/noz", "/note/morph"]
            assert sent[0][3::2] == sent[1][3::2]
            thrown.append(np.array(sent[0][3::2]))
        assert all(len(set(amounts)) > 8 and np.abs(amounts).max() <= 3 for amounts in thrown)
        assert (thrown[0] != thrown[1]).sum() > 8
    assert not pd.complaints, pd.stderr


def test_steps_are_saved_and_loaded_where_people_say(tmp_path: Path) -> None:
    window = Window(tmp_path / "steps.txt")
    with (
        FakeServer() as server,
        Player(tmp_path, "gansynth_directions.pd", server.port, window) as pd,
    ):
        server.until(lambda: bool(server.said("/notify")))
        time.sleep(0.4)
        pd.send("directions-0 1.5", "directions-add bang", "directions-save bang")
        server.until(lambda: len(server.said("/note/morph")) >= 2)
        deadline = time.monotonic() + 10
        while not (tmp_path / "steps.txt").exists():
            assert time.monotonic() < deadline, pd.stderr
            time.sleep(0.05)
        pd.settle()
        numbers = (tmp_path / "steps.txt").read_text().replace(";", " ").split()
        assert [float(number) for number in numbers] == 2 * [1.5, *[0] * 15]
        for done, wanted in (("zero", moved(0)), ("load", moved(1.5))):
            sent = sent_by(server, pd, f"directions-{done} bang", len(wanted))
            assert all(same(*both) for both in zip(sent, wanted, strict=True)), (done, sent)
    assert not pd.complaints, pd.stderr


# what is heard, and what the real server answers


class Heard(Player):
    """A patch at the real server, with its sound on and a recorder."""

    def __init__(
        self, folder: Path, patch: str, port: int, prefix: str, window: Window | None = None
    ) -> None:
        super().__init__(folder, patch, port, window)
        self._prefix, self._folder, self._takes = prefix, folder, 0
        self.send(f"{prefix}-dsp 1")
        time.sleep(1.5)

    def take(self, seconds: float, *messages: str) -> NDArray[np.float32]:
        """What is heard in the seconds after some messages: [frames, 2]."""
        self._takes += 1
        file = self._folder / f"take{self._takes}.wav"
        self.send(f"{self._prefix}-writesf open -bytes 4 {file}", f"{self._prefix}-writesf start")
        self.send(*messages)
        time.sleep(seconds)
        self.send(f"{self._prefix}-writesf stop")
        return self._written(file)

    def loud(self, seconds: float, *messages: str) -> float:
        """Its root mean square, in the second half."""
        sound = self.take(seconds, *messages)
        return float(np.sqrt(np.mean(sound[len(sound) // 2 :] ** 2)))


def meter(pd: Player) -> float:
    """What gansynth.pd shows next, in dB below full scale."""
    return float(pd.wait("meter:").split()[-1])


def levels(pd: Player, seconds: float) -> list[float]:
    """All that it shows for a while."""
    pd.settle()  # past what was shown before
    shown, until = [meter(pd)], time.monotonic() + seconds
    while time.monotonic() < until:
        shown.append(meter(pd))
    return shown


def test_keyboard_and_whole_note_are_heard(port: int, tmp_path: Path) -> None:
    with Player(tmp_path, "gansynth.pd", port) as pd:
        pd.send("dsp-switch 1", "main-length 2000")
        time.sleep(1.5)
        assert max(levels(pd, 0.5)) < -80
        pd.send("main-keys 12")
        assert max(levels(pd, 1.5)) > -60
        pd.send("level 0")
        time.sleep(0.5)
        assert max(levels(pd, 0.5)) < -80
        time.sleep(2)
        pd.send("level 100", "main-random bang", "main-pitch 57", "main-render bang")
        deadline = time.monotonic() + 20
        while not pd.array("whole-note", tmp_path / "note.wav").any():
            assert time.monotonic() < deadline
        assert max(levels(pd, 0.5)) < -80
        pd.send("main-play bang")
        assert max(levels(pd, 1.5)) > -60
        pd.send("dsp-switch 0")
    assert not pd.complaints, pd.stderr


def test_what_is_heard_is_recorded_where_people_say(port: int, tmp_path: Path) -> None:
    kept = tmp_path / "kept.wav"
    with Heard(tmp_path, "gansynth_live.pd", port, "live", Window(kept)) as pd:
        pd.send("live-drone 1", "live-record 1")
        time.sleep(1.5)
        pd.send("live-record 0")
        sound = pd._written(kept)
        assert len(sound) > RATE and sound.shape[1] == 2
        assert np.sqrt(np.mean(sound[RATE:] ** 2)) > 1e-3
        quiet = pd.loud(1.0, "live-level 0")
        assert quiet < 1e-4
        pd.send("live-drone 0")
    assert not pd.complaints, pd.stderr


def test_multi_is_heard(port: int, tmp_path: Path) -> None:
    with Heard(tmp_path, "gansynth_multi.pd", port, "multi") as pd:
        pd.send("multi-random bang", "multi-synthesize bang")
        deadline = time.monotonic() + 20
        while not (sound := pd.array("multi-s4", tmp_path / "s4.wav")).any():
            assert time.monotonic() < deadline
        assert len(sound) == 64000
        pd.send("multi-slerp 0.5")
        time.sleep(0.5)
        a, b, c = (pd.array(f"multi-z{n}", tmp_path / f"z{n}.wav") for n in (1, 2, 3))
        angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        between = (np.sin(angle / 2) / np.sin(angle)) * (a + b)
        np.testing.assert_allclose(c, between, atol=1e-4)
        for n in range(1, 5):
            assert pd.loud(0.8, f"multi-play{n} bang") > 1e-4, n
            time.sleep(3.3)
        assert pd.loud(1.0, "multi-play bang") > 1e-4
        assert pd.loud(2.0, "multi-chord 1", "multi-x 1") > 1e-3
        assert pd.loud(1.5, "multi-chord 0", "multi-level 0") < 1e-4
    assert not pd.complaints, pd.stderr


@pytest.mark.real_time
def test_live_pattern_steps_are_equally_far_apart_to_the_sample(port: int, tmp_path: Path) -> None:
    with Heard(tmp_path, "gansynth_live.pd", port, "live") as pd:
        time.sleep(1)
        for row in ("marimba", "kalimba", "bells"):
            pd.send(f"live-{row} const 0")
        pd.send("live-bass const 0", "live-bass 0 100 0 0 0 100 0 0 0 100 0 0 0 100 0 0 0")
        pd.send("live-tempo 150", "live preset marimba k1", "live envelope 0 0 1 0.01")
        pd.take(2.0, "live-run 1")
        sound = pd.take(3.4)[:, 0]
    note = sound[np.flatnonzero(np.abs(sound) > 1e-4)[0] :][:4800]
    beat = RATE * 60 // 150
    score = np.correlate(sound, note, "valid")
    first = int(np.argmax(score[:beat]))
    for n in range(1, 6):
        around = score[first + n * beat - 200 : first + n * beat + 200]
        assert abs(int(np.argmax(around)) - 200) <= 1, n
    assert not pd.complaints, pd.stderr


def test_live_is_heard(port: int, tmp_path: Path) -> None:
    with Heard(tmp_path, "gansynth_live.pd", port, "live") as pd:
        time.sleep(1)
        assert pd.loud(1.5, "live-drone 1") > 1e-3
        left, right = (pd.take(0.8, "live-pan 1")[RATE // 2 :] ** 2).mean(axis=0)
        assert left < right / 100
        assert pd.loud(0.8, "live-gain 0") < 1e-4
        pd.send("live-gain 1", "live-pan 0", "live-lfo 1")
        assert pd.loud(1.0, "live-bend 3", "live-vibrato 0.2", "live-speed 0.5") > 1e-3
        assert pd.loud(1.5, "live-drone 0", "live-lfo 0") < 1e-3
        assert pd.loud(2.5, "live-round 1") > 1e-4
    assert not pd.complaints, pd.stderr


def test_hallucination_is_heard_and_kept(port: int, pd_root: Path, tmp_path: Path) -> None:
    with Heard(tmp_path, "gansynth_hallucination.pd", port, "hallu") as pd:
        sound = pd.take(3.0, "hallu-use bang", "hallu-generate bang")
        assert np.sqrt(np.mean(sound[RATE:] ** 2)) > 1e-3
        pd.send("hallu-save bang")
        deadline = time.monotonic() + 10
        while not (pd_root / "dream.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        pd.send("hallu-stop bang")
        time.sleep(3)
        assert pd.loud(1.0) < 1e-3
        pd.send("hallu-load bang")
        time.sleep(0.5)
        assert pd.loud(2.0, "hallu-again bang") > 1e-3
    assert not pd.complaints, pd.stderr


def test_directions_are_heard(port: int, tmp_path: Path) -> None:
    with Heard(tmp_path, "gansynth_directions.pd", port, "directions") as pd:
        assert pd.loud(2.0, "directions-hold 1") > 1e-4
        plain = spectrum_of(pd.take(1.0))
        pd.send("directions-0 4", "directions-1 -4")
        time.sleep(1.5)
        assert np.abs(spectrum_of(pd.take(1.0)) - plain).max() > 3, "dB in a band"
        pd.send("directions-add bang", "directions-zero bang", "directions-ms 100")
        assert pd.loud(1.0, "directions-play 1") > 1e-4
    assert not pd.complaints, pd.stderr


def spectrum_of(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """Levels of 16 bands in dB."""
    power = np.abs(np.fft.rfft(sound[:, 0] * np.hanning(len(sound)))) ** 2
    bands = np.array_split(power[: len(power) // 3], 16)
    return 10 * np.log10([band.sum() + 1e-9 for band in bands])


def test_spectrum_is_seen(port: int, tmp_path: Path) -> None:
    with Heard(tmp_path, "gansynth_spectrum.pd", port, "spectrum") as pd:
        pd.send("spectrum preset flute", "spectrum-show bang")
        time.sleep(1.5)
        levels, loudness, pitch = (
            pd.array(f"spectrum-{name}", tmp_path / f"{name}.wav")
            for name in ("levels", "magnitude", "frequency")
        )
        assert (len(levels), len(loudness), len(pitch)) == (128, 1024, 1024)
        assert levels[20] == pytest.approx(loudness.mean(), abs=1e-5), "frame 20 is shown"
        assert np.ptp(loudness) > 0.2
        assert np.abs(pitch).max() <= 1
        assert pd.loud(2.0, "spectrum-run 1") > 1e-4
        later = pd.array("spectrum-magnitude", tmp_path / "later.wav")
        assert (later != loudness).any()
    assert not pd.complaints, pd.stderr


def test_the_flow_of_messages_of_the_course_plays(port: int, tmp_path: Path) -> None:
    with Player(tmp_path, "sopi.pd", port) as pd:
        for message, answer in (
            ("load ../models/all_instruments 4", "loaded 64000 16000"),
            ("randomize_z sopi-z1 sopi-z2", "randomized"),
            ("slerp_z sopi-z1 sopi-z2 sopi-z3 0.5", "slerped"),
            ("synthesize sopi-z1 sopi-sound1 52 sopi-z3 sopi-sound2 55", "synthesized"),
        ):
            pd.send(f"sopi-in {message}")
            pd.wait(f"sopi: {answer}", timeout=30)
        z = [pd.array(f"sopi-z{n}", tmp_path / f"z{n}.wav") for n in (1, 2, 3)]
        first = pd.array("sopi-sound1", tmp_path / "first.wav")
        second = pd.array("sopi-sound2", tmp_path / "second.wav")
        assert len(first) == len(second) == 64000
        assert np.abs(first).max() > 0.01
        assert z[2] @ z[0] > 0.5 * z[0] @ z[0] > 0
        pd.send("sopi-in load_ganspace_components all.pickle sopi-edits")
        pd.wait("sopi: loaded_pca")
        edits = pd.array("sopi-edits", tmp_path / "edits.wav")
        assert 10 < len(edits) < 8192
        assert not edits.any()
        pd.send("sopi-in synthesize_noz sopi-sound1 45 2 -1 -- sopi-sound2 45 sopi-edits")
        pd.wait("sopi: synthesized", timeout=30)
        bare = pd.array("sopi-sound1", tmp_path / "bare.wav")
        assert (bare != pd.array("sopi-sound2", tmp_path / "middle.wav")).any()
        pd.send("sopi-edits 0 2 -1", "sopi-in synthesize_noz sopi-sound2 45")
        pd.wait("sopi: synthesized", timeout=30)
        np.testing.assert_array_equal(bare, pd.array("sopi-sound2", tmp_path / "again.wav"))
        pd.send("sopi-in synthesize sopi-z1 sopi-sound2 52")
        pd.wait("sopi: synthesized", timeout=30)
        assert (first != pd.array("sopi-sound2", tmp_path / "edited.wav")).any(), "moved along"
        pd.send("sopi-in hallucinate sopi-sound1 2 1 0.3 0 0.1 0.2 0.1")
        size = int(pd.wait("sopi: hallucinated", timeout=30).split()[-1])
        dream = pd.array("sopi-sound1", tmp_path / "dream.wav")
        assert 4 * len(dream) == size
        assert np.abs(dream).max() > 0.01
        pd.send("sopi-in load nonsense")
        pd.wait("sopi: fail /checkpoint/load")
    assert not pd.said("error"), pd.stderr
