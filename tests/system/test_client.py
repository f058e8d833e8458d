"""``gansynth_server.connect``: the Python client, against a real server process."""

import contextlib
import select
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from pythonosc.osc_bundle import OscBundle

import gansynth_server as gs
from gansynth_server.client import Client, NoReplyError, RequestError
from tests.support.paths import ROOT
from tests.support.server import ServerProcess

RATE, BLOCK = 48000, 512
LATENT = 256


@pytest.fixture(scope="module")
def server():
    with ServerProcess("--output", "none", "--max-clients", "64") as process:
        yield process


@pytest.fixture
def client(server):
    with gs.connect(port=server.port) as client:
        yield client
        client.ask("/allsoundoff")


def test_importing_it_is_quick():
    """No torch, and nothing that needs it."""
    code = "import gansynth_server as gs, sys; gs.connect; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_replies_are_those_of_the_table(client):
    assert client.ask("/version").args[0] == "gansynth-server"
    assert client.ask("/notify", 0).args[0] == "/notify"
    assert client.ask("/help").address == "/help.list"
    assert client.ask("/help", "/note").args[0] == "/note"
    assert client.ask("/hold", 0).address == "/synced"  # has no reply of its own


def test_latents(client):
    z = np.random.default_rng(3).standard_normal(LATENT)
    client.set("a", z)
    assert np.array_equal(client.get("a"), z.astype(np.float32))
    assert client.get("a").dtype == np.float32
    client.random("b", seed=5)
    client.random("c", seed=5)
    assert np.array_equal(client.get("b"), client.get("c"))
    client.random("c")
    assert not np.array_equal(client.get("b"), client.get("c"))
    client.slerp("d", "a", "b", 0.0)
    assert np.allclose(client.get("d"), client.get("a"), atol=1e-5)
    client.set("e", [0.5] * LATENT)
    assert np.array_equal(client.get("e"), np.full(LATENT, 0.5, np.float32))


def test_presets(client):
    names = client.presets()
    assert list(client.ask("/checkpoint/info").args[4:]) == names
    assert {"violin", "vibraphone"} <= set(names)
    client.preset("z", "violin")
    client.preset("y", "vibraphone")
    client.sync()
    assert not np.array_equal(client.get("z"), client.get("y"))


def test_presets_of_more_than_one_reply(client):
    for n in range(300):  # their descriptions take more than a reply's 7 kB
        client.random(f"slot with a rather long name, number {n}", seed=n)
    client.sync()
    assert list(client.ask("/checkpoint/info").args[4:]) == client.presets()


def test_notes_and_events(client):
    client.notify()
    assert client.note(60) == 60
    assert client.note(64, 80, id="lead", slot="z") == "lead"
    started = [client.receive(10.0), client.receive(10.0)]
    assert sorted(str(event.args[0]) for event in started) == ["60", "lead"]
    assert {event.address for event in started} == {"/note/start"}
    assert client.status().voices == 2
    client.release("lead")
    ended = client.receive(10.0)
    assert (ended.address, ended.args) == ("/note/end", ("lead",))
    client.all_notes_off()
    assert client.receive(10.0).args == (60,)
    assert client.status().voices == 0
    client.notify(False)
    client.note(60)
    client.sync()
    assert client.receive(0.3) is None


def test_status(client):
    status = client.status()
    assert status.rate == 48000 and status.clients >= 1 and status.waiting == 0
    assert status.underruns >= 0 and 0 <= status.load <= status.peak


def test_numpy_numbers_and_truths_are_numbers(client):
    client.send("/hold", True)
    client.note(np.float32(60.5), np.int64(100), id=np.int32(7))
    client.send("/note/bend", 7, 2**40)  # beyond an int32, and out of range
    with pytest.raises(RequestError, match="semitones must be"):
        client.sync()
    assert client.ask("/note/off", 7)


