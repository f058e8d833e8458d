"""What a GPU has to show. Where there is none, the same bodies run on the CPU.

All of it is run by ``gansynth gpu`` on a machine that has little more than PyTorch and pytest.
"""

import logging
import shutil
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from gansynth_server import api
from gansynth_server.model import checkpoint
from gansynth_server.model.config import GeneratorConfig
from gansynth_server.model.generator import Generator
from gansynth_server.render.backends import choose as choosing
from gansynth_server.render.backends import cuda as graphs
from gansynth_server.render.backends.base import HEAD, WHOLE
from gansynth_server.render.backends.compiled import Compiled
from gansynth_server.render.backends.cuda import CudaGraphs
from gansynth_server.render.backends.eager import Eager
from gansynth_server.render.folded import Weights, Window, fold
from gansynth_server.render.window_requests import WindowRequest, WindowRequests, answer
from gansynth_server.training.train import train
from tests.support import golden_rule, sines
from tests.support.puller import Puller
from tests.support.server import ServerProcess
from tests.support.training_runs import TINY, train_part

pytestmark = pytest.mark.cuda
CPU = torch.device("cpu")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
each_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
on_a_gpu = pytest.mark.parametrize("device", [pytest.param("cuda", marks=needs_gpu)])
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


@pytest.fixture(scope="module")
def small() -> Generator:
    """Two blocks of 32×512 and 64×1024: quick, and with all that a window has."""
    torch.manual_seed(2)
    config = GeneratorConfig(
        latent_size=12, filters=(8, 4), pitches=(60, 61), start=(64, 512), pitch_bias=True,
        templates=3, phase_templates=2, axes=5,
    )  # fmt: skip
    net = Generator(config).eval().requires_grad_(False)
    for name, tensor in net.state_dict().items():
        if name == "axes" or name.startswith("templates"):  # which begin at zero
            torch.nn.init.normal_(tensor, std=0.3)
    return net


@pytest.fixture(scope="module")
def bundled() -> Generator:
    return checkpoint.load("all_instruments").generator


@pytest.fixture
def few(monkeypatch) -> None:
    """Graphs for up to four notes, for a CPU takes long for more."""
    monkeypatch.setattr(graphs, "BUCKETS", (1, 2, 4))


def notes(net: Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    z = np.random.default_rng(0).standard_normal((count, net.config.latent_size))
    labels = np.arange(count, dtype=np.int64) * 7 % len(net.config.pitches)
    return z.astype(np.float32), labels


def same(ours, theirs, tolerance=1e-5) -> None:
    """Equal to so much, relative to the root mean square; single pixels to 20 times that."""
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype == np.float32
        assert np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)) <= tolerance
        # single pixels that are almost silent before a pixel norm magnify rounding
        assert abs(a - b).max() <= 20 * tolerance * abs(b).max()


def exact(net, z, labels, window=WHOLE) -> list[np.ndarray]:
    """In float64, on the CPU."""
    with torch.inference_mode():
        parts = Window(Weights(net, torch.float64), window)(
            torch.from_numpy(z), torch.from_numpy(labels)
        )
    return [part.numpy() for part in parts]


# graphs


@each_device
def test_graphs_of_every_size_give_the_networks_numbers(device, small, few):
    backend = CudaGraphs(fold(small), torch.device(device), fused=False)
    backend.prepare(12)
    assert [part.window for part in backend.info.slices] == [HEAD, (8, 128)]
    assert [part.batch for part in backend.info.slices] == [4, 4] and backend.info.batch == 4
    for count in (3, 1, 5):  # some are filled up, the last one is more than fit
        z, labels = notes(small, count)
        wanted = exact(small, z, labels)
        same(backend.frames(z, labels, WHOLE), wanted)
        for window in (HEAD, (61, 63)):
            cut = [part[:, slice(*window)] for part in wanted]
            same(backend.frames(z, labels, window), cut)
            same(backend.live(z, labels, window), cut)


