"""The seam every runtime is behind. Runs on the device: Python 3.8, the standard library, NumPy and the runtime."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

_MOST_SHARES = 8


class Unsupported(Exception):
    """The runtime cannot do what was asked (an operator, a format, a provider). The message says what, in words."""


class Aggregate(NamedTuple):
    """What a runtime that times its inferences itself has to tell of them: one number each, no single inference.

    `sample_ns` stands for all timed inferences, `details` is what else it told; `stable` as after a warm-up.
    """

    load_ns: int
    first_ns: int
    warmup_ns: int
    stable: bool
    sample_ns: int
    details: Dict[str, Any]


class Way(NamedTuple):
    """One way to compute in a precision: the file that is run for it, and the backend's own options beside it.

    `precision` and `method` are those of the file; a file that is there in the precision as it was given needs no
    method. `formats` are those that it is made in, () for any that the backend reads. `hint` are options by which the
    runtime itself computes an fp32 file in another precision; the case's method is then `hint`.
    """

    precision: str
    method: str = ""
    formats: Tuple[str, ...] = ()
    hint: Tuple[Tuple[str, str], ...] = ()


Precisions = Mapping[str, Union[str, Tuple[Way, ...]]]
"""The ways to compute in each precision, or in words why there is none."""


class Session(ABC):
    """One loaded model, ready to run again and again on the same inputs."""

    @abstractmethod
    def bind(self, inputs: List[Tuple[str, Any]]) -> None:
        """Give every input its array, as (name, NumPy array) in the model's own order. Called once, before `run`.

        Raises Unsupported when an input does not exist or does not fit.
        """

    def feed(self, inputs: List[Tuple[str, Any]]) -> None:
        """Take in what was written since into the arrays that were bound, which are given again.

        By default they are bound anew; a runtime that reads them where they lie has nothing to do.
        """
        self.bind(inputs)

    @abstractmethod
    def run(self) -> None:
        """Run one inference. This call alone is timed: whatever can be prepared belongs into `bind`."""

    def aggregate(self, profile: Dict[str, Any]) -> Optional[Aggregate]:
        """Measure in the runtime's own way where there is no other; None (the default): `run` is timed one by one."""
        return None

    @abstractmethod
    def outputs(self) -> List[Any]:
        """Return the outputs of the last `run` as NumPy arrays, in the model's own order."""

    @abstractmethod
    def actual(self) -> Dict[str, Any]:
        """Return what really runs: providers or delegate, threads, inference precision, as plain JSON values.

        Keys that mean the same in every backend: `asked` (the accelerators and delegates that were asked for, the first
        choice first; missing without any), `placement` ({where: number of the graph's nodes}), `multiply_adds` ({where:
        those of its nodes}, of a graph that lies in several places, where they are known, see `backends.work`), `left`
        ({operator: number} of those that an accelerator or delegate did not take), `compute` ({type, as `fp32` or
        `int8`: number of operators that compute in it}, where the runtime tells), `time` ({operator: share of the time
        of an inference}, see `shares`), `fallback` (what was asked for and not given, in words; missing or empty when
        all was given, see `fell_back`) and `aggregates` (in words, that each restart's one sample stands for many
        inferences).
        """

    def examine(self) -> Dict[str, Any]:
        """Return more of `actual` that takes work to find out; called once, after the last inference."""
        return {}


class Backend(ABC):
    """One runtime.

    `formats` are the artifact formats it reads, the best first; `packages` the distributions that provide it, the one
    to install first. `pushed` are the options that name a file of the host: it travels to the device, and `load` gets
    its path there. `precisions` are the ways to compute in each precision, or why there is none, in words; a precision
    that is not named has none. One without `shows_outputs` is a tool that times its inferences itself. Importing the
    module must not import the runtime: the host reads these attributes without it.
    """

    name = ""  # type: str
    formats = ()  # type: Tuple[str, ...]
    packages = ()  # type: Tuple[str, ...]
    pushed = ()  # type: Tuple[str, ...]
    precisions: ClassVar[Precisions] = {"fp32": (Way("fp32"),)}
    shows_outputs = True

    @abstractmethod
    def version(self) -> str:
        """Import the runtime and return its distribution and version. Raises ImportError when it is not there."""

    @abstractmethod
    def load(self, path: str, inputs: List[Dict[str, Any]], options: Dict[str, Any]) -> Session:
        """Load the model file `path` for `inputs` of one shape each ({name, dtype, shape, dims}), in its order.

        `dims`, only there where the file leaves sizes open, are the dimensions as it declares them: a size, a symbol,
        None for what is not known. These sizes are set by the runtime's own means. Files of external data lie where the
        model refers to them.
        `options`: `threads` (int), `precision` (that of the artifact, as `fp32`, `int8`), the backend's own, and
        `signature` where another graph of a TFLite file than the first is to run.
        Raises Unsupported when the runtime says that it cannot run this model or does not know an option.
        """


def check_options(
    backend: str, options: Dict[str, Any], known: Tuple[str, ...], switches: Tuple[str, ...] = ()
) -> None:
    """Raise Unsupported for an option that the backend does not have, naming those it has.

    `switches` are those among `known` that are `on` or `off`, and nothing else.
    """
    unknown = sorted(set(options) - {"threads", "precision", "signature"} - set(known))
    if unknown:
        has = ", ".join(known) if known else "none"
        raise Unsupported("{} has no option {}; it has: {}".format(backend, ", ".join(unknown), has))
    for name in switches:
        if options.get(name, "on") not in ("on", "off"):
            raise Unsupported("{}.{} is on or off, not {}".format(backend, name, options[name]))


def shares(times: Iterable[Tuple[str, float]]) -> Dict[str, float]:
    """Return {operator: share of the time} of the kinds that take most, from the time of each operator by its kind."""
    found = {}  # type: Dict[str, float]
    for kind, time in times:
        found[kind] = found.get(kind, 0.0) + time
    total = sum(found.values())
    most = sorted(found, key=lambda kind: (-found[kind], kind))[:_MOST_SHARES]
    return {kind: round(found[kind] / total, 3) for kind in most if found[kind] > 0}


def fell_back(asked: Sequence[str], placement: Dict[str, int], dropped: Sequence[str] = ()) -> str:
    """Say what of the accelerators `asked` for, the first choice first, was not given; "" when all was.

    `placement` is {where: nodes}, `dropped` those that the runtime went on without.
    """
    if not asked:
        return ""
    total = sum(placement.values())
    words = ["{} could not be started and was dropped".format(name) for name in dropped]
    first = next((name for name in asked if name not in dropped), None)
    elsewhere = {where: count for where, count in sorted(placement.items()) if count and where not in asked}
    if first and not placement.get(first) and len(elsewhere) != 1:
        words.append("{} took none of {} nodes".format(first, total))
    for where, count in elsewhere.items():
        share = "all {}".format(total) if count == total else "{} of {}".format(count, total)
        words.append("{} nodes ran on {}".format(share, where))
    return "; ".join(words)
