"""A `root` full of the user's own files: whatever bench does there, all of them are there afterwards."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from harness.agent.jobs import setup
from tests.rigs.adbd import AdbServer, Phone
from tests.rigs.bench import Bench
from tests.rigs.sshd import Sshd

THEIRS = [
    *(f"{folder}/{name}" for folder in ("env", "wheels", "runtime", "packs", "artifacts", "agent") for name in "ab"),
    f"artifacts/{'a' * 64}/model.onnx",
    f"wheels/{'b' * 64}/thesis.tex",
    "env/bin/python",
    "lock",
    "lock.running",
    "photos/one.jpg",
    ".profile",
]
H16, H64 = "0" * 16, "0" * 64


def fill(folder: Path) -> dict[str, bytes]:
    for name in THEIRS:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"the user's {name}")
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Return path -> bytes of all files but those in bench's own folder."""
    own = folder / "edgebench"
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.is_relative_to(own)}


@pytest.fixture(params=["local", "ssh", "adb"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Bench, Path]:
    """A host with one device, whose root is the user's home."""
    root = tmp_path / "home"
    lines = ["[devices.it]", f'transport = "{request.param}"', f'python = "{sys.executable}"', f'root = "{root}"']
    environment = {"TMPDIR": str(tmp_path)}
    if request.param == "ssh":
        server: Sshd = request.getfixturevalue("server")
        lines += [f'host = "{server.address}"', f"port = {server.port}"]
        environment["HOME"] = str(server.client)
    elif request.param == "adb":
        adb: AdbServer = request.getfixturevalue("adb_server")
        phone: Phone = request.getfixturevalue("phone")
        lines += [f'serial = "{phone.serial}"', f"adb_port = {adb.port}"]
    bench = Bench(tmp_path, environment)
    bench.copy_model()
    (tmp_path / "devices.toml").write_text("\n".join(lines) + "\n")
    return bench, root


FAKE = ("run", "--device", "it", "--models", "tiny.onnx", "--backends", "fake")


def test_a_home_as_root_is_as_it_was(device: tuple[Bench, Path]) -> None:
    bench, root = device
    before = fill(root)
    (row,) = bench.rows(*FAKE)
    assert row["n_restarts"] == 2
    own = root / "edgebench"
    assert bench.json("devices", "check", "it")["devices"][0]["folder"] == str(own)
    assert list(own.glob("artifacts/*/model.onnx"))
    (own / "artifacts" / "notes").write_text("the user's, even here")
    assert "artifacts" in bench("devices", "clean", "it").stdout
    left = {path.name for path in own.rglob("*")} - {"lock", "lock.running", ".edgebench"}
    assert left == {"artifacts", "notes"}
    (own / "artifacts" / "notes").unlink()
    bench("devices", "clean", "it")
    assert not own.exists()
    assert contents(root) == before


def test_a_root_of_that_name_that_is_the_user_s_is_refused(device: tuple[Bench, Path]) -> None:
    bench, root = device
    before = fill(root / "edgebench")
    told = "there is not bench's own, it holds '.profile', 'photos': name another folder with root = "
    (row,) = bench.rows(*FAKE, expect=2)
    assert (row["verdict"], told in row["reason"]) == ("offline", True), row["reason"]
    for command in ("clean", "setup"):
        assert told in bench("devices", command, "it", expect=1).stdout
    found = {str(path): path.read_bytes() for path in (root / "edgebench").rglob("*") if path.is_file()}
    assert found == before


@pytest.mark.parametrize("name", ["agent", "artifacts", "lock", ""])
def test_a_planted_folder_or_link_gets_nothing(device: tuple[Bench, Path], tmp_path: Path, name: str) -> None:
    bench, root = device
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("kept")
    own = root / "edgebench"
    own.mkdir(parents=True)
    if name:
        (own / name).symlink_to(victim / "file" if name == "lock" else victim)
        (own / ".edgebench").touch()
    else:
        own.chmod(0o777)
    (row,) = bench.rows(*FAKE, expect=2)
    assert row["verdict"] == "offline"
    assert "name another folder with root = " in row["reason"]
    assert [(path.name, path.read_text()) for path in victim.iterdir()] == [("file", "kept")]
    assert not list(own.rglob("*.pyz"))


def test_a_new_environment_removes_old_ones_and_nothing_else(tmp_path: Path) -> None:
    ours = [f"env/{H16}.json", f"wheels/{H64}/x", f"wheels/{H64}.part-7/x", f"runtime/{H64}/x", f"packs/{H64}.whl"]
    for name in ours:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    before = fill(tmp_path)
    (tmp_path / "wheels" / ("c" * 64)).symlink_to(tmp_path / "photos")
    setup.activate(setup.Request("activate", str(tmp_path), 0.0, environment="f" * 16 + ".json"))
    left = {path: content for path, content in contents(tmp_path).items() if "/env/f" not in path}
    kept = {path: content for path, content in before.items() if os.path.relpath(path, tmp_path) not in ours}
    del kept[str(tmp_path / f"wheels/{'b' * 64}/thesis.tex")]  # a name that only bench makes
    assert left == kept
    assert json.loads((tmp_path / "env" / ("f" * 16 + ".json")).read_text())["paths"] == []
