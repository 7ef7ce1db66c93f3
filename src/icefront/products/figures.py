"""Figures of a glacier's fronts: on the map and through time.

Colours: dates run through the middle of matplotlib's plasma, which grows evenly lighter and
needs no red and green; sources take the colours and markers of all reports.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import matplotlib.dates as mdates
import numpy as np
import pandas as pd
import shapely
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from icefront.projects.catalogue import OWN
from icefront.projects.results import METHOD, ProjectResults
from icefront.reporting.scale_bar import draw_scale_bar
from icefront.reporting.style import (
    BLUE,
    DASHED,
    INK,
    MUTED,
    VERMILION,
    drawn_text,
    dress_axes,
    dress_image_axes,
    marker,
    new_figure,
)
from icefront.reporting.style import colour as source_colour
from icefront.reporting.tables import MISSING
from icefront.scenes.reading import open_scene
from icefront.timeseries.series import Series
from icefront.timeseries.trend import days_of

DATES = ListedColormap(colormaps["plasma"](np.linspace(0.05, 0.93, 256)))
TREND, EVENT = INK, VERMILION
WIDTH_IN, DPI = 9.0, 160
LONGEST_SIDE = 1200
"""Pixels of a picture behind fronts."""
MARGIN = 0.12
"""Of the extent of box and fronts, around them on the map."""

MOVED_DATES = 3
"""Dates in the picture of what the pass through time changed most."""

_STYLE: dict[str, Any] = {"fontsize": 10, "color": INK}


def date_colours(values: np.ndarray) -> np.ndarray:
    """Colours of dates given as any numbers that grow with time, float (N, 4)."""
    values = np.asarray(values, float)
    low, high = np.nanmin(values), np.nanmax(values)
    return DATES((values - low) / (high - low) if high > low else np.full(values.shape, 0.5))


@dataclass(frozen=True)
class Background:
    """A scene as a picture on the map.

    Attributes
    ----------
    image : uint8 (h, w)
    extent : (west, east, south, north)
        In the CRS.
    crs : pyproj.CRS
    date : datetime.date or None
    name : str
    """

    image: np.ndarray
    extent: tuple[float, float, float, float]
    crs: CRS
    date: dt.date | None
    name: str


def read_background(path: str | Path, window: gpd.GeoSeries | None = None) -> Background | None:
    """Read a scene as a picture, cut to what the geometries of `window` span and a margin.

    Returns
    -------
    Background or None
        None if the scene is gone, cannot be read or lies elsewhere.
    """
    try:
        scene = open_scene(path)
    except Exception:  # whatever is wrong with the scene, figures do without it
        return None
    if scene.crs is None:
        return None
    rows, columns = scene.shape
    top, left, bottom, right = 0, 0, rows, columns
    if window is not None:
        west, south, east, north = grown_bounds(window.to_crs(scene.crs).total_bounds)
        inverse = ~scene.transform
        (c0, r0), (c1, r1) = inverse * (west, north), inverse * (east, south)
        top, left = max(int(r0), 0), max(int(c0), 0)
        bottom, right = min(int(np.ceil(r1)), rows), min(int(np.ceil(c1)), columns)
        if bottom - top < 8 or right - left < 8:
            return None
    image = scene.image[top:bottom, left:right]
    step = max(1, int(np.ceil(max(image.shape) / LONGEST_SIDE)))
    height, width = (side // step * step for side in image.shape)
    blocks = image[:height, :width].reshape(height // step, step, width // step, step)
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(blocks)
        grey = np.where(valid, blocks, 0).sum(axis=(1, 3)) / np.maximum(valid.sum(axis=(1, 3)), 1)
    known = valid.any(axis=(1, 3))
    if not known.any():
        return None
    low, high = np.quantile(grey[known], [0.01, 0.99])
    stretched = np.clip((grey - low) / max(high - low, 1e-6), 0, 1)
    picture = np.where(known, 20 + 215 * stretched, 255).astype(np.uint8)
    west, north = scene.transform * (left, top)
    east, south = scene.transform * (left + width, top + height)
    return Background(picture, (west, east, south, north), scene.crs, scene.date, scene.name)


def newest_background(results: ProjectResults, glacier: str) -> Background | None:
    """Read the newest scene of a glacier that can be read."""
    fronts = results.fronts[results.fronts["glacier"] == glacier]
    if "path" not in fronts:
        return None
    window = window_of(results, glacier)
    with_files = fronts[fronts["path"].notna()].sort_values("date", ascending=False)
    for path in with_files["path"].head(20):
        background = read_background(path, window)
        if background is not None:
            return background
    return None


def window_of(results: ProjectResults, glacier: str) -> gpd.GeoSeries:
    """Return what maps of a glacier show: its box, and the fronts in and about it."""
    lines = results.lines[results.lines["glacier"] == glacier]
    box = lines["box"].iloc[0]
    fronts = results.fronts[results.fronts["glacier"] == glacier].geometry
    # A front that runs along the shore for miles must not make the glacier a spot.
    near = box.buffer(0.35 * np.sqrt(box.area))
    within = [line.intersection(near) for line in fronts if line is not None]
    return gpd.GeoSeries(
        [box, *[line for line in within if not line.is_empty]], crs=results.lines.crs
    )


def grown_bounds(bounds: np.ndarray) -> tuple[float, float, float, float]:
    """Return bounds with a margin on each side."""
    west, south, east, north = bounds
    margin = MARGIN * max(east - west, north - south)
    return west - margin, south - margin, east + margin, north + margin


# --- the map --------------------------------------------------------------------------------


def draw_map(results: ProjectResults, glacier: str, background: Background | None = None) -> Figure:
    """Draw all fronts of a glacier by date over its newest scene, with box and centreline.

    Parameters
    ----------
    results : ProjectResults
    glacier : str
    background : Background, optional
        From `newest_background`.
    """
    fronts = results.fronts[(results.fronts["glacier"] == glacier) & results.fronts["date"].notna()]
    crs = CRS.from_user_input(background.crs if background else metric_crs(results, glacier))
    bounds = grown_bounds(window_of(results, glacier).to_crs(crs).total_bounds)
    if background is not None:
        west, east, south, north = background.extent
        bounds = (
            max(bounds[0], west),
            max(bounds[1], south),
            min(bounds[2], east),
            min(bounds[3], north),
        )
    width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
    tall = float(np.clip(7.6 * height / width, 4.2, 9.5))
    figure = new_figure(min(WIDTH_IN, tall * width / height + 1.5), tall + 0.5, dpi=DPI)
    axes = figure.subplots()
    if background is not None:
        axes.imshow(
            background.image, cmap="gray", vmin=0, vmax=255, extent=background.extent,
            interpolation="antialiased",
        )  # fmt: skip
    days = mdates.date2num(fronts["date"].to_numpy())
    colours = date_colours(days)
    many = len(fronts) > 150
    casing = [] if many else [withStroke(linewidth=2.6, foreground="#ffffff", alpha=0.55)]
    for line, colour in zip(fronts.geometry.to_crs(crs), colours, strict=True):
        for piece in shapely.get_parts(line):
            x, y = shapely.get_coordinates(piece).T
            axes.plot(
                x, y, color=colour, linewidth=0.9 if many else 1.5, path_effects=casing,
                solid_capstyle="round",
            )  # fmt: skip
    row = results.lines[results.lines["glacier"] == glacier]
    ring = gpd.GeoSeries(row["box"], crs=results.lines.crs).to_crs(crs).iloc[0].exterior
    axis = row.geometry.to_crs(crs).iloc[0]
    dark = [withStroke(linewidth=3.0, foreground="#000000", alpha=0.45)]
    axes.plot(*ring.xy, color="white", linewidth=1.3, path_effects=dark)
    axes.plot(*axis.xy, color="white", linewidth=1.3, linestyle=(0, (5, 3)), path_effects=dark)
    axes.set_xlim(bounds[0], bounds[2])
    axes.set_ylim(bounds[1], bounds[3])
    axes.set_aspect("equal")
    dress_image_axes(axes)
    draw_scale_bar(axes)
    span = f"{fronts['date'].min():%Y} to {fronts['date'].max():%Y}"
    behind = f"over the scene of {background.date}" if background and background.date else ""
    axes.set_title(
        f"{drawn_text(glacier) or 'Glacier'}: {len(fronts)} fronts, {span}",
        loc="left",
        fontsize=11.5,
        fontweight="bold",
        color=INK,
    )
    axes.set_title(behind, loc="right", fontsize=9.5, color=MUTED)
    low, high = days.min(), max(days.max(), days.min() + 1)
    bar = figure.colorbar(
        ScalarMappable(Normalize(low, high), DATES), ax=axes, fraction=0.04, pad=0.02, aspect=35
    )
    locator = mdates.AutoDateLocator(minticks=3, maxticks=9)
    bar.ax.yaxis.set_major_locator(locator)
    bar.ax.yaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    bar.ax.tick_params(labelsize=9, colors=MUTED, labelcolor=INK)
    bar.ax.yaxis.get_offset_text().set_visible(False)
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def draw_both_fronts(results: ProjectResults, glacier: str) -> Figure | None:
    """Draw the dates that the pass through time moved most, with both fronts over their scenes.

    Returns
    -------
    Figure or None
        None where no front was moved, or no scene of these dates can be read.
    """
    alone = results.single_dates
    fronts = results.fronts[results.fronts["glacier"] == glacier]
    if alone is None or "moved_m" not in fronts:
        return None
    alone = alone[alone["glacier"] == glacier].set_index("scene")
    fronts = fronts[(fronts["moved_m"] > 0) & fronts["scene"].isin(alone.index)]
    window = window_of(results, glacier)
    panels: list[tuple[pd.Series, BaseGeometry, Background]] = []
    for _, row in fronts.sort_values("moved_m", ascending=False).head(3 * MOVED_DATES).iterrows():
        background = read_background(row["path"], window) if isinstance(row["path"], str) else None
        if background is None:
            continue
        panels.append((row, alone.geometry[[row["scene"]]].iloc[0], background))
        if len(panels) == MOVED_DATES:
            break
    if not panels:
        return None
    panels.sort(key=lambda panel: panel[0]["date"])
    west, east, south, north = panels[0][2].extent
    tall = float(np.clip((north - south) / (east - west), 0.4, 2.0)) * WIDTH_IN / MOVED_DATES
    figure = new_figure(WIDTH_IN, tall + 1.2, dpi=DPI)
    casing = [withStroke(linewidth=3.0, foreground="#ffffff", alpha=0.55)]
    styles = (
        ("date alone", {"color": VERMILION, "linewidth": 1.3, "linestyle": DASHED}),
        ("through time", {"color": BLUE, "linewidth": 1.9}),
    )
    for axes, (row, single, background) in zip(
        figure.subplots(1, MOVED_DATES, squeeze=False)[0], panels, strict=False
    ):
        axes.imshow(
            background.image, cmap="gray", vmin=0, vmax=255, extent=background.extent,
            interpolation="antialiased",
        )  # fmt: skip
        for line, (_, style) in zip((single, row["geometry"]), styles, strict=True):
            drawn = gpd.GeoSeries([line], crs=results.fronts.crs).to_crs(background.crs).iloc[0]
            for piece in shapely.get_parts(drawn):
                axes.plot(*shapely.get_coordinates(piece).T, path_effects=casing, **style)
        west, east, south, north = background.extent
        axes.set_xlim(west, east)
        axes.set_ylim(south, north)
        axes.set_aspect("equal")
        dress_image_axes(axes)
        draw_scale_bar(axes)
        title = f"{row['date']:%Y-%m-%d}, {whole_text(row['moved_m'])} m apart"
        axes.set_title(title, loc="left", fontsize=9.5, color=INK)
    for axes in figure.axes[len(panels) :]:
        axes.set_visible(False)
    handles = [Line2D([], [], label=label, **style) for label, style in styles]
    figure.legend(
        handles=handles, frameon=False, fontsize=9, labelcolor=INK, ncols=2, loc="lower center"
    )
    name = drawn_text(glacier) or "Glacier"
    figure.suptitle(
        f"{name}: what the pass through time changed most",
        x=0.01, ha="left", fontsize=11.5, fontweight="bold", color=INK,
    )  # fmt: skip
    return figure


def metric_crs(results: ProjectResults, glacier: str) -> CRS:
    """A CRS in metres for a glacier without a scene."""
    crs = CRS.from_user_input(results.lines.crs)
    if crs.is_projected:
        return crs
    return results.lines[results.lines["glacier"] == glacier].geometry.estimate_utm_crs()


# --- through time ---------------------------------------------------------------------------


def draw_position(series: Series, title: str) -> Figure:
    """Draw positions through time with their uncertainty, sources, trend and calving events."""
    figure = new_figure(WIDTH_IN, 4.4, dpi=DPI)
    axes = figure.subplots()
    _positions(axes, series)
    fit = series.fit
    beside = ""
    if np.isfinite(fit.rate):
        beside = (
            f"{signed_text(fit.rate)} m/yr "
            f"(95 %: {signed_text(fit.rate_low)} to {signed_text(fit.rate_high)})"
        )
    elif fit.notes:
        beside = fit.notes[0]
    dress_axes(axes, title, beside=beside)
    axes.set_ylabel("position, m (advance is positive)", **_STYLE)
    return figure


def _positions(axes: Axes, series: Series, *, legend: bool = True) -> None:
    """Put the points, trend and events of a series into a panel."""
    table = series.table[series.table["position_m"].notna()]
    origin = origin_of(series)
    fit = series.fit
    if np.isfinite(fit.rate):
        days = days_of(table["date"].to_numpy())
        grid = np.linspace(days[0], days[-1], 400)
        stamps = np.datetime64("2000-01-01T00:00:00") + (grid * 86400).astype("timedelta64[s]")
        trend = fit.position(grid, season=False) - origin
        # The edges bend so little that few places tell them; to find each takes a while.
        few = np.linspace(days[0], days[-1], 25)
        low, high = (np.interp(grid, few, edge) - origin for edge in fit.trend_interval(few))
        axes.fill_between(stamps, low, high, color=TREND, alpha=0.10, linewidth=0)
        axes.plot(stamps, trend, color=TREND, linewidth=1.5, label="trend, 95 %")
        if fit.coefficients.size > 2:
            axes.plot(
                stamps, fit.position(grid) - origin, color=MUTED, linewidth=0.9,
                label="trend and season",
            )  # fmt: skip
    for event in series.events.itertuples():
        axes.axvspan(event.before, event.after, color=EVENT, alpha=0.18, linewidth=0)
    handles, labels = axes.get_legend_handles_labels()
    sources = _sources(table)
    dense = len(table) > 250
    for number, (source, mine) in enumerate(sources.items()):
        colour, mark = source_colour(number), marker(number)
        good = mine[~mine["outlier"]]
        axes.errorbar(
            good["date"], good["position_m"] - origin, yerr=good["uncertainty_m"], fmt=mark,
            color=colour, markersize=2.6 if dense else 4.2, elinewidth=0.7 if dense else 1.0,
            ecolor=to_rgba(colour, 0.35), markeredgewidth=0, zorder=3,
        )  # fmt: skip
        handles.append(Line2D([], [], color=colour, marker=mark, linestyle="none", markersize=5))
        labels.append(f"{drawn_text(source)} ({len(good)})")
        odd = mine[mine["outlier"]]
        axes.plot(
            odd["date"], odd["position_m"] - origin, marker="x", color=colour, linestyle="none",
            markersize=6, markeredgewidth=1.2, zorder=3,
        )  # fmt: skip
    outliers = int(table["outlier"].sum())
    if outliers:
        handles.append(Line2D([], [], color=MUTED, marker="x", linestyle="none", markersize=6))
        labels.append(f"outliers ({outliers})")
    if len(series.events):
        handles.append(Line2D([], [], color=EVENT, alpha=0.35, linewidth=7))
        labels.append(f"calving events ({len(series.events)})")
    dress_year_axis(axes)
    if legend:
        # Below the panel: no curve is ever covered.
        axes.legend(
            handles, labels, frameon=False, fontsize=9, labelcolor=INK, ncols=min(len(labels), 6),
            loc="upper center", bbox_to_anchor=(0.5, -0.09), handletextpad=0.5, columnspacing=1.4,
        )  # fmt: skip


def origin_of(series: Series) -> float:
    """Position that figures count from: the first one that is no outlier."""
    table = series.table
    good = table[table["position_m"].notna() & ~table["outlier"]]
    return float(good["position_m"].iloc[0]) if len(good) else 0.0


def _sources(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows by source, and our own by sensor as there is only one source."""
    source = table["source"] if "source" in table else pd.Series(OWN, index=table.index)
    source = source.fillna("unknown").astype(str)
    if source.nunique() == 1 and "sensor" in table and table["sensor"].notna().any():
        source = table["sensor"].fillna("unknown").astype(str)
    return {name: table[source == name] for name in sorted(source.unique())}


