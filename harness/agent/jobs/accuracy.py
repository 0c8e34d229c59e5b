"""What a model makes of the images of a data set: the best classes of each, part by part.

Events, in this order:

    imported  backend_version, import_ns
    loaded    load_ns, what actually runs
    part      first, count: which samples; wall_ns of all of it, infer_ns of the inferences alone; top, confidence and
              logits as base64 of little-endian arrays; whether the outputs are probabilities; nonfinite: how many
              samples have no answer. As many as there are samples to tell of
    done

Images come prepared as unsigned bytes. What a byte becomes in a channel was computed by the host in the arithmetic that
the network was trained with, in the type of the input, quantized or not: here it is looked up, which is exact.
"""

import base64
import hashlib
import io
import os
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from backends.base import Session, Unsupported
from harness.agent import failures, guard, model

Emit = Callable[[Dict[str, Any]], None]

TOP = 5
# Scores that are nonnegative and whose sum is this near to 1 are probabilities.
_SUM_WITHIN = 0.01


@dataclass(frozen=True)
class Request(model.ModelRequest):
    """A model with one input, and the samples `first` … `first + count - 1` of a data set.

    `chunks` are its files in order ({path, sha256, first, count}: an .npy of count x height x width x channels bytes),
    those that hold these samples. `table` is what a byte becomes in each channel: 256 x channels, in the type of the
    input, as base64 of little-endian elements. `output` is the position of the one with the scores of `classes`
    classes, `scale` and `zero_point` those of a quantized one. The scores of samples before `keep` are told. A part has
    `part_samples` at most, and ends when `part_s` seconds are over.
    """

    chunks: List[Dict[str, Any]]
    first: int
    count: int
    table: str
    output: int
    scale: Optional[float]
    zero_point: int
    classes: int
    keep: int
    part_samples: int
    part_s: float


def run(request: Request, emit: Emit) -> int:
    """Go through all samples; the phase that fails is named in the `error` event."""
    return carried_out(request, emit, _parts)


def carried_out(request: Request, emit: Emit, parts: "Parts") -> int:
    """Load the model and emit the `parts` that it makes of the samples."""
    phase = "files"
    try:
        for phase in _phases(request, emit, parts):  # noqa: B007 - the last one goes into the error
            pass
    except Exception as exc:  # noqa: BLE001 - whatever a runtime throws becomes a reason
        emit(failures.error(exc, phase))
        return 1
    return 0


def _phases(request: Request, emit: Emit, parts: "Parts") -> Iterator[str]:
    """Evaluate, and yield the name of each phase as it begins. Raises whatever goes wrong."""
    model.settle(request)
    for folder in sorted({os.path.dirname(chunk["path"]) for chunk in request.chunks}):
        guard.use(folder)
    model.check_files(request)
    yield "import"
    backend = model.imported(request, emit)
    yield "load"
    start = time.perf_counter_ns()
    session = backend.load(request.model, request.inputs, request.options)
    emit({"event": "loaded", "load_ns": time.perf_counter_ns() - start, "actual": session.actual()})
    yield "evaluation"
    for part in parts(request, Feeder(request, session)):
        emit(part)
    yield "end"
    emit({"event": "done"})


def _parts(request: Request, feeder: "Feeder") -> Iterator[Dict[str, Any]]:
    part = _Part(request, request.first, time.perf_counter_ns())
    is_probabilities = None  # type: Optional[bool]
    for _, images in batches(request, feeder.batch):
        scores = feeder.scores(images)
        part.infer_ns += feeder.infer_ns
        if is_probabilities is None:
            is_probabilities = are_probabilities(scores, request.scale or 0.0)
        part.add(scores)
        if part.is_over:
            yield part.event(is_probabilities)
            part = _Part(request, part.end, part.ended)
    if part.count:
        yield part.event(bool(is_probabilities))


def batches(request: Request, size: int) -> Iterator[Tuple[int, Any]]:
    """Yield places and images as views of prepared bytes: `size` at once, fewer at the end of a chunk."""
    end = request.first + request.count
    for chunk in request.chunks:
        begin, stop = max(request.first, chunk["first"]), min(end, chunk["first"] + chunk["count"])
        if begin < stop:
            images = chunk_of(chunk)
            for position in range(begin, stop, size):
                yield position, images[position - chunk["first"] : min(position + size, stop) - chunk["first"]]


