"""Damaged files of all kinds that are read, and what must hold for each of them."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import geopandas as gpd
import numpy as np
import rasterio
import torch
import xarray as xr
from PIL import Image
from pyproj import CRS
from rasterio.transform import from_origin

from icefront.annotators.traces import read_traces
from icefront.datasets.caffe import read_box, read_front, read_grey, read_zones
from icefront.datasets.image_cache import SourceImage, cached_images
from icefront.errors import IcefrontError
from icefront.evaluation.calibration import read_calibration
from icefront.evaluation.predictions import read_prediction
from icefront.evaluation.run_tables import read_runs
from icefront.files.archives import unpack
from icefront.fronts.external_fronts import read_fronts, read_lines, write_fronts
from icefront.models.card import ModelCard
from icefront.models.checkpoints import write_own
from icefront.models.registry import build, load_model
from icefront.pretraining.config import PretrainingConfig
from icefront.projects import catalogue as catalogues
from icefront.projects.catalogue import Catalogue
from icefront.projects.config import read_config
from icefront.recipes import read_recipe
from icefront.scenes import open_scene
from icefront.scenes.describe import describe
from icefront.training.config import TrainingConfig
from tests.helpers.paths import CONFIGS
from tests.helpers.scenes import landscape, write_tif
from tests.helpers.simulated_projects import made_fronts


@dataclass(frozen=True)
class Reader:
    """A kind of file, and how it is read.

    Attributes
    ----------
    name : str
    file : Path
        A sound file; those with the same stem go with it.
    read : callable
        Reads a file and may write what it likes to the second path.
    root : Path or None
        The folder that is needed to read the file; by default the one that it lies in.
    may_hang : bool
        Libraries of the format are known to loop for ever on some damaged files.
    """

    name: str
    file: Path
    read: Callable[[Path, Path], object]
    root: Path | None = None
    may_hang: bool = False

    def placed(self, folder: Path) -> Path:
        """Copy the sound file with all that is needed; return where it lies."""
        root = self.root or self.file.parent
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(root, folder / "in")
        return folder / "in" / self.file.relative_to(root)


# --- damage -----------------------------------------------------------------------------------


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Damage the content of a file in one of the ways that disks, networks and people have."""
    return rng.choice(_DAMAGES)(content, rng)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 32)) if changed else 0):
        # Headers are where a byte does most.
        end = len(changed) if rng.random() < 0.5 else min(len(changed), 512)
        changed[rng.randrange(end)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(changed)


def _overwrite(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    length = rng.choice((4, 16, 256, 4096))
    filling = rng.choice((b"\0" * length, b"\xff" * length, rng.randbytes(length)))
    return content[:start] + filling + content[start + length :]


def _remove(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice((1, 7, 512)) :]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start : start + 300] * 2 + content[start + 300 :]


def _insert(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    words = (b"\0", b"\xff\xfe", b"nan", b"-1e999", b"[[[[", b'"', b"\n\n", "é".encode("latin1"))
    return content[:start] + rng.choice(words) + content[start:]


def _change_number(content: bytes, rng: random.Random) -> bytes:
    """Replace a number that is written out: most of what can be wrong in text."""
    numbers = (b"0", b"-1", b"1e308", b"99999999999999999999", b"NaN", b"", b"x", b"2147483648")
    return _replaced(content, rng, rb"-?\d+(\.\d+)?", numbers)


def _change_word(content: bytes, rng: random.Random) -> bytes:
    words = (b"null", b"true", b"[]", b"{}", b"a: b: c", b"../../x", b"\xc3\x28", b"")
    return _replaced(content, rng, rb"[A-Za-z_]{3,}", words)


def _replaced(
    content: bytes, rng: random.Random, pattern: bytes, others: tuple[bytes, ...]
) -> bytes:
    found = list(re.finditer(pattern, content[:200_000]))
    if not found:
        return _flip(content, rng)
    place = rng.choice(found)
    return content[: place.start()] + rng.choice(others) + content[place.end() :]


def _nothing(content: bytes, rng: random.Random) -> bytes:
    return b""


_DAMAGES = (
    *(_cut, _flip, _flip, _flip, _overwrite, _overwrite, _remove, _repeat, _insert),
    *(_change_number, _change_number, _change_word, _nothing),
)


# --- one damaged file -------------------------------------------------------------------------


def try_damaged(reader: Reader, seed: str, folder: Path) -> str | None:
    """Read a damaged file; return what is wrong with how that went, or None.

    A file may be read all the same, or be refused in one sentence of an `IcefrontError` with
    nothing left behind.
    """
    rng = random.Random(f"{reader.name} {seed}")
    path = reader.placed(folder)
    beside = [path, *sorted(p for p in path.parent.glob(f"{path.stem}.*") if p != path)]
    victim = rng.choice(beside) if rng.random() < 0.4 else path
    victim.write_bytes(damaged(victim.read_bytes(), rng))
    before = sorted(p.name for p in path.parent.rglob("*"))
    out = folder / "out"
    try:
        reader.read(path, out)
    except IcefrontError as error:
        if "\n" in str(error) or not str(error).strip():
            return f"not one sentence: {str(error)!r}"
        if out.exists():
            return f"left {out.name} after: {error}"
        left = set(p.name for p in path.parent.rglob("*")) - set(before)
        if left - {"lock"}:
            return f"left {left} beside the file"
    except MemoryError:
        return "ran out of memory"
    return None


# --- all readers ------------------------------------------------------------------------------


def readers(folder: Path) -> list[Reader]:
    """Write a sound file of each kind, and return how each is read."""
    return [
        *_scene_readers(folder / "scenes"),
        *_table_readers(folder / "tables"),
        *_model_readers(folder / "models"),
        *_text_readers(folder / "texts"),
        *_data_set_readers(folder / "data"),
        *_archive_readers(folder / "archives"),
    ]


def _own(folder: Path, name: str) -> Path:
    """Return a path in a folder of its own."""
    (folder / name).mkdir(parents=True)
    return folder / name


def _scene_readers(folder: Path) -> list[Reader]:
    image = landscape()[40:110, 70:150]
    decibel = (-20 + image / 16).astype(np.float32)
    name = "Crane_20180602_S1"
    files = [
        write_tif(_own(folder, "tif") / f"{name}.tif", decibel, compress="deflate", tiled=True,
                  blockxsize=64, blockysize=64),
        write_tif(_own(folder, "strips") / f"{name}.tif", image, compress="lzw"),
    ]  # fmt: skip
    with rasterio.open(files[0], "r+") as raster:
        raster.update_tags(date="2018-06-02", sensor="S1", glacier="Crane")
    files.append(_own(folder, "png") / f"{name}.png")
    Image.fromarray(image).save(files[-1])
    for kind in ("netCDF-3", "netCDF-4"):
        files.append(_own(folder, kind) / f"{name}.nc")
        _write_netcdf(files[-1], decibel, "NETCDF4" if kind == "netCDF-4" else "NETCDF3_64BIT")
    files.append(_own(folder, "vrt") / f"{name}.vrt")
    shutil.copy(files[0], files[-1].parent / "part.tif")
    files[-1].write_text(
        '<VRTDataset rasterXSize="80" rasterYSize="70"><SRS>EPSG:3413</SRS>'
        "<GeoTransform>-196000, 30, 0, -2270000, 0, -30</GeoTransform>"
        '<VRTRasterBand dataType="Float32" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">part.tif</SourceFilename>'
        '<SourceBand>1</SourceBand><SrcRect xOff="0" yOff="0" xSize="80" ySize="70"/>'
        '<DstRect xOff="0" yOff="0" xSize="80" ySize="70"/>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    files.append(_own(folder, "jpeg2000") / f"{name}.jp2")
    with rasterio.open(
        files[-1],
        "w",
        driver="JP2OpenJPEG",
        width=image.shape[1],
        height=image.shape[0],
        count=1,
        dtype="uint8",
        crs="EPSG:3413",
        transform=from_origin(-196_000, -2_270_000, 30, 30),
        QUALITY=100,
        REVERSIBLE="YES",
    ) as raster:
        raster.write(image, 1)

    def scene(path: Path, out: Path) -> None:
        open_scene(path)

    def header(path: Path, out: Path) -> None:
        describe(path)

    return [
        # The HDF5 library under GDAL loops for ever on some files with one byte changed.
        Reader(f"{what}, {file.parent.name}", file, read, may_hang=file.parent.name == "netCDF-4")
        for what, read in (("scene", scene), ("header", header))
        for file in files
    ]


def _write_netcdf(
    path: Path, values: np.ndarray, kind: Literal["NETCDF4", "NETCDF3_64BIT"]
) -> None:
    y = -2_270_000 - 15 - 30.0 * np.arange(values.shape[0])
    x = -196_000 + 15 + 30.0 * np.arange(values.shape[1])
    data = xr.Dataset({"sigma0": (("y", "x"), values)}, {"y": y, "x": x})
    data["crs"] = xr.DataArray(0, attrs=CRS.from_epsg(3413).to_cf())
    data["sigma0"].attrs |= {"grid_mapping": "crs", "units": "dB"}
    data.to_netcdf(path, format=kind)


def _table_readers(folder: Path) -> list[Reader]:
    fronts = made_fronts(years=1, per_year=4)[["glacier", "date", "sensor", "geometry"]]
    fronts = fronts.assign(date=fronts["date"].dt.strftime("%Y-%m-%d"))
    files = [_own(folder, kind) / f"fronts.{kind}" for kind in ("gpkg", "geojson", "shp")]
    for file in files:
        fronts.to_file(file)
    lines = _own(folder, "centreline") / "line.gpkg"
    gpd.GeoDataFrame({"glacier": ["Crane"]}, geometry=[fronts.geometry[0]], crs=32633).to_file(
        lines
    )
    runs = _own(folder, "runs") / "runs.csv"
    runs.write_text("model,seed,mde_m\nA,1,310.5\nA,2,300.25\nB,1,290\nB,2,285.5\n")
    drawn = gpd.GeoDataFrame({"image": list("abcd")}, geometry=list(fronts.geometry), crs=32633)
    for person in ("Ada", "Bo"):
        people = _own(folder / "people", person) / "fronts.geojson"
        drawn.to_file(people)

    def table(path: Path, out: Path) -> None:
        write_fronts(read_fronts(path), out / "fronts.gpkg")

    def centreline(path: Path, out: Path) -> None:
        read_lines(path, "centreline")

    def run_table(path: Path, out: Path) -> None:
        read_runs([str(path)])

    def traces(path: Path, out: Path) -> None:
        read_traces(path.parent.parent)

    return [
        *(Reader(f"fronts, {file.suffix}", file, table) for file in files),
        Reader("centreline", lines, centreline),
        Reader("runs", runs, run_table),
        Reader("traces", people, traces, root=people.parents[1]),
    ]


def _model_readers(folder: Path) -> list[Reader]:
    network = build({"family": "unet", "widths": [2, 2]})
    card = ModelCard("small", network.card.architecture, window=64, target=32, stride=16)
    own = _own(folder, "own") / "small.safetensors"
    write_own(own, network, card)
    other = _own(folder, "foreign") / "other.ckpt"
    state = {f"swin_unet.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, other)

    def model(path: Path, out: Path) -> None:
        load_model(str(path))

    return [Reader("checkpoint", own, model), Reader("checkpoint, foreign", other, model)]


def _text_readers(folder: Path) -> list[Reader]:
    training = _own(folder, "training") / "recipe.yaml"
    shutil.copy(sorted(CONFIGS.glob("*tyrion*.yaml"))[0], training)
    pretraining = _own(folder, "pretraining") / "recipe.yaml"
    pretraining.write_text(
        "name: small\nmethod: optsimmim\nmodel: tyrion\ndata: {root: archive, stride: 32}\n"
        "epochs: 2\nbatch: 4\noptimiser: {learning_rate: 0.05}\n"
    )
    project = _own(folder, "project") / "project.yaml"
    project.write_text(
        "scenes: [scenes]\nradiometry: grey\npixel_size: 30\nglaciers:\n  Crane: {names: [crane]}\n"
    )
    calibration = _own(folder, "calibration") / "calibration.json"
    calibration.write_text(
        json.dumps(
            {"small": {"levels": [0.5, 0.9], "factors": [0.6, 1.8], "images": 7, "source": "here"}}
        )
    )

    return [
        Reader("recipe", training, lambda p, out: read_recipe(p, None, TrainingConfig)),
        Reader("recipe, pretraining", pretraining,
               lambda p, out: read_recipe(p, None, PretrainingConfig)),
        Reader("configuration", project, lambda p, out: read_config(p)),
        Reader("calibration", calibration, lambda p, out: read_calibration(p)),
    ]  # fmt: skip


def _data_set_readers(folder: Path) -> list[Reader]:
    greys = np.array([0, 64, 127, 254], np.uint8)
    zones = np.random.default_rng(0).integers(0, 4, (40, 50))
    label = _own(folder, "zones") / "Crane_2002-11-09_ERS_20_2_061_zones.png"
    Image.fromarray(greys[zones]).save(label)
    box = _own(folder, "box") / "Crane_bounding_box.txt"
    box.write_text("Bounding box\n3.2,30\n3.2,5\n45,5\n45,30\n")
    prediction = _own(folder, "prediction") / "Crane.png"
    Image.fromarray(greys[zones]).save(prediction)
    np.savez_compressed(
        prediction.with_suffix(".npz"),
        allow_pickle=False,
        front=np.arange(9),
        width=np.ones(9, np.float32),
        disagreement=np.ones(9, np.float32),
        class_spread=np.ones(4),
    )
    cache = _own(folder, "cache") / "index.jsonl"
    source = _own(folder, "cached") / "image.png"
    Image.fromarray(greys[zones]).save(source)
    image = SourceImage((source,), (1, 40, 50), lambda: greys[zones][None])
    cached_images([image], cache.parent, progress=False)
    project = _own(folder, "project")
    catalogue = catalogues.create(project, CRS.from_epsg(3413))
    catalogue.insert({"scene": "a", "state": "new", "path": "a.tif", "name": "a"})
    catalogue.close()

    def cached(path: Path, out: Path) -> None:
        blocks, _ = cached_images([image], path.parent, progress=False)
        assert np.array_equal(blocks[0].mapped(), greys[zones][None])

    def rows(path: Path, out: Path) -> None:
        with Catalogue(path.parent) as opened:
            opened.table(["new", "running", "done", "no front", "failed"])
            opened.counts()

    return [
        Reader("label", label, lambda p, out: (read_zones(p), read_grey(p), read_front(p))),
        Reader("box", box, lambda p, out: read_box(p, (40, 50))),
        Reader("prediction", prediction, lambda p, out: read_prediction(p.parent, p.stem, {})),
        Reader("cache, index", cache, cached),
        Reader("cache, block", next(cache.parent.glob("*.bin")), cached),
        Reader("catalogue", project / catalogues.CATALOGUE, rows),
    ]


def _archive_readers(folder: Path) -> list[Reader]:
    entries = {f"data/{n}.bin": np.random.default_rng(n).bytes(500) for n in range(4)}
    packed = _own(folder, "zip") / "a.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    files = [packed]
    for kind in ("", "gz", "bz2", "xz"):
        files.append(_own(folder, f"tar{kind}") / f"a.tar{'.' * bool(kind)}{kind}")
        with tarfile.open(files[-1], f"w:{kind}") as stream:
            for name, content in entries.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                stream.addfile(info, io.BytesIO(content))

    def unpacked(path: Path, out: Path) -> None:
        out.mkdir()
        try:
            unpack(path, out)
        except IcefrontError:
            out.rmdir()  # which fails where anything is left
            raise

    return [Reader(f"archive, {file.parent.name}", file, unpacked) for file in files]
