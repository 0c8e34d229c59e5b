"""bench's own folder on a device: made, marked, and refused where others could put something there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from harness.errors import Unwritable
from harness.link.folder import MARK, claim
from harness.transports import Completed
from harness.transports.local import LocalTransport
from harness.transports.simulated import SimulatedTransport

AGENT = f"agent/agent-{'0' * 16}.pyz"
STRANGER = 12345
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def take(folder: Path, inside: Path | None = None) -> list[str]:
    return claim(LocalTransport(), PurePosixPath(folder), inside)


def give_away(path: Path) -> None:
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A folder as an earlier bench left it."""
    folder = tmp_path / "edgebench"
    (folder / "agent").mkdir(parents=True)
    (folder / "artifacts").mkdir()
    (folder / AGENT).write_text("agent")
    (folder / "lock").write_text("")
    return folder


def test_a_folder_is_made_for_us_alone_and_marked(tmp_path: Path) -> None:
    folder = tmp_path / "a b" / "edgebench"
    assert take(folder) == []
    assert (folder / MARK).is_file()
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "notes").write_text("mine")
    assert take(folder) == ["notes"]


def test_a_relative_folder_lies_where_commands_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    claim(LocalTransport(), PurePosixPath(".cache/edgebench"))
    assert (tmp_path / ".cache/edgebench" / MARK).is_file()


def test_what_an_earlier_bench_made_is_taken(earlier: Path) -> None:
    assert take(earlier) == []
    assert (earlier / MARK).is_file()


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert take(tmp_path) == []
    assert (tmp_path / MARK).is_file()