def chunk_of(chunk: Dict[str, Any], axes: int = 4) -> Any:
    """Return the images of a chunk, or masks of three axes. Raises Damaged for a file that is not what was pushed."""
    import numpy

    try:
        with open(chunk["path"], "rb") as file:
            content = file.read()
    except OSError as exc:
        raise failures.Damaged("{}: {}".format(chunk["path"], exc.strerror)) from exc
    if hashlib.sha256(content).hexdigest() != chunk["sha256"]:
        raise failures.Damaged("{} does not have the hash it was pushed with".format(chunk["path"]))
    images = numpy.load(io.BytesIO(content), allow_pickle=False)
    if images.dtype != numpy.uint8 or images.ndim != axes or len(images) != chunk["count"]:
        raise ValueError("{} holds no {} images".format(chunk["path"], chunk["count"]))
    return images


class Feeder:
    """Writes images into the model's input in place, runs it, and reads the scores; `infer_ns` is of the last run."""

    def __init__(self, request: Request, session: Session) -> None:
        import numpy

        (spec,) = request.inputs
        shape, dtype = [int(size) for size in spec["shape"]], numpy.dtype(spec["dtype"])
        content = base64.b64decode(request.table)
        table = numpy.frombuffer(content, dtype.newbyteorder("<")).astype(dtype).reshape(256, -1)
        self.batch = shape[0]
        array = numpy.zeros(shape, dtype)
        self._inputs = [(spec["name"], array)]
        self._write = _by_plane(table, array) if shape[1] == table.shape[1] else _by_pixel(table, array)
        self._session = session
        session.bind(self._inputs)
        self._request = request
        self.infer_ns = 0

    def scores(self, images: Any) -> Any:
        """Return the scores of every image, (images, classes) of float32."""
        import numpy

        request, found = self._request, self.answer(images)
        if found.size != self.batch * request.classes or len(found) != self.batch:
            words = "the output has the shape {}, expected the scores of {} classes"
            raise failures.WrongOutput(words.format(found.shape, request.classes))
        scores = found.reshape(self.batch, request.classes)[: len(images)].astype(numpy.float32)
        if request.scale is not None:
            scores = (scores - numpy.float32(request.zero_point)) * numpy.float32(request.scale)
        return scores

    def answer(self, images: Any) -> Any:
        """Return the output as it is, of a whole batch: what is left of it repeats the last image."""
        self._write(images)
        self._session.feed(self._inputs)
        start = time.perf_counter_ns()
        self._session.run()
        self.infer_ns = time.perf_counter_ns() - start
        outputs = self._session.outputs()
        if not outputs:
            raise Unsupported("{} shows no outputs".format(self._request.backend))
        return outputs[self._request.output]


def _by_plane(table: Any, array: Any) -> Callable[[Any], None]:
    """Return what writes images into an array of batch, channels, height, width, by the table of each channel."""
    import numpy

    tables = [numpy.ascontiguousarray(column) for column in table.T]

    def write(images: Any) -> None:
        count = _checked(images, array.transpose(0, 2, 3, 1))
        # One by one: what is written is then contiguous, and the image still in the cache for the next channel.
        for image, target in zip(images, array):
            for channel, column in enumerate(tables):
                numpy.take(column, image[..., channel], out=target[channel], mode="wrap")
        array[count:] = array[count - 1]

    return write


def _by_pixel(table: Any, array: Any) -> Callable[[Any], None]:
    """Return what writes images into an array of batch, height, width, channels, by one table for all channels."""
    import numpy

    height, width, channels = array.shape[1:]
    whole = numpy.ascontiguousarray(table.T).reshape(-1)
    begins = numpy.tile(256 * numpy.arange(channels), width)
    index = numpy.empty((height, width * channels), numpy.intp)

    def write(images: Any) -> None:
        count = _checked(images, array)
        # By rows into an array that is kept: short loops and fresh memory would cost more than the lookup.
        for image, target in zip(images, array):
            numpy.add(image.reshape(index.shape), begins, out=index)
            numpy.take(whole, index, out=target.reshape(index.shape), mode="wrap")
        array[count:] = array[count - 1]

    return write


