"""The series as NetCDF by the CF conventions: glaciers' time series as a contiguous ragged array.

Written by xarray through SciPy as NetCDF-3 (64-bit offset): every reader has that format, and SciPy
is needed anyway, so that neither netCDF4 nor h5netcdf has to be installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from icefront import __version__
from icefront.measures.by_glacier import METHODS
from icefront.projects.results import METHOD, ProjectResults
from icefront.timeseries.grades import GRADES

SERIES_NC = "series.nc"
CONVENTIONS = "CF-1.11"
FILL = -9.0e33
_COORDINATES = ("time", "latitude", "longitude", "glacier_name")
_LONG_NAMES = {
    "curvilinear_box": "mean position of the calving front in the curvilinear box",
    "rectilinear_box": "mean position of the calving front in the rectilinear box",
    "parallel_centrelines": "mean position of the calving front along parallel centrelines",
    "centreline": "position of the calving front along the centreline",
}


def to_xarray(results: ProjectResults) -> xr.Dataset:
    """Return the series of all glaciers of a project as a CF data set.

    Parameters
    ----------
    results : ProjectResults

    Returns
    -------
    xarray.Dataset
        Dimensions ``glacier`` and ``obs`` (all fronts, those of a glacier together and in order of
        date); featureType timeSeries with ``row_size`` (CF-1.11, 9.3.3). NaN where a front has no
        position; ``front_grade`` is -1 without a grade.
    """
    table = _by_front(results)
    names = list(results.series)
    places = _places(results, names)
    grades = table["grade"].map({name: k for k, name in enumerate(GRADES)}).fillna(-1)
    helpers = "position_uncertainty position_outlier front_grade"
    variables = {
        "glacier_name": _variable(
            "glacier",
            np.array(names, dtype=str),
            long_name="name of the glacier",
            cf_role="timeseries_id",
        ),
        "latitude": _variable(
            "glacier",
            places[:, 1],
            standard_name="latitude",
            long_name="latitude",
            units="degrees_north",
        ),
        "longitude": _variable(
            "glacier",
            places[:, 0],
            standard_name="longitude",
            long_name="longitude",
            units="degrees_east",
        ),
        "row_size": _variable(
            "glacier",
            np.array([(table["glacier"] == name).sum() for name in names], np.int32),
            long_name="number of fronts of the glacier",
            sample_dimension="obs",
        ),
        "time": _variable(
            "obs",
            table["date"].to_numpy("datetime64[s]"),
            standard_name="time",
            long_name="day of acquisition",
            units_metadata="leap_seconds: none",  # dates, not instants
            axis="T",
        ),
    }
    for method in METHODS:
        if f"position_m_{method}" not in table:
            continue
        variables[f"position_{method}"] = _measured(
            table[f"position_m_{method}"],
            units="m",
            long_name=_LONG_NAMES[method],
            comment="advance (seaward) is positive",
            ancillary_variables=helpers,
        )
        if table[f"area_m2_{method}"].notna().any():
            variables[f"area_{method}"] = _measured(
                table[f"area_m2_{method}"],
                units="m2",
                long_name=f"area of the glacier in the {method.replace('_', ' ')}",
                ancillary_variables="front_grade",
            )
    variables["position_uncertainty"] = _measured(
        table["uncertainty_m"],
        units="m",
        long_name="standard deviation of the place of the calving front",
    )
    variables["position_outlier"] = _measured(
        table["outlier"].astype(np.int8),
        fill=None,
        long_name=f"outlier of the positions in the {METHOD.replace('_', ' ')}",
        flag_values=np.array([0, 1], np.int8),
        flag_meanings="in_line_with_neighbours outlier",
    )
    variables["front_grade"] = _measured(
        grades.astype(np.int8),
        fill=np.int8(-1),
        long_name="grade of the front",
        flag_values=np.arange(len(GRADES), dtype=np.int8),
        flag_meanings="A_good B_fair C_doubtful D_most_likely_wrong",
    )
    for name, long_name in (
        ("sensor", "sensor"),
        ("source", "origin of the front"),
        ("scene", "name of the image"),
    ):
        texts = table[name] if name in table else pd.Series("", index=table.index)
        values = texts.fillna("").astype(str).to_numpy(dtype=str)
        variables[name] = _variable("obs", values, long_name=long_name)
    dataset = xr.Dataset(variables, attrs=_global_attributes(results))
    return dataset.set_coords(_COORDINATES)


def write_netcdf(results: ProjectResults, path: Path) -> None:
    """Write the series of a project as a NetCDF file."""
    # As plain variables: each variable names those that are its coordinates.
    dataset = to_xarray(results).reset_coords()
    days = (dataset["time"].values - np.datetime64("1970-01-01")) / np.timedelta64(1, "D")
    units = {"units": "days since 1970-01-01 00:00:00", "calendar": "standard"}
    dataset["time"] = _variable("obs", days, **dataset["time"].attrs, **units)
    for name, variable in dataset.variables.items():
        if variable.dtype.kind == "U":
            # CF and NetCDF-3 know characters; UTF-8 where a name is not ASCII.
            encoded = np.char.encode(variable.values, "utf-8")
            dataset[name] = (variable.dims, encoded, variable.attrs)
            dataset[name].encoding["char_dim_name"] = f"{name}_length"
    dataset.to_netcdf(path, engine="scipy", format="NETCDF3_64BIT")


def _variable(dimension: str, values: np.ndarray, **attributes: Any) -> xr.Variable:
    return xr.Variable(dimension, values, attributes, {"_FillValue": None})


def _measured(
    values: pd.Series, *, fill: float | np.int8 | None = FILL, **attributes: Any
) -> xr.Variable:
    """Return a variable of each front, located by the coordinates of the data set."""
    variable = _variable("obs", values.to_numpy(), **attributes)
    variable.encoding |= {"_FillValue": fill, "coordinates": " ".join(_COORDINATES)}
    return variable


def _global_attributes(results: ProjectResults) -> dict[str, str]:
    def all_of(name: str) -> str:
        if name not in results.fronts:
            return "none"
        # Some readers take an empty attribute for a missing one.
        return ", ".join(map(str, results.fronts[name].dropna().unique())) or "none"

    return {
        "Conventions": CONVENTIONS,
        "featureType": "timeSeries",
        "title": "Positions of calving fronts through time",
        "source": f"icefront {__version__}",
        "model": all_of("model"),
        "model_sha256": all_of("model_sha256"),
        # Without the time, so that equal runs give equal files.
        "history": f"written by icefront {__version__}",
        "references": "Lea (2018), doi:10.5194/tc-12-551-2018 (curvilinear box)",
    }


def _by_front(results: ProjectResults) -> pd.DataFrame:
    """One row per front, in order of glacier and date, with the measures of all methods."""
    main = results.measured[results.measured["method"] == METHOD].set_index("front")
    columns = ["glacier", "date", "uncertainty_m", "grade", "sensor", "source", "scene"]
    table = main[[name for name in columns if name in main]].copy()
    for method, mine in results.measured.groupby("method"):
        mine = mine.set_index("front")
        table[f"position_m_{method}"] = mine["position_m"]
        table[f"area_m2_{method}"] = mine["area_m2"]
    outlier = pd.concat(
        [
            by_method[METHOD].table.set_index("front")["outlier"]
            for by_method in results.series.values()
        ]
    )
    table["outlier"] = outlier.reindex(table.index).fillna(False)
    order = {name: number for number, name in enumerate(results.series)}
    key = table["glacier"].map(order)
    return table.assign(_key=key).sort_values(["_key", "date"], kind="stable").drop(columns="_key")


def _places(results: ProjectResults, names: list[str]) -> np.ndarray:
    """Longitude and latitude of the middle of each glacier's centreline, (N, 2)."""
    lines = results.lines.set_index("glacier").loc[names]
    middles = gpd.GeoSeries(
        lines["centreline"].interpolate(0.5, normalized=True), crs=results.lines.crs
    ).to_crs(4326)
    return np.stack([middles.x, middles.y], axis=1)
