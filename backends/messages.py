"""What runtimes say, in words for people, and what it means: used where a model runs and where it is prepared."""

import re

_NOISE = (
    r"Exception from \S+:\d+:\s*",  # OpenVINO
    r"Check '.*' failed at \S+:\d+:\s*",
    r"\[ONNXRuntimeError\]\s*:\s*\d+\s*:\s*\w+\s*:\s*",
    r"Load model from .*? failed:\s*",
    r"FrontEnd API failed with \w+:\s*",
    r"Exception during initialization:\s*",
    r"\[with \w+ = [\w:]+\]\s*",
    r"(?m)^-- ",
    r"Model wasn't fully converted\.\s*(?:Failed operations detailed log:\s*)?(?:Summary:\s*)?",
    # A place in ONNX Runtime's sources, with the signature of the function there.
    r"(?<!\S)\S+\.(?:cc|h|cpp):\d+\s*"
    r"(?:[\w:~<>,&*\s]*::[^\s()]+\([^()]*(?:\([^()]*\)[^()]*)*\)(?: const)?\s*)?",
)

# What a runtime says of a model that asks for what it does not have: an operator or a version of one, a type, a rank.
# Each was said by ONNX Runtime 1.31, OpenVINO 2026.4 or LiteRT 2.3 (tests/backends/test_lacking.py makes them say it).
_LACKING = re.compile(
    "|".join(
        (
            "NOT_IMPLEMENTED",
            "Could not find an implementation",
            "is not a registered function/op",
            "[Nn]o Op registered for",
            "Unsupported model IR version",
            "is under development",
            r"Type '[^']*' of input parameter .* is invalid",
            "OpConversionFailure",
            "No conversion rule found",
            "No translator found",
            "Not Implemented",
            "no supported devices",
            "Unexpected type: ",
            r"builtin[_ ]code.* out of range",
            "Didn't find op for builtin",
            "[Uu]nresolved custom op",
            "Select TensorFlow op",
            "[Oo]nly (?:currently )?supports?",
            "[Dd]oes not support (?:type|inputs? with element type)",
            "[Ee]lement type must be",
            r"must have \w+ element type",
            r"type (?:==|!=) kTfLite\w+",
            "supported currently",
            "[Nn]ot (?:currently |yet )?supported",
            "[Uu]nsupported",
        )
    )
)


def is_lacking(message: str) -> bool:
    """Tell whether a runtime says that it lacks what the model asks for, rather than that something is wrong."""
    # Without the path of the model, which may have any name.
    return _LACKING.search(re.sub(r"Load model from .*? failed", "", message)) is not None


def plain(message: str) -> str:
    """Return a runtime's message on one line, without the places in its own sources and the paths of our files."""
    for noise in _NOISE:
        message = re.sub(noise, "", message)
    message = re.sub(r"(?<=\S)(?=Node number \d+ \(|Registration failed)", " ", message)  # LiteRT puts no blank there
    return " ".join(message.split())


def shortened(text: str, limit: int) -> str:
    """Return the text in at most `limit` characters: of a longer one the beginning and the end, with the cause."""
    begin = limit // 3
    return text if len(text) <= limit else "{} … {}".format(text[:begin], text[begin + 3 - limit :])