def test_fail_that_answers_is_raised(client):
    with pytest.raises(RequestError, match="missing") as caught:
        client.get("missing")
    assert caught.value.address == "/z/get" and caught.value.reason in str(caught.value)
    assert isinstance(caught.value, gs.UserError)
    with pytest.raises(RequestError, match="no such message"):
        client.ask("/nonsense")
    assert [failure.address for failure in client.failures] == ["/nonsense"]


def test_fail_that_was_not_waited_for_is_kept_and_raised_once(client):
    client.preset("z", "no such timbre")
    client.note(999)
    assert client.status()  # another question's reply
    with pytest.raises(RequestError, match="/z/preset"):
        client.sync()
    assert [failure.address for failure in client.failures] == ["/z/preset", "/note"]
    client.sync()


@pytest.mark.parametrize("args", [(object(),), ("a\ud800",), (1e60,), (2**70,)])
def test_what_osc_cannot_hold_is_one_sentence(client, args):
    with pytest.raises(gs.UserError, match="cannot send /z/set"):
        client.send("/z/set", *args)


def test_too_long_a_datagram_is_one_sentence(client):
    with pytest.raises(gs.UserError, match="cannot send"):
        client.send("/z/set", "z", np.zeros(20000))
    client.sync()


def test_nothing_at_the_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NoReplyError, match=rf"127\.0\.0\.1, port {port}.*gansynth-server runs"):
        gs.connect(port=port, timeout=1.0)
    with pytest.raises(gs.UserError, match="no-such-host"):
        gs.connect("no-such-host.invalid")


