"""The seam every runtime is behind. Runs on the device: Python 3.8, the standard library, NumPy and the runtime."""

from abc import ABC, abstractmethod
from typing import Any, Dict, List, NamedTuple, Optional, Tuple


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


class Session(ABC):
    """One loaded model, ready to run again and again on the same inputs."""

    @abstractmethod
    def bind(self, inputs: List[Tuple[str, Any]]) -> None:
        """Give every input its array, as (name, NumPy array) in the model's own order. Called once, before `run`.

        Raises Unsupported when an input does not exist or does not fit.
        """

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
        """Return what really runs: providers or delegate, threads, inference precision, as plain JSON values."""


class Backend(ABC):
    """One runtime.

    `formats` are the artifact formats it reads, the best first; `packages` the distributions that provide it, the one
    to install first. Importing the module must not import the runtime: the host reads these attributes without it.
    """

    name = ""  # type: str
    formats = ()  # type: Tuple[str, ...]
    packages = ()  # type: Tuple[str, ...]

    @abstractmethod
    def version(self) -> str:
        """Import the runtime and return its distribution and version. Raises ImportError when it is not there."""

    @abstractmethod
    def load(self, path: str, inputs: List[Dict[str, Any]], options: Dict[str, Any]) -> Session:
        """Load the model file `path`, made for the static `inputs` ({name, dtype, shape} each).

        `options`: `threads` (int), `precision` (`fp32`, `fp16`, `int8`: that of the artifact) and the backend's own.
        Raises Unsupported when the runtime says that it cannot run this model or does not know an option.
        """


def check_options(backend: str, options: Dict[str, Any], known: Tuple[str, ...]) -> None:
    """Raise Unsupported for an option that the backend does not have, naming those it has."""
    unknown = sorted(set(options) - {"threads", "precision"} - set(known))
    if unknown:
        has = ", ".join(known) if known else "none"
        raise Unsupported("{} has no option {}; it has: {}".format(backend, ", ".join(unknown), has))
