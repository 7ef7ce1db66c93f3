"""The catalogue of a project: one GeoPackage with one row per scene, whatever its state.

The file is a SQLite database and is written as one: a row changes in a transaction or not at all,
and a row that was reported done is on the disk (``synchronous = FULL``). The journal is the plain
rollback journal, not the write-ahead log: a project is then one self-contained file that can be
copied, opened read-only in QGIS at any time, and kept on a network drive, where a write-ahead log
does not work. Rows are small and commits rare (two a scene): a log would save no time.

A run marks a scene as its own before it works on it, and holds a lock file while it lives. A scene
that is marked by a run whose lock is free can be taken again: that run was killed.

Beside the catalogue each finished scene has a record, ``scenes/GLACIER/NAME.json``, with all that
its row says. A damaged catalogue is never written to; set aside, it is rebuilt from the records.
"""

from __future__ import annotations

import datetime as dt
import errno
import glob
import json
import sqlite3
import struct
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from filelock import FileLock, Timeout
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from icefront.errors import IcefrontError
from icefront.files.atomic import explained_writing, writing
from icefront.files.names import file_name, shown
from icefront.fronts.quality import NO_FRONT as NO_FRONT_FLAG

CATALOGUE = "catalogue.gpkg"
LAYER = "fronts"
SCENES = "scenes"
RUNS = "runs"

NEW, RUNNING, DONE, NO_FRONT, FAILED = "new", "running", "done", "no front", "failed"
"""The states of a scene."""

STATES = (NEW, RUNNING, DONE, NO_FRONT, FAILED)

COLUMNS: dict[str, str] = {
    "scene": "TEXT",
    "glacier": "TEXT",
    "date": "DATE",
    "sensor": "TEXT",
    "polarisation": "TEXT",
    "orbit": "TEXT",
    "source": "TEXT",
    "state": "TEXT NOT NULL",
    "pixel_size_m": "REAL",
    "model_pixel_size_m": "REAL",
    "length_m": "REAL",
    "uncertainty_m": "REAL",
    "flag": "TEXT",
    "reason": "TEXT",
    "model": "TEXT",
    "model_sha256": "TEXT",
    "icefront_version": "TEXT",
    "verdict": "TEXT",
    "error": "TEXT",
    "notes": "TEXT",
    "crs": "TEXT",
    "radiometry": "TEXT",
    "path": "TEXT NOT NULL UNIQUE",
    "name": "TEXT NOT NULL UNIQUE COLLATE NOCASE",
    "size_bytes": "INTEGER",
    "mtime_ns": "INTEGER",
    "sha256": "TEXT",
    "settings": "TEXT",
    "run": "TEXT",
    "finished": "DATETIME",
    "seconds": "REAL",
    "through_time": "TEXT",
    "interpolated": "REAL",
    "moved_m": "REAL",
    "start_std_m": "REAL",
    "end_std_m": "REAL",
}
"""Columns of the layer beside ``fid`` and ``geom``; `docs/monitoring.md` says what they mean."""

_ALL = {"geom": "BLOB", **COLUMNS}

RESULTS = (
    "polarisation",
    "orbit",
    "pixel_size_m",
    "model_pixel_size_m",
    "length_m",
    "uncertainty_m",
    "flag",
    "reason",
    "model",
    "model_sha256",
    "icefront_version",
    "error",
    "notes",
    "crs",
    "radiometry",
    "finished",
    "seconds",
    "through_time",
    "interpolated",
    "moved_m",
    "start_std_m",
    "end_std_m",
)
"""Columns that a scene has when it is done, and only then."""

_LATER = ("through_time", "interpolated", "moved_m", "start_std_m", "end_std_m")
"""Columns that catalogues of version 0.1.0 do not have; they are added when one is written to."""

CORRECTED = "corrected"
"""What ``through_time`` says of a front that a person drew, beside the words of
`icefront.extraction.series_fronts`."""

SINGLE_DATES = "single_dates"
"""Layer of the fronts that each date's image alone gives, where the pass moved them."""

