"""The real server over a real socket, with python-osc as an independent peer."""

import random
import signal
import socket
import struct
import time

import numpy as np
import pytest
import soundfile

import gansynth_server as gs
from gansynth_server.latent.vectors import slerp
from gansynth_server.osc.table import TABLE
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.note import Note
from tests.support.bundled import draw
from tests.support.client import Client
from tests.support.server import ServerProcess, run_server


def test_ready_line_says_what_it_is(server):
    line = server.lines[-1]
    for part in ("all_instruments", "latent 256", "pitches 24-84", "cpu", "latency", "none"):
        assert part in line


def test_status_version_and_table_order(peer):
    reply = peer.ask("/status")
    assert reply[0] == "/status.reply" and len(reply) == 10
    voices, waiting, clients, average, peak, rate, underruns, follow, failures = reply[1:]
    assert failures >= 0
    assert (rate, follow) == (48000, 0)
    assert (
        voices >= 0
        and waiting >= 0
        and clients >= 1
        and average >= 0
        and peak >= 0
        and underruns >= 0
    )
    numbers = [int(n) for n in gs.__version__.split(".")]
    assert peer.ask("/version") == ("/version.reply", "gansynth-server", *numbers)


def test_latents(peer):
    peer.send("/z/random", "a", 11)
    assert np.allclose(peer.ask("/z/get", "a")[2:], draw(11))
    peer.send("/z/random", "b", 12.0, 0.5)
    assert np.allclose(peer.ask("/z/get", "b")[2:], draw(12, 0.5))
    peer.send("/z/slerp", "c", "a", "b", 0.3)
    expected = slerp(draw(11), draw(12, 0.5), 0.3)
    assert np.allclose(peer.ask("/z/get", "c")[2:], expected, atol=1e-6)
    z = np.linspace(-2, 2, 256).astype(np.float32)
    peer.send("/z/set", "blob", z.astype(">f4").tobytes())
    assert np.array_equal(np.float32(peer.ask("/z/get", "blob")[2:]), z)
    peer.send("/z/set", 3, *z.tolist())
    assert peer.ask("/z/get", 3.0)[1] == "3"  # a slot may be a number, of either type
    peer.send("/z/preset", "z", "violin")
    violin = gs.load("all_instruments").preset("violin")
    assert np.allclose(peer.ask("/z/get", "z")[2:], violin)


def test_notes_tell_when_they_start_and_end(peer):
    assert peer.ask("/notify", 1)[:2] == ("/done", "/notify")
    peer.send("/note", 60, 100)
    assert peer.until("/note/start") == ("/note/start", 60)
    assert peer.ask("/status")[1] >= 1
    peer.send("/note/off", 60.0)
    assert peer.until("/note/end") == ("/note/end", 60)
    peer.send("/note", 64.0, 100.0, 7, "z")
    assert peer.until("/note/start") == ("/note/start", 7)
    peer.send("/note", 64, 0, 7)
    assert peer.until("/note/end") == ("/note/end", 7)
    peer.send("/note/hz", 440.0, 100, "lead")
    assert peer.until("/note/start") == ("/note/start", "lead")
    peer.send("/allnotesoff")
    assert peer.until("/note/end") == ("/note/end", "lead")
    peer.send("/note", 60.5, 100)
    assert peer.until("/note/start") == ("/note/start", 60.5)
    begun = time.monotonic()
    peer.send("/allsoundoff")
    assert peer.until("/note/end") == ("/note/end", 60.5)
    assert time.monotonic() - begun < 0.25  # the release alone would take 0.3 s


def test_same_id_again_is_a_new_note(peer):
    peer.ask("/notify", 1)
    peer.send("/note", 60, 100, 5)
    peer.until("/note/start")
    peer.send("/note", 60, 100, 5)
    # the first may be over before the second is rendered
    assert {peer.receive(), peer.receive()} == {("/note/start", 5), ("/note/end", 5)}
    assert peer.ask("/status")[1] >= 1
    peer.send("/note/off", 5)
    assert peer.until("/note/end") == ("/note/end", 5)


def test_a_burst_of_a_hundred_notes_loses_none(peer):
    peer.ask("/notify", 1)
    for i in range(100):
        peer.send("/note", 24 + i % 61, 100, 1000 + i)
    peer.send("/status")
    started, ended, waited = set(), set(), 0
    while len(ended) < 100:
        reply = peer.receive(30)
        if reply[0] == "/status.reply":
            waited = reply[2]
        elif reply[0] == "/note/start":
            started.add(reply[1])
        elif reply[0] == "/note/end":
            ended.add(reply[1])
        assert reply[0] != "/fail"
    assert started == ended == {1000 + i for i in range(100)}
    assert waited > 0