def signed_text(value: float) -> str:
    """Return a number with its sign, whole; a dash where it is not known."""
    return f"{value:+.0f}".replace("-", "−") if np.isfinite(value) else MISSING


def whole_text(value: float) -> str:
    """Return a number, whole; a dash where it is not known."""
    return f"{value:.0f}" if np.isfinite(value) else MISSING


def dress_year_axis(axes: Axes) -> None:
    """Give an x axis of dates short labels."""
    locator = mdates.AutoDateLocator(minticks=4, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set_visible(False)


def draw_season(series: Series, title: str) -> Figure:
    """Draw positions less the trend by the day of the year, with the mean cycle."""
    figure = new_figure(WIDTH_IN, 4.2, dpi=DPI)
    axes = figure.subplots()
    table = series.table[series.table["position_m"].notna() & ~series.table["outlier"]]
    days = days_of(table["date"].to_numpy())
    fit = series.fit
    trend = fit.position(days, season=False)
    off = table["position_m"].to_numpy() - (
        trend if np.isfinite(fit.rate) else np.median(table["position_m"])
    )
    years = table["date"].dt.year.to_numpy()
    day = table["date"].dt.day_of_year.to_numpy()
    known = np.unique(years)
    colours = dict(zip(known, date_colours(known), strict=True))
    for year in known:
        mine = years == year
        axes.plot(
            day[mine], off[mine], color=colours[year], marker="o", markersize=3.6, linewidth=0.8,
            alpha=0.8, markeredgewidth=0,
            label=str(year) if len(known) <= 12 or year in (known[0], known[-1]) else None,
        )  # fmt: skip
    beside = fit.notes[0] if fit.notes else ""
    if fit.coefficients.size > 2:
        grid = np.arange(1, 366.0)
        start = days_of(np.array(["2001-01-01"], "datetime64[D]"))[0]
        cycle = fit.position(start + grid - 1) - fit.position(start + grid - 1, season=False)
        axes.plot(grid, cycle, color=INK, linewidth=2.4, label="mean cycle", zorder=4)
        if np.isfinite(fit.amplitude):
            beside = (
                f"amplitude {fit.amplitude:.0f} m (95 %: {whole_text(fit.amplitude_low)} to "
                f"{whole_text(fit.amplitude_high)}), farthest {day_text(fit.day_of_maximum)}, "
                f"shortest {day_text(fit.day_of_minimum)}"
            )
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_xlim(1, 366)
    starts = [dt.date(2001, month, 1).timetuple().tm_yday for month in range(1, 13)]
    axes.set_xticks(starts, [f"{dt.date(2001, month, 1):%b}" for month in range(1, 13)])
    axes.set_ylabel("position less its trend, m", **_STYLE)
    dress_axes(axes, title, beside=beside)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper center", ncols=8,
                bbox_to_anchor=(0.5, -0.09), columnspacing=1.4)  # fmt: skip
    return figure


