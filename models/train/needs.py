"""What training needs besides what measuring needs."""

from __future__ import annotations

from importlib.util import find_spec

from models.errors import ModelError


def require_torch() -> None:
    """Raises ModelError, with what to install, where PyTorch is missing."""
    if find_spec("torch") is None or find_spec("safetensors") is None:
        raise ModelError("training and exporting need PyTorch: pip install 'edgebench[export]'")
