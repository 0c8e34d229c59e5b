"""On a PYTHONPATH: declares the operators of torchvision's compiled part just before torchvision is imported.

The wheel's compiled part loads only beside the very build of PyTorch that it was made for. No image classifier runs one
of its operators; torchvision's import merely wants these two to be known by name.
"""

import sys
from importlib.abc import MetaPathFinder


class _BeforeTorchvision(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            torch.torchvision_operators = library  # they are forgotten with the object


sys.meta_path.insert(0, _BeforeTorchvision())
