"""What runtimes say, in words for people: used where a model runs and where it is prepared."""

import re

_NOISE = (
    r"Exception from \S+:\d+:\s*",  # OpenVINO
    r"Check '.*' failed at \S+:\d+:\s*",
    r"\[ONNXRuntimeError\]\s*:\s*\d+\s*:\s*\w+\s*:\s*",
    r"Load model from \S+ failed:\s*",
    # A place in ONNX Runtime's sources, with the signature of the function there.
    r"(?<!\S)\S+\.(?:cc|h|cpp):\d+\s*"
    r"(?:[\w:~<>,&*\s]*::[^\s()]+\([^()]*(?:\([^()]*\)[^()]*)*\)(?: const)?\s*)?",
)


def plain(message: str) -> str:
    """Return a runtime's message on one line, without the places in its own sources and the paths of our files."""
    for noise in _NOISE:
        message = re.sub(noise, "", message)
    return " ".join(message.split())
