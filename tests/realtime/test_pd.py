"""Facts about the Pd patches: the abstraction against a fake server and against the real one."""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from tests.support.bundled import draw
from tests.support.pd_harness import BENCH, PATCHES, RATE, Bench, Pd, require_pd, require_sigmund

pytestmark = pytest.mark.real_time

BLOCK = 512
Samples = NDArray[np.float32]


@pytest.fixture(autouse=True)
def _pd() -> None:
    require_pd()


def block_of(number: int, size: int = BLOCK) -> Samples:
    """The sound of the fake server: noise, known block by block."""
    noise = np.random.default_rng(number).uniform(-0.5, 0.5, size)
    return noise.astype(np.float32)


class FakeServer:
    """Answers like gansynth-server as far as the patches can tell, on a thread of its own."""

    def __init__(self, port: int = 0, awake: bool = True) -> None:
        self.awake = threading.Event()
        if awake:
            self.awake.set()
        self.messages: list[tuple[Any, ...]] = []  # all but the pulls: address, arguments…
        self.pulls: list[int] = []
        self.drop: set[int] = set()  # blocks that get lost on their way
        self.refusal = ""  # to /stream/open
        self.replies: dict[str, Callable[..., list[tuple[Any, ...]]]] = {}
        self.stream = 0
        self.block = BLOCK
        self.stereo = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self._socket.settimeout(0.05)
        self.port: int = self._socket.getsockname()[1]
        self._ending = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self._ending = True
        self.awake.set()
        self._thread.join(5)
        self._socket.close()

    def said(self, address: str) -> list[tuple[Any, ...]]:
        return [message for message in self.messages if message[0] == address]

    def until(self, true: Callable[[], bool], timeout: float = 15.0) -> None:
        """Waits for something to come."""
        patience = time.monotonic() + timeout
        while not true():
            assert time.monotonic() < patience, self.messages
            time.sleep(0.01)

    def _run(self) -> None:
        self.awake.wait()
        while not self._ending:
            try:
                datagram, self._client = self._socket.recvfrom(65536)
            except OSError:
                continue
            message = OscMessage(datagram)
            self._answer(message.address, *message.params)

    def _answer(self, address: str, *args: Any) -> None:
        if address == "/stream/pull":
            number, stream = int(args[0]), int(args[1])
            if not self.stream or stream != self.stream:
                self.send("/fail", address, "no such stream")
                return
            self.pulls.append(number)
            if number not in self.drop:
                samples = block_of(number, self.block)
                heads = float(number), float(number % 64 * self.block)
                blocks = [self.packet("/b", *heads, *samples)]
                if self.stereo:
                    blocks.append(self.packet("/r", *heads, *-samples[::-1]))
                self._socket.sendto(bundle(blocks), self._client)
            return
        self.messages.append((address, *args))
        if address == "/stream/open" and self.refusal:
            self.send("/fail", address, self.refusal)
        elif address == "/stream/open":
            self.block = int(args[1])
            self.stream = 2**24 - 1 - len(self.messages)
            self.send("/done", address, self.stream, 42.7)
        elif address == "/notify":
            self.send("/done", address, 0, 64)
        elif address in self.replies:
            for reply in self.replies[address](*args):
                self.send(*reply)

    def send(self, address: str, *args: Any) -> None:
        self._socket.sendto(self.packet(address, *args), self._client)

    @staticmethod
    def packet(address: str, *args: Any) -> bytes:
        builder = OscMessageBuilder(address)
        for arg in args:
            kind = "s" if isinstance(arg, str) else "i" if isinstance(arg, int) else "f"
            builder.add_arg(float(arg) if kind == "f" else arg, kind)
        return builder.build().dgram


