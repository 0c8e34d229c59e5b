"""Which class a model takes each pixel of the images of a data set for, counted against their masks, part by part.

Events, in this order:

    imported, loaded  as of `accuracy`
    part      first, count, wall_ns, infer_ns as of `accuracy`; confusion: of each sample how many pixels of each true
              class were taken for which class, count x classes x classes as base64 of little-endian uint32
    done

Maps stay on the device: they are as large as the images. Of classes that are equal the lower one is named.
"""

import time
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List

from harness.agent import failures
from harness.agent.jobs import accuracy

IGNORED = 255
"""The class of pixels that do not count."""


@dataclass(frozen=True)
class Request(accuracy.Request):
    """A chunk has its `masks` as well ({path, sha256}: an .npy of count x height x width bytes).

    `class_axis` is the axis of the output along which the classes lie: 1, or 3 where channels are last.
    """

    class_axis: int


def run(request: Request, emit: accuracy.Emit) -> int:
    """Go through all samples; the phase that fails is named in the `error` event."""
    return accuracy.carried_out(request, emit, _parts)


def _parts(request: Request, feeder: accuracy.Feeder) -> Iterator[Dict[str, Any]]:
    counts, infer_ns, begun = [], 0, time.perf_counter_ns()  # type: List[Any], int, int
    first = request.first
    masks = _Masks(request)
    for place, images in accuracy.batches(request, feeder.batch):
        truth = masks.of(place, len(images))
        named = classes_of(feeder.answer(images), request)
        infer_ns += feeder.infer_ns
        counts += [confusion(true, name, request.classes) for true, name in zip(truth, named)]
        now = time.perf_counter_ns()
        is_last = first + len(counts) == request.first + request.count
        if is_last or len(counts) >= request.part_samples or now - begun >= request.part_s * 1e9:
            yield _event(first, counts, now - begun, infer_ns)
            first, counts, infer_ns, begun = first + len(counts), [], 0, now


class _Masks:
    """The masks of the samples, of one chunk at a time."""

    def __init__(self, request: Request) -> None:
        self._chunks = request.chunks
        self._loaded = {}  # type: Dict[int, Any]

    def of(self, place: int, count: int) -> Any:
        """Return the masks of samples that lie in one chunk."""
        for chunk in self._chunks:
            first = chunk["first"]
            if first <= place < first + chunk["count"]:
                if first not in self._loaded:
                    self._loaded = {first: accuracy.chunk_of({**chunk["masks"], "count": chunk["count"]}, axes=3)}
                return self._loaded[first][place - first : place - first + count]
        raise ValueError("no chunk holds sample {}".format(place))


def classes_of(output: Any, request: Request) -> Any:
    """Return the best class of every pixel, (batch, height, width). Raises WrongOutput for what are no such maps."""
    import numpy

    if output.ndim != 4 or output.shape[request.class_axis] != request.classes:
        words = "the output has the shape {}, expected maps of {} classes along axis {}"
        raise failures.WrongOutput(words.format(output.shape, request.classes, request.class_axis))
    if output.dtype.kind == "f" and not numpy.isfinite(output).all():
        raise failures.WrongOutput("a map has scores that are not finite")
    return numpy.argmax(output, axis=request.class_axis)


def confusion(truth: Any, named: Any, classes: int) -> Any:
    """Return how many pixels of each true class were taken for which class, (classes, classes).

    Raises WrongOutput for a map of another size than the mask, ValueError for a mask with other classes.
    """
    import numpy

    if truth.shape != named.shape:
        raise failures.WrongOutput("a map of {}, and its mask has {}".format(named.shape, truth.shape))
    counted = truth != IGNORED
    rows, columns = truth[counted].astype(numpy.int64), named[counted]
    if rows.size and rows.max() >= classes:
        raise ValueError("a mask has the class {}, and there are {}".format(rows.max(), classes))
    return numpy.bincount(rows * classes + columns, minlength=classes * classes).reshape(classes, classes)


def _event(first: int, counts: List[Any], wall_ns: int, infer_ns: int) -> Dict[str, Any]:
    import numpy

    return {
        "event": "part",
        "first": first,
        "count": len(counts),
        "wall_ns": wall_ns,
        "infer_ns": infer_ns,
        "confusion": accuracy.text_of(numpy.stack(counts), "<u4"),
    }
