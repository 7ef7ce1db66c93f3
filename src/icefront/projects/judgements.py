"""What people said of a project: verdicts and corrections, also beside the catalogue.

Fronts can be extracted again, judgements cannot. ``judgements.json`` holds them all, so that a
catalogue that is rebuilt from the records of its scenes gets them back.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError

from icefront.files.atomic import explained_writing, writing
from icefront.projects.catalogue import LAYER, Catalogue, add_layer, blob_of, line_of

JUDGEMENTS = "judgements.json"

CORRECTIONS = "corrections"
"""Layer of the catalogue."""

CORRECTION_COLUMNS = {
    "glacier": "TEXT",
    "date": "DATE NOT NULL",
    "person": "TEXT",
    "file": "TEXT",
    "added": "DATETIME NOT NULL",
    "taken_back": "DATETIME",
    "taken_back_by": "TEXT",
}

VERDICTS = "verdicts"
"""Table of the catalogue with all that people said of scenes; its layer of fronts has the newest
verdict of each."""

VERDICT_COLUMNS = ("verdict", "remarks", "note", "person", "given")


def add_corrections_layer(catalogue: Catalogue) -> None:
    """Add the layer of corrections, or columns that it lacks; inside of a transaction."""
    if not catalogue.has_table(CORRECTIONS):
        add_layer(
            catalogue.db, CORRECTIONS, CORRECTION_COLUMNS, "Fronts that people drew", catalogue.srs
        )
    found = {row["name"] for row in catalogue.select(f"PRAGMA table_info({CORRECTIONS})")}
    for name in CORRECTION_COLUMNS.keys() - found:
        kind = CORRECTION_COLUMNS[name]
        catalogue.db.execute(f"ALTER TABLE {CORRECTIONS} ADD COLUMN {name} {kind}")


def add_verdicts_table(catalogue: Catalogue) -> None:
    """Add the table of verdicts to a catalogue that has none; inside of a transaction."""
    catalogue.db.execute(
        f"CREATE TABLE IF NOT EXISTS {VERDICTS} (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "
        "scene INTEGER NOT NULL, verdict TEXT, remarks TEXT, note TEXT, person TEXT, "
        "given DATETIME NOT NULL)"
    )


def keep_judgements(catalogue: Catalogue) -> None:
    """Write the verdicts and corrections of a catalogue beside it; inside of a transaction.

    Raises
    ------
    IcefrontError
        If the file cannot be written.
    """
    verdicts = catalogue.db.execute(
        f"SELECT path, verdict FROM {LAYER} WHERE verdict IS NOT NULL ORDER BY fid"
    ).fetchall()
    corrections = []
    if catalogue.has_table(CORRECTIONS):
        rows = catalogue.db.execute(f"SELECT * FROM {CORRECTIONS} ORDER BY fid").fetchall()
        corrections = [
            {
                "number": row["fid"],
                **{name: dict(row).get(name) for name in CORRECTION_COLUMNS},
                "line": line_of(row["geom"]).wkt,
            }
            for row in rows
        ]
    said = []
    if catalogue.has_table(VERDICTS):
        rows = catalogue.db.execute(
            f"SELECT f.path, v.* FROM {VERDICTS} v JOIN {LAYER} f ON f.fid = v.scene ORDER BY v.id"
        ).fetchall()
        said = [{name: row[name] for name in ("path", *VERDICT_COLUMNS)} for row in rows]
    kept = {
        "crs": f"EPSG:{catalogue.srs}",
        "verdicts": {row["path"]: row["verdict"] for row in verdicts},
        "said": said,
        "corrections": corrections,
    }
    text = json.dumps(kept, indent=1, ensure_ascii=False) + "\n"
    with explained_writing(catalogue.folder), writing(catalogue.folder / JUDGEMENTS) as part:
        part.write_text(text, "utf-8")


def restore_judgements(catalogue: Catalogue) -> tuple[int, int]:
    """Bring verdicts and corrections into a catalogue that was rebuilt; return their numbers.

    What cannot be read is left out, and so are verdicts of scenes without a row.
    """
    try:
        kept = json.loads((catalogue.folder / JUDGEMENTS).read_text("utf-8"))
        crs = CRS.from_user_input(kept["crs"])
        verdicts, corrections = dict(kept["verdicts"]), list(kept["corrections"])
        said = list(kept.get("said", ()))
    except (OSError, ValueError, TypeError, KeyError, RecursionError, CRSError):
        return 0, 0
    judged = corrected = 0
    with catalogue.writing() as db:
        for path, verdict in verdicts.items():
            if isinstance(verdict, str):
                judged += db.execute(
                    f"UPDATE {LAYER} SET verdict = ? WHERE path = ?", (verdict, path)
                ).rowcount
        for entry in said:
            _restore_verdict(entry, catalogue)
        for entry in corrections:
            values = _correction_row(entry, crs, catalogue)
            if values is not None:
                add_corrections_layer(catalogue)
                names, marks = ", ".join(values), ", ".join("?" * len(values))
                corrected += db.execute(
                    f"INSERT OR IGNORE INTO {CORRECTIONS} ({names}) VALUES ({marks})",
                    tuple(values.values()),
                ).rowcount
    return judged, corrected


def _restore_verdict(entry: Any, catalogue: Catalogue) -> None:
    """Bring a verdict back as it was kept; one that is damaged, or of no scene, is left out."""
    if not isinstance(entry, Mapping):
        return
    values = [entry.get(name) for name in VERDICT_COLUMNS]
    texts = all(value is None or isinstance(value, str) for value in (*values, entry.get("path")))
    if not texts or not entry.get("given"):
        return
    add_verdicts_table(catalogue)
    catalogue.db.execute(
        f"INSERT INTO {VERDICTS} (scene, {', '.join(VERDICT_COLUMNS)}) "
        f"SELECT fid, ?, ?, ?, ?, ? FROM {LAYER} WHERE path = ?",
        (*values, entry.get("path")),
    )


def _correction_row(entry: Any, crs: CRS, catalogue: Catalogue) -> dict[str, Any] | None:
    """Return the row of a correction as it was kept; None if that is damaged."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("number"), int):
        return None
    texts = {name: entry.get(name) for name in CORRECTION_COLUMNS}
    if any(value is not None and not isinstance(value, str) for value in texts.values()):
        return None
    try:
        dt.date.fromisoformat(texts["date"] or "")
        dt.datetime.fromisoformat(texts["added"] or "")
        line = gpd.GeoSeries([shapely.from_wkt(entry.get("line"))], crs=crs).to_crs(catalogue.crs)
        coordinates = shapely.get_coordinates(line.iloc[0])
        if not (len(coordinates) > 1 and np.isfinite(coordinates).all()):
            return None
        geometry = blob_of(line.iloc[0], catalogue.srs)
    except (TypeError, ValueError, shapely.errors.ShapelyError):
        return None
    return {"fid": entry["number"], "geom": geometry, **texts}