def bundle(packets: list[bytes]) -> bytes:
    """One message as it is, several as a bundle."""
    if len(packets) == 1:
        return packets[0]
    now = (1).to_bytes(8)
    return b"#bundle\0" + now + b"".join(len(p).to_bytes(4) + p for p in packets)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sound_from(recording: Samples, numbers: list[int], size: int = BLOCK) -> Samples:
    """The recording from the first of these blocks on, checked to hold them all, bit by bit.

    A negative number stands for a block of silence.
    """
    silence = np.zeros(size, np.float32)
    expected = np.concatenate([silence if n < 0 else block_of(n, size) for n in numbers])
    starts = np.flatnonzero(recording == expected[0])
    assert len(starts) == 1, "the first block never sounded"
    heard = recording[starts[0] :][: len(expected)]
    assert len(heard) == len(expected), "the recording is too short"
    np.testing.assert_array_equal(heard, expected)
    return recording[starts[0] :]


@pytest.mark.parametrize("patch", sorted(p.name for p in PATCHES.glob("*.pd")))
def test_patches_load_without_complaint(patch: str) -> None:
    if "follow" in patch:
        require_sigmund()
    with Pd(PATCHES / patch, "pd quit") as pd:
        assert pd.exit_status() == 0
    assert not pd.complaints, pd.stderr


def test_sound_is_bit_exact(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port) as pd:
        pd.record(tmp_path / "sound.wav")
        pd.send("pd dsp 1")
        pd.wait("gansynth: connected 1")
        server.until(lambda: len(server.pulls) > 150)  # the ring goes round twice
        recording = pd.recorded(tmp_path / "sound.wav")
    first = server.pulls[0]
    heard = sound_from(recording, list(range(first, first + 110)))
    assert not recording[: len(recording) - len(heard)].any(), "sound before the first block"
    assert server.pulls == list(range(first, first + len(server.pulls)))
    assert not pd.said("gansynth: underrun")
    assert not pd.complaints, pd.stderr


def test_lost_blocks_are_silent_and_counted(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port) as pd:
        pd.record(tmp_path / "sound.wav")
        server.until(lambda: bool(server.said("/notify")))
        server.drop = {20, 21, 50}
        pd.send("pd dsp 1")
        server.until(lambda: len(server.pulls) > 100)
        recording = pd.recorded(tmp_path / "sound.wav")
    first = server.pulls[0]
    numbers = [-1 if n in server.drop else n for n in range(first, first + 65)]
    sound_from(recording, numbers)
    counts = [line.split()[-1] for line in pd.said("gansynth: underrun")]
    assert counts == ["1", "2", "3"]
    assert not pd.complaints, pd.stderr


def test_server_that_comes_later(tmp_path: Path) -> None:
    port = free_port()
    with Bench(tmp_path, port) as pd:
        pd.record(tmp_path / "sound.wav")
        pd.send("pd dsp 1", "gansynth note 60 100")
        time.sleep(1)
        assert not pd.said("gansynth:"), "nobody is there to say anything"
        with FakeServer(port) as server:
            pd.wait("gansynth: connected 1")
            server.until(lambda: len(server.pulls) > 60)
            recording = pd.recorded(tmp_path / "sound.wav")
            first = server.pulls[0]
            sound_from(recording, list(range(first, first + 20)))
    assert not pd.said("gansynth: underrun")
    assert not pd.complaints, pd.stderr


def test_server_that_is_restarted(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port) as pd:
        pd.send("pd dsp 1")
        pd.wait("gansynth: connected 1")
        server.until(lambda: len(server.pulls) > 5)
        server.end()
        pd.wait("gansynth: connected 0")
        pd.record(tmp_path / "sound.wav")
        pd.settle()
        with FakeServer(server.port) as server2:
            pd.wait("gansynth: connected 1")
            server2.until(lambda: len(server2.pulls) > 60)
            recording = pd.recorded(tmp_path / "sound.wav")
            first = server2.pulls[0]
            sound_from(recording, list(range(first, first + 20)))
            assert first > server.pulls[-1], "k goes on"
            assert len(server2.said("/notify")) == 1
    assert not pd.complaints, pd.stderr


