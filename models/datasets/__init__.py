"""Images with labels to measure accuracies on, and how they become what a network is fed."""

from models.datasets.base import Dataset
from models.datasets.opening import open_dataset

__all__ = ["Dataset", "open_dataset"]