def peer_status_waiting(peer) -> int:
    peer.send("/status")
    while (reply := peer.receive())[0] != "/status.reply":
        pass
    return int(reply[2])


def test_checkpoint_messages(peer):
    assert "all_instruments" in peer.ask("/checkpoint/list")
    info = peer.ask("/checkpoint/info")
    assert info[:5] == ("/checkpoint/info.reply", "all_instruments", 256, 24, 84)
    assert "violin" in info
    peer.ask("/notify", 1)
    assert peer.ask("/checkpoint/load", "all_instruments")[1:] == (
        "/checkpoint/load",
        "all_instruments",
    )
    assert peer.receive() == ("/checkpoint", "all_instruments")


def test_sync_waits_for_renders(peer):
    peer.ask("/notify", 1)
    for i in range(4):
        peer.send("/note", 60 + i, 100)
    peer.send("/sync", 5)
    addresses = []
    while "/synced" not in addresses:
        addresses.append(peer.receive()[0])
    assert peer_status_waiting(peer) == 0


def test_synthesize_gives_the_whole_note_in_chunks(peer):
    peer.send("/z/random", "z", 21)
    peer.send("/synthesize", "sound", 62)
    reply = peer.until("/synthesized")
    assert reply == ("/synthesized", "sound", 64000, 16000, 63)
    wave = np.zeros(64000, np.float32)
    for k in range(63):
        _, name, chunk, onset, *samples = peer.ask("/synthesize/get", "sound", k)
        assert (name, chunk) == ("sound", k)
        wave[onset : onset + len(samples)] = samples
    model = gs.load("all_instruments")
    assert np.abs(wave - model.generate_batch(draw(21)[None], [62])[0]).max() < 1e-5


def pull(peer, number, id):
    reply = peer.ask("/stream/pull", float(number), float(id))
    assert reply[0] == "/b", reply
    return reply


def test_stream_is_the_offline_note_to_the_sample(peer):
    done = peer.ask("/stream/open", 48000.0, 512.0, 4.0)
    assert done[:2] == ("/done", "/stream/open")
    id, latency = done[2:]
    assert 0 < id < 2**24 and 42 < latency < 46
    peer.send("/z/random", "z", 77)
    peer.send("/note", 69, 100)
    peer.sync()
    blocks = [pull(peer, k, id) for k in range(200)]
    for k, block in enumerate(blocks):
        assert block[1:3] == (k, k % 64 * 512) and len(block) == 3 + 512
    live = np.concatenate([np.float32(block[3:]) for block in blocks])
    model = gs.load("all_instruments")
    bus = Bus(48000, 1)
    spectrum = model.backend.render(draw(77)[None], np.array([45]))[0]
    bus.start(Note(0, 69, 69, 100, 69, spectrum=spectrum))
    offline = bus.render(len(live))[0]
    assert np.abs(offline).max() > 0.02
    assert np.abs(live - offline).max() < 1e-5


def test_pull_rules(peer):
    id = peer.ask("/stream/open", 44100, 256, 2)[2]
    assert peer.ask("/stream/open", 44100, 256, 2)[2] == id  # asked twice, opened once
    peer.send("/note", 60, 100)
    peer.sync()
    first, second = pull(peer, 1000, id), pull(peer, 1001, id)
    assert pull(peer, 1000, id) == first and pull(peer, 1001, id) == second
    jumped = pull(peer, 1010, id)
    assert jumped[1] == 1010 and np.any(jumped[3:])
    assert not np.any(pull(peer, 1005, id)[3:])  # past, and never asked for
    assert pull(peer, 0, id)[1] == 0  # counting anew
    fail = peer.ask("/stream/pull", 5, id % 2**23 + 1)
    assert fail[:2] == ("/fail", "/stream/pull")
    assert peer.ask("/stream/close") == ("/done", "/stream/close")
    assert peer.ask("/stream/pull", 6, id)[0] == "/fail"