def test_stream_that_the_server_forgot_is_opened_again(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port) as pd:
        pd.send("pd dsp 1")
        pd.wait("gansynth: connected 1")
        server.until(lambda: len(server.pulls) > 5)
        server.stream = 0
        pd.wait("gansynth: connected 0")
        pd.wait("gansynth: connected 1")
        pulled = len(server.pulls)
        server.until(lambda: len(server.pulls) > pulled + 5)
        assert len(server.said("/stream/open")) == len(server.said("/notify")) == 2
    assert not pd.said("gansynth: fail")
    assert not pd.complaints, pd.stderr


def test_refused_stream_is_told_once(tmp_path: Path) -> None:
    with FakeServer() as server:
        server.refusal = "too many clients"
        with Bench(tmp_path, server.port) as pd:
            pd.send("pd dsp 1")
            pd.wait("gansynth: fail /stream/open")
            begun = time.monotonic()
            server.until(lambda: len(server.said("/stream/open")) >= 4)
            assert time.monotonic() - begun > 0.9, "asked more often than each half second"
            assert not server.pulls
            server.refusal = ""
            pd.wait("gansynth: connected 1")
    assert len(pd.said("gansynth: fail")) == 1
    assert not pd.complaints, pd.stderr


def test_without_dsp_it_only_says_hello(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port) as pd:
        pd.wait("gansynth: connected 1")
        time.sleep(1.5)
        assert not server.pulls
        assert [m[0] for m in server.messages] == ["/stream/open", "/notify"]
    assert not pd.said("gansynth: connected 0")


@pytest.mark.parametrize(
    ("block", "ahead", "opened"),
    [(0, 0, (512, 4)), (1000, 3.5, (960, 3)), (9999, 99, (2048, 60)), (1, 1, (64, 1))],
)
def test_arguments(tmp_path: Path, block: int, ahead: int, opened: tuple[int, int]) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port, block, ahead) as pd:
        pd.wait("gansynth: connected 1")
    assert server.messages[0] == ("/stream/open", RATE, *opened, 1)


def test_small_blocks_are_bit_exact(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port, 192, 50) as pd:
        pd.record(tmp_path / "sound.wav")
        pd.send("pd dsp 1")
        server.until(lambda: len(server.pulls) > 200)
        recording = pd.recorded(tmp_path / "sound.wav")
    first = server.pulls[0]
    sound_from(recording, list(range(first, first + 140)), 192)
    assert not pd.said("gansynth: underrun")


def test_block_numbers_wrap(tmp_path: Path) -> None:
    patches = shutil.copytree(PATCHES, tmp_path / "patches")
    text, changed = re.subn(
        r"(#X msg \d+ \d+) 131072;", r"\1 1;", (patches / "gansynth-core~.pd").read_text()
    )
    assert changed == 1, "the message that becomes 2^23 by [* 64]"
    (patches / "gansynth-core~.pd").write_text(text)
    with FakeServer() as server, Bench(tmp_path, server.port, path=patches) as pd:
        pd.record(tmp_path / "sound.wav")
        pd.send("pd dsp 1")
        server.until(lambda: len(server.pulls) > 150)
        recording = pd.recorded(tmp_path / "sound.wav")
    assert set(server.pulls) == set(range(64))
    first = server.pulls[0]
    begin = int(np.flatnonzero(recording)[0])
    expected = np.concatenate([block_of((first + n) % 64) for n in range(110)])
    np.testing.assert_array_equal(recording[begin:][: len(expected)], expected)
    assert not pd.said("gansynth: underrun")


