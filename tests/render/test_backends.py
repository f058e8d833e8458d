"""Every backend gives the numbers of plain PyTorch; what cannot run here says so."""

import importlib.util
import shutil
import threading

import numpy as np
import pytest
import torch

import gansynth_server as gs
from gansynth_server import UserError
from gansynth_server.model.config import GeneratorConfig, progressive_filters
from gansynth_server.model.generator import Generator
from gansynth_server.render.backends import choose as choosing
from gansynth_server.render.backends.base import HEAD, WHOLE, Backend
from gansynth_server.render.backends.compiled import Compiled
from gansynth_server.render.backends.eager import Eager
from gansynth_server.render.backends.openvino import OpenVino
from gansynth_server.render.folded import Weights, Window, fold
from tests.support import golden_rule

CPU = torch.device("cpu")
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed"
)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
WINDOWS = [HEAD, WHOLE, (8, 64), (64, 128), (61, 63)]


@pytest.fixture(scope="module")
def bundled() -> Generator:
    return gs.load("all_instruments", "cpu").checkpoint.generator


def made(**changes: object) -> Generator:
    torch.manual_seed(2)
    values = {"latent_size": 12, "filters": progressive_filters(1024, 32), "pitches": (60, 61)}
    net = Generator(GeneratorConfig(**{**values, **changes})).eval().requires_grad_(False)
    for name, tensor in net.state_dict().items():
        if name.startswith(("axes", "templates", "decoder")):  # which begin at zero
            torch.nn.init.normal_(tensor, std=0.3)
    return net


def notes(net: Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    z = np.random.default_rng(0).standard_normal((count, net.config.latent_size))
    labels = np.arange(count, dtype=np.int64) * 7 % len(net.config.pitches)
    return z.astype(np.float32), labels


def deviation(ours, theirs) -> list[tuple[float, float]]:
    """Relative RMS and relative largest deviation of magnitudes and of increments."""
    pairs = zip(ours, theirs, strict=True)
    return [
        (
            float(np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2))),
            float(abs(a - b).max() / abs(b).max()),
        )
        for a, b in pairs
    ]


def exact(net, z, labels, window) -> list[np.ndarray]:
    """In float64."""
    with torch.inference_mode():
        parts = Window(Weights(net, torch.float64), window)(
            torch.from_numpy(z), torch.from_numpy(labels)
        )
    return [part.numpy() for part in parts]


def same(ours, theirs, tolerance=1e-5) -> None:
    for rms, largest in deviation(ours, theirs):
        # single pixels that are almost silent before a pixel norm magnify rounding
        assert rms <= tolerance and largest <= 20 * tolerance


@needs_openvino
@pytest.mark.parametrize("window", WINDOWS)
def test_openvino(bundled, window):
    z, labels = notes(bundled, 3)
    same(OpenVino(fold(bundled)).frames(z, labels, window), exact(bundled, z, labels, window))


@needs_openvino
@pytest.mark.parametrize(
    "changes",
    [
        {"pitch_bias": True, "progress": 4.3},
        {"progress": 2.25},
        {"representation": "linear"},
        {"pitch_bias": True, "templates": 3, "phase_templates": 2, "axes": 5},
        {"templates": 3, "phase_templates": 2, "progress": 4.3},
        {
            "filters": (), "templates": 3, "phase_templates": 2, "curves": 7,
            "onset_templates": 3, "principal_levels": 4, "representation": "linear",
        },
        {"filters": progressive_filters(1024, 32)[:5], "upscale": 4},
        {
            "filters": progressive_filters(1024, 32)[:6], "upscale": 2, "pitch_bias": True,
            "templates": 3, "phase_templates": 2, "axes": 5,
        },
    ],
)  # fmt: skip
def test_openvino_of_unfinished_nets(changes):
    net = made(**changes)
    z, labels = notes(net, 1)
    for window in (HEAD, (61, 63)):
        ours = OpenVino(fold(net)).frames(z, labels, window)
        same(ours, exact(net, z, labels, window), 1e-4)


@needs_openvino
def test_head_and_rest_are_the_whole_in_openvino(bundled):
    backend = OpenVino(fold(bundled))
    z, labels = notes(bundled, 1)
    whole = backend.frames(z, labels, WHOLE)
    for window in (HEAD, (8, 64), (64, 128)):
        part = [p[:, slice(*window)] for p in whole]
        same(backend.frames(z, labels, window), part)