def day_text(day: float) -> str:
    """Return a day of the year as day and month; a dash where it is not known."""
    if not np.isfinite(day):
        return MISSING
    date = dt.date(2001, 1, 1) + dt.timedelta(days=round(day) - 1)
    return f"{date.day} {date:%b}"


def draw_area(series: Series, title: str) -> Figure:
    """Draw the change of the glacier's area in the box since the first date."""
    figure = new_figure(WIDTH_IN, 3.6, dpi=DPI)
    axes = figure.subplots()
    table = series.table[series.table["area_m2"].notna() & ~series.table["outlier"]]
    change = table["area_m2"].to_numpy() / 1e6
    change = change - change[:1] if change.size else change
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.plot(table["date"], change, color=BLUE, linewidth=1.1, marker="o", markersize=3.2,
              markeredgewidth=0)  # fmt: skip
    axes.fill_between(table["date"], change, 0, color=BLUE, alpha=0.13, linewidth=0)
    beside = (
        f"{area_text(change[-1])} since {table['date'].iloc[0]:%Y-%m-%d}" if change.size else ""
    )
    dress_axes(axes, title, beside=beside)
    axes.set_ylabel("area change, km²", **_STYLE)
    dress_year_axis(axes)
    return figure


def area_text(value: float) -> str:
    """Return a change of area with sign and unit; a dash where it is not known."""
    if not np.isfinite(value):
        return MISSING
    return f"{value:+.2f} km²".replace("-", "−")


def figures_of(
    results: ProjectResults, glacier: str, background: Background | None
) -> dict[str, Figure]:
    """Return the figures of a glacier by name: map, position, season and area, and where the pass
    through time had a part, through_time."""
    by_method = results.series[glacier]
    name = drawn_text(glacier) or "Glacier"
    main = by_method[METHOD]
    both = draw_both_fronts(results, glacier)
    return {
        "map": draw_map(results, glacier, background),
        **({} if both is None else {"through_time": both}),
        "position": draw_position(main, f"{name}: where the front stood"),
        "season": draw_season(main, f"{name}: through the year"),
        "area": draw_area(by_method["rectilinear_box"], f"{name}: area in the box"),
    }
