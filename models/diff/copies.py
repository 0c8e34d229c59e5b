"""Writing the copies that are ordered; runs in a worker process, since the model is foreign."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.diff.layout import Layout

if TYPE_CHECKING:
    from models.diff.onnx import OnnxCopies
    from models.diff.tflite import TfliteCopies
    from models.export.orders import CopiesOrder, FileTarget

LAYOUT = "layout.json"


class Copies:
    """The work of one `CopiesOrder`: the layout, if it is not there yet, then every part with its `Copy`."""

    def __init__(self, order: CopiesOrder) -> None:
        self._order = order
        self._folder = Path(order.folder)

    def make(self, target: FileTarget) -> Iterator[str]:
        """Yield the stages while they begin. Raises ModelError."""
        yield "reading"
        copies = self._open(target)
        path = self._folder / LAYOUT
        if path.exists():
            layout = Layout.model_validate_json(path.read_bytes())
        else:
            layout = copies.layout()
            path.write_text(layout.model_dump_json())
        values = _Values(self._folder)
        for part in self._order.parts:
            yield f"writing {part.stem}"
            copy = copies.write(part, layout, values)
            (self._folder / f"{part.stem}.json").write_text(copy.model_dump_json())

    def _open(self, target: FileTarget) -> OnnxCopies | TfliteCopies:
        if target.format == "onnx":
            from models.diff.onnx import OnnxCopies

            return OnnxCopies(Path(target.path), self._order.inputs, self._folder)
        from models.diff.tflite import TfliteCopies

        return TfliteCopies(Path(target.path), self._order.inputs, self._folder, self._order.signature)


def value_path(folder: Path, number: int) -> Path:
    """Where the array of a tensor lies."""
    return folder / f"value-{number}.npy"


class _Values(Mapping[int, NDArray[Any]]):
    """The arrays in a folder, which are read when one looks into them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, number: int) -> NDArray[Any]:
        path = value_path(self._folder, number)
        if not path.exists():
            raise KeyError(number)
        return np.load(path, mmap_mode="r" if path.stat().st_size > 4096 else None, allow_pickle=False)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[int]:
        return (int(path.stem.partition("-")[2]) for path in self._folder.glob("value-*.npy"))

    def __len__(self) -> int:
        return sum(1 for _ in self)
