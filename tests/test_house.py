"""How the package stands: which module imports which, read from the source by ``ast``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

PACKAGE = "gansynth_server"
ORDER = (
    *"cli bench training".split(),
    "__init__",
    "api client",
    *"offline server page handlers net midi recording instrument engine osc".split(),
    *"render audio synth analysis latent model spectral util".split(),
    "errors options version",
)
"""The rooms from top to bottom; rooms within one text stand beside each other.

The commands and the bench use the public calls (``api``, ``client``), so they stand above them.
"""
FLOORS = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms.split()}
MAX_AT_ROOT = 6


@dataclass(frozen=True)
class Import:
    """One import of a module of the package by another: both as dotted names."""

    importer: str
    imported: str
    place: str

    def __str__(self) -> str:
        return f"{self.place}: {self.importer} imports {self.imported}"


def name_of(file: Path, root: Path = ROOT) -> str:
    """The dotted name of a source file; that of a folder for its ``__init__.py``."""
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imports_of(file: Path, modules: set[str], root: Path = ROOT) -> Iterator[Import]:
    """All imports of the package's modules in a file, those within functions too."""
    importer = name_of(file, root)
    folder = importer if file.name == "__init__.py" else importer.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = folder.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
            # `from room import module` is the module, `from module import name` is its module
            joined = [f"{base}.{alias.name}" for alias in node.names]
            found = [name if name in modules else base for name in joined]
        else:
            continue
        place = f"{file.relative_to(root)}:{node.lineno}"
        for name in dict.fromkeys(found):
            if name in modules:
                yield Import(importer, name, place)


def graph(root: Path = ROOT) -> list[Import]:
    files = sorted((root / PACKAGE).rglob("*.py"))
    modules = {name_of(file, root) for file in files}
    return [found for file in files for found in imports_of(file, modules, root)]


def room_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def upward(imports: list[Import]) -> list[str]:
    """The imports that lead to a room above, each with what to do."""
    wrong = []
    for found in imports:
        below, above = room_of(found.importer), room_of(found.imported)
        if below != above and FLOORS[above] <= FLOORS[below]:
            wrong.append(
                f"{found}, but {above} lies not below {below}: move what is needed down, "
                f"or pass it to {below} as an argument"
            )
    return wrong


def circles(imports: list[Import]) -> list[str]:
    """Each circle of modules, as the imports that close it."""
    by_importer: dict[str, list[Import]] = {}
    for found in imports:
        by_importer.setdefault(found.importer, []).append(found)
    finished: set[str] = set()
    path: list[Import] = []
    wrong = []

    def visit(module: str) -> None:
        open_modules = [step.importer for step in path]
        if module in open_modules:
            circle = path[open_modules.index(module) :]
            wrong.append("\n  ".join(["an import circle; cut one of these:", *map(str, circle)]))
        elif module not in finished:
            for found in by_importer.get(module, []):
                path.append(found)
                visit(found.imported)
                path.pop()
            finished.add(module)

    for module in by_importer:
        visit(module)
    return wrong


def test_every_room_is_on_the_list() -> None:
    inside = (ROOT / PACKAGE).iterdir()
    found = [path for path in inside if path.suffix == ".py" or (path / "__init__.py").exists()]
    rooms = {path.stem for path in found}
    assert rooms <= set(FLOORS), "name the new rooms in ORDER, and in docs/architecture.md"


def test_no_import_leads_upwards() -> None:
    wrong = upward(graph())
    assert not wrong, "\n" + "\n".join(wrong)


def test_modules_import_each_other_in_no_circle() -> None:
    wrong = circles(graph())
    assert not wrong, "\n" + "\n".join(wrong)


def test_few_modules_are_at_the_root() -> None:
    found = sorted(path.name for path in (ROOT / PACKAGE).glob("*.py"))
    assert len(found) <= MAX_AT_ROOT, f"{found}: move one into a room"


def test_wrong_imports_are_found_and_named(tmp_path: Path) -> None:
    """The three kinds: in a function, for types alone, and relative."""
    files = {
        "__init__": "",
        "synth/__init__": "",
        "synth/voice": "def play():\n    from gansynth_server.server import loop\n",
        "server/__init__": "",
        "server/loop": "if TYPE_CHECKING:\n    from gansynth_server.server.log import Log\n",
        "server/log": "from . import loop\n",
    }
    for name, text in files.items():
        file = tmp_path / PACKAGE / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    imports = graph(tmp_path)
    (wrong,) = upward(imports)
    assert wrong.startswith(
        f"{PACKAGE}/synth/voice.py:2: {PACKAGE}.synth.voice imports {PACKAGE}.server.loop"
    )
    (circle,) = circles(imports)
    assert f"{PACKAGE}/server/loop.py:2" in circle and f"{PACKAGE}/server/log.py:1" in circle