def test_clients_have_their_own_latents_and_streams(server, peer):
    other = Client(server.port)
    peer.send("/z/random", "mine", 1)
    assert other.ask("/z/get", "mine")[:2] == ("/fail", "/z/get")
    id = other.ask("/stream/open", 48000, 64, 4)[2]
    assert peer.ask("/stream/pull", 0, id)[0] == "/fail"
    peer.send("/note", 60, 100)
    peer.sync()
    assert not any(np.any(pull(other, k, id)[3:]) for k in range(50))
    other.send("/stream/close")
    other.close()


def test_a_closed_stream_leaves_no_voices(server, peer):
    with Client(server.port) as other:
        for _ in range(100):  # until what earlier clients have left has faded out
            if not other.status()[1]:
                break
            time.sleep(0.02)
        id = peer.ask("/stream/open", 48000, 512, 4)[2]
        peer.send("/hold", 1)
        peer.send("/note", 60, 100)
        peer.sync()
        pull(peer, 0, id)
        assert other.status()[1] == 1
        assert peer.ask("/stream/close") == ("/done", "/stream/close")
        assert other.status()[1] == 0


NAN = float("nan")
BAD = [
    ("/nope", ()),
    ("/note", ()),
    ("/note", ("sixty", 100)),
    ("/note", (60, "loud")),
    ("/note", (60, 128)),
    ("/note", (NAN, 100)),
    ("/note", (-1, 100)),
    ("/note", (128, 100)),
    ("/note", (60, 100, 1, "no_such_slot")),
    ("/note", (60, 100, 1, "z", "more")),
    ("/note/hz", (1e9, 100)),
    ("/z/set", ("z", *[0.0] * 255)),
    ("/z/set", ("z", *[0.0] * 255, NAN)),
    ("/z/set", ("z", struct.pack(">256f", *[float("inf")] * 256))),
    ("/z/set", ("z", b"abc")),
    ("/z/set", ("z", "text")),
    ("/z/get", ("no_such_slot",)),
    ("/z/slerp", ("c", "z", "no_such_slot", 0.5)),
    ("/z/slerp", ("c", "z", "z", 1.5)),
    ("/z/preset", ("z", "no_such_preset")),
    ("/z/random", ("z", -1)),
    ("/checkpoint/load", ("../../etc/passwd",)),
    ("/synthesize", ("a", 200)),
    ("/synthesize/get", ("never", 0)),
    ("/stream/open", (1e9, 512, 4)),
    ("/stream/open", (48000, 512.5, 4)),
    ("/stream/pull", (0, 1)),
]


def test_bad_input_fails_with_a_reason_and_the_sound_goes_on(server, peer):
    player = Client(server.port)
    id = player.ask("/stream/open", 48000, 512, 4)[2]
    player.send("/z/preset", "z", "drawbar_organ")
    player.send("/note", 60, 100)
    player.sync()
    levels = []
    for k, (address, args) in enumerate(BAD):
        reply = peer.ask(address, *args)
        assert reply[:2] == ("/fail", address), (address, args, reply)
        assert len(reply) == 3 and len(str(reply[2])) > 8
        levels.append(np.abs(pull(player, k, id)[3:]).max())
    assert min(levels[5:]) > 1e-3
    player.close()