def test_no_reply_names_the_address_and_what_to_check():
    """A program at the port that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        port = mute.getsockname()[1]
        begun = time.monotonic()
        with pytest.raises(NoReplyError, match=rf"no answer to /login within 0.2 s.*{port}.*--b"):
            gs.connect(port=port, timeout=0.2)
        assert 0.1 < time.monotonic() - begun < 2.0


def test_contexts_close(server):
    with gs.connect(port=server.port) as client:
        assert client.fileno() > 0
        with client.stream() as stream:
            stream.read(0.02)
    assert client.fileno() == -1


def test_select(client):
    client.send("/version")
    assert select.select([client], [], [], 5.0)[0] == [client]
    assert client.receive().address == "/version.reply"
    client.send_datagram(b"/status\0,\0\0\0")
    assert client.receive_datagram(5.0).startswith(b"/status.reply\0")


def onset(sound):
    """The first audible sample."""
    return int(np.argmax(np.abs(sound[0]) > 1e-4))


def render_first(client, pitch):
    """Have a note in the cache, so that it begins when it should."""
    client.preset("z", "acoustic_grand_piano")
    client.notify()
    client.note(pitch)
    assert client.receive(10.0).address == "/note/start"
    client.ask("/allsoundoff")
    client.notify(False)
    time.sleep(0.5)  # its rest is rendered


@pytest.mark.real_time
def test_bundles_land_on_the_sample(client):
    render_first(client, 60)
    with client.stream(RATE, BLOCK, ahead=16) as stream:
        stream.read(1.5)  # the server has found the stream's clock
        when = time.time() + 0.3
        with client.at(when):
            client.note(60, id=1)
        with client.at(when + 0.4):
            client.send("/allsoundoff")
        with client.at(when + 0.5):
            client.note(60, id=1)
        sound = stream.read(1.2)
    first = onset(sound)
    silent = first + round(0.45 * RATE)
    second = silent + onset(sound[:, silent:])
    assert abs(second - first - RATE // 2) <= 1
    assert 0.1 < first / RATE < 0.6


def test_a_bundle_for_now_is_one_datagram(client):
    client.notify()
    with client.at():
        client.note(50)
        client.note(57)
        with pytest.raises(gs.UserError, match="inside of"):
            client.ask("/status")
        with pytest.raises(gs.UserError, match="inside of"), client.at():
            pass
    assert {client.receive(10.0).args, client.receive(10.0).args} == {(50,), (57,)}
    with contextlib.suppress(ZeroDivisionError), client.at():
        client.note(64)
        raise ZeroDivisionError  # nothing is sent
    client.sync()
    assert client.receive(0.3) is None
    for when in (float("nan"), float("inf"), -1e12, 1e12):
        with pytest.raises(gs.UserError, match="time"), client.at(when):
            client.note(64)


def test_a_stream_is_what_its_blocks_are(client):
    render_first(client, 60)
    with client.stream(RATE, BLOCK, channels=2) as stream:
        assert stream.latency == pytest.approx(4 * BLOCK / RATE, abs=0.01) and stream.id > 0
        client.send("/note/pan", "all", 0.3)
        client.note(60)
        begun = time.perf_counter()
        parts = [stream.read(seconds) for seconds in (0.1, 0.001, 0.2)]
        assert time.perf_counter() - begun > 0.25
        assert [part.shape for part in parts] == [(2, 4800), (2, 48), (2, 9600)]
        assert all(part.dtype == np.float32 for part in parts)
        sound = np.concatenate(parts, axis=1)
        assert np.abs(sound).max() > 0.01
        for number in (10, 11):  # the same blocks again, read by python-osc
            client.send("/stream/pull", number, stream.id)
            left, right = OscBundle(client.receive_datagram(5.0))
            span = slice(number * BLOCK, (number + 1) * BLOCK)
            for channel, message in zip(sound, (left, right), strict=True):
                assert message.params[0] == number
                assert np.array_equal(channel[span], np.float32(message.params[2:]))
        assert stream.delay > 0


def test_a_stream_that_rested_goes_on_without_a_rush(client):
    with client.stream(RATE, BLOCK) as stream:
        stream.read(0.1)
        time.sleep(0.3)
        begun = time.perf_counter()
        stream.read(0.2)
        assert time.perf_counter() - begun > 0.15


def test_saved_sound(client, tmp_path):
    with client.stream(RATE, BLOCK) as stream:
        client.note(60)
        stream.save(tmp_path / "note.wav", 0.5)
        stream.save(tmp_path / "note.flac", 0.1)
        with pytest.raises(gs.UserError, match="cannot write"):
            stream.save(tmp_path / "note.mid", 0.1)
    sound, rate = soundfile.read(tmp_path / "note.wav")
    assert rate == RATE and sound.shape == (RATE // 2,) and np.abs(sound).max() > 0.01
    assert soundfile.info(tmp_path / "note.flac").frames == 4800


def test_a_stream_that_the_server_lost_says_so(client):
    stream = client.stream()
    stream.read(0.05)
    client.ask("/stream/close")
    with pytest.raises(RequestError, match="open one"):
        stream.read(0.05)
    client.sync()  # it was raised once
    with pytest.raises(RequestError, match="rate must be"):
        client.stream(rate=1)


def test_a_server_that_ends_is_noticed():
    with ServerProcess("--output", "none") as process:
        client = Client(port=process.port, timeout=1.0)
        stream = client.stream()
        process.stop()
        with pytest.raises(NoReplyError, match=str(process.port)):
            stream.read(0.5)
        stream.close()
        client.close()


def run(code, server, folder):
    """A program with the server's port in the place of the default one."""
    assert "57180" in code
    program = [sys.executable, "-c", code.replace("57180", str(server.port))]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readmes_client_runs(server, tmp_path):
    blocks = (ROOT / "README.md").read_text().split("```python\n")[1:]
    (code,) = [block.split("```")[0] for block in blocks if "gs.connect" in block]
    run(code, server, tmp_path)
    sound, rate = soundfile.read(tmp_path / "chord.wav")
    assert sound.shape == (3 * rate, 2) and np.abs(sound).max() > 0.01


def test_the_example_runs(server, tmp_path):
    code = (ROOT / "examples/play.py").read_text()
    assert run(code, server, tmp_path).endswith("voices sound\n")
