"""Data sets on disk: CaFFe's layout, names and splits, and how training reads it."""

from icefront.datasets.caffe import (
    CaffeDataset,
    CaffeSample,
    mend_zones,
    read_box,
    read_front,
    read_grey,
    read_zones,
    validation_split,
)

__all__ = [
    "CaffeDataset",
    "CaffeSample",
    "mend_zones",
    "read_box",
    "read_front",
    "read_grey",
    "read_zones",
    "validation_split",
]
