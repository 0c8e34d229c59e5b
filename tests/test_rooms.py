"""Who may import whom, as docs/architecture.md says."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.bench import ROOT

MAY_IMPORT = {
    "models": set(),
    "backends": set(),
    "results": set(),
    "dashboards": {"results"},
    "harness": {"models", "backends", "results"},
}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        allowed = MAY_IMPORT[room] | {room}
        if path.is_relative_to(ROOT / "harness" / "cli"):
            allowed = {*allowed, "dashboards"}
        for name in imported(path):
            top = name.split(".")[0]
            assert top not in MAY_IMPORT or top in allowed, f"{path.relative_to(ROOT)} imports {name}"
            assert top != "tests", path


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