@each_device
def test_graphs_leave_what_was_given_alone(device, small, few):
    backend = CudaGraphs(fold(small), torch.device(device), fused=False)
    z, labels = notes(small, 3)
    for run in (
        lambda z: backend.frames(z, labels, WHOLE),
        lambda z: backend.live_at(z, labels, np.array([0, 60, 120]), 8),
        lambda z: [backend.waves(z, labels)],
    ):
        given = run(z)
        copies = [part.copy() for part in given]
        run(z + 1)
        assert all(np.array_equal(a, b) for a, b in zip(given, copies, strict=True))


@each_device
def test_graphs_cut_frames_from_any_places_at_once(device, small, few):
    backend = CudaGraphs(fold(small), torch.device(device), fused=False)
    z, labels = notes(small, 4)
    firsts = np.array([0, 60, 4, 120])
    whole = exact(small, z, labels)
    wanted = [
        np.stack([part[n, first : first + 8] for n, first in enumerate(firsts)]) for part in whole
    ]
    same(backend.live_at(z, labels, firsts, 8), wanted)  # one after another, before it is prepared
    backend.prepare(12)
    same(backend.live_at(z, labels, firsts, 8), wanted)
    requests, given = WindowRequests(), {}
    for n, first in enumerate(firsts):
        requests.put(
            WindowRequest(
                *("somebody", n, backend, z[n], int(labels[n]), (int(first), int(first) + 8)),
                done=lambda *parts, n=n: given.update({n: parts}),
                failed=pytest.fail,
            )
        )
    taken = requests.take()
    assert len(taken) == 4 and not requests
    answer(taken)
    same([np.stack([given[n][k] for n in range(4)]) for k in range(2)], wanted)


@each_device
def test_graphs_make_waves(device, small, few):
    backend = CudaGraphs(fold(small), torch.device(device), fused=False)
    z, labels = notes(small, 3)
    ours, wanted = backend.waves(z, labels), Eager(fold(small), CPU).waves(z, labels)
    # phases are added up over 128 frames, and their errors with them
    assert np.abs(ours - wanted).max() <= 1e-3 * np.abs(wanted).max()


@each_device
def test_graphs_are_captured_while_others_run(device, small, few):
    plays = CudaGraphs(fold(small), torch.device(device), fused=False)
    plays.prepare(12)
    z, labels = notes(small, 1)
    wanted = exact(small, z, labels)
    over, failed = threading.Event(), []

    def play():
        try:
            while not over.is_set():
                same(plays.live(z, labels, WHOLE), wanted)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        for _ in range(2):
            loaded = CudaGraphs(fold(small), torch.device(device), fused=False)
            loaded.prepare(12)
            same(loaded.live(z, labels, WHOLE), wanted)
        same(plays.frames(z, labels, WHOLE), wanted)  # captured beside its own notes
    finally:
        over.set()
        thread.join()
    assert not failed


