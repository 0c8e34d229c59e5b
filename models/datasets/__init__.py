"""Images with labels to measure accuracies on, and how they become what a network is fed."""

from models.datasets.base import Dataset, Images, SegmentationDataset
from models.datasets.opening import open_dataset, open_images, open_segmentation

__all__ = ["Dataset", "Images", "SegmentationDataset", "open_dataset", "open_images", "open_segmentation"]
