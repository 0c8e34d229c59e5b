"""What a device sends as its outputs is read within bounds, or not at all."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from harness.errors import AgentError
from harness.jobs import compute
from harness.jobs.compute import Computed, read


def written(path: Path, content: bytes) -> Computed:
    path.write_bytes(content)
    return Computed("fake 1", {}, len(content), hashlib.sha256(content).hexdigest())


def packed(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    arrays = {
        "out0": np.arange(6, dtype=np.float32).reshape(2, 3),
        "out2": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "out7": np.array(True),
        "out9": np.zeros((0, 4), np.uint8),
    }
    found = read(tmp_path / "x", written(tmp_path / "x", packed(**arrays)))
    assert list(found) == [0, 2, 7, 9]
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[int(name[3:])], array, strict=True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        packed(out0=np.ones(3))[:-30],
        packed(other=np.ones(3)),
        packed(out0=np.array(["text"])),
        packed(out0=np.ones(3, "f4,i4")),
        zipped({"../out0.npy": b""}),
        zipped({"out0.npy": header("(4,)")}),
        zipped({"out0.npy": header("(4,)") + bytes(16)}, zipfile.ZIP_LZMA),
        zipped({"out0.npy": header("(99999999999, 99999999999)")}),
        zipped({"out0.npy": header("(-1,)") + b"1234"}),
        zipped({"out0.npy": header("(1,)", "'|O'") + b"12345678"}),
        zipped({"out0.npy": b"\x93NUMPY\x01\x00\xff\xff{"}),
        zipped({"out0.npy": header("__import__('os').getcwd()")}),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(AgentError, match="cannot be read"):
        read(tmp_path / "x", written(tmp_path / "x", content))


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "MAX_BYTES", 1 << 10)
    monkeypatch.setattr(compute, "_SPARE_BYTES", 0)
    content = zipped({"out0.npy": header("(4096,)") + bytes(4 * 4096)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(AgentError, match="more than is allowed"):
        read(tmp_path / "x", written(tmp_path / "x", content))


def test_another_file_than_was_written_is_refused(tmp_path: Path) -> None:
    told = written(tmp_path / "x", packed(out0=np.ones(3)))
    (tmp_path / "x").write_bytes(packed(out0=np.zeros(3)))
    with pytest.raises(AgentError, match="not the one"):
        read(tmp_path / "x", told)
