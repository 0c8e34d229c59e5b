"""What docs/architecture.md says about the rooms: who may import whom, and how large anything may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pytest

from tests.rigs.bench import ROOT

MAY_IMPORT = {
    "results": set(),
    "backends": set(),
    "models": {"results", "backends"},
    "dashboards": {"results"},
    "harness": {"models", "backends", "results"},
}
# The rooms of the harness, from the ground up.
INSIDE_HARNESS = {
    "errors": set(),
    "agent": set(),
    "transports": {"errors", "agent"},
    "executors": {"errors"},
    "fleet": {"errors", "transports"},
    "workspace": {"errors", "fleet"},
    "jobs": {"agent", "errors", "transports"},
    "link": {"agent", "jobs", "errors", "fleet", "transports", "workspace"},
    "provision": {"link", "jobs", "errors", "fleet", "transports", "workspace"},
    "run": {"link", "jobs", "executors", "errors", "fleet", "transports", "workspace"},
}
INSIDE_HARNESS["cli"] = set(INSIDE_HARNESS)
MOST_ARROWS = 40
MOST_ENTRIES = 12
MOST_LINES = 350
TRANSPORTS = {"ssh", "adb", "local", "simulated"}


@cache
def sources() -> dict[str, ast.Module]:
    """Return module -> what its file says, of every room."""
    found = {}
    for room in MAY_IMPORT:
        for path in (ROOT / room).rglob("*.py"):
            found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = ast.parse(path.read_text())
    return found


@cache
def arrows() -> dict[str, set[str]]:
    """Return module -> what it imports anywhere, for types and inside functions too; a package is its __init__."""
    return {
        module: {found for name in imported(tree) if (found := resolved(name))} for module, tree in sources().items()
    }


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, "imports name the whole way"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def resolved(name: str) -> str:
    """Return the module of ours that holds what is imported, "" for others' modules."""
    while name:
        for module in (name, f"{name}.__init__"):
            if module in sources():
                return module
        name = name.rpartition(".")[0]
    return ""


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    for module, tree in sources().items():
        if module.split(".")[0] == room:
            allowed = MAY_IMPORT[room] | {room} | ({"dashboards"} if module.startswith("harness.cli.") else set())
            for name in imported(tree):
                top = name.split(".")[0]
                assert top not in MAY_IMPORT or top in allowed, f"{module} imports {name}"
                assert top != "tests", module


def test_the_harness_has_the_rooms_that_were_drawn() -> None:
    entries = {path.stem for path in (ROOT / "harness").iterdir() if path.name not in {"__pycache__", "py.typed"}}
    assert entries - {"__init__"} == set(INSIDE_HARNESS)
    assert len(entries) <= MOST_ENTRIES


def test_rooms_of_the_harness_import_only_what_they_may() -> None:
    found = {}
    for module, names in arrows().items():
        top, _, room = ".".join(module.split(".")[:2]).partition(".")
        if top == "harness" and room != "__init__":
            for name in names:
                other = name.split(".")[1]
                if name.startswith("harness.") and other not in {room, "__init__"}:
                    found[room, other] = f"{module} imports {name}"
    allowed = {(room, other) for room, others in INSIDE_HARNESS.items() for other in others}
    new = set(found) - allowed
    assert not new, [found[arrow] for arrow in new]
    assert len(found) <= MOST_ARROWS, sorted(found)


def test_no_two_modules_import_each_other() -> None:
    """Neither at once nor by way of others."""
    reached = {module: reachable(module) for module in arrows()}
    circles = {module for module, others in reached.items() if module in others}
    assert not circles, {module: arrows()[module] & circles for module in circles}


def reachable(module: str) -> set[str]:
    found: set[str] = set()
    to_do = [module]
    while to_do:
        new = arrows()[to_do.pop()] - found
        found |= new
        to_do += new
    return found


def test_no_file_is_long() -> None:
    long = set()
    for room in MAY_IMPORT:
        for path in (ROOT / room).rglob("*.py"):
            if len(path.read_text().splitlines()) > MOST_LINES:
                long.add(str(path.relative_to(ROOT)))
    assert not long


def test_what_runs_on_devices_is_python_3_8() -> None:
    for folder in ("backends", "harness/agent"):
        for path in (ROOT / folder).rglob("*.py"):
            ast.parse(path.read_text(), str(path), feature_version=(3, 8))


def test_nothing_asks_for_the_name_of_a_transport() -> None:
    """What differs between transports is said by their kinds, in harness/transports."""
    found = set()
    for module, tree in sources().items():
        if not module.startswith("harness.transports."):
            found |= {f"{module}: {ast.unparse(node)}" for node in ast.walk(tree) if asks_for_a_transport(node)}
    assert found == set()


def asks_for_a_transport(node: ast.AST) -> bool:
    """Tell whether code takes a way by a transport's name: compared, matched, or looked up in a table."""
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        words = [
            word
            for side in sides
            for word in (side.elts if isinstance(side, ast.Tuple | ast.Set | ast.List) else [side])
        ]
    elif isinstance(node, ast.MatchValue):
        words = [node.value]
    elif isinstance(node, ast.Dict):
        words = [key for key in node.keys if key is not None]
    else:
        return False
    return any(isinstance(word, ast.Constant) and word.value in TRANSPORTS for word in words)


HEAVY = {"torch", "pandas", "altair", "sqlalchemy", "onnx", "onnxruntime", "openvino", "ai_edge_litert", "vl_convert"}


LIGHT = ("harness.cli", "harness.run.runner", "harness.run.start", "models", "models.zoo.catalog")


@pytest.mark.parametrize("module", LIGHT)
def test_what_a_run_needs_before_its_first_restart_is_light(module: str) -> None:
    code = f"import sys, {module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_help_imports_nothing_but_click() -> None:
    code = (
        "import sys\nfrom harness.cli import main\n"
        "try: main(['run', '--help'])\nexcept SystemExit: pass\n"
        "print({'pydantic', 'rich', 'numpy'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"