def _checked(images: Any, target: Any) -> int:
    """Return how many images there are. Raises ValueError for those that are not of the size of the input."""
    if images.shape[1:] != target.shape[1:]:
        raise ValueError("images of {} for an input of {}".format(images.shape[1:], target.shape[1:]))
    return len(images)


Parts = Callable[[Any, Feeder], Iterator[Dict[str, Any]]]


class _Part:
    """Samples that are told of together."""

    def __init__(self, request: Request, first: int, begun: int) -> None:
        self._request = request
        self._first = first
        self._begun = self.ended = begun
        self._blocks = []  # type: List[Any]
        self.infer_ns = 0
        self.count = 0

    @property
    def end(self) -> int:
        """The first sample behind it."""
        return self._first + self.count

    @property
    def is_over(self) -> bool:
        """Whether it has as many samples as one may have, or has taken long enough."""
        elapsed_ns = time.perf_counter_ns() - self._begun
        return self.count >= self._request.part_samples or elapsed_ns >= self._request.part_s * 1e9

    def add(self, scores: Any) -> None:
        """Take in the scores of the next samples."""
        self._blocks.append(scores)
        self.count += len(scores)

    def event(self, is_probabilities: bool) -> Dict[str, Any]:
        """Return what is told of it."""
        import numpy

        scores = numpy.concatenate(self._blocks)
        answers = answered(scores)
        top = best(scores)
        top[~answers] = scores.shape[1]
        certain = confidence(scores, is_probabilities)
        certain[~answers] = 0
        kept = max(0, min(self.count, self._request.keep - self._first))
        self.ended = time.perf_counter_ns()
        return {
            "event": "part",
            "first": self._first,
            "count": self.count,
            "wall_ns": self.ended - self._begun,
            "infer_ns": self.infer_ns,
            "top": text_of(top, "<u4"),
            "confidence": text_of(certain, "<f4"),
            "logits_count": kept,
            "logits": text_of(scores[:kept], "<f4"),
            "probabilities": is_probabilities,
            "nonfinite": int(numpy.count_nonzero(~answers)),
        }


def text_of(array: Any, dtype: str) -> str:
    """Return an array as base64 of its elements in that type."""
    return base64.b64encode(array.astype(dtype).tobytes()).decode("ascii")


def answered(scores: Any) -> Any:
    """Tell of every sample whether its scores say anything: no NaN, no +infinity (-infinity rules a class out)."""
    import numpy

    finite = numpy.isfinite(scores)
    answers = finite.all(axis=1)
    if not answers.all():
        answers = ~(numpy.isnan(scores) | numpy.isposinf(scores)).any(axis=1) & finite.any(axis=1)
    return answers


def best(scores: Any) -> Any:
    """Return the TOP best classes of every sample, the best first, of equal ones that of the lower index."""
    import numpy

    left = numpy.array(scores)
    left[~numpy.isfinite(left)] = numpy.finfo(numpy.float32).min
    found = numpy.empty((len(scores), min(TOP, scores.shape[1])), numpy.int64)
    rows = numpy.arange(len(scores))
    for place in range(found.shape[1]):
        found[:, place] = numpy.argmax(left, axis=1)  # the first of equal ones
        left[rows, found[:, place]] = -numpy.inf
    return found


def confidence(scores: Any, is_probabilities: bool) -> Any:
    """Return the probability of the best class of every sample: its softmax, unless the scores are probabilities."""
    import numpy

    with numpy.errstate(invalid="ignore", over="ignore"):
        most = scores.max(axis=1, keepdims=True)
        if is_probabilities:
            return numpy.clip(most[:, 0], 0, 1)
        return 1 / numpy.exp(scores - most).sum(axis=1, dtype=numpy.float32)


def are_probabilities(scores: Any, step: float) -> bool:
    """Whether these scores come out of a softmax already; `step` is what quantized ones are rounded to."""
    import numpy

    within = max(_SUM_WITHIN, step / 2 * scores.shape[1])
    with numpy.errstate(invalid="ignore"):
        return bool((scores >= 0).all() and (abs(scores.sum(axis=1) - 1) <= within).all())
