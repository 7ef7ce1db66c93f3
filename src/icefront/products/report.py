"""One page of HTML that holds everything: numbers, figures, tables; no other file, no network."""

from __future__ import annotations

import base64
import datetime as dt
import io
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment
from matplotlib.figure import Figure
from PIL import Image

from icefront import __version__
from icefront.products.figures import _day_words, _km2, _signed
from icefront.projects.results import METHOD, ProjectResults
from icefront.timeseries.series import Series

REPORT = "report.html"
FEW_COLOURS = 6000

MOST_ANIMATIONS = 6
"""With more glaciers the animations stay files of their own: the page would grow too large."""

_ALT = {
    "map": "Map of all fronts by date over the newest scene",
    "position": "Position of the front through time with uncertainty and trend",
    "season": "Position less its trend by day of the year",
    "area": "Change of the glacier's area in the box through time",
}


def png_of(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    image = Image.open(content).convert("RGB")
    if len(image.getcolors(maxcolors=image.width * image.height) or []) < FEW_COLOURS:
        # Curves have few colours: a third of the size, and no eye tells.
        image = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()


def write_report(
    results: ProjectResults,
    pictures: dict[str, dict[str, Path]],
    animations: dict[str, Path],
    path: Path,
) -> None:
    """Write the report of a project.

    Parameters
    ----------
    results : ProjectResults
    pictures : dict
        PNG files by glacier and figure.
    animations : dict
        GIF files by glacier.
    path : Path
    """
    # Names of glaciers and files are other people's text: everything is escaped.
    template = Environment(autoescape=True, trim_blocks=True).from_string(
        files("icefront.products").joinpath("report.html").read_text("utf-8")
    )
    show_animations = len(animations) <= MOST_ANIMATIONS
    rows = [
        _glacier(
            results,
            glacier,
            number,
            pictures.get(glacier, {}),
            animations.get(glacier) if show_animations else None,
        )
        for number, glacier in enumerate(results.series)
    ]
    dates = results.fronts["date"].dropna()
    models = results.fronts["model"].dropna().unique() if "model" in results.fronts else []
    title = rows[0]["name"] if len(rows) == 1 else f"{len(rows)} glaciers"
    subtitle = (
        f"{len(results.fronts)} calving fronts, {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}"
    )
    if results.counts:
        subtitle += "; scenes: " + ", ".join(f"{n} {state}" for state, n in results.counts.items())
    shas = (
        results.fronts["model_sha256"].dropna().unique() if "model_sha256" in results.fronts else []
    )
    made = f"Made on {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC by icefront {__version__}"
    if len(models):
        made += (
            f" with the model {', '.join(models)} (sha256 {', '.join(s[:16] for s in shas if s)})"
        )
    text = template.render(
        title=f"{title}: calving fronts through time",
        subtitle=subtitle,
        notes=results.notes,
        rows=rows,
        made=made + ".",
    )
    path.write_text(text, "utf-8")


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
        about += f" Nobody has drawn the {' and '.join(proposed)}: proposed from the fronts."
    trend = np.isfinite(fit.rate)
    season = np.isfinite(fit.amplitude)
    return {
        "name": glacier or "Glacier without a name",
        "anchor": f"glacier-{number}",
        "fronts": len(fronts),
        "first": f"{fronts['date'].min():%Y-%m-%d}",
        "last": f"{fronts['date'].max():%Y-%m-%d}",
        "rate": _signed(fit.rate) if trend else "–",
        "interval": f"{_signed(fit.rate_low)} … {_signed(fit.rate_high)}" if trend else "–",
        "amplitude": f"{fit.amplitude:.0f}" if season else "–",
        "events": len(series.events),
        "doubtful": doubtful,
        "about": about,
        "facts": _facts(results, glacier, series, doubtful),
        "pictures": [_picture(path, _ALT.get(name, name)) for name, path in pictures.items()],
        "animation": _data(animation, "image/gif") if animation else None,
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
                f"{_signed(fit.rate)} m/yr",
                f"95 %: {_signed(fit.rate_low)} to {_signed(fit.rate_high)}",
            )
        )
    known = series.table[series.table["position_m"].notna() & ~series.table["outlier"]]
    if len(known) > 1:
        change = known["position_m"].iloc[-1] - known["position_m"].iloc[0]
        facts.append(("first to last front", f"{_signed(change)} m", ""))
    box = results.series[glacier]["rectilinear_box"].table
    area = box[box["area_m2"].notna() & ~box["outlier"]]["area_m2"]
    if len(area) > 1:
        facts.append(("area in the box", _km2((area.iloc[-1] - area.iloc[0]) / 1e6), ""))
    if np.isfinite(fit.amplitude):
        facts.append(
            (
                "seasonal amplitude",
                f"{fit.amplitude:.0f} m",
                f"farthest {_day_words(fit.day_of_maximum)}, "
                f"shortest {_day_words(fit.day_of_minimum)}",
            )
        )
    largest = f"largest {series.events['drop_m'].max():.0f} m" if len(series.events) else ""
    facts.append(("calving events", str(len(series.events)), largest))
    outliers = int(series.table["outlier"].sum())
    facts.append(("fronts", str(len(series.table)), f"{outliers} outliers, {doubtful} to check"))
    return facts