@needs_openvino
def test_live_notes_wait_for_no_graph_but_the_heads(bundled):
    backend = OpenVino(fold(bundled))
    compiled: list[tuple[int, int]] = []
    done, compile_ = threading.Event(), backend.compile

    def slow(window):
        if window == HEAD:
            compile_(window)
        else:
            done.wait(20)
        compiled.append(window)

    backend.compile = slow
    backend.prepare(bundled.config.latent_size)
    rests = [part.window for part in backend.info.slices[1:]]
    z, labels = notes(bundled, 2)
    for window in [HEAD, *rests, (61, 69)]:
        same(backend.live(z, labels, window), exact(bundled, z, labels, window))
    assert compiled == [HEAD]
    done.set()
    for thread in [t for t in threading.enumerate() if t.name == "compile"]:
        thread.join(20)
    assert compiled == [HEAD, *rests]


def test_weights_are_folded_once(bundled, monkeypatch):
    folded: list[str] = []
    monkeypatch.setattr(choosing, "fold", lambda *args: folded.append(args[1]) or fold(*args))
    choosing.choose(bundled, CPU)
    assert folded == ["float32"]


@needs_compiler
def test_compile():
    net = made(filters=(32, 16), upscale=32)  # small, for it takes long
    z, labels = notes(net, 1)
    weights = fold(net)
    compiled, plain = Compiled(weights, CPU), Eager(weights, CPU)
    same(compiled.live(z, labels, (8, 16)), plain.frames(z, labels, (8, 16)), 1e-4)
    same(compiled.frames(z, labels, HEAD), plain.frames(z, labels, HEAD), 1e-4)


def test_compile_without_a_compiler(bundled, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match="C\\+\\+ compiler"):
        choosing.choose(bundled, CPU, "compile")
    backend, _ = choosing.choose(bundled, CPU, "auto")
    assert not isinstance(backend, Compiled)


def test_without_openvino(bundled, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install"):
        choosing.choose(bundled, CPU, "openvino")
    backend, said = choosing.choose(bundled, CPU, "auto")
    assert isinstance(backend, Eager) and not said


def test_what_cannot_be(bundled):
    tiny = golden_rule.generator(golden_rule.TINY)
    if importlib.util.find_spec("openvino") is not None:
        with pytest.raises(UserError, match="float64"):
            choosing.choose(tiny, CPU, "openvino")
    assert isinstance(choosing.choose(tiny, CPU)[0], Eager)
    with pytest.raises(UserError, match="CUDA"):
        choosing.choose(bundled, CPU, "cuda")
    with pytest.raises(UserError, match="backend"):
        choosing.choose(bundled, CPU, "abacus")  # type: ignore[arg-type]


@needs_openvino
def test_auto_measures_and_says_what_it_chose(bundled):
    _, said = choosing.choose(bundled, CPU)
    assert "openvino cpu" in said and "eager cpu" in said and "ms" in said


@pytest.mark.parametrize("installed", [True, False])
def test_auto_proposes_a_lighter_checkpoint_where_this_one_is_too_slow(
    bundled, monkeypatch, installed
):
    if not installed:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for seconds, proposed in ((0.004, False), (0.04, True)):
        monkeypatch.setattr(Backend, "seconds", lambda *_, seconds=seconds, **__: seconds)
        _, said = choosing.choose(bundled, CPU, lighter="all_instruments_lite")
        assert ("--checkpoint all_instruments_lite" in said) == proposed
        assert "\n" not in said
        assert "lite" not in choosing.choose(bundled, CPU)[1]
        assert "lite" not in choosing.choose(bundled, CPU, "eager", lighter="x_lite")[1]


@needs_openvino
@pytest.mark.parametrize("works", [True, False])
def test_auto_measures_the_processors_bfloat16_too(bundled, monkeypatch, works):
    named = choosing._named

    def on_any_processor(folded, device, name, precision):
        if precision != "bfloat16":
            return named(folded, device, name, precision)
        half = named(folded, device, "eager", "bfloat16")
        if not works:
            monkeypatch.setattr(half, "frames", broken)
        return half

    def broken(*_):
        raise RuntimeError("could not create a primitive descriptor")

    monkeypatch.setattr(choosing, "_named", on_any_processor)
    for has in (False, True):
        monkeypatch.setattr(choosing, "has_bfloat16", lambda has=has: has)
        _, said = choosing.choose(bundled, CPU)
        assert "openvino cpu float32" in said
        assert ("cpu bfloat16" in said) == (has and works), said
        assert "bfloat16" not in choosing.choose(bundled, CPU, "auto", "float32")[1]


def test_bfloat16_sounds_alike():
    net = gs.load("acoustic_only", "cpu").checkpoint.generator  # a decoder is always exact
    z, labels = notes(net, 2)
    exact = Eager(fold(net), CPU).render(z, labels)
    half = Eager(fold(net, "bfloat16"), CPU).render(z, labels)
    for a, b in zip(exact, half, strict=True):
        loud = a.magnitude > 0.01 * a.magnitude.max()
        decibels = 20 * np.log10(b.magnitude[loud] / a.magnitude[loud])
        assert 0 < np.sqrt(np.mean(decibels**2)) < 2
