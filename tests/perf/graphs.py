"""Which operators a model file consists of, and where two files differ."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


def operators(path: Path) -> Counter[str]:
    """How often each operator occurs in an .onnx or .tflite file."""
    if path.suffix == ".onnx":
        import onnx

        return Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # A delegate would hide what it has taken.
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(str(path), experimental_op_resolver_type=resolver)
    return Counter(details["op_name"] for details in interpreter._get_ops_details())


def difference(ours: Path, theirs: Path) -> str:
    """The operators whose numbers differ, as "Mul 3 (theirs 5)", and both totals."""
    first, second = operators(ours), operators(theirs)
    changed = [
        f"{name} {first[name]} (theirs {second[name]})"
        for name in sorted(first | second)
        if first[name] != second[name]
    ]
    return f"{first.total()} nodes, theirs {second.total()}" + "".join(f"; {words}" for words in changed)