MESSAGES = {
    "note 60 100": ("/note", 60, 100),
    "note 60 0": ("/note", 60, 0),
    "note 60.25 100 7 z": ("/note", 60.25, 100, 7, "z"),
    "60 100": ("/note", 60, 100),
    "note/off 7": ("/note/off", 7),
    "/note/hz 440 100 a": ("/note/hz", 440, 100, "a"),
    "random": ("/z/random", "z"),
    "random a": ("/z/random", "a"),
    "random a 42 0.5": ("/z/random", "a", 42, 0.5),
    "load acoustic_only": ("/checkpoint/load", "acoustic_only"),
    "preset violin": ("/z/preset", "z", "violin"),
    "preset violin a": ("/z/preset", "a", "violin"),
    "play s violin note 4 sustain 0.5": ("/play", "s", "violin", "note", 4, "sustain", 0.5),
    "tuning a4 442": ("/tuning", "a4", 442),
    "help /note": ("/help", "/note"),
    "midi/cc 74 brightness 6": ("/midi/cc", 74, "brightness", 6),
    "midi/join 1": ("/midi/join", 1),
    "allnotesoff": ("/allnotesoff",),
    "allsoundoff": ("/allsoundoff",),
    "status": ("/status",),
    "z/set a 1 -2.5 0.1": ("/z/set", "a", 1, -2.5, np.float32(0.1)),
    "z/slerp to a b 0.5": ("/z/slerp", "to", "a", "b", 0.5),
    "/checkpoint/list": ("/checkpoint/list",),
    "checkpoint/info": ("/checkpoint/info",),
    "synthesize note 60": ("/synthesize", "note", 60),
    "bend a 0.5 20": ("/note/bend", "a", 0.5, 20),
    "morph 60 b 500": ("/note/morph", 60, "b", 500),
    "walk z 0.5": ("/z/walk", "z", 0.5),
    "follow z": ("/z/follow", "z"),
    "hold 1": ("/hold", 1),
    "pca z 0 1.5": ("/pca", "z", 0, 1.5),
}


def test_messages_leave_as_osc(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port) as pd:
        pd.wait("gansynth: connected 1")
        server.until(lambda: len(server.messages) == 2)
        pd.send(*[f"gansynth {message}" for message in MESSAGES])
        server.until(lambda: len(server.messages) >= 2 + len(MESSAGES))
    assert dict(zip(MESSAGES, server.messages[2:], strict=True)) == MESSAGES
    assert not pd.complaints, pd.stderr


def test_messages_for_later_are_counted_in_samples_of_the_stream(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port) as pd:
        pd.send("pd dsp 1")
        pd.wait("gansynth: connected 1")
        server.until(lambda: len(server.pulls) > 3)
        pd.send("gansynth at 250 note 60 100 a", "gansynth at 0 bend a 2", "gansynth note 61 100")
        server.until(lambda: bool(server.said("/note")))
        pulled = server.pulls[-1]
    later, now = server.said("/stream/at")
    assert later[3:] == ("/note", 60, 100, "a") or later[3:] == ("note", 60, 100, "a")
    assert now[3:] == ("note/bend", "a", 2)
    assert pulled - 2 <= now[1] <= pulled
    assert 0 <= now[2] < BLOCK
    assert (later[1] - now[1]) * BLOCK + later[2] - now[2] == pytest.approx(0.25 * RATE, abs=4096)
    assert server.said("/note") == [("/note", 61, 100)]
    assert not pd.complaints, pd.stderr


def test_two_channels_are_bit_exact(tmp_path: Path) -> None:
    bench = BENCH.read_text().replace("gansynth~ 57180", "gansynth2~ 57180")
    bench = bench.replace("#X connect 5 1 6 0;", "#X connect 5 2 6 0;\n#X connect 5 1 9 1;")
    with FakeServer() as server:
        server.stereo = True
        text = bench.replace("writesf~ 1", "writesf~ 2")
        with Bench(tmp_path, server.port, text=text) as pd:
            pd.record(tmp_path / "sound.wav")
            pd.send("pd dsp 1")
            server.until(lambda: len(server.pulls) > 150)
            recording = pd.recorded(tmp_path / "sound.wav")
    assert server.messages[0] == ("/stream/open", RATE, BLOCK, 32, 2)
    first = server.pulls[0]
    sound_from(recording[:, 0], list(range(first, first + 110)))
    begin = int(np.flatnonzero(recording[:, 0])[0])
    right = np.concatenate([-block_of(first + n)[::-1] for n in range(110)])
    np.testing.assert_array_equal(recording[begin:][: len(right), 1], right)
    assert not pd.complaints, pd.stderr


