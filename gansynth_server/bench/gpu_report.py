"""The report of a GPU day, for people and for programs; written again after each step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from gansynth_server.bench.report import cell
from gansynth_server.model.checkpoint import CONFIG
from gansynth_server.util.files import write_atomically

BENCHES = {"bundled": "bundled.json", "full size": "full_size.json"}
Figures = dict[str, Any]


def write(out: Path, work: Path, steps: list[dict[str, Any]]) -> None:
    """Write ``report.json``, ``report.md`` and ``bench.json`` from what the steps left.

    Args:
        out: folder of the results.
        work: folder in which the steps leave what they know.
        steps: name, seconds, limit, status and whether late, of those so far.
    """
    bench = {name: _read(work / file) for name, file in BENCHES.items()}
    report = {
        "machine": _read(work / "machine.json"),
        "steps": steps,
        "tests": _tests(out / "tests.xml"),
        "goals": goals(bench),
        "training": _training(work / "training"),
    }
    for name, value in (("bench.json", bench), ("report.json", report)):
        write_atomically(out / name, (json.dumps(value, indent=1) + "\n").encode())
    write_atomically(out / "report.md", markdown(report, bench).encode())


def goals(bench: Figures) -> list[dict[str, Any]]:
    """List the goals for the network of full size: wanted, measured (or None), reached."""
    rows = [
        row
        for net, rows in (bench.get("bundled") or {}).get("network", {}).items()
        for row in rows
        if "full size" in net and "cuda graphs" in row["backend"]
    ]
    full = bench.get("full size") or {}
    live = [row for row in full.get("live", {}).get("rows", []) if row["rendered before"] == "no"]
    voices = [row for row in full.get("voices", []) if row["voices"] == 64]
    at_once = [1000 / ms for ms in _all(rows, "ms per note, batch 64")]
    return [
        _goal("one note, latent to wave", "ms", 1.0, _all(rows, "z to wave ms"), min),
        _goal("64 notes at once, as spectra", "notes/s", 5000.0, at_once, max),
        _goal("64 notes at once, as waves", "notes/s", 5000.0, _all(rows, "waves/s"), max),
        _goal("datagram to first audible sample, p99", "ms", 4.0, _all(live, "p99 ms"), min),
        _goal("new frames for 64 voices, p99", "ms", 32.0, _all(voices, "p99 ms"), min),
    ]


def _all(rows: list[Figures], name: str) -> list[float]:
    return [row[name] for row in rows if name in row]


def _goal(
    what: str,
    unit: str,
    wanted: float,
    found: list[float],
    best: Callable[[list[float]], float],
) -> dict[str, Any]:
    measured = best(found) if found else None
    reached = None
    if measured is not None:
        reached = measured <= wanted if best is min else measured >= wanted
    return {
        "goal": what,
        "unit": unit,
        "wanted": wanted,
        "at": "most" if best is min else "least",
        "measured": measured,
        "reached": reached,
    }


def markdown(report: Figures, bench: Figures) -> str:
    """Return the report as people read it."""
    return "\n\n".join(_parts(report, bench)) + "\n"


def _parts(report: Figures, bench: Figures) -> Iterator[str]:
    machine = report["machine"] or {}
    card = machine.get("card") or f"no GPU: {machine.get('device', 'not known')}"
    yield f"# {card}, PyTorch {machine.get('torch')}, CUDA {machine.get('cuda')}"
    yield _table(
        [
            {
                "step": step["name"],
                "seconds": step["seconds"],
                "of": step["limit"],
                "ended": _ending(step),
            }
            for step in report["steps"]
        ]
    )
    if tests := report["tests"]:
        yield "Tests: " + ", ".join(f"{count} {name}" for name, count in tests.items())
    yield _table(
        [
            {
                "goal": goal["goal"],
                "wanted": f"{'≤' if goal['at'] == 'most' else '≥'} {cell(goal['wanted'])}",
                "measured": goal["measured"],
                "unit": goal["unit"],
                "reached": {None: "not measured", True: "yes", False: "no"}[goal["reached"]],
            }
            for goal in report["goals"]
        ]
    )
    for name, figures in bench.items():
        yield from _sections(name, figures or {})
    if training := report["training"]:
        yield "Training: " + ", ".join(f"{name} {cell(value)}" for name, value in training.items())


def _sections(name: str, figures: Figures) -> Iterator[str]:
    tables: dict[str, list[Figures]] = dict(figures.get("network", {}))
    tables[f"{name}: voices whose latents move"] = figures.get("voices", [])
    tables[f"{name}: from the datagram to the first audible sample"] = figures.get("live", {}).get(
        "rows", []
    )
    tables[f"{name}: against float32"] = figures.get("precision", [])
    for title, rows in tables.items():
        if rows:
            yield f"## {title}"
            yield _table(rows)


def _ending(step: dict[str, Any]) -> str:
    if step["status"] is None:
        return "killed, its time was over"
    ended = "well" if step["status"] == 0 else f"with status {step['status']}"
    return ended + (", its time was over" if step["late"] else "")


def _table(rows: list[Figures]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names)]
    lines += [[cell(row.get(name)) for name in names] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _tests(path: Path) -> dict[str, int] | None:
    """Count the tests that passed, failed and were skipped; None where there is no result."""
    try:
        suite = ElementTree.parse(path).getroot().find("testsuite")
    except (OSError, ElementTree.ParseError):
        return None
    if suite is None:
        return None
    count = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    passed = count["tests"] - failed - count["skipped"]
    return {"passed": passed, "failed": failed, "skipped": count["skipped"]}


def _training(folder: Path) -> Figures | None:
    """Return the log's last line, and images and minutes of the checkpoint; None without one."""
    config = _read(folder / CONFIG)
    if config is None:
        return None
    made = config["provenance"]
    log = folder / "log.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    last = json.loads(lines[-1]) if lines else {}
    return last | {"images": made["images"], "minutes": made["minutes"]}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