@pytest.mark.parametrize(
    "names", [["README.md", "agent"], ["env", "wheels", "runtime", "packs", "artifacts"], ["lock"]]
)
def test_a_folder_of_somebody_else_s_is_refused_and_left_as_it_is(tmp_path: Path, names: list[str]) -> None:
    folder = tmp_path / "edgebench"
    folder.mkdir()
    for name in names:
        (folder / name).mkdir()
    with pytest.raises(Unwritable, match=rf"{folder} there is not bench's own, it holds .*: name another folder"):
        take(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


@pytest.mark.parametrize("name", ["", "agent", "artifacts", "lock", AGENT, MARK, ".."])
def test_what_others_can_write_is_refused(earlier: Path, name: str) -> None:
    take(earlier)
    earlier.chmod(0o755)
    path = (earlier / name).resolve()
    path.chmod(0o777)
    with pytest.raises(Unwritable, match=rf"{path} there can be written by everybody"):
        take(earlier)
    path.chmod(0o775)
    os.chown(path, -1, STRANGER) if os.geteuid() == 0 else pytest.skip("a group of others needs root")
    with pytest.raises(Unwritable, match=rf"{path} there can be written by group {STRANGER}"):
        take(earlier)


def test_a_closed_folder_and_a_sticky_one_above_keep_others_out(earlier: Path) -> None:
    take(earlier)
    (earlier / "agent").chmod(0o777)  # as an Android shell makes them
    earlier.parent.chmod(0o1777)
    assert take(earlier) == []


@needs_root
@pytest.mark.parametrize("name", ["", "agent", "artifacts", "lock", "lock.running", AGENT, MARK, ".."])
def test_what_belongs_to_somebody_else_is_refused(earlier: Path, name: str) -> None:
    take(earlier)
    (earlier / "lock.running").touch()
    give_away((earlier / name).resolve())
    with pytest.raises(Unwritable, match=rf"{(earlier / name).resolve()} there is user {STRANGER}'s"):
        take(earlier)


@needs_root
def test_a_planted_link_is_refused_and_one_of_ours_followed(tmp_path: Path, earlier: Path) -> None:
    (tmp_path / "link").symlink_to(earlier)
    assert take(tmp_path / "link") == []
    give_away(tmp_path / "link")
    with pytest.raises(Unwritable, match=rf"{tmp_path}/link there is user {STRANGER}'s"):
        take(tmp_path / "link")


@pytest.mark.parametrize("name", ["agent", "artifacts", "wheels", "lock", "lock.running", AGENT, MARK])
def test_a_link_or_a_pipe_in_the_folder_is_refused(tmp_path: Path, earlier: Path, name: str) -> None:
    take(earlier)
    path = earlier / name
    subprocess.run(["rm", "-rf", path], check=True)
    for make in (lambda: path.symlink_to(tmp_path / "victim"), lambda: os.mkfifo(path)):
        make()
        with pytest.raises(Unwritable, match=rf"{path} there is no plain file or folder of bench's"):
            take(earlier)
        path.unlink()
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_a_folder_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "edgebench"
    path.touch() if kind == "file" else path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(Unwritable, match="there is no folder"):
        take(path)


@needs_root
def test_root_does_not_work_below_a_folder_of_a_user_unless_it_is_the_workspace_s(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    give_away(home)
    with pytest.raises(Unwritable, match=rf"{home} there is user {STRANGER}'s, who could exchange what is below it"):
        take(home / "edgebench")
    assert take(home / "devices" / "local", inside=home) == []
    give_away(home / "devices" / "local")
    assert take(home / "devices" / "local", inside=home) == []


ANDROID = """/data/local/tmp/edgebench
/data/local/tmp/edgebench
there
drwxr-xr-x 25 0 0 4096 2009-01-01 00:00 /
dr-xr-xr-x  9 {me} {me} 0 2024-05-05 10:00 /proc/self/
drwxrwx--x 50 1000 1000 4096 2024-05-05 10:00 /data
drwxr-x--x  5 0 0 4096 2024-05-05 10:00 /data/local
drwxrwx--x 12 2000 2000 4096 2024-05-05 10:00 /data/local/tmp
drwxrwxrwx  5 2000 2000 4096 2024-05-05 10:00 /data/local/tmp/edgebench
drwxrwxrwx  5 2000 2000 4096 2024-05-05 10:00 /data/local/tmp/edgebench/agent
-rw-rw-rw-  1 2000 2000 4096 2024-05-05 10:00 /data/local/tmp/edgebench/agent/agent-0123456789abcdef.pyz
-rwxr-xr-x  1 0 2000 307000 2009-01-01 00:00 /system/bin/sh

agent
"""


@pytest.mark.parametrize("me", [2000, 0])
def test_an_android_shell_s_folder_is_taken_and_closed(me: int) -> None:
    ran = []

    def device(command: list[str], stdin: bytes):
        ran.append(command)
        yield ANDROID.format(me=me).encode().rstrip(b"\n") if len(ran) == 1 else b""

    assert claim(SimulatedTransport(device), PurePosixPath("/data/local/tmp/edgebench")) == []  # type: ignore[arg-type]
    assert "chmod 700" in ran[1][2]


@pytest.mark.parametrize(
    "answer", [b"", b"hello", b"/a\n/a\nthere\nnonsense", b"\xff\n\n\n", b"/a\n/a\nthere\ndr 1 x y z /"]
)
def test_an_answer_that_is_none_is_no_permission(answer: bytes) -> None:
    def device(command: object, stdin: bytes):
        yield answer

    with pytest.raises(Unwritable, match="cannot tell whose folder"):
        claim(SimulatedTransport(device), PurePosixPath("there"))


class Meddler(LocalTransport):
    """This machine, whose answers to the first looks are changed."""

    def __init__(self, change: Callable[[bytes], bytes], looks: int = 1) -> None:
        super().__init__()
        self.change, self.looks = change, looks

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        done = super().run(command, stdin=stdin, timeout_s=timeout_s)
        self.looks -= 1
        return done if self.looks < 0 else replace(done, stdout=self.change(done.stdout))


def test_a_folder_that_goes_while_it_is_looked_at_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "edgebench"
    take(folder)

    def vanish(said: bytes) -> bytes:
        shutil.rmtree(folder)
        return b"\n".join(line for line in said.split(b"\n") if not line.startswith(b"d") or b"/edgebench" not in line)

    claim(Meddler(vanish), PurePosixPath(folder), tmp_path)
    assert (folder / MARK).is_file()


def test_a_list_that_breaks_off_is_asked_for_once_more(tmp_path: Path) -> None:
    folder = PurePosixPath(tmp_path / "edgebench")
    claim(Meddler(lambda said: said[:40]), folder, tmp_path)
    with pytest.raises(Unwritable, match="cannot tell whose folder"):
        claim(Meddler(lambda said: said[:40], looks=2), folder, tmp_path)