SHORE = "shore"
"""Layer of what fronts leave out, as `icefront extract` writes it; it is there once a scene has
shore."""

SHORE_COLUMNS = {
    **dict.fromkeys(("scene", "glacier", "sensor", "polarisation", "orbit"), "TEXT"),
    "date": "DATE",
    "length_m": "REAL",
}

SINGLE_COLUMNS = {
    name: COLUMNS[name].removesuffix(" NOT NULL")
    for name in (
        "scene",
        "glacier",
        "date",
        "sensor",
        "length_m",
        "uncertainty_m",
        "flag",
        "reason",
    )
}

OWN = "icefront"
"""What ``source`` says of fronts that were extracted here."""

WAIT_S = 60.0
"""How long a writer waits for another one's transaction, in seconds."""

_INDEXES = (
    f"CREATE INDEX IF NOT EXISTS {LAYER}_state ON {LAYER} (state, settings)",
    f"CREATE INDEX IF NOT EXISTS {LAYER}_glacier ON {LAYER} (glacier, state)",
    f"CREATE INDEX IF NOT EXISTS {LAYER}_scene ON {LAYER} (scene)",
    f"CREATE INDEX IF NOT EXISTS {LAYER}_finished ON {LAYER} (finished)",
)
"""Without them a million scenes are read from end to end for one."""

_APPLICATION_ID = 0x47504B47
_GEOPACKAGE_VERSION = 10300
_LITTLE_ENDIAN_WITH_BOX = 0b0000_0011


def scene_folder(project: Path, glacier: str | None) -> Path:
    """Return the folder in which a project keeps the files of a glacier's scenes."""
    return project / SCENES / (file_name(glacier or "unknown").strip(". ") or "unknown")


def kept_file(project: Path, glacier: str | None, name: str) -> Path:
    """Return the place of a file of a scene, also if its glacier had another name then."""
    path = scene_folder(project, glacier) / name
    if path.exists():
        return path
    return next((project / SCENES).glob(f"*/{glob.escape(name)}"), path)


def change_counter(project: Path) -> int:
    """Return a number that each transaction on the catalogue of a project changes.

    It stands in the header of SQLite's files ("file change counter", bytes 24 to 27).

    Raises
    ------
    IcefrontError
        If there is no catalogue.
    """
    path = project / CATALOGUE
    try:
        with path.open("rb") as file:
            return int.from_bytes(file.read(28)[24:], "big")
    except OSError as error:
        raise IcefrontError(f"{path} cannot be read: name the folder of a project.") from error


