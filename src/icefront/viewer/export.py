"""A project as a page that needs no server: to put on any web server, or to open by a double click.

The answers of the server are written as scripts, since browsers read no other files from a disk,
and the pictures as small tiles. Nothing on the page can be changed.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icefront.errors import IcefrontError
from icefront.files.atomic import contents, staging
from icefront.progress import steps
from icefront.viewer.open_project import OpenProject, opened_project
from icefront.viewer.page_files import export_page
from icefront.viewer.tiles import TileGrid, grey_webp, picture_tile

LONGEST_PX = 1024
"""Side of the pictures of an export; finer levels are left out."""

_REMEDY = "name another folder with --export"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    page : Path
        To open.
    scenes, tiles : int
        Numbers of scenes, and of tiles of their pictures.
    notes : list of str
        Which scenes have no picture, and why.
    """

    page: Path
    scenes: int
    tiles: int
    notes: list[str]


def export_project(project: Path, out: Path, *, progress: bool = True) -> Exported:
    """Write a page of a project that needs no server.

    Parameters
    ----------
    project : Path
    out : Path
        A new or empty folder.
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Raises
    ------
    IcefrontError
        If it is no project, or the folder is not empty or cannot be written; nothing is left then.
    """
    if out.exists() and (not out.is_dir() or contents(out)):
        raise IcefrontError(f"{out} is not an empty folder: {_REMEDY}.")
    notes: list[str] = []
    scenes = tiles = 0
    with opened_project(project) as opened, staging(out, remedy=_REMEDY) as folder:
        about = opened.project_answer()
        (folder / "data").mkdir()
        export_page(folder)
        total = sum(glacier["scenes"] for glacier in about["glaciers"])
        with steps("Scenes", total, show=progress) as advance:
            for known in about["glaciers"]:
                number = known["id"]
                answers = _answers(opened, number)
                for scene in answers[f"glaciers/{number}"]["scenes"]:
                    written = _write_tiles(opened, scene, folder / "tiles", notes)
                    scenes, tiles = scenes + 1, tiles + written
                    advance(1)
                known["to_review"] = len(answers[f"glaciers/{number}/curve"]["review"])
                script = f"Object.assign(window.icefrontExport.answers, {_json(answers)});\n"
                (folder / "data" / f"glacier-{number}.js").write_text(script, "utf-8")
        about |= {"read_only": True, "person": None}
        script = f"window.icefrontExport = {_json({'project': about, 'answers': {}})};\n"
        (folder / "data" / "project.js").write_text(script, "utf-8")
    return Exported(out / "index.html", scenes, tiles, notes)


def _answers(opened: OpenProject, number: int) -> dict[str, Any]:
    """Return what the page asks of a glacier, as it is without a server."""
    glacier = opened.glacier_answer(number)
    glacier |= {"can_correct": False, "why_not": "This page shows a project and changes nothing."}
    shown = _levels(opened.glacier(number).tiles, glacier["extent"])
    glacier["tiles"] |= {
        "resolutions": glacier["tiles"]["resolutions"][:shown],
        "scenes": "tiles/{scene}/{z}/{x}/{y}.webp",
        "zones": None,
    }
    for scene in glacier["scenes"]:
        scene |= {"zones": False, "tiles": []}
    return {
        f"glaciers/{number}": glacier,
        f"glaciers/{number}/curve": opened.curve_answer(number),
        f"glaciers/{number}/walls": opened.walls_answer(number),
    }


def _levels(tiles: TileGrid, extent: list[float]) -> int:
    """Return how many levels are shown, from the coarsest on."""
    longest = max(extent[2] - extent[0], extent[3] - extent[1])
    fit = [longest / resolution <= LONGEST_PX for resolution in tiles.resolutions]
    return max(1, sum(fit))


def _write_tiles(opened: OpenProject, scene: dict[str, Any], folder: Path, notes: list[str]) -> int:
    """Write the tiles of the picture of a scene, and note which there are; return their number."""
    try:
        glacier, made = opened.picture(scene["id"])
        path = made.result()
    except IcefrontError as error:
        notes.append(str(error))
        # Where the file lay is nobody's business who gets the page.
        scene |= {"picture": "gone", "picture_note": "There is no picture of this scene."}
        return 0
    for z in range(_levels(glacier.tiles, list(glacier.extent))):
        for x, y in glacier.tiles.over(glacier.extent, z):
            tile = picture_tile(path, glacier.tiles.bounds(z, x, y))
            if not tile.any():
                continue
            place = folder / str(scene["id"]) / str(z) / str(x) / f"{y}.webp"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(grey_webp(tile))
            scene["tiles"].append(f"{z}/{x}/{y}")
    scene |= {"picture": "ready", "picture_note": None}
    return len(scene["tiles"])


def _json(content: Any) -> str:
    return json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