def _tables(
    results: ProjectResults, glacier: str, series: Series, fronts: pd.DataFrame
) -> list[dict[str, Any]]:
    tables = []
    if len(series.events):
        events = series.events
        tables.append(
            {
                "title": "Calving events",
                "columns": ["between", "and", "drop, m", "uncertainty, m"],
                "numbers": [2, 3],
                "rows": [
                    (f"{e.before:%Y-%m-%d}", f"{e.after:%Y-%m-%d}", f"{e.drop_m:.0f}",
                     f"{e.uncertainty_m:.0f}")
                    for e in events.itertuples()
                ],
                "folded": len(events) > 12,
            }
        )  # fmt: skip
    if len(series.years):
        tables.append(
            {
                "title": "Seasons by year",
                "columns": ["year", "fronts", "amplitude, m", "farthest", "shortest"],
                "numbers": [1, 2],
                "rows": [
                    (
                        y.year,
                        y.dates,
                        f"{y.amplitude_m:.0f}",
                        f"{y.maximum:%d %b}",
                        f"{y.minimum:%d %b}",
                    )
                    for y in series.years.itertuples()
                ],
                "folded": len(series.years) > 15,
            }
        )
    sources = results.sources
    if len(sources):
        mine = sources[(sources["glacier"] == glacier) & (sources["method"] == METHOD)]
        if len(mine):
            tables.append(
                {
                    "title": "Sources on the same days",
                    "columns": [
                        "first",
                        "second",
                        "days",
                        "first less second, m",
                        "standard deviation, m",
                    ],
                    "numbers": [2, 3, 4],
                    "rows": [
                        (s.first, s.second, s.dates, _signed(s.bias_m), f"{s.std_m:.0f}")
                        for s in mine.itertuples()
                    ],
                    "folded": False,
                }
            )
    look = fronts[fronts["grade"].isin(["C", "D"])].sort_values("penalty", ascending=False)
    if len(look):
        tables.append(
            _front_table(f"Fronts to look at first ({len(look)})", look.head(10), series, False)
        )
    tables.append(_front_table(f"All {len(fronts)} fronts", fronts, series, True))
    return tables


def _front_table(title: str, fronts: pd.DataFrame, series: Series, folded: bool) -> dict[str, Any]:
    position = series.table.set_index("front")["position_m"]
    sensor = fronts["sensor"] if "sensor" in fronts else pd.Series("", index=fronts.index)
    rows = []
    for index, row in fronts.iterrows():
        place = position.get(index, np.nan)
        rows.append(
            (
                "" if pd.isna(row["date"]) else f"{row['date']:%Y-%m-%d}",
                sensor[index] or "",
                "–" if pd.isna(place) else f"{place:.0f}",
                "–" if pd.isna(row["uncertainty_m"]) else f"{row['uncertainty_m']:.0f}",
                row["grade"],
                row["why"],
                row.get("scene") or "",
            )
        )
    return {
        "title": title,
        "columns": ["date", "sensor", "position, m", "± m", "grade", "why", "scene"],
        "numbers": [2, 3],
        "rows": rows,
        "folded": folded,
    }


def _picture(path: Path, alt: str) -> dict[str, Any]:
    with Image.open(path) as image:
        width = image.width
        data = _data(path, "image/png")
        if image.mode == "RGB":
            # A scene as PNG is large; WebP is a fifth, and every browser shows it.
            content = io.BytesIO()
            image.save(content, "WEBP", quality=88)
            data = f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
    # Pictures are made at 160 dots an inch, for sharp screens.
    return {"data": data, "alt": alt, "width": round(width * 0.66)}


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
