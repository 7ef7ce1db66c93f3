"""One page of HTML that holds everything: numbers, figures, tables; no other file, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from PIL import Image

from icefront import __version__
from icefront.errors import failure
from icefront.products.figures import area_text, day_text, signed_text, whole_text
from icefront.projects.results import METHOD, ProjectResults
from icefront.reporting.page import render_page
from icefront.reporting.pictures import data_uri, image_bytes
from icefront.reporting.tables import MISSING, Table
from icefront.timeseries.series import Series

REPORT = "report.html"
MOST_ANIMATIONS = 6
"""With more glaciers the animations stay files of their own: the page would grow too large."""

_ALT = {
    "map": "Map of all fronts by date over the newest scene",
    "position": "Position of the front through time with uncertainty and trend",
    "through_time": "Fronts of dates alone and through time, where they lie farthest apart",
    "season": "Position less its trend by day of the year",
    "area": "Change of the glacier's area in the box through time",
}


def write_report(
    results: ProjectResults,
    pictures: dict[str, dict[str, Path]],
    animations: dict[str, Path],
    path: Path,
) -> list[str]:
    """Write the report of a project; what cannot be reported of a glacier costs it alone.

    Parameters
    ----------
    results : ProjectResults
    pictures : dict
        PNG files by glacier and figure.
    animations : dict
        GIF files by glacier.
    path : Path

    Returns
    -------
    list of str
        A sentence for each glacier that could not be reported.
    """
    show_animations = len(animations) <= MOST_ANIMATIONS
    rows, notes = [], []
    for number, glacier in enumerate(results.series):
        animated = animations.get(glacier) if show_animations else None
        try:
            rows.append(_glacier(results, glacier, number, pictures.get(glacier, {}), animated))
        except Exception as error:  # whatever it is, the others are reported
            notes.append(failure(f"The report of {glacier or 'the glacier'}", error))
    dates = results.fronts["date"].dropna()
    models = results.fronts["model"].dropna().unique() if "model" in results.fronts else []
    several = len(results.series) != 1 or not rows
    title = f"{len(results.series)} glaciers" if several else rows[0]["name"]
    subtitle = (
        f"{len(results.fronts)} calving fronts, {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}"
    )
    if results.counts:
        subtitle += "; scenes: " + ", ".join(f"{n} {state}" for state, n in results.counts.items())
    shas = (
        results.fronts["model_sha256"].dropna().unique() if "model_sha256" in results.fronts else []
    )
    written_by = f"Written by icefront {__version__}"
    if len(models):
        written_by += (
            f" with the model {', '.join(models)} (sha256 {', '.join(s[:16] for s in shas if s)})"
        )
    text = render_page(
        "icefront.products",
        "report.html",
        title=f"{title}: calving fronts through time",
        subtitle=subtitle,
        notes=[*results.notes, *notes],
        others=_without_series(results),
        rows=rows,
        written_by=f"{written_by}.",
    )
    path.write_text(text, "utf-8")
    return notes


def _without_series(results: ProjectResults) -> Table | None:
    """List the glaciers that have scenes or fronts, but no front that was measured."""
    rows = [
        (one.glacier or "Glacier without a name", str(one.scenes), str(one.fronts), one.states)
        for one in results.without_series().itertuples()
    ]
    head = ["glacier", "scenes", "fronts", "what became of the scenes"]
    return Table(head, rows, numbers=[1, 2], title="Glaciers without a series") if rows else None


def _glacier(
    results: ProjectResults,
    glacier: str,
    number: int,
    pictures: dict[str, Path],
    animation: Path | None,
) -> dict[str, Any]:
    series = results.series[glacier][METHOD]
    fit = series.fit
    fronts = results.fronts[results.fronts["glacier"] == glacier]
    line = results.lines[results.lines["glacier"] == glacier].iloc[0]
    doubtful = int(fronts["grade"].isin(["C", "D"]).sum())
    proposed = [
        name for name in ("centreline", "box", "width") if bool(line.get(f"{name}_proposed", False))
    ]
    about = f"The curvilinear box is {line['width_m']:.0f} m wide."
    if proposed:
        about += f" Proposed from the fronts: {', '.join(proposed)}."
    about += f" The ice lies to the {line['ice_side']}."
    return {
        "name": glacier or "Glacier without a name",
        "anchor": f"glacier-{number}",
        "fronts": len(fronts),
        "first": _day(fronts["date"].min()),
        "last": _day(fronts["date"].max()),
        "rate": signed_text(fit.rate),
        "interval": _range(fit.rate_low, fit.rate_high),
        "amplitude": whole_text(fit.amplitude),
        "events": len(series.events),
        "doubtful": doubtful,
        "about": about,
        "facts": _facts(results, glacier, series, doubtful),
        "pictures": [_picture(path, _ALT.get(name, name)) for name, path in pictures.items()],
        "animation": data_uri(animation.read_bytes(), "gif") if animation else None,
        "tables": _tables(results, glacier, series, fronts),
    }


def _facts(
    results: ProjectResults, glacier: str, series: Series, doubtful: int
) -> list[tuple[str, str, str]]:
    fit = series.fit
    facts = []
    if np.isfinite(fit.rate):
        facts.append(
            (
                "rate of advance",
                f"{signed_text(fit.rate)} m/yr",
                f"95 %: {signed_text(fit.rate_low)} to {signed_text(fit.rate_high)}",
            )
        )
    known = series.table[series.table["position_m"].notna() & ~series.table["outlier"]]
    if len(known) > 1:
        change = known["position_m"].iloc[-1] - known["position_m"].iloc[0]
        facts.append(("first to last front", f"{signed_text(change)} m", ""))
    box = results.series[glacier]["rectilinear_box"].table
    area = box[box["area_m2"].notna() & ~box["outlier"]]["area_m2"]
    if len(area) > 1:
        facts.append(("area in the box", area_text((area.iloc[-1] - area.iloc[0]) / 1e6), ""))
    if np.isfinite(fit.amplitude):
        facts.append(
            (
                "seasonal amplitude",
                f"{fit.amplitude:.0f} m",
                f"farthest {day_text(fit.day_of_maximum)}, shortest {day_text(fit.day_of_minimum)}",
            )
        )
    largest = f"largest {whole_text(series.events['drop_m'].max())} m" if len(series.events) else ""
    facts.append(("calving events", str(len(series.events)), largest))
    outliers = int(series.table["outlier"].sum())
    found = f"{outliers} outlier{'' if outliers == 1 else 's'}, {doubtful} to check"
    facts.append(("fronts", str(len(series.table)), found))
    return facts


def _tables(
    results: ProjectResults, glacier: str, series: Series, fronts: pd.DataFrame
) -> list[Table]:
    tables = []
    if len(series.events):
        events = series.events
        tables.append(Table(title="Calving events",
head=["between", "and", "drop, m", "uncertainty, m"],
numbers=[2, 3],
rows=[
                    (_day(e.before), _day(e.after), whole_text(e.drop_m),
                     whole_text(e.uncertainty_m))
                    for e in events.itertuples()
                ],
folded=len(events) > 12,))  # fmt: skip
    if len(series.years):
        tables.append(
            Table(
                title="Seasons by year",
                head=["year", "fronts", "amplitude, m", "farthest", "shortest"],
                numbers=[1, 2],
                rows=[
                    (
                        str(y.year),
                        str(y.dates),
                        whole_text(y.amplitude_m),
                        f"{y.maximum:%d %b}",
                        f"{y.minimum:%d %b}",
                    )
                    for y in series.years.itertuples()
                ],
                folded=len(series.years) > 15,
            )
        )
    sources = results.sources
    if len(sources):
        mine = sources[(sources["glacier"] == glacier) & (sources["method"] == METHOD)]
        if len(mine):
            tables.append(
                Table(
                    title="Sources on the same days",
                    head=[
                        "first",
                        "second",
                        "days",
                        "first less second, m",
                        "standard deviation, m",
                    ],
                    numbers=[2, 3, 4],
                    rows=[
                        (
                            s.first,
                            s.second,
                            str(s.dates),
                            signed_text(s.bias_m),
                            whole_text(s.std_m),
                        )
                        for s in mine.itertuples()
                    ],
                    folded=False,
                )
            )
    look = fronts[fronts["grade"].isin(["C", "D"])].sort_values("penalty", ascending=False)
    if len(look):
        tables.append(
            _front_table(f"Fronts to look at first ({len(look)})", look.head(10), series, False)
        )
    tables.append(_front_table(f"All {len(fronts)} fronts", fronts, series, True))
    return tables


def _front_table(title: str, fronts: pd.DataFrame, series: Series, folded: bool) -> Table:
    position = series.table.set_index("front")["position_m"]
    sensor = fronts["sensor"] if "sensor" in fronts else pd.Series("", index=fronts.index)
    rows = []
    for index, row in fronts.iterrows():
        place = position.get(index, np.nan)
        rows.append(
            (
                _day(row["date"]),
                _text(sensor[index]),
                whole_text(place),
                MISSING if pd.isna(row["uncertainty_m"]) else whole_text(row["uncertainty_m"]),
                Markup('<span class="grade {0}">{0}</span>').format(row["grade"]),
                row["why"],
                _text(row.get("scene")),
            )
        )
    return Table(
        title=title,
        head=["date", "sensor", "position, m", "± m", "grade", "why", "scene"],
        numbers=[2, 3],
        rows=rows,
        folded=folded,
    )


def _day(date: pd.Timestamp) -> str:
    return MISSING if pd.isna(date) else f"{date:%Y-%m-%d}"


def _range(low: float, high: float) -> str:
    return (
        f"{signed_text(low)} … {signed_text(high)}" if np.isfinite([low, high]).all() else MISSING
    )


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _picture(path: Path, alt: str) -> dict[str, Any]:
    with Image.open(path) as image:
        width = image.width
        if image.mode == "RGB":
            # A scene as PNG is large; WebP is a fifth, and every browser shows it.
            data = data_uri(image_bytes(image, "webp", quality=88), "webp")
        else:
            data = data_uri(path.read_bytes(), "png")
    # Pictures have 160 pixels an inch, for sharp screens.
    return {"data": data, "alt": alt, "width": round(width * 0.66)}
