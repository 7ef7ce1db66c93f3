"""One SAR image: read in any format and CRS, radiometry to 0..1, metric grid, metadata.

`open_scene` turns a file into a `Scene`, `describe` says what is in a file, `resample` and
`resample_to` change pixel sizes and back, `equalise` makes a histogram flat. This room knows
nothing of models.
"""

from icefront.grid import PixelSize
from icefront.scenes.data_arrays import scene_from_xarray
from icefront.scenes.describe import describe
from icefront.scenes.metadata import Metadata, from_name
from icefront.scenes.radiometry import decide_radiometry, equalise, to_grey
from icefront.scenes.reading import open_scene
from icefront.scenes.resampling import resample, resample_to
from icefront.scenes.scene import Scene

__all__ = [
    "Metadata",
    "PixelSize",
    "Scene",
    "decide_radiometry",
    "describe",
    "equalise",
    "from_name",
    "open_scene",
    "resample",
    "resample_to",
    "scene_from_xarray",
    "to_grey",
]
