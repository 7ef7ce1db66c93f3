"""A file or folder whole or not at all; downloads and archives, whatever is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.files.archives import unpack
    from icefront.files.atomic import check_folder, explained_writing, staging, writing
    from icefront.files.downloads import RemoteFile, fetch
    from icefront.files.names import distinct_names, file_name, shown

__all__ = [
    "RemoteFile",
    "check_folder",
    "distinct_names",
    "explained_writing",
    "fetch",
    "file_name",
    "shown",
    "staging",
    "unpack",
    "writing",
]

__getattr__ = on_first_use(
    __name__,
    {
        "archives": ["unpack"],
        "atomic": ["check_folder", "staging", "writing", "explained_writing"],
        "downloads": ["RemoteFile", "fetch"],
        "names": ["distinct_names", "file_name", "shown"],
    },
)
