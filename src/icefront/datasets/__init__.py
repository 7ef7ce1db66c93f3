"""Data sets on disk: CaFFe's layout, names and splits, and how training reads it."""

from icefront.datasets.caffe import (
    CaffeDataset,
    CaffeSample,
    clean_labels,
    read_box,
    read_front,
    read_grey,
    read_zones,
    validation_split,
)

__all__ = [
    "CaffeDataset",
    "CaffeSample",
    "clean_labels",
    "read_box",
    "read_front",
    "read_grey",
    "read_zones",
    "validation_split",
]