def test_what_is_asked_of_cuda_comes_in_its_order(small, few, monkeypatch):
    """On the CPU, with stand-ins that only note how they are called."""
    told: list[object] = []

    class Standin:
        def __init__(self, *args):
            told.append(("stream", args[1]) if len(args) == 2 else "made")

        def wait_stream(self, other):
            told.append("stream waits")

        def record(self, stream):
            told.append("event recorded")

        def synchronize(self):
            told.append("event awaited")

        def replay(self):
            told.append("replay")

    @contextmanager
    def capture(graph, **options):
        told.append(("capture", options["pool"], options["capture_error_mode"]))
        yield
        told.append("captured")

    for name, value in {
        "Stream": Standin,
        "Event": Standin,
        "CUDAGraph": Standin,
        "graph": capture,
        "graph_pool_handle": lambda: "pool",
        "current_stream": lambda device: None,
        "stream": lambda stream: nullcontext(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    for name in ("zeros", "empty"):
        plain = getattr(torch, name)
        monkeypatch.setattr(
            torch,
            name,
            lambda *a, pin_memory=False, device=None, plain=plain, **k: (
                (told.append("pinned") if pin_memory else None) or plain(*a, **k)
            ),
        )

    def body(z, labels):
        told.append("body")
        return [z]

    lane = graphs.Lane(body, (1, 12), 12, torch.device("cuda"), True, graphs.URGENT)
    assert told == ["pinned", "pinned", ("stream", graphs.URGENT), "made", "stream waits"]
    told.clear()
    lane.prepare(2)
    lane.prepare(2)
    capture_ = ("capture", "pool", "thread_local")
    assert told == [*["body"] * graphs.WARM_UPS, "made", capture_, "body", "captured"]
    told.clear()
    z, labels = notes(small, 1)
    lane(torch.from_numpy(z), torch.from_numpy(labels), lambda out: out[:, 0])
    assert told == ["replay", "pinned", "event recorded", "event awaited"]
    assert not torch.backends.cudnn.benchmark


@each_device
@needs_compiler
def test_fused_kernels_give_the_same_numbers(device, small, few):
    backend = CudaGraphs(fold(small), torch.device(device), fused=True)
    assert type(backend._window).__name__ == "FusedWindow"
    backend.prepare(12)
    for count in (4, 1):
        z, labels = notes(small, count)
        same(backend.live(z, labels, WHOLE), exact(small, z, labels))


def test_without_a_compiler_it_goes_on_with_a_line(small, few, monkeypatch, caplog):
    from gansynth_server.render.backends import fused

    def broken():
        raise RuntimeError("no such compiler\nand much more")

    monkeypatch.setattr(fused, "_normed", broken)
    fused.can_compile.cache_clear()
    try:
        backend = CudaGraphs(fold(small), CPU, fused=True)
    finally:
        fused.can_compile.cache_clear()
    assert [record.getMessage() for record in caplog.records] == [
        "no kernels can be compiled here (no such compiler): rendering without"
    ]
    z, labels = notes(small, 1)
    same(backend.frames(z, labels, WHOLE), exact(small, z, labels))


# the bundled network


@on_a_gpu
@pytest.mark.parametrize("kind", [Eager, Compiled, CudaGraphs])
def test_every_backend_gives_the_networks_numbers(device, bundled, kind):
    backend = kind(fold(bundled), torch.device(device))
    for count in (3,) if kind is Compiled else (3, 1):  # each takes a compiler its time
        z, labels = notes(bundled, count)
        wanted = exact(bundled, z, labels)
        same(backend.frames(z, labels, WHOLE), wanted)
        if kind is not Compiled:
            same(backend.frames(z, labels, HEAD), [part[:, :8] for part in wanted])


@pytest.mark.parametrize(
    ("device", "precision"),
    [
        ("cpu", "bfloat16"),
        pytest.param("cuda", "bfloat16", marks=needs_gpu),
        pytest.param("cuda", "float16", marks=needs_gpu),
    ],
)
def test_lower_precisions_sound_alike(device, precision, bundled, few):
    z, labels = notes(bundled, 2)
    wanted, _ = exact(bundled, z, labels)
    backend = CudaGraphs(fold(bundled, precision), torch.device(device))
    assert backend.info.precision == precision
    ours, _ = backend.frames(z, labels, WHOLE)
    loud = wanted > 0.01 * wanted.max()
    decibels = 20 * np.log10(ours[loud] / wanted[loud])
    assert 0 < np.sqrt(np.mean(decibels**2)) < 2


@on_a_gpu
def test_float32_is_not_tf32(device):
    Eager(fold(golden_rule.generator(golden_rule.TINY)), torch.device(device))
    torch.manual_seed(0)
    x, kernel = torch.randn(1, 64, 32, 32), torch.randn(64, 64, 3, 3)
    ours = torch.nn.functional.conv2d(x.to(device), kernel.to(device)).cpu()
    wanted = torch.nn.functional.conv2d(x.double(), kernel.double())
    assert (ours - wanted).square().mean().sqrt() < 1e-5 * wanted.square().mean().sqrt()


# memory


def test_a_device_without_memory_is_answered_by_a_line_and_the_cpu(small, few, monkeypatch, caplog):
    backend = CudaGraphs(fold(small), CPU, fused=False)
    whole = choosing.with_fallback(small, backend, torch.OutOfMemoryError)
    whole.prepare(12)
    z, labels = notes(small, 2)
    same(whole.live(z, labels, WHOLE), exact(small, z, labels))
    assert whole.info.name == "cuda graphs cpu" and not caplog.records

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nand more")

    monkeypatch.setattr(graphs.Lane, "__call__", full)
    for run in (whole.live, whole.frames):
        same(run(z, labels, HEAD), exact(small, z, labels, HEAD))
    assert whole.info.name == "eager cpu" and not whole.info.mixed
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(said) == 2 and "Tried to allocate 2 GiB.): going on" in said[0]


def test_other_failures_are_told_unless_a_fallback_was_asked_for(small, few, monkeypatch):
    backend = CudaGraphs(fold(small), CPU, fused=False)
    whole = choosing.with_fallback(small, backend, torch.OutOfMemoryError)

    def broken(*_):
        raise RuntimeError("device-side assert")

    monkeypatch.setattr(graphs.Lane, "__call__", broken)
    with pytest.raises(RuntimeError, match="assert"):
        whole.frames(*notes(small, 1), WHOLE)


def test_graphs_are_fewer_where_memory_is_short(small, few, monkeypatch, caplog):
    prepare = graphs.Lane.prepare

    def short(lane, batch):
        if batch == 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        prepare(lane, batch)

    monkeypatch.setattr(graphs.Lane, "prepare", short)
    backend = CudaGraphs(fold(small), CPU, fused=False)
    backend.prepare(12)
    assert backend.info.batch == backend.info.windows == backend.info.slices[0].batch == 2
    assert "no memory for 4 notes at once" in caplog.text
    z, labels = notes(small, 3)
    same(backend.live(z, labels, WHOLE), exact(small, z, labels))


@on_a_gpu
def test_a_full_gpu_is_answered_by_the_cpu(device, caplog):
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 4e6) / total)
    try:
        model = api.load("all_instruments", device, "auto")
        model.warm()
        assert "cpu" in model.backend.info.name
        assert np.isfinite(model.generate(60).audio).all()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "memory" in caplog.text


