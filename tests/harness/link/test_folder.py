"""bench's own folder on a device, while somebody removes it or a device says what cannot be."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from harness.errors import Unwritable
from harness.link import folder
from harness.transports import Completed
from harness.transports.local import LocalTransport


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
    own = tmp_path / "edgebench"
    folder.claim(LocalTransport(), PurePosixPath(own), tmp_path)

    def vanish(said: bytes) -> bytes:
        shutil.rmtree(own)
        return b"\n".join(line for line in said.split(b"\n") if not line.startswith(b"d") or b"/edgebench" not in line)

    folder.claim(Meddler(vanish), PurePosixPath(own), tmp_path)
    assert (own / folder.MARK).is_file()


def test_a_list_that_breaks_off_is_asked_for_once_more(tmp_path: Path) -> None:
    own = PurePosixPath(tmp_path / "edgebench")
    folder.claim(Meddler(lambda said: said[:40]), own, tmp_path)
    with pytest.raises(Unwritable, match="cannot tell whose folder"):
        folder.claim(Meddler(lambda said: said[:40], looks=2), own, tmp_path)