class Catalogue:
    """The catalogue of one project, open for reading and writing.

    Parameters
    ----------
    folder : Path
        The project.
    wait_s : float
        How long to wait for another program's transaction, in seconds.
    check : bool
        Check all values when it is opened, which takes about a second for 100,000 scenes; without,
        those of a table are checked when it is read.

    Attributes
    ----------
    path : Path
    crs : pyproj.CRS
        Of all geometries.
    srs : int
        Its EPSG code.

    Raises
    ------
    IcefrontError
        If there is none, or it is damaged.
    """

    def __init__(self, folder: Path, *, wait_s: float = WAIT_S, check: bool = True) -> None:
        self.folder, self.wait_s, self._checked = folder, wait_s, check
        self.path = folder / CATALOGUE
        if not self.path.is_file():
            raise IcefrontError(
                f"{folder} has no {CATALOGUE}: name the folder of a project, or make one with "
                "'icefront monitor run'."
            )
        with self._explained():
            self._open()

    def _open(self) -> None:
        # Transactions are begun by hand.
        self.db = sqlite3.connect(self.path, timeout=self.wait_s, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA synchronous = FULL")
        (verdict,) = self.db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(str(verdict).splitlines()[-1])
        (application,) = self.db.execute("PRAGMA application_id").fetchone()
        found = {row["name"] for row in self.db.execute(f"PRAGMA table_info({LAYER})")}
        if application != _APPLICATION_ID or not found.issuperset(COLUMNS.keys() - set(_LATER)):
            raise sqlite3.DatabaseError("it is no catalogue of this program")
        self._missing = [name for name in _LATER if name not in found]
        for name in list(self._missing):
            # A project that may not be written can still be read, as one that another run opens.
            with suppress(sqlite3.OperationalError):
                self.db.execute(f"ALTER TABLE {LAYER} ADD COLUMN {name} {COLUMNS[name]}")
                self._missing.remove(name)
        with suppress(sqlite3.OperationalError):
            for statement in _INDEXES:
                self.db.execute(statement)
        systems = self.db.execute(
            "SELECT srs_id FROM gpkg_geometry_columns WHERE table_name = ?", (LAYER,)
        ).fetchall()
        try:
            ((self.srs,),) = systems
            self.crs = CRS.from_epsg(self.srs)
        except (ValueError, TypeError, CRSError):
            raise _damaged(self.path, "it names no coordinate system that is known") from None
        if self._checked:
            self._check_values()

    def _check_values(self, where: str = "1", values: Sequence[Any] = ()) -> None:
        """Refuse values that are not of their columns: SQLite takes any value in any column."""
        tests = " ".join(
            f"WHEN {_unfit(name, kind)} THEN '{name}'"
            for name, kind in _ALL.items()
            if name not in self._missing
        )
        wrong = self.db.execute(
            f"SELECT fid, CASE {tests} END AS wrong FROM {LAYER} "
            f"WHERE ({where}) AND wrong IS NOT NULL LIMIT 1",
            values,
        ).fetchone()
        if wrong is not None:
            (value,) = self.db.execute(
                f"SELECT {wrong['wrong']} FROM {LAYER} WHERE fid = ?", (wrong["fid"],)
            ).fetchone()
            raise _damaged(
                self.path, f"the {wrong['wrong']} of its row {wrong['fid']} is {value!r:.60}"
            )

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:  # damaged text
            raise _explained(error, self.path, self.wait_s) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Do the block in one transaction, or nothing of it.

        Raises
        ------
        IcefrontError
            If the disk is full, the file may not be written or is damaged.
        """
        with self._explained():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self.db.execute("ROLLBACK")
                raise

    # --- scenes -----------------------------------------------------------------------------

    def _selected(self) -> list[str]:
        """Return ``fid`` and the columns, as SQL that gives NULL for those that are missing."""
        missing = self._missing
        return ["fid", *(f"NULL AS {name}" if name in missing else name for name in COLUMNS)]

    def row_of(self, path: str) -> sqlite3.Row | None:
        """Return the row of a scene's file, or None."""
        with self._explained():
            found = self.db.execute(f"SELECT * FROM {LAYER} WHERE path = ?", (path,)).fetchone()
        return found  # type: ignore[no-any-return]

    def rows(self, where: str = "1", values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return rows without their geometry."""
        columns = ", ".join(self._selected())
        with self._explained():
            return self.db.execute(
                f"SELECT {columns} FROM {LAYER} WHERE {where} ORDER BY fid", values
            ).fetchall()

    def paths(self) -> set[str]:
        """Return the paths of all scenes."""
        with self._explained():
            return {path for (path,) in self.db.execute(f"SELECT path FROM {LAYER}")}

    def glaciers(self) -> list[str]:
        """Return the names of the glaciers there are, in order of their first scenes."""
        with self._explained():
            found = self.db.execute(
                f"SELECT glacier FROM {LAYER} WHERE glacier IS NOT NULL "
                "GROUP BY glacier ORDER BY min(fid)"
            )
            return [name for (name,) in found]

    def insert(self, values: Mapping[str, Any]) -> None:
        """Add a row; inside of `writing`."""
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        self.db.execute(f"INSERT INTO {LAYER} ({names}) VALUES ({marks})", tuple(values.values()))

    def update(self, fid: int, values: Mapping[str, Any]) -> None:
        """Change a row; inside of `writing`."""
        pairs = ", ".join(f"{name} = ?" for name in values)
        self.db.execute(f"UPDATE {LAYER} SET {pairs} WHERE fid = ?", (*values.values(), fid))

    def free_name(self, stem: str) -> str:
        """Return a name for a scene's files that no other scene of the project has."""
        name, number = stem, 1
        while self.db.execute(f"SELECT 1 FROM {LAYER} WHERE name = ?", (name,)).fetchone():
            number += 1
            name = f"{stem}_{number}"
        return name

    def claim(self, run: str, settings: Sequence[str]) -> sqlite3.Row | None:
        """Take the next scene for a run, or None if none is left.

        Parameters
        ----------
        run : str
            Who takes it.
        settings : sequence of str
            Digests of the settings this run works with; other scenes are left alone.
        """
        with self.writing() as db:
            row = db.execute(
                f"SELECT * FROM {LAYER} WHERE state = ? AND settings IN ({_marks(settings)}) "
                "ORDER BY fid LIMIT 1",
                (NEW, *settings),
            ).fetchone()
            if row is not None:
                self.update(row["fid"], {"state": RUNNING, "run": run})
        return row  # type: ignore[no-any-return]

    def finish(
        self,
        fid: int,
        run: str,
        values: Mapping[str, Any],
        line: BaseGeometry | None,
        shore: tuple[BaseGeometry, float] | None = None,
    ) -> bool:
        """Write the outcome of a scene; it is on the disk when this returns.

        Parameters
        ----------
        fid : int
        run : str
            Whose scene it must still be.
        values : mapping
            ``state`` and columns.
        line : LineString, MultiLineString or None
            In the CRS of the catalogue.
        shore : (LineString or MultiLineString, float), optional
            What the front leaves out, and its length in metres.

        Returns
        -------
        bool
            False if the scene belongs to another run by now, and nothing was changed.
        """
        blank = dict.fromkeys(RESULTS)
        with self.writing() as db:
            mine = db.execute(
                f"SELECT 1 FROM {LAYER} WHERE fid = ? AND state = ? AND run = ?",
                (fid, RUNNING, run),
            ).fetchone()
            if mine is None:
                return False
            geometry = None if line is None or line.is_empty else blob_of(line, self.srs)
            self.update(fid, {**blank, **values, "geom": geometry})
            if shore is not None or self.has_table(SHORE):
                (row,) = self.rows("fid = ?", (fid,))
                beside, length = shore or (None, None)
                self.put_shore(fid, {**row, "length_m": length}, beside)
        return True

    def release(self, run: str) -> int:
        """Give back the scenes that a run took and did not finish; return their number."""
        with self.writing() as db:
            return db.execute(
                f"UPDATE {LAYER} SET state = ?, run = NULL WHERE state = ? AND run = ?",
                (NEW, RUNNING, run),
            ).rowcount

    def release_dead(self) -> int:
        """Give back the scenes of runs that have ended; return their number."""
        with self._explained():
            runs = [
                row["run"]
                for row in self.db.execute(
                    f"SELECT DISTINCT run FROM {LAYER} WHERE state = ?", (RUNNING,)
                )
            ]
        return sum(self.release(run) for run in runs if not is_alive(self.folder, run))

    def select(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return all rows that a query gives."""
        with self._explained():
            return self.db.execute(query, values).fetchall()

    def select_one(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Row:
        """Return the only row that a query gives."""
        (row,) = self.select(query, values)
        return row

    def has_table(self, name: str) -> bool:
        """Tell whether there is a table or layer of a name."""
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        with self._explained():
            return self.db.execute(query, (name,)).fetchone() is not None

    def put_shore(self, fid: int, about: Mapping[str, Any], line: BaseGeometry | None) -> None:
        """Write the shore of a scene into its layer, or take it away; inside of `writing`.

        Parameters
        ----------
        fid : int
            Of the scene.
        about : mapping
            `SHORE_COLUMNS`.
        line : LineString, MultiLineString or None
            In the CRS of the catalogue.
        """
        there = self.has_table(SHORE)
        if line is None or line.is_empty:
            if there:
                self.db.execute(f"DELETE FROM {SHORE} WHERE fid = ?", (fid,))
            return
        if not there:
            what = "Where glacier meets ocean without calving"
            add_layer(self.db, SHORE, SHORE_COLUMNS, what, self.srs)
        names = ", ".join(("fid", "geom", *SHORE_COLUMNS))
        values = (fid, blob_of(line, self.srs), *(plain(about[name]) for name in SHORE_COLUMNS))
        self.db.execute(
            f"INSERT OR REPLACE INTO {SHORE} ({names}) VALUES ({_marks(values)})", values
        )

    def counts(self) -> dict[str, int]:
        """Return the number of scenes by state."""
        with self._explained():
            found = self.db.execute(f"SELECT state, count(*) FROM {LAYER} GROUP BY state")
            return {state: number for state, number in found}

    def note_extent(self) -> None:
        """Write the extent of the layer, to which other software zooms."""
        from_all = self.table([DONE])
        box: Sequence[float | None] = (None,) * 4
        if len(from_all):
            box = [float(value) for value in from_all.total_bounds]
        with self.writing() as db:
            db.execute(
                "UPDATE gpkg_contents SET min_x = ?, min_y = ?, max_x = ?, max_y = ?, "
                "last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE table_name = ?",
                (*box, LAYER),
            )

    def table(
        self, states: Sequence[str] = (DONE, NO_FRONT), glaciers: Sequence[str] | None = None
    ) -> gpd.GeoDataFrame:
        """Read the rows of some states.

        Parameters
        ----------
        states : sequence of str
        glaciers : sequence of str, optional
            Only these, as the catalogue spells them (`glaciers`).

        Returns
        -------
        GeoDataFrame
            In the CRS of the catalogue, by glacier, date and name; ``date`` as datetime64, the
            geometry a LineString, a MultiLineString, or an empty LineString.
        """
        where, values = f"state IN ({_marks(states)})", tuple(states)
        if glaciers is not None:
            # The plus keeps SQLite from the index of states: a glacier has few scenes.
            where = f"glacier IN ({_marks(glaciers)}) AND +{where}"
            values = (*glaciers, *values)
        names = ("fid", *COLUMNS, "geom")
        selected = ", ".join((*self._selected(), "geom"))
        with self._explained():
            if not self._checked:
                self._check_values(where, values)
            rows = self.db.execute(
                f"SELECT {selected} FROM {LAYER} WHERE {where} ORDER BY glacier, date, name",
                values,
            ).fetchall()
        columns = {name: [row[name] for row in rows] for name in names}
        lines = [self._line_of(row) for row in rows]
        del columns["geom"]
        frame = pd.DataFrame(columns)
        frame["date"] = pd.to_datetime(frame["date"], format="ISO8601")
        for name, kind in COLUMNS.items():
            if kind == "REAL":
                frame[name] = frame[name].astype(float)
        return gpd.GeoDataFrame(frame, geometry=lines, crs=self.crs)

    def single_dates(self, glaciers: Sequence[str] | None = None) -> gpd.GeoDataFrame | None:
        """Return the fronts of each date alone where the pass moved them, or None without any.

        Parameters
        ----------
        glaciers : sequence of str, optional
            Only these, as the catalogue spells them.

        Returns
        -------
        GeoDataFrame or None
            Columns `SINGLE_COLUMNS`, in the CRS of the catalogue.
        """
        where = "f.through_time IS NOT NULL"
        return self._beside(SINGLE_DATES, SINGLE_COLUMNS, where, glaciers)

    def shores(self, glaciers: Sequence[str] | None = None) -> gpd.GeoDataFrame | None:
        """Return what the fronts leave out because it is shore, or None without any.

        Parameters
        ----------
        glaciers : sequence of str, optional
            Only these, as the catalogue spells them.

        Returns
        -------
        GeoDataFrame or None
            Columns `SHORE_COLUMNS`, in the CRS of the catalogue.
        """
        return self._beside(SHORE, SHORE_COLUMNS, f"f.state = '{DONE}'", glaciers)

    def _beside(
        self, layer: str, names: Iterable[str], where: str, glaciers: Sequence[str] | None
    ) -> gpd.GeoDataFrame | None:
        """Return the rows of a layer of lines beside the fronts, or None without any."""
        if not self.has_table(layer):
            return None
        listed = ", ".join((*(f"s.{name}" for name in names), "s.geom", "s.fid"))
        if glaciers is not None:
            where += f" AND f.glacier IN ({_marks(glaciers)})"
        with self._explained():
            rows = self.db.execute(
                f"SELECT {listed} FROM {LAYER} f JOIN {layer} s USING (fid) "
                f"WHERE {where} ORDER BY s.glacier, s.date, s.scene",
                tuple(glaciers or ()),
            ).fetchall()
        if not rows:
            return None
        columns = {name: [row[name] for row in rows] for name in names}
        lines = [self._line_of(row) for row in rows]
        return gpd.GeoDataFrame(columns, geometry=lines, crs=self.crs)

    def _line_of(self, row: sqlite3.Row) -> BaseGeometry:
        try:
            with np.errstate(invalid="ignore"):
                line = line_of(row["geom"])
            if np.isfinite(shapely.get_coordinates(line)).all() and "Line" in line.geom_type:
                return line
        except (ValueError, IndexError, shapely.errors.ShapelyError):
            pass
        raise _damaged(self.path, f"the line of {row['name']} cannot be read")


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _unfit(name: str, kind: str) -> str:
    """Return the SQL condition under which a value does not belong into its column."""
    if name == "state":
        return f"state NOT IN {STATES}"
    if kind == "DATE":
        # Days that no month has are other days after a modifier.
        return (
            f"{name} IS NOT NULL AND (typeof({name}) != 'text' OR "
            f"date({name}, '+0 days') IS NOT substr({name}, 1, 10) OR "
            f"substr({name}, 1, 4) NOT BETWEEN '1900' AND '2199')"
        )
    if kind == "REAL":
        return f"typeof({name}) NOT IN ('real', 'integer', 'null') OR abs({name}) > 1e300"
    fit = {"BLOB": "blob", "INTEGER": "integer"}.get(kind, "text")
    return f"typeof({name}) NOT IN ('{fit}', 'null')"


def _damaged(path: Path, why: str) -> IcefrontError:
    return IcefrontError(
        f"{path} is damaged ({why}): move it away, and the next 'icefront monitor run' rebuilds it "
        f"from the records in {path.parent / SCENES}."
    )


def _explained(error: Exception, path: Path, wait_s: float = WAIT_S) -> IcefrontError:
    said = str(error)
    if "full" in said:
        return IcefrontError(
            f"The disk of {path} is full: make room and run the same command again; every scene "
            "reported done is kept."
        )
    if "readonly" in said or "read-only" in said or "unable to open" in said:
        return IcefrontError(
            f"{path} may not be written: make its folder writable, or name another project."
        )
    if "locked" in said or "busy" in said:
        return IcefrontError(
            f"{path} is held by another program for more than {wait_s:g} s: close it there."
        )
    if "disk I/O" in said:
        return IcefrontError(
            f"{path} cannot be read or written (disk I/O error): check the disk and run the same "
            "command again."
        )
    return _damaged(path, said.splitlines()[0])


# --- making one -----------------------------------------------------------------------------


def create(folder: Path, crs: CRS) -> Catalogue:
    """Open the catalogue of a project; write an empty one first if there is none.

    Parameters
    ----------
    folder : Path
        The project, which exists.
    crs : pyproj.CRS
        Of a new catalogue; must have an EPSG code.

    Raises
    ------
    IcefrontError
        If it cannot be written or is damaged.
    """
    path = folder / CATALOGUE
    if not path.exists():
        with explained_writing(folder), FileLock(folder / f".{CATALOGUE}.lock"):
            if not path.exists():
                with writing(path) as part:
                    _write_empty(part, crs)
    return Catalogue(folder)


def _write_empty(path: Path, crs: CRS) -> None:
    """Write a GeoPackage 1.3 (OGC 12-128r17) with one empty layer."""
    code = int(crs.to_epsg() or 4326)
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.executescript(
            f"""
            PRAGMA application_id = {_APPLICATION_ID};
            PRAGMA user_version = {_GEOPACKAGE_VERSION};
            BEGIN;
            CREATE TABLE gpkg_spatial_ref_sys (
                srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY,
                organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL,
                definition TEXT NOT NULL, description TEXT);
            CREATE TABLE gpkg_contents (
                table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL,
                identifier TEXT UNIQUE, description TEXT DEFAULT '',
                last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
                min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
                CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id)
                    REFERENCES gpkg_spatial_ref_sys(srs_id));
            CREATE TABLE gpkg_geometry_columns (
                table_name TEXT NOT NULL, column_name TEXT NOT NULL,
                geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL,
                z TINYINT NOT NULL, m TINYINT NOT NULL,
                CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),
                CONSTRAINT uk_gc_table_name UNIQUE (table_name),
                CONSTRAINT fk_gc_tn FOREIGN KEY (table_name)
                    REFERENCES gpkg_contents(table_name),
                CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id)
                    REFERENCES gpkg_spatial_ref_sys (srs_id));
            COMMIT;
            """
        )
        undefined = "undefined"
        systems = {
            -1: ("Undefined Cartesian SRS", "NONE", -1, undefined),
            0: ("Undefined geographic SRS", "NONE", 0, undefined),
        }
        for number in {4326, code}:
            system = CRS.from_epsg(number)
            systems[number] = (system.name, "EPSG", number, system.to_wkt("WKT1_GDAL"))
        db.execute("BEGIN")
        for number, (name, owner, own_code, definition) in systems.items():
            db.execute(
                "INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, NULL)",
                (name, number, owner, own_code, definition),
            )
        add_layer(db, LAYER, COLUMNS, "Calving fronts by icefront: one row per scene", code)
        for statement in _INDEXES:
            db.execute(statement)
        db.execute("COMMIT")
    finally:
        db.close()


def add_layer(
    db: sqlite3.Connection, name: str, columns: Mapping[str, str], description: str, srs: int
) -> None:
    """Add an empty layer of lines to a GeoPackage; inside of a transaction."""
    listed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
    db.execute(
        f"CREATE TABLE {name} (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "
        f"geom MULTILINESTRING, {listed})"
    )
    db.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id) "
        "VALUES (?, 'features', ?, ?, ?)",
        (name, name, description, srs),
    )
    db.execute(
        "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'MULTILINESTRING', ?, 0, 0)",
        (name, srs),
    )


def blob_of(line: BaseGeometry, srs: int) -> bytes:
    """Return a line as a GeoPackage geometry, a MultiLineString with its bounding box."""
    west, south, east, north = line.bounds
    whole = shapely.multilinestrings(shapely.get_parts(line))
    box = struct.pack("<i4d", srs, west, east, south, north)
    return b"GP\0" + bytes([_LITTLE_ENDIAN_WITH_BOX]) + box + shapely.to_wkb(whole, byte_order=1)


def line_of(blob: bytes | None) -> BaseGeometry:
    """Return the line of a GeoPackage geometry: one piece as a LineString, none as an empty one."""
    if blob is None:
        return shapely.LineString()
    # Other software may have written it without a bounding box, or with another one.
    sizes = (0, 32, 48, 48, 64)
    line = shapely.from_wkb(blob[8 + sizes[blob[3] >> 1 & 0b111] :])
    parts = shapely.get_parts(line)
    return parts[0] if parts.size == 1 else line


# --- runs -----------------------------------------------------------------------------------


@contextmanager
def holding(folder: Path, run: str) -> Iterator[None]:
    """Hold the lock of a run while the block works.

    Raises
    ------
    IcefrontError
        If the project may not be written, or locks have no effect on its disk.
    """
    lock = lock_of(folder, run)
    with explained_writing(folder, remedy="make it writable, or name another project"):
        if not _locks_work(folder / RUNS):
            raise IcefrontError(
                f"Locks have no effect on the disk of {folder}, so that several runs would spoil "
                "each other's work: mount it with locks (Lustre with the option flock, NFS in "
                "version 4), or name a project on another disk."
            )
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _locks_work(folder: Path) -> bool:
    """Tell whether a file of a folder that is locked once cannot be locked again."""
    try:
        import fcntl
    except ImportError:  # Windows, whose locks always work
        return True
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".probe") as one:
        try:
            fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
                return False
            raise
        with open(one.name, "rb") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


def lock_of(folder: Path, run: str) -> FileLock:
    """Return the lock that a run holds while it lives; the system frees it when it dies."""
    return FileLock(folder / RUNS / f"{run}.lock", is_singleton=False)


def is_alive(folder: Path, run: str | None) -> bool:
    """Tell whether a run still works."""
    if run is None or not (folder / RUNS / f"{run}.lock").exists():
        return False
    lock = lock_of(folder, run)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def live_runs(folder: Path) -> list[str]:
    """List the runs that work on a project now."""
    names = sorted(path.stem for path in (folder / RUNS).glob("*.lock"))
    return [name for name in names if is_alive(folder, name)]


# --- records --------------------------------------------------------------------------------


def records(folder: Path) -> Iterable[dict[str, Any]]:
    """Read the records of finished scenes; one that cannot be read is left out."""
    for path in sorted((folder / SCENES).glob("*/*.json")):
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(found, dict) and {"path", "name", "state"} <= found.keys():
            yield found


def restore(catalogue: Catalogue) -> int:
    """Fill an empty catalogue from the records of its project; return the number of scenes."""
    count = 0
    with catalogue.writing():
        for record in records(catalogue.folder):
            values = _row_of(record, catalogue)
            if values is None:
                continue
            taken = catalogue.db.execute(
                f"SELECT 1 FROM {LAYER} WHERE path = ? OR name = ?",
                (values["path"], values["name"]),
            ).fetchone()
            if taken is None:
                catalogue.insert(values)
                count += 1
    return count


def _row_of(record: dict[str, Any], catalogue: Catalogue) -> dict[str, Any] | None:
    """Return the row of a record; None if it is damaged, so that its scene is extracted anew."""
    values = {name: record[name] for name in COLUMNS if name in record}
    kinds = {"REAL": (int, float), "INTEGER": (int,)}
    for name, value in values.items():
        fit = kinds.get(COLUMNS[name].split()[0], (str,))
        if value is not None and (not isinstance(value, fit) or isinstance(value, bool)):
            return None
    try:
        if values.get("date") is not None:
            dt.date.fromisoformat(values["date"][:10])
        line = shapely.from_wkt(record["line"]) if record.get("line") else None
        if line is not None:
            moved = gpd.GeoSeries([line], crs=record["crs"]).to_crs(catalogue.crs).iloc[0]
            if not np.isfinite(shapely.get_coordinates(moved)).all():
                return None
            values["geom"] = blob_of(moved, catalogue.srs)
    except (KeyError, TypeError, ValueError, CRSError, shapely.errors.ShapelyError):
        return None
    return values if values["state"] in STATES and values["path"] and values["name"] else None


def plain(value: Any) -> Any:
    """Return a value as SQLite and JSON take it: NaN and missing values as None, dates as text."""
    if value is None or value is pd.NaT:
        return None
    if isinstance(value, str):
        return shown(value)  # A tag may hold bytes that are no text.
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value


def state_of(flag: str) -> str:
    """Return the state of a scene whose front has a flag."""
    return NO_FRONT if flag == NO_FRONT_FLAG else DONE