# the server


@each_device
def test_a_server_plays_and_changes_its_checkpoint(device, tmp_path, monkeypatch):
    config = replace(golden_rule.TINY, latent_size=256)
    checkpoint.save(tmp_path / "other", golden_rule.generator(config), {})
    name = "all_instruments"
    if device == "cpu":  # where the real one takes its time
        checkpoint.save(tmp_path / name, golden_rule.generator(config), {})
    monkeypatch.setenv(checkpoint.VARIABLE, str(tmp_path))
    with ServerProcess("--output", "none", "--torch-device", device) as server:
        puller = Puller(server.port)
        puller.send("/hold", 1)
        for place, loaded in enumerate((name, "other", name)):
            if place:
                done = ("/done", "/checkpoint/load", loaded)
                puller.send(*done[1:])
                puller.pull_until(lambda done=done: done in puller.told)
            puller.told.clear()
            puller.blocks.clear()
            puller.send("/note", 60, 100, place)
            puller.pull_until(lambda: len(puller.blocks) and np.abs(puller.blocks[-1]).max() > 1e-3)
            assert not [reply for reply in puller.told if reply[0] == "/fail"]
        puller.listen(20)
        assert np.isfinite(puller.sound).all()
        assert not server.complaints


# training


@each_device
def test_training_goes_on_where_it_was(device, tmp_path, monkeypatch):
    data = sines.notes(tmp_path / "data")
    options = replace(
        TINY, reconstruction=1.0, total_images=16, pitch_bias=True, templates=2, coarse=0,
        precision="bfloat16", device=device,
    )  # fmt: skip
    train_part(monkeypatch, data, tmp_path / "run", options, 2)
    run = train(data, tmp_path / "run", options)
    assert run.images == 16 and run.device.type == device
    generator = checkpoint.load(str(tmp_path / "run")).generator
    assert all(p.isfinite().all() for p in generator.parameters())
    step = next(iter(run.optimisers.values()), None)
    assert step is None or step.defaults["fused"] == (device == "cuda")
