"""A model in the hands of a tool that times its inferences itself."""

from typing import Any, Dict, List, Tuple

from backends.base import Session, Unsupported


class ToolSession(Session):
    """One run of a tool, which makes inputs of its own and shows no outputs; `aggregate` is left to it."""

    def __init__(self, **actual: Any) -> None:
        self._actual = actual  # type: Dict[str, Any]

    def bind(self, inputs: List[Tuple[str, Any]]) -> None:
        """The tool makes inputs of its own."""

    def run(self) -> None:
        raise Unsupported("the tool times its inferences itself and shows no outputs")

    def outputs(self) -> List[Any]:
        return []

    def actual(self) -> Dict[str, Any]:
        return self._actual
