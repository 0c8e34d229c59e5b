"""The graph of a TFLite file that runs: the first, or the one behind a signature, which has tensors of its own."""

from typing import Any, Dict, List

from backends.base import Unsupported


class Graph:
    """The first graph of an interpreter. Its tensors are bound by position: their names may be empty or equal."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self.run = interpreter.invoke

    def inputs(self) -> List[Dict[str, Any]]:
        """Return the runtime's details of the inputs, in the file's order."""
        return list(self._interpreter.get_input_details())

    def outputs(self) -> List[Dict[str, Any]]:
        """Return those of the outputs."""
        return list(self._interpreter.get_output_details())

    def resize(self, index: int, shape: List[int]) -> None:
        self._interpreter.resize_tensor_input(index, shape)

    def allocate(self) -> None:
        self._interpreter.allocate_tensors()

    def set(self, index: int, array: Any) -> None:
        self._interpreter.set_tensor(index, array)

    def get(self, index: int) -> Any:
        return self._interpreter.get_tensor(index)

    def ordered(self, names: List[str]) -> List[Dict[str, Any]]:
        """Return the inputs in the order of the artifact, which calls them `names`. Raises Unsupported."""
        details = self.inputs()
        if len(details) != len(names):
            raise Unsupported("the model has {} inputs, the artifact {}".format(len(details), len(names)))
        return details


class SignatureGraph(Graph):
    """The graph of a signature. Inputs and outputs are those of the signature, by the names that it gives them.

    What is called of the interpreter is what its own `SignatureRunner` calls, which copies inputs on every run.
    """

    def __init__(self, interpreter: Any, signature: str) -> None:
        self._interpreter = interpreter
        self._native = interpreter._interpreter
        try:
            known = interpreter._get_full_signature_list()
            if signature not in known:
                has = ", ".join(known) or "none"
                raise Unsupported("the file has no signature {}; it has: {}".format(signature, has))
            self._subgraph = int(self._native.GetSubgraphIndexFromSignature(signature))
        except AttributeError as exc:
            raise Unsupported("this release of TFLite runs the first graph of a file only") from exc
        self._inputs = known[signature]["inputs"]
        self._outputs = known[signature]["outputs"]

    def run(self) -> None:
        self._native.Invoke(self._subgraph)

    def inputs(self) -> List[Dict[str, Any]]:
        return [self._detail(name, index) for name, index in self._inputs.items()]

    def outputs(self) -> List[Dict[str, Any]]:
        return [self._detail(name, index) for name, index in self._outputs.items()]

    def _detail(self, name: str, index: int) -> Dict[str, Any]:
        return dict(self._interpreter._get_tensor_details(index, self._subgraph), name=name)

    def resize(self, index: int, shape: List[int]) -> None:
        import numpy as np

        self._native.ResizeInputTensor(index, np.array(shape, dtype=np.int32), False, self._subgraph)

    def allocate(self) -> None:
        self._native.AllocateTensors(self._subgraph)

    def set(self, index: int, array: Any) -> None:
        self._native.SetTensor(index, array, self._subgraph)

    def get(self, index: int) -> Any:
        return self._native.GetTensor(index, self._subgraph)

    def ordered(self, names: List[str]) -> List[Dict[str, Any]]:
        details = {detail["name"]: detail for detail in self.inputs()}
        if sorted(details) != sorted(names):
            raise Unsupported("the signature's inputs are {}, those of the artifact {}".format(list(details), names))
        return [details[name] for name in names]


def graph_of(interpreter: Any, signature: str) -> Graph:
    """Return the graph of a signature, the first one without. Raises Unsupported."""
    return SignatureGraph(interpreter, signature) if signature else Graph(interpreter)
