"""A project as the page sees it: plain answers, pictures, and what people change."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from pyproj import CRS, Transformer
from rasterio.errors import RasterioError
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from icefront import __version__
from icefront.errors import IcefrontError
from icefront.extraction.series_fronts import glacier_crs, series_grid, usual_probabilities
from icefront.files.atomic import scratch_folder
from icefront.grid import Grid, crs_name
from icefront.projects.catalogue import (
    CATALOGUE,
    DONE,
    LAYER,
    NO_FRONT,
    SCENES,
    Catalogue,
    change_counter,
    line_of,
)
from icefront.projects.config import Areas
from icefront.projects.corrections import list_corrections, revision_of, user_name
from icefront.projects.pictures import (
    READING,
    kept_in_project,
    open_picture,
)
from icefront.projects.probabilities import SMOOTHED_SUFFIX, SUFFIX
from icefront.projects.review import Verdict, judge, newest_verdicts
from icefront.projects.smoothing import (
    configuration_of,
    correct_project,
    members_of,
    smooth_project,
    unfinished_passes,
)
from icefront.viewer.curves import curve_of
from icefront.viewer.geojson import Answer, Mover, collection, feature, finite
from icefront.viewer.scene_pictures import ScenePictures
from icefront.viewer.tiles import Bounds, TileGrid, tile_grid
from icefront.viewer.walls import walls_of

NAMELESS = "no name"
"""How the glacier of scenes without one is called."""

_EXTENT_SCENES = 40
"""Number of scenes of a glacier from which its extent is taken."""

_ZONES = "_zones.tif"

_BEFOREHAND = 100
"""Number of glaciers whose curves are computed before they are looked at."""

_AT_ONCE = 500
"""Rows that one query asks for by their numbers."""

_log = logging.getLogger(__name__)


class UnknownError(IcefrontError):
    """There is no glacier, scene or correction of that number."""


@dataclass(frozen=True)
class OpenGlacier:
    """A glacier of a project, as far as it stays the same while its fronts change.

    Attributes
    ----------
    number : int
        By which the page calls it: that of its first row in the catalogue.
    name : str or None
    rows : dict
        Rows of the catalogue without geometry, by their number, in order of date.
    crs : pyproj.CRS
        Of its lattice; all coordinates of the page are in it.
    extent : tuple
        Of its scenes.
    tiles : TileGrid
    """

    number: int
    name: str | None
    rows: dict[int, dict[str, Any]]
    crs: CRS
    extent: Bounds
    tiles: TileGrid


@dataclass
class _Known:
    """What takes long to compute, with what it was computed from."""

    curves: dict[int, tuple[str, Answer]] = field(default_factory=dict)
    walls: dict[int, tuple[str, Answer]] = field(default_factory=dict)
    grids: dict[Path, tuple[int, tuple[CRS, Bounds] | None]] = field(default_factory=dict)
    project: tuple[int, list[Answer]] | None = None


class OpenProject:
    """A project that is looked at and corrected; safe to use from several threads.

    Parameters
    ----------
    folder : Path
    writable : bool
        Whether people may change it.
    scratch : Path, optional
        Where pictures are kept if not in the project.

    Raises
    ------
    IcefrontError
        If it is no project.
    """

    def __init__(self, folder: Path, *, writable: bool = True, scratch: Path | None = None) -> None:
        self.folder = folder.resolve()
        self.writable = writable
        self.pictures = ScenePictures(self.folder, scratch)
        self._known = _Known()
        self._opened: dict[int, OpenGlacier] = {}
        self._of_scene: dict[int, int] = {}
        self._changing = threading.Lock()
        self._busy: set[int] = set()
        self._computing: dict[int, threading.Lock] = {}
        self._guard = threading.Lock()
        self._later = ThreadPoolExecutor(1, thread_name_prefix="later")
        self._queued: set[int] = set()
        self._quiet = threading.Event()
        self._beside: int | None = None
        # All values are checked once; what is read later was written by this program.
        Catalogue(self.folder).close()

    def close(self) -> None:
        """Start nothing more; what is being written is finished."""
        self.pictures.close()
        self._quiet.set()
        self._later.shutdown(wait=False, cancel_futures=True)
        with self._changing:
            pass

    # --- glaciers and scenes ----------------------------------------------------------------

    def _listed(self, catalogue: Catalogue) -> list[tuple[int, str | None, Answer]]:
        """Return number, name and facts of each glacier, in order of their numbers."""
        rows = catalogue.select(
            "SELECT min(fid) AS id, glacier, count(*) AS scenes, sum(state = ?) AS fronts, "
            f"min(date) AS first, max(date) AS newest FROM {LAYER} GROUP BY glacier ORDER BY id",
            (DONE,),
        )
        names = ("first", "newest", "scenes", "fronts")
        return [(row["id"], row["glacier"], {name: row[name] for name in names}) for row in rows]

    def number_of(self, name: str | None) -> int:
        """Return the number of a glacier by its name.

        Raises
        ------
        UnknownError
            If there is none of that name.
        """
        with Catalogue(self.folder, check=False) as catalogue:
            for number, known, _ in self._listed(catalogue):
                if known == name:
                    return number
        raise UnknownError(f"There is no glacier {name} in this project.")

    def glacier(self, number: int, catalogue: Catalogue | None = None) -> OpenGlacier:
        """Return a glacier as the catalogue has it now.

        Raises
        ------
        UnknownError
            If there is none of that number.
        """
        if catalogue is None:
            with Catalogue(self.folder, check=False) as opened:
                return self.glacier(number, opened)
        names = {known: name for known, name, _ in self._listed(catalogue)}
        if number not in names:
            raise UnknownError(f"There is no glacier {number} in this project.")
        name = names[number]
        found = [dict(row) for row in catalogue.rows("glacier IS ?", (name,))]
        found.sort(key=lambda row: (row["date"] or "9999", row["fid"]))
        rows = {row["fid"]: row for row in found}
        crs, extent = self._place(catalogue, list(rows.values()))
        sides = [row["pixel_size_m"] for row in found if row["pixel_size_m"]]
        side = float(round(min(sides, default=10.0), 3))
        opened_now = OpenGlacier(number, name, rows, crs, extent, tile_grid(extent, side))
        with self._guard:
            self._opened[number] = opened_now
            self._of_scene |= dict.fromkeys(rows, number)
        return opened_now

    def scene(self, number: int) -> tuple[OpenGlacier, dict[str, Any]]:
        """Return the glacier of a scene, and its row; not newer than the last look at the glacier.

        Raises
        ------
        UnknownError
            If there is no scene of that number.
        """
        with self._guard:
            known = self._opened.get(self._of_scene.get(number, -1))
        if known is not None and number in known.rows:
            return known, known.rows[number]
        with Catalogue(self.folder, check=False) as catalogue:
            row = next(iter(catalogue.rows("fid = ?", (number,))), None)
            if row is None:
                raise UnknownError(f"There is no scene {number} in this project.")
            of = {name: found for found, name, _ in self._listed(catalogue)}
            glacier = self.glacier(of[row["glacier"]], catalogue)
        return glacier, glacier.rows[number]

    def _place(self, catalogue: Catalogue, rows: list[dict[str, Any]]) -> tuple[CRS, Bounds]:
        """Return the CRS of the map of a glacier, and the extent of its scenes on it."""
        done = [row for row in rows if row["state"] in (DONE, NO_FRONT)]
        step = max(1, len(done) // _EXTENT_SCENES)
        places = [place for row in done[::step] if (place := self._lattice_of(row)) is not None]
        if not places:
            return self._place_of_lines(catalogue, rows)
        crs = places[0][0]
        boxes = [
            box if system == crs else Transformer.from_crs(system, crs, always_xy=True)
            .transform_bounds(*box)
            for system, box in places
        ]  # fmt: skip
        lows, highs = np.min(boxes, axis=0), np.max(boxes, axis=0)
        return crs, (float(lows[0]), float(lows[1]), float(highs[2]), float(highs[3]))

    def _lattice_of(self, row: Mapping[str, Any]) -> tuple[CRS, Bounds] | None:
        """Return where a scene lies on the map of its glacier, or None if no file says so."""
        path = kept_in_project(self.folder, row, SUFFIX)
        path = path or kept_in_project(self.folder, row, _ZONES)
        if path is None:
            return None
        changed = path.stat().st_mtime_ns
        known = self._known.grids.get(path)
        if known is not None and known[0] == changed:
            return known[1]
        place = None
        try:
            with rasterio.Env(**READING), open_picture(path) as raster:
                if raster.crs is not None:
                    crs = CRS.from_user_input(raster.crs)
                    grid = Grid(raster.height, raster.width, crs, raster.transform)
                    place = (crs, tuple(raster.bounds))
                    target = glacier_crs(crs, grid)
                    if target != crs:
                        move = Transformer.from_crs(crs, target, always_xy=True)
                        place = (target, move.transform_bounds(*raster.bounds))
        except (IcefrontError, RasterioError) as error:
            _log.warning("%s", error)
        self._known.grids[path] = (changed, place)  # type: ignore[assignment]
        return place  # type: ignore[return-value]

    def _place_of_lines(
        self, catalogue: Catalogue, rows: list[dict[str, Any]]
    ) -> tuple[CRS, Bounds]:
        """Return the same of a glacier of which only fronts are known, or nothing."""
        lines = self._lines(catalogue, [row["fid"] for row in rows])
        known = gpd.GeoSeries([line for line in lines.values() if not line.is_empty])
        crs = catalogue.crs
        if known.empty:
            return crs, (0.0, 0.0, 1000.0, 1000.0) if crs.is_projected else (-1.0, -1.0, 1.0, 1.0)
        known = known.set_crs(crs)
        if not crs.is_projected:
            x, y = known.iloc[0].centroid.coords[0]
            crs = glacier_crs(crs, Grid(1, 1, crs, rasterio.Affine(1e-6, 0, x, 0, -1e-6, y)))
            known = known.to_crs(crs)
        left, bottom, right, top = (float(value) for value in known.total_bounds)
        wide = max(right - left, top - bottom, 100.0)
        return crs, (left - wide, bottom - wide, right + wide, top + wide)

    def _lines(self, catalogue: Catalogue, fids: Sequence[int]) -> dict[int, BaseGeometry]:
        """Return the lines of some rows, in the CRS of the catalogue."""
        found: dict[int, BaseGeometry] = {}
        for start in range(0, len(fids), _AT_ONCE):
            part = tuple(fids[start : start + _AT_ONCE])
            marks = ", ".join("?" * len(part))
            query = f"SELECT fid, geom FROM {LAYER} WHERE fid IN ({marks})"
            for row in catalogue.select(query, part):
                try:
                    line = line_of(row["geom"])
                    fit = np.isfinite(shapely.get_coordinates(line)).all()
                except (ValueError, IndexError, TypeError, ShapelyError):
                    fit = False
                if not fit or "Line" not in line.geom_type:
                    raise IcefrontError(
                        f"The line of row {row['fid']} in {catalogue.path} cannot be read: extract "
                        "its scene anew with 'icefront monitor run --renew'."
                    )
                found[row["fid"]] = line
        return found

    # --- answers ----------------------------------------------------------------------------

    def project_answer(self) -> Answer:
        """Return the glaciers of the project and what is to be reviewed."""
        glaciers = self._glaciers_now()
        numbers = [known["id"] for known in glaciers[:_BEFOREHAND]]
        self._compute_later([n for n in numbers if n not in self._known.curves])
        return {
            "name": self.folder.name,
            "version": __version__,
            "read_only": not self.writable,
            "person": user_name(),
            "glaciers": [known | {"to_review": self._to_review(known["id"])} for known in glaciers],
            "notes": [],
        }

    def _glaciers_now(self) -> list[Answer]:
        """Return what the catalogue says of the glaciers; it is read only if it has changed.

        Pages ask every few seconds.
        """
        state = change_counter(self.folder)
        known = self._known.project
        if known is not None and known[0] == state:
            return known[1]
        with Catalogue(self.folder, check=False) as catalogue:
            counts: dict[str | None, int] = {}
            for correction in list_corrections(catalogue):
                counts[correction.glacier] = counts.get(correction.glacier, 0) + 1
            glaciers = [
                {
                    "id": number,
                    "name": name or NAMELESS,
                    **facts,
                    "corrections": counts.get(name, 0),
                    "revision": revision_of(catalogue, name),
                }
                for number, name, facts in self._listed(catalogue)
            ]
        self._known.project = (state, glaciers)
        return glaciers

    def _to_review(self, number: int) -> int | None:
        known = self._known.curves.get(number)
        return None if known is None else len(known[1]["review"])

    def glacier_answer(self, number: int) -> Answer:
        """Return what the catalogue says of a glacier: scenes, fronts, corrections, tiles."""
        with Catalogue(self.folder, check=False) as catalogue:
            glacier = self.glacier(number, catalogue)
            revision = revision_of(catalogue, glacier.name)
            verdicts = newest_verdicts(catalogue)
            lines = self._lines(catalogue, list(glacier.rows))
            chosen = None if glacier.name is None else [glacier.name]
            single, shores = catalogue.single_dates(chosen), catalogue.shores(chosen)
            corrections = list_corrections(catalogue, glacier.name)
            crs = catalogue.crs
        on_map = Mover(crs, glacier.crs)
        scenes = [self._scene_answer(row, verdicts.get(fid)) for fid, row in glacier.rows.items()]
        dated = [row for row in glacier.rows.values() if row["date"]]
        can = self.writable and self._has_series(dated)
        fronts = [
            feature(on_map(lines[fid]), _front_facts(row))
            for fid, row in glacier.rows.items()
            if row["state"] == DONE and not lines[fid].is_empty
        ]
        of_name = {row["scene"]: fid for fid, row in glacier.rows.items()}
        by_date = {row["date"]: row["fid"] for row in reversed(dated)}

        def beside(table: gpd.GeoDataFrame | None, number: str) -> list[Answer]:
            if table is None:
                return []
            return [
                feature(
                    on_map(row["geometry"]),
                    {
                        "scene": of_name[row["scene"]],
                        "date": row["date"],
                        number: finite(row[number]),
                    },
                )
                for row in table[table["glacier"].map(_same(glacier.name))].to_dict("records")
                if row["scene"] in of_name and not row["geometry"].is_empty
            ]

        drawn = [
            feature(
                on_map(item.line),
                {
                    "number": item.number,
                    "scene": by_date.get(item.date),
                    "date": item.date,
                    "person": item.person,
                    "added": item.added,
                },
            )
            for item in corrections
        ]
        return {
            "id": number,
            "name": glacier.name or NAMELESS,
            "revision": revision,
            "busy": number in self._busy,
            "can_correct": can,
            "why_not": None if can else self._why_not(),
            "crs": {"code": crs_name(glacier.crs), "proj4": _proj4(glacier.crs)},
            "extent": list(glacier.extent),
            "pixel_size_m": glacier.tiles.side_m,
            "tiles": {
                "size": 256,
                "origin": [0, 0],
                "resolutions": glacier.tiles.resolutions,
                "scenes": "/api/tiles/{scene}/{v}/{z}/{x}/{y}.png",
                "zones": "/api/zones/{scene}/{zv}/{z}/{x}/{y}.png",
            },
            "scenes": scenes,
            "fronts": collection(fronts),
            "single_dates": collection(beside(single, "uncertainty_m")),
            "shores": collection(beside(shores, "length_m")),
            "corrections": collection(drawn),
        }

    def _has_series(self, dated: list[dict[str, Any]]) -> bool:
        """Tell whether there are two dates whose probabilities are kept."""
        dates = set()
        for row in dated:
            if row["state"] in (DONE, NO_FRONT) and kept_in_project(self.folder, row, SUFFIX):
                dates.add(row["date"])
            if len(dates) > 1:
                return True
        return False

    def _why_not(self) -> str:
        if not self.writable:
            return "This project may not be written: make its folder writable to correct fronts."
        return (
            "This glacier has no two dates whose probabilities are kept: extract more of its "
            "scenes, or run 'icefront monitor run --renew'."
        )

    def _scene_answer(self, row: Mapping[str, Any], verdict: Verdict | None) -> Answer:
        zones = self._zones_file(row)
        picture, note = self.pictures.state(row)
        names = ("name", "date", "sensor", "orbit", "polarisation", "state", "flag", "verdict")
        return {
            "id": row["fid"],
            **{name: row[name] for name in names},
            "reason": row["reason"] or row["error"],
            "remarks": [] if verdict is None else list(verdict.remarks),
            "note": verdict and verdict.note,
            "person": verdict and verdict.person,
            "verdict_revision": 0 if verdict is None else verdict.number,
            "v": (row["sha256"] or "0")[:12],
            "zv": "0" if zones is None else f"{zones.stat().st_mtime_ns:x}",
            "picture": picture,
            "picture_note": note,
            "zones": zones is not None,
        }

    def curve_answer(self, number: int) -> Answer:
        """Return the positions of a glacier through time, its grades, and what to review."""
        with self._guard:
            lock = self._computing.setdefault(number, threading.Lock())
        with lock:
            with Catalogue(self.folder, check=False) as catalogue:
                glacier = self.glacier(number, catalogue)
                fronts_now = revision_of(catalogue, glacier.name)
                said = [(fid, row["verdict"]) for fid, row in glacier.rows.items()]
                revision = _digest(fronts_now, said)
                known = self._known.curves.get(number)
                if known is not None and known[0] == revision:
                    return known[1]
                names = None if glacier.name is None else [glacier.name]
                fronts = catalogue.table([DONE], names)
            fronts = fronts[fronts["glacier"].map(_same(glacier.name))]
            answer = {"revision": fronts_now, **curve_of(fronts, glacier.rows, glacier.crs)}
            self._known.curves[number] = (revision, answer)
            return answer

    def walls_answer(self, number: int) -> Answer:
        """Return the boundary of what is usually rock: the walls of the fjord."""
        with Catalogue(self.folder, check=False) as catalogue:
            glacier = self.glacier(number, catalogue)
            members = [member for member, _ in members_of(catalogue, glacier.name)]
        revision = _digest(glacier.name, [(member.name, member.date) for member in members])
        known = self._known.walls.get(number)
        if known is None or known[0] != revision:
            lines = walls_of(usual_probabilities(members), series_grid(members)) if members else []
            answer = {"walls": collection([feature(line, {}) for line in lines])}
            known = self._known.walls[number] = (revision, answer)
        return known[1]

    def geojson(self, number: int, scenes: Sequence[int] = ()) -> str:
        """Return fronts of a glacier as GeoJSON in EPSG:4326, those of some scenes or all."""
        with Catalogue(self.folder, check=False) as catalogue:
            glacier = self.glacier(number, catalogue)
            wanted = [fid for fid in glacier.rows if not scenes or fid in scenes]
            lines = self._lines(catalogue, wanted)
            crs = catalogue.crs
        grades = self.curve_answer(number)["grades"]
        on_globe = Mover(crs, CRS.from_epsg(4326), decimals=6)
        features = []
        for fid in wanted:
            row = glacier.rows[fid]
            if row["state"] != DONE or lines[fid].is_empty:
                continue
            facts = {
                name: row[name]
                for name in ("glacier", "date", "sensor", "scene", "verdict", "model", "source")
            }
            facts |= _front_facts(row) | {"scene": row["scene"]}
            facts["grade"] = grades.get(str(fid), {}).get("grade")
            features.append(feature(on_globe(lines[fid]), facts))
        return json.dumps(collection(features), allow_nan=False, ensure_ascii=False)

    # --- pictures and zones -----------------------------------------------------------------

    def picture(self, scene: int) -> tuple[OpenGlacier, Future[Path]]:
        """Return the glacier of a scene, and its picture once it is there.

        Returns
        -------
        OpenGlacier
        Future of Path
            Raises an `IcefrontError` if the file of the scene is gone, changed or damaged.

        Raises
        ------
        UnknownError
            If there is no such scene.
        """
        glacier, row = self.scene(scene)
        return glacier, self.pictures.of(row, glacier.crs)

    def pictures_beside(self, scene: int) -> None:
        """Have the pictures of the dates beside a scene made when nothing else is to be done."""
        if scene == self._beside:
            return
        self._beside = scene
        glacier, _ = self.scene(scene)
        fids = list(glacier.rows)
        at = fids.index(scene)
        for fid in (*fids[at + 1 : at + 3], *fids[max(at - 1, 0) : at]):
            self.pictures.later(glacier.rows[fid], glacier.crs)

    def _zones_file(self, row: Mapping[str, Any]) -> Path | None:
        """Return the raster that tells the zones of a scene: through time, if there is one."""
        suffixes = (SMOOTHED_SUFFIX,) if row["through_time"] else ()
        for suffix in (*suffixes, SUFFIX, _ZONES):
            path = kept_in_project(self.folder, row, suffix)
            if path is not None:
                return path
        return None

    def zones(self, scene: int) -> tuple[OpenGlacier, Path]:
        """Return the glacier of a scene and the raster of its zones.

        Raises
        ------
        UnknownError
            If there is no such scene, or no zones of it are kept.
        """
        glacier, row = self.scene(scene)
        path = self._zones_file(row)
        if path is None:
            raise UnknownError(f"No zones of scene {scene} are kept.")
        return glacier, path

    # --- changes ----------------------------------------------------------------------------

    def _check_writable(self) -> None:
        if not self.writable:
            raise IcefrontError(self._why_not())

    @contextmanager
    def _working_on(self, number: int) -> Iterator[None]:
        """Let nobody else change fronts while the block does."""
        self._busy.add(number)
        try:
            with self._changing:
                yield
        finally:
            self._busy.discard(number)

    def correct(self, scene: int, line: BaseGeometry, *, seen: str, person: str | None) -> Answer:
        """Keep a front that a person drew on the date of a scene; do the pass through time.

        Parameters
        ----------
        scene : int
        line : LineString or MultiLineString
            In the CRS of the glacier.
        seen : str
            Revision of the glacier that the person looked at.
        person : str, optional

        Raises
        ------
        UnknownError, ConflictError, IcefrontError
            If there is no such scene, somebody else has changed the fronts, or the line cannot be
            used; nothing is kept then.
        """
        self._check_writable()
        glacier, row = self.scene(scene)
        if not row["date"]:
            raise IcefrontError("This scene has no date, so that its front cannot be corrected.")
        drawn = gpd.GeoDataFrame(
            {"glacier": [glacier.name], "date": [row["date"]]}, geometry=[line], crs=glacier.crs
        )
        with self._working_on(glacier.number):
            changed, report = correct_project(
                self.folder, drawn, person=person, seen={glacier.name: seen}, progress=False
            )
        return self._changed(glacier.number, changed[0].number, changed[0].date, report)

    def take_back(self, correction: int, *, seen: str, person: str | None) -> Answer:
        """Take a correction back; do the pass through time.

        Raises
        ------
        UnknownError, ConflictError, IcefrontError
            As `correct`.
        """
        self._check_writable()
        with Catalogue(self.folder, check=False) as catalogue:
            found = [item for item in list_corrections(catalogue) if item.number == correction]
            if not found:
                raise UnknownError(f"There is no correction {correction} that counts.")
            name = found[0].glacier
            number = next(n for n, known, _ in self._listed(catalogue) if known == name)
        with self._working_on(number):
            changed, report = correct_project(
                self.folder, undo=[correction], person=person, seen={name: seen}, progress=False
            )
        return self._changed(number, correction, changed[0].date, report)

    def _changed(self, number: int, correction: int, date: str, report: Any) -> Answer:
        moved = [
            {"scene": item.fid, "date": item.date, "moved_m": item.moved_m}
            for item in sorted(report.moved, key=lambda item: -(item.moved_m or np.inf))
            if item.date != date and item.moved_m != 0
        ]
        answer = self.glacier_answer(number)
        self._compute_later([number])
        return {
            "correction": correction,
            "revision": answer["revision"],
            "moved": moved,
            "redrawn": report.redrawn,
            "notes": report.notes,
            "glacier": answer,
        }

    def judge(
        self,
        scene: int,
        verdict: str | None,
        *,
        remarks: Sequence[str],
        note: str | None,
        person: str | None,
        seen: int,
    ) -> Answer:
        """Keep what a person says of a scene.

        Raises
        ------
        UnknownError, VerdictConflictError, IcefrontError
            If there is no such scene, somebody else has judged it, or a word is unknown.
        """
        self._check_writable()
        _, row = self.scene(scene)
        said: Answer = {"remarks": remarks, "note": note, "person": person, "seen": seen}
        judge(self.folder, [row["name"]], verdict, **said)
        answer = self.scene_answer(scene)
        self._compute_later([self._of_scene[scene]])
        return answer

    def scene_answer(self, scene: int) -> Answer:
        """Return a scene and the revision of its glacier."""
        glacier, _ = self.scene(scene)
        with Catalogue(self.folder, check=False) as catalogue:
            glacier = self.glacier(glacier.number, catalogue)
            verdict = newest_verdicts(catalogue).get(scene)
            revision = revision_of(catalogue, glacier.name)
        return {"scene": self._scene_answer(glacier.rows[scene], verdict), "revision": revision}

    # --- later ------------------------------------------------------------------------------

    def finish_passes(self) -> None:
        """Do passes through time again that were cut off, in the background."""
        if self.writable:
            self._later.submit(self._finish_passes)

    def _finish_passes(self) -> None:
        try:
            with Catalogue(self.folder, check=False) as catalogue:
                left = unfinished_passes(catalogue)
                numbers = {name: number for number, name, _ in self._listed(catalogue)}
                for name in left:
                    with self._working_on(numbers[name]):
                        smooth_project(
                            catalogue, Areas(*configuration_of(self.folder)), glaciers={name}
                        )
        except IcefrontError as error:
            _log.warning("A pass through time was not finished: %s", error)

    def _compute_later(self, numbers: Sequence[int]) -> None:
        """Compute the curves of glaciers that have none, when the page has what it needs first."""
        for number in numbers:
            with self._guard:
                if number in self._queued:
                    continue
                self._queued.add(number)
            try:
                self._later.submit(self._compute, number)
            except RuntimeError:  # the server is being stopped
                return

    def _compute(self, number: int) -> None:
        if number not in self._known.curves:
            self._quiet.wait(2.0 if not self._known.curves else 0.05)
        with self._guard:
            self._queued.discard(number)
        try:
            self.curve_answer(number)
        except Exception:  # the page asks for it again and is told
            _log.exception("The curve of glacier %s could not be computed.", number)


def _front_facts(row: Mapping[str, Any]) -> Answer:
    numbers = ("uncertainty_m", "length_m", "interpolated", "moved_m", "model_pixel_size_m")
    return {
        "scene": row["fid"],
        "date": row["date"],
        "grade": None,
        "flag": row["flag"],
        "through_time": row["through_time"],
        **{name: finite(row[name]) for name in numbers},
    }


def _same(name: str | None) -> Any:
    """Return a test of a cell of a table of fronts: is it this glacier?"""
    return lambda cell: cell == name if name is not None else not isinstance(cell, str)


def _digest(*facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:16]


def _proj4(crs: CRS) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that names of datums may be lost
        return str(crs.to_proj4())


@contextmanager
def opened_project(folder: Path) -> Iterator[OpenProject]:
    """Open a project while the block runs; pictures of one that may not be written are temporary.

    Raises
    ------
    IcefrontError
        If it is no project.
    """
    if may_write(folder):
        project = OpenProject(folder)
        try:
            yield project
        finally:
            project.close()
        return
    with scratch_folder() as scratch:
        project = OpenProject(folder, writable=False, scratch=scratch)
        try:
            yield project
        finally:
            project.close()


def may_write(folder: Path) -> bool:
    """Tell whether the catalogue and the folders of a project may be written."""
    places = (folder, folder / CATALOGUE, folder / SCENES)
    return all(os.access(place, os.W_OK) for place in places if place.exists())