def test_no_datagram_ends_the_server(server, peer):
    rng = random.Random(5)
    seeds = [
        b"/note\0\0\0,ff\0\x42\x70\0\0\x42\xc8\0\0",
        b"#bundle\0" + bytes(8) + b"\0\0\0\x10/status\0,\0\0\0\0\0\0\0",
        b"/" + b"*" * 40 + b"x\0\0,\0\0\0",
    ]
    for _ in range(3000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        peer.socket.send(bytes(data[: rng.randrange(1, len(data) + 1)]))
    peer.socket.send(b"/qui?\0\0\0,\0\0\0")  # a pattern must not end it either
    fresh = Client(server.port)
    for _ in range(30):  # the first may be lost in the flood
        fresh.send("/version")
        try:
            assert fresh.until("/version.reply", 1)[1] == "gansynth-server"
            break
        except TimeoutError:
            continue
    else:
        raise AssertionError(f"no answer: {server.errors[-5:]}")
    fresh.close()


def test_every_row_has_a_handler_and_its_example_is_understood(server):
    peer = Client(server.port)
    for row in TABLE:
        if row.address in ("/quit", "/stream/pull", "/stream/join", "/stream/at"):
            continue  # each has a test of its own
        peer.send(row.address, *row.example)
        peer.send("/sync", 99)
        replies = []
        while (reply := peer.receive(60)) != ("/synced", 99):
            replies.append(" ".join(map(str, reply)))
        assert not [r for r in replies if r.startswith("/fail")], (row.address, replies)
        if row.reply:
            documented = row.reply.split("`")[1]
            assert [r for r in replies if r.startswith(documented)], (row.address, replies)
    peer.close()


def test_message_for_a_sample_of_the_stream(peer):
    assert peer.ask("/stream/at", 0, 0.0, "/note", 60, 100)[:2] == ("/fail", "/stream/at")
    stream = peer.ask("/stream/open", 48000, 512, 4)[2]
    assert peer.ask("/stream/pull", 0, stream)[0] == "/b"
    assert peer.ask("/stream/at", 0, 100.0, 7)[:2] == ("/fail", "/stream/at")
    assert peer.ask("/stream/at", 0, 48000.0 * 3600, "/note")[:2] == ("/fail", "/stream/at")
    sound = []
    begun = time.monotonic()
    for block in range(1, 300):
        if block == 150:  # the link of the clocks is found by then
            peer.send("/stream/at", block, 24000.0, "note", 60, 100, "later")
        _, number, _, *samples = peer.ask("/stream/pull", block, stream)
        assert number == block
        sound += samples
        time.sleep(max(0.0, begun + block * 512 / 48000 - time.monotonic()))
    begin = next(n for n, sample in enumerate(sound) if sample)
    due = (150 - 1) * 512 + 24000
    assert due <= begin <= due + 200, "the limiter's delay, and a soft beginning"


def test_spectrum_is_that_of_the_network(peer):
    peer.send("/z/set", "flat", *[0.5] * 256)
    assert peer.ask("/spectrum/frame", 3)[:2] == ("/fail", "/spectrum/frame")
    _, slot, pitch, frames, bins, *levels = peer.ask("/spectrum", 60, "flat")
    assert (slot, pitch, frames, bins, len(levels)) == ("flat", 60, 128, 1024, 128)
    image = gs.load("all_instruments").spectra(np.full((1, 256), 0.5, np.float32), [60])[0]
    np.testing.assert_allclose(levels, image[..., 0].mean(axis=1), atol=1e-5)
    peer.send("/spectrum/frame", 20)
    for place, address in enumerate(("/magnitude", "/frequency")):
        reply = peer.receive()
        assert reply[:2] == (address, 20)
        np.testing.assert_allclose(reply[2:], image[20, :, place], atol=1e-5)


def test_patterns_reach_the_messages_they_match(peer):
    peer.send("/{version,nothing}")
    assert peer.receive()[0] == "/version.reply"


def test_a_new_server_is_silent_and_quit_ends_it_cleanly():
    with ServerProcess("--output", "none") as process:
        peer = Client(process.port)
        assert peer.ask("/status")[1:4] == (0, 0, 1)
        peer.send("/note", 60, 100)
        assert peer.ask("/quit") == ("/done", "/quit")
        assert process.process.wait(timeout=20) == 0
        assert not process.errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_cleanly_and_the_file_holds_the_sound(number, tmp_path):
    out = tmp_path / "out.wav"
    with ServerProcess("--output", str(out)) as process:
        peer = Client(process.port)
        peer.ask("/notify", 1)
        peer.send("/z/preset", "z", "drawbar_organ")
        peer.send("/note", 69, 100)
        peer.until("/note/start")
        time.sleep(1.5)
        process.process.send_signal(number)
        assert process.process.wait(timeout=20) == 0
        assert not process.errors
    sound, rate = soundfile.read(out)
    assert rate == 48000 and np.abs(sound).max() > 0.01
    assert np.abs(sound).max() <= 1


def test_a_taken_port_says_what_to_do():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        done = run_server("--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "--port" in done.stderr and "gansynth-server" in done.stderr
    assert done.stderr.count("\n") == 1 and not done.stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--checkpoint", "nothing_like_it"), "all_instruments"),
        (("--torch-device", "abacus"), "cpu"),
        (("--output", "song.mp7"), ".wav"),
        (("--port", "70000"), "--port"),
        (("--threads", "-3"), "--threads"),
        (("--max-voices", "0"), "--max-voices"),
        (("--rate", "4000"), "16000"),
    ],
)
def test_bad_flags_are_one_line_and_exit_one(flags, words):
    done = run_server("--port", "0", "--output", "none", *flags)
    assert done.returncode == 1 and words in done.stderr
    assert done.stderr.count("\n") == 1


def test_version_flag():
    assert run_server("--version").stdout == f"gansynth-server {gs.__version__}\n"
