"""The series as NetCDF by the CF conventions: glaciers' time series as a contiguous ragged array.

Written as NetCDF-3 (64-bit offset) by SciPy: every reader has it, and no further library is
needed.
"""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from scipy.io import netcdf_file

from icefront import __version__
from icefront.measures.by_glacier import METHODS
from icefront.projects.results import METHOD, ProjectResults
from icefront.timeseries.grades import GRADES

SERIES_NC = "series.nc"
CONVENTIONS = "CF-1.11"
FILL = -9.0e33
_LONG = {
    "curvilinear_box": "mean position of the calving front in the curvilinear box",
    "rectilinear_box": "mean position of the calving front in the rectilinear box",
    "parallel_centrelines": "mean position of the calving front along parallel centrelines",
    "centreline": "position of the calving front along the centreline",
}


Variables = dict[str, tuple[str, np.ndarray, dict[str, Any]]]


def series_variables(results: ProjectResults) -> Variables:
    """Return the series of all glaciers as the variables of a CF data set.

    Parameters
    ----------
    results : ProjectResults

    Returns
    -------
    dict
        Dimension, values and attributes by name. The dimensions are ``glacier`` and ``obs`` (all
        fronts, those of a glacier together and in order of date); featureType timeSeries with
        ``row_size`` (CF-1.11, 9.3.3).
    """
    wide = _wide(results)
    names = list(results.series)
    sizes = [int((wide["glacier"] == name).sum()) for name in names]
    places = _places(results, names)
    days = (wide["date"].to_numpy("datetime64[D]") - np.datetime64("1970-01-01")).astype(float)
    grade = wide["grade"].map({name: k for k, name in enumerate(GRADES)}).fillna(-1)
    metres = {"units": "m", "coordinates": "time latitude longitude glacier_name"}

    def text(name: str) -> np.ndarray:
        values = wide[name] if name in wide else pd.Series("", index=wide.index)
        return values.fillna("").astype(str).to_numpy().astype("S")

    variables: Variables = {
        "glacier_name": (
            "glacier",
            np.array([name.encode() for name in names], dtype="S"),
            {"long_name": "name of the glacier", "cf_role": "timeseries_id"},
        ),
        "latitude": (
            "glacier",
            places[:, 1],
            {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north"},
        ),
        "longitude": (
            "glacier",
            places[:, 0],
            {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east"},
        ),
        "row_size": (
            "glacier",
            np.array(sizes, np.int32),
            {"long_name": "number of fronts of the glacier", "sample_dimension": "obs"},
        ),
        "time": (
            "obs",
            days,
            {
                "standard_name": "time",
                "long_name": "day of acquisition",
                "units": "days since 1970-01-01 00:00:00",
                "calendar": "standard",
                "units_metadata": "leap_seconds: none",  # dates, not instants
                "axis": "T",
            },
        ),
    }
    helpers = "position_uncertainty position_outlier front_grade"
    for method in METHODS:
        if f"position_m_{method}" not in wide:
            continue
        variables[f"position_{method}"] = (
            "obs",
            _filled(wide[f"position_m_{method}"]),
            {
                **metres,
                "long_name": _LONG[method],
                "comment": "advance (seaward) is positive",
                "ancillary_variables": helpers,
                "_FillValue": FILL,
            },
        )
        if wide[f"area_m2_{method}"].notna().any():
            variables[f"area_{method}"] = (
                "obs",
                _filled(wide[f"area_m2_{method}"]),
                {
                    "units": "m2",
                    "long_name": f"area of the glacier in the {method.replace('_', ' ')}",
                    "coordinates": metres["coordinates"],
                    "ancillary_variables": "front_grade",
                    "_FillValue": FILL,
                },
            )
    variables["position_uncertainty"] = (
        "obs",
        _filled(wide["uncertainty_m"]),
        {
            **metres,
            "long_name": "standard deviation of the place of the calving front",
            "_FillValue": FILL,
        },
    )
    variables["position_outlier"] = (
        "obs",
        wide["outlier"].to_numpy(np.int8),
        {
            "long_name": f"outlier of the positions in the {METHOD.replace('_', ' ')}",
            "flag_values": np.array([0, 1], np.int8),
            "flag_meanings": "in_line_with_neighbours outlier",
            "coordinates": metres["coordinates"],
        },
    )
    variables["front_grade"] = (
        "obs",
        grade.to_numpy(np.int8),
        {
            "long_name": "grade of the front",
            "flag_values": np.arange(len(GRADES), dtype=np.int8),
            "flag_meanings": "A_good B_fair C_doubtful D_most_likely_wrong",
            "coordinates": metres["coordinates"],
            "_FillValue": np.int8(-1),
        },
    )
    for name, long_name in (
        ("sensor", "sensor"),
        ("source", "origin of the front"),
        ("scene", "name of the image"),
    ):
        variables[name] = ("obs", text(name), {"long_name": long_name})
    return variables


def global_attributes(results: ProjectResults) -> dict[str, str]:
    """Return what the file says of itself."""
    now = dt.datetime.now(dt.UTC)

    def all_of(name: str) -> str:
        return (
            ", ".join(map(str, results.fronts[name].dropna().unique()))
            if name in results.fronts
            else ""
        )

    return {
        "Conventions": CONVENTIONS,
        "featureType": "timeSeries",
        "title": "Positions of calving fronts through time",
        "source": f"icefront {__version__}",
        "model": all_of("model"),
        "model_sha256": all_of("model_sha256"),
        "history": f"{now:%Y-%m-%dT%H:%M:%SZ} written by icefront {__version__}",
        "references": "Lea (2018), doi:10.5194/tc-12-551-2018 (curvilinear box)",
    }


def write_netcdf(results: ProjectResults, path: Path) -> None:
    """Write the series as a NetCDF file."""
    variables = series_variables(results)
    content = io.BytesIO()
    file = netcdf_file(content, "w", version=2)
    for name, value in global_attributes(results).items():
        # An empty attribute is none to some readers.
        setattr(file, name, (value or "none").encode())
    sizes = {"glacier": variables["row_size"][1].size, "obs": variables["time"][1].size}
    for dimension, size in sizes.items():
        file.createDimension(dimension, size)
    for name, (dimension, values, attributes) in variables.items():
        dimensions: tuple[str, ...] = (dimension,)
        if values.dtype.kind == "S":
            length = max(values.dtype.itemsize, 1)
            values = values.astype(f"S{length}").view("S1").reshape(values.size, length)
            dimensions += (f"{name}_length",)
            file.createDimension(dimensions[1], length)
        fill = attributes.get("_FillValue")
        if fill is not None and values.dtype.kind == "f":
            values = np.where(np.isnan(values), fill, values)
        variable = file.createVariable(name, values.dtype, dimensions)
        variable[:] = values
        for key, value in attributes.items():
            if key == "_FillValue":
                value = values.dtype.type(value)  # it has to be of the variable's own type
            setattr(variable, key, value.encode() if isinstance(value, str) else value)
    file.flush()
    path.write_bytes(content.getvalue())


def _wide(results: ProjectResults) -> pd.DataFrame:
    """One row per front, in order of glacier and date, with the measures of all methods."""
    main = results.measured[results.measured["method"] == METHOD].set_index("front")
    columns = ["glacier", "date", "uncertainty_m", "grade", "sensor", "source", "scene"]
    wide = main[[name for name in columns if name in main]].copy()
    for method, mine in results.measured.groupby("method"):
        mine = mine.set_index("front")
        wide[f"position_m_{method}"] = mine["position_m"]
        wide[f"area_m2_{method}"] = mine["area_m2"]
    outlier = pd.concat(
        [
            by_method[METHOD].table.set_index("front")["outlier"]
            for by_method in results.series.values()
        ]
    )
    wide["outlier"] = outlier.reindex(wide.index).fillna(False)
    order = {name: number for number, name in enumerate(results.series)}
    key = wide["glacier"].map(order)
    return wide.assign(_key=key).sort_values(["_key", "date"], kind="stable").drop(columns="_key")


def _places(results: ProjectResults, names: list[str]) -> np.ndarray:
    """Longitude and latitude of the middle of each glacier's centreline, (N, 2)."""
    lines = results.lines.set_index("glacier").loc[names]
    middles = gpd.GeoSeries(
        lines["centreline"].interpolate(0.5, normalized=True), crs=results.lines.crs
    ).to_crs(4326)
    return np.stack([middles.x, middles.y], axis=1)


def _filled(values: pd.Series) -> np.ndarray:
    return values.to_numpy(float)
