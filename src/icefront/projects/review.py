"""What a person should look at first: the doubtful fronts of a project, with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import pandas as pd
import rasterio

from icefront.errors import IcefrontError
from icefront.extraction.quicklook import draw_quicklook
from icefront.files.atomic import explained_writing, staging
from icefront.projects.catalogue import FAILED, LAYER, NO_FRONT, Catalogue, scene_folder
from icefront.projects.results import REJECTED, ProjectResults
from icefront.scenes.reading import open_scene

REVIEW = "review"
REVIEW_CSV = "review.csv"
ACCEPTED = "accepted"
COLUMNS = (
    "rank",
    "glacier",
    "date",
    "name",
    "state",
    "grade",
    "penalty",
    "why",
    "verdict",
    "picture",
)


def list_for_review(results: ProjectResults) -> pd.DataFrame:
    """List what a person should look at, the worst first.

    Parameters
    ----------
    results : ProjectResults
        Of a project.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`: fronts below grade A that nobody has judged, the worst first; then scenes
        without a front, and those that failed. ``picture`` is empty.
    """
    fronts = results.fronts
    verdict = fronts["verdict"] if "verdict" in fronts else pd.Series(None, index=fronts.index)
    own = fronts["name"].notna() if "name" in fronts else pd.Series(False, index=fronts.index)
    open_ = fronts[own & (fronts["grade"] != "A") & verdict.isna()]
    rows = [
        {
            "glacier": row["glacier"],
            "date": row["date"],
            "name": row["name"],
            "state": "done",
            "grade": row["grade"],
            "penalty": row["penalty"],
            "why": row["why"],
        }
        for _, row in open_.sort_values("penalty", ascending=False, kind="stable").iterrows()
    ]
    if len(results.scenes):
        for state in (NO_FRONT, FAILED):
            for _, row in results.scenes[results.scenes["state"] == state].iterrows():
                if row["verdict"] in (ACCEPTED, REJECTED):
                    continue
                why = row["error"] if state == FAILED else row["reason"] or "no front was found"
                rows.append(
                    {name: row[name] for name in ("glacier", "date", "name", "state")}
                    | {"why": why}
                )
    table = pd.DataFrame(rows, columns=[*COLUMNS[1:-1], "picture"])
    table.insert(0, "rank", range(1, len(table) + 1))
    return table


def write_review(results: ProjectResults, out: Path, count: int = 20) -> pd.DataFrame:
    """Write the list and the pictures of its first rows.

    Parameters
    ----------
    results : ProjectResults
        Of a project on disk.
    out : Path
        Receives ``review.csv`` and a quicklook for each of the first `count` rows whose scene can
        still be read.
    count : int

    Returns
    -------
    DataFrame
        As `list_for_review`, with the names of the pictures.
    """
    table = list_for_review(results)
    fronts = results.fronts.set_index("name") if "name" in results.fronts else None
    paths = dict(zip(results.scenes["name"], results.scenes["path"], strict=True))
    with staging(out) as unfinished, explained_writing(out):
        pictures = []
        for row in table.head(count).itertuples():
            name = f"{row.rank:03d}_{row.name}.png"
            front = None
            if fronts is not None and row.state == "done":
                front = fronts.loc[[row.name]]
            drawn = row.state != FAILED and _draw(
                unfinished / name, paths.get(row.name), results, row.glacier, row.name, front
            )
            pictures.append(name if drawn else "")
        table["picture"] = pictures + [""] * (len(table) - len(pictures))
        # Old pictures have other ranks: they would mislead.
        table.to_csv(unfinished / REVIEW_CSV, index=False)
    kept = {*table["picture"], REVIEW_CSV}
    for old in out.glob("[0-9]*_*.png"):
        if old.name not in kept:
            old.unlink(missing_ok=True)
    return table


def _draw(
    path: Path,
    scene_path: str | None,
    results: ProjectResults,
    glacier: str,
    name: str,
    front: gpd.GeoDataFrame | None,
) -> bool:
    """Draw a scene's quicklook; False if its file or its zones are gone."""
    if scene_path is None or results.project is None:
        return False
    try:
        scene = open_scene(scene_path)
        with rasterio.open(scene_folder(results.project, glacier) / f"{name}_zones.tif") as raster:
            zones = raster.read(1)
    except (IcefrontError, rasterio.errors.RasterioError):
        return False
    if scene.crs is None or zones.shape != scene.shape:
        return False
    if front is None:
        import shapely

        front = gpd.GeoDataFrame(
            {
                "flag": ["no front"],
                "reason": [""],
                "length_m": [0.0],
                "uncertainty_m": [float("nan")],
            },
            geometry=[shapely.LineString()],
            crs=scene.crs,
        )
    else:
        front = front.to_crs(scene.crs).assign(
            flag=f"grade {front['grade'].iloc[0]}", reason=front["why"].iloc[0]
        )
    draw_quicklook(path, scene, zones, front)
    return True


def judge(project: Path, names: Sequence[str], verdict: str | None) -> None:
    """Keep what a person says of scenes: ``accepted``, ``rejected``, or None to take it back.

    Rejected fronts stay in the catalogue and are in no series.

    Raises
    ------
    IcefrontError
        If there is no scene of a name; nothing is changed then.
    """
    with Catalogue(project) as catalogue, catalogue.writing() as db:
        for name in names:
            changed = db.execute(
                f"UPDATE {LAYER} SET verdict = ? WHERE name = ?", (verdict, name)
            ).rowcount
            if not changed:
                raise IcefrontError(
                    f"There is no scene named {name!r} in {project}: see review.csv."
                )