def test_answers_come_out_as_messages(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port) as pd:
        pd.wait("gansynth: done /notify")
        server.send("/status.reply", 1, 0, 1, 3.5, 9.25, 48000.0, 0)
        server.send("/note/start", 60)
        server.send("/checkpoint/list.reply", "all_instruments", "acoustic_only")
        server.send("/fail", "/note", "velocity must be 0 to 127")
        server.send("/z", "elsewhere", 0.5, 0.25)
        server.send("/synced", 7)
        pd.wait("gansynth: synced 7")
    assert [line for line in pd.lines if line.startswith("gansynth: ")][-8:] == [
        f"gansynth: done /stream/open {server.stream:g} 42.7",
        "gansynth: done /notify 0 64",
        "gansynth: status.reply 1 0 1 3.5 9.25 48000 0",
        "gansynth: note start 60",
        "gansynth: checkpoint list.reply all_instruments acoustic_only",
        r"gansynth: fail /note velocity\ must\ be\ 0\ to\ 127",
        "gansynth: z elsewhere 0.5 0.25",
        "gansynth: synced 7",
    ]
    assert not pd.complaints, pd.stderr


def notes_in_chunks(
    server: FakeServer, waves: dict[str, Samples], lose: set[tuple[str, int]]
) -> None:
    """Makes the server give these notes, and lose some chunks the first time."""

    def synthesize(array: str, pitch: float, slot: str = "z") -> list[tuple[Any, ...]]:
        count = len(waves[array])
        return [("/synthesized", array, count, 16000, -(-count // 1024))]

    def get(array: str, chunk: float) -> list[tuple[Any, ...]]:
        number = int(chunk)
        if (array, number) in lose:
            lose.remove((array, number))
            return []
        part = waves[array][number * 1024 :][:1024]
        return [("/chunk", array, number, number * 1024, *part)]

    server.replies.update({"/synthesize": synthesize, "/synthesize/get": get})


def test_whole_notes_fill_arrays(tmp_path: Path) -> None:
    waves = {"note": block_of(1, 9000), "other": block_of(2, 2048)}
    with FakeServer() as server, Bench(tmp_path, server.port) as pd:
        notes_in_chunks(server, waves, {("note", 2), ("other", 1)})
        pd.wait("gansynth: connected 1")
        pd.send("pd dsp 1", "gansynth synthesize note 60", "gansynth synthesize other 64 a")
        pd.wait("gansynth: synthesized note 9000 16000")
        pd.wait("gansynth: synthesized other 2048 16000")
        for name, wave in waves.items():
            np.testing.assert_array_equal(pd.array(name, tmp_path / f"{name}.wav"), wave)
    asked = [message[1:] for message in server.said("/synthesize/get")]
    assert asked[:5] == [("note", 0), ("note", 1), ("note", 2), ("note", 2), ("note", 3)]
    assert len(asked) == 9 + 1 + 2 + 1
    assert not pd.complaints, pd.stderr


def test_whole_note_that_fails_makes_room_for_the_next(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port) as pd:
        notes_in_chunks(server, {"note": block_of(1, 3000)}, set())
        pd.wait("gansynth: connected 1")
        server.until(lambda: bool(server.said("/notify")))
        good = server.replies["/synthesize/get"]
        server.replies["/synthesize/get"] = lambda *_: [("/fail", "/synthesize/get", "gone")]
        pd.send("gansynth synthesize note 60")
        pd.wait("gansynth: fail /synthesize/get gone")
        server.replies["/synthesize/get"] = good
        server.send("/synthesized", "nowhere", 5000, 16000, 5)
        pd.wait(r"gansynth: fail /synthesize/get no\ array\ named\ nowhere")
        pd.send("gansynth synthesize note 60")
        pd.wait("gansynth: synthesized note 3000 16000")
        wave = pd.array("note", tmp_path / "note.wav")
        np.testing.assert_array_equal(wave, block_of(1, 3000))
    assert server.said("/synthesize/get")[-1][1] != "nowhere"


def test_whole_note_that_never_comes_is_given_up(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port) as pd:
        notes_in_chunks(server, {"other": block_of(1, 3000)}, set())
        get = server.replies.pop("/synthesize/get")
        pd.wait("gansynth: done /notify")
        server.send("/synthesized", "note", 5000, 16000, 5)
        pd.send("gansynth synthesize other 60")
        pd.wait(r"gansynth: fail /synthesize/get no\ answer")
        server.replies["/synthesize/get"] = get
        pd.wait("gansynth: synthesized other 3000 16000")
    assert len([m for m in server.said("/synthesize/get") if m[1] == "note"]) == 1 + 25


def test_latents_live_in_arrays(tmp_path: Path) -> None:
    latent = block_of(3, 256)
    with FakeServer() as server, Bench(tmp_path, server.port) as pd:
        slots = {"z": latent, "b": latent[::-1], "7": latent[:16]}
        server.replies["/z/get"] = lambda slot: [
            ("/z", name := slot if isinstance(slot, str) else f"{slot:g}", *slots[name])
        ]
        pd.wait("gansynth: connected 1")
        pd.send("shape const 0.5", "gansynth latent shape", "gansynth latent shape b")
        server.until(lambda: len(server.said("/z/set")) == 2)
        assert server.said("/z/set") == [("/z/set", slot, *[0.5] * 256) for slot in "zb"]
        pd.send("gansynth getlatent shape", "gansynth getlatent note b", "gansynth z/get b")
        pd.send("gansynth getlatent other 7")
        pd.wait("gansynth: latent shape z")
        pd.wait("gansynth: latent note b")
        pd.wait("gansynth: z b")
        pd.wait("gansynth: latent other 7")
        np.testing.assert_array_equal(pd.array("other", tmp_path / "other.wav"), latent[:16])
        np.testing.assert_array_equal(pd.array("shape", tmp_path / "shape.wav"), latent)
        np.testing.assert_array_equal(pd.array("note", tmp_path / "note.wav"), latent[::-1])
        pd.send("gansynth latent shape a")  # back to the server, bit by bit
        server.until(lambda: len(server.said("/z/set")) == 3)
        assert server.said("/z/set")[-1] == ("/z/set", "a", *latent)
    assert not pd.complaints, pd.stderr


@pytest.mark.parametrize(
    ("patch", "inlet"), [("gansynth.pd", "gansynth"), ("gansynth~-help.pd", "help-messages")]
)
def test_patches_for_people_reach_a_server(patch: str, inlet: str) -> None:
    with FakeServer() as server:
        connect = f"{inlet} connect 127.0.0.1 {server.port}"
        with Pd(PATCHES / patch, connect, f"{inlet} 60 100", "pd dsp 1") as pd:
            server.until(lambda: len(server.pulls) > 5 and bool(server.said("/note")))
            if patch == "gansynth.pd":  # shows the latent
                server.until(lambda: ("/z/get", "z") in server.messages)
    assert not pd.complaints, pd.stderr


def test_pause_of_the_dsp(tmp_path: Path) -> None:
    with FakeServer() as server, Bench(tmp_path, server.port) as pd:
        pd.send("pd dsp 1")
        server.until(lambda: len(server.pulls) > 50)
        pd.send("pd dsp 0")
        time.sleep(1.5)
        pulled = len(server.pulls)
        pd.send("pd dsp 1")
        server.until(lambda: len(server.pulls) > pulled + 50)
        assert len(server.said("/stream/open")) == 1
    assert not pd.said("gansynth: connected 0")
    assert not pd.said("gansynth: underrun")


def test_server_that_is_slow_to_start(tmp_path: Path) -> None:
    with FakeServer(awake=False) as server, Bench(tmp_path, server.port) as pd:
        pd.send("pd dsp 1")
        time.sleep(1.3)  # three requests wait in the socket
        server.awake.set()
        pd.wait("gansynth: connected 1")
        server.until(lambda: len(server.pulls) > 50)
    assert len(server.said("/stream/open")) >= 3
    assert not pd.complaints, pd.stderr


def test_another_server(tmp_path: Path) -> None:
    with (
        FakeServer() as one,
        FakeServer() as other,
        Bench(tmp_path, one.port) as pd,
    ):
        pd.send("pd dsp 1")
        pd.wait("gansynth: connected 1")
        pd.send(f"gansynth connect 127.0.0.1 {other.port}")
        pd.wait("gansynth: connected 0")
        pd.wait("gansynth: connected 1")
        other.until(lambda: len(other.pulls) > 5)
        stopped = len(one.pulls)
        other.until(lambda: len(other.pulls) > 20)
        assert len(one.pulls) == stopped
    assert not pd.complaints, pd.stderr


# the real server


def pitch_of(sound: Samples, near: float) -> float:
    """Hz of the strongest partial within a semitone of a frequency."""
    size = 2**19  # 0.09 Hz a bin: a third of a cent at 440 Hz
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size))
    hertz = np.fft.rfftfreq(size, 1 / RATE)
    spectrum[(hertz < near / 2 ** (1 / 12)) | (hertz > near * 2 ** (1 / 12))] = 0
    return float(hertz[np.argmax(spectrum)])


def test_real_note(port: int, tmp_path: Path) -> None:
    with Bench(tmp_path, port) as pd:
        pd.send("pd dsp 1", "gansynth preset flute")
        pd.wait("gansynth: connected 1")
        pd.record(tmp_path / "note.wav")
        pd.send("gansynth note 69 100")
        pd.wait("gansynth: note start 69")
        time.sleep(3)
        pd.send("gansynth note 69 0")
        pd.settle()
        held = pd.recorded(tmp_path / "note.wav")
        time.sleep(1)
        pd.record(tmp_path / "after.wav")
        time.sleep(0.3)
        after = pd.recorded(tmp_path / "after.wav")
    begin = int(np.flatnonzero(np.abs(held) > 1e-3)[0])
    sound = held[begin + RATE // 2 :][: 2 * RATE]
    assert len(sound) == 2 * RATE, "the note is too short"
    assert np.sqrt(np.mean(sound**2)) > 0.002
    cents = 1200 * np.log2(pitch_of(sound, 440) / 440)
    assert abs(cents) < 10
    assert not pd.said("gansynth: underrun"), pd.stderr
    assert np.abs(after).max() < 1e-4
    assert not pd.complaints, pd.stderr


def test_real_whole_note_and_latent(port: int, tmp_path: Path) -> None:
    with Bench(tmp_path, port) as pd:
        pd.wait("gansynth: connected 1")
        pd.send("gansynth random z 7", "gansynth getlatent shape", "gansynth synthesize note 69")
        pd.wait("gansynth: latent shape z")
        pd.wait("gansynth: synthesized note 64000 16000", timeout=30)
        latent = pd.array("shape", tmp_path / "shape.wav")
        note = pd.array("note", tmp_path / "note.wav")
    assert latent.shape == (256,)
    assert np.allclose(latent, draw(7), atol=1e-3)
    assert note.shape == (64000,)
    assert np.abs(note).max() > 0.01
    assert not pd.said("gansynth: fail"), pd.stderr
    assert not pd.complaints, pd.stderr
