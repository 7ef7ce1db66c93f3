"""Public data and weights: what they are, where they come from, and all of it on disk.

Sizes and checksums are asked of the publisher each time (Zenodo's record, the hub's listing, the
header of the file), so that nothing here can be out of date. PANGAEA gives no checksum: the SHA-256
that was seen is kept in ``download.json``, to compare with later.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from icefront import __version__
from icefront.errors import IcefrontError
from icefront.files.archives import Taken, is_archive, unpack
from icefront.files.atomic import explained_writing, remove_unfinished, writing
from icefront.files.downloads import RemoteFile, ask_json, fetch, readable, remove_part, size_of

RECORD = "download.json"
"""What was fetched, from where, with which checksum."""


@dataclass(frozen=True)
class Source:
    """Something that can be downloaded.

    Attributes
    ----------
    name : str
        As on the command line.
    title, licence, citation, page : str
        For people; the page is where its publisher describes it.
    files : tuple of RemoteFile
    zenodo : str or None
        Address of a record of Zenodo's interface that lists the files, instead of `files`.
    hub : str or None
        Address of a listing of the Hugging Face hub, instead of `files`; `wanted` are the files to
        take from it, under `files_at`.
    unpack : bool
        Unpack archives.
    """

    name: str
    title: str
    licence: str
    citation: str
    page: str
    files: tuple[RemoteFile, ...] = ()
    zenodo: str | None = None
    hub: str | None = None
    files_at: str = ""
    wanted: tuple[str, ...] = ()
    unpack: bool = True


_SWIN = "microsoft/swinv2-tiny-patch4-window16-256"

SOURCES: dict[str, Source] = {
    "caffe": Source(
        name="caffe",
        title="CaFFe: 681 SAR images of seven glaciers with zones, fronts and bounding boxes",
        licence="CC-BY-4.0",
        citation=(
            "Gourmelon, N., Seehaus, T., Braun, M., Maier, A., Christlein, V. (2022): Calving "
            "Fronts and Where to Find Them: a benchmark dataset and methodology for automatic "
            "glacier calving front extraction from SAR imagery. Earth Syst. Sci. Data 14, "
            "4287-4313, doi:10.5194/essd-14-4287-2022; data: doi:10.1594/PANGAEA.940950"
        ),
        page="https://doi.org/10.1594/PANGAEA.940950",
        files=(
            RemoteFile(
                "data_raw.zip", "https://download.pangaea.de/dataset/940950/files/data_raw.zip"
            ),
        ),
    ),
    "ssl4sar": Source(
        name="ssl4sar",
        title="SSL4SAR: Sentinel-1 series and Sentinel-2 images of 14 Arctic glaciers",
        licence="as its record says",
        citation=(
            "Gourmelon, N., Dreier, M., Mayr, M., Seehaus, T., Pyles, D., Braun, M., Maier, A., "
            "Christlein, V. (2025): SSL4SAR: Self-Supervised Learning for Glacier Calving Front "
            "Extraction From SAR Imagery. IEEE Trans. Geosci. Remote Sens. 63, "
            "doi:10.1109/TGRS.2025.3580945; data: https://zenodo.org/records/14748506"
        ),
        page="https://zenodo.org/records/14748506",
        zenodo="https://zenodo.org/api/records/14748506",
    ),
    "weights": Source(
        name="weights",
        title="ImageNet weights of Swin-V2 tiny, with which the training of Tyrion starts",
        licence="Apache-2.0",
        citation=(
            "Liu, Z. et al. (2022): Swin Transformer V2: Scaling Up Capacity and Resolution. "
            "arXiv:2111.09883"
        ),
        page=f"https://huggingface.co/{_SWIN}",
        hub=f"https://huggingface.co/api/models/{_SWIN}/tree/main",
        files_at=f"https://huggingface.co/{_SWIN}/resolve/main/",
        wanted=("config.json", "model.safetensors"),
        unpack=False,
    ),
}


def ask(source: Source) -> Source:
    """Ask the publisher for the files, their sizes, checksums and the licence.

    Raises
    ------
    IcefrontError
        If the server does not answer, or with something else.
    """
    if source.zenodo is not None:
        record = ask_json(source.zenodo)
        try:
            files = tuple(
                RemoteFile(
                    _plain_name(entry["key"]),
                    entry["links"]["self"],
                    int(entry["size"]),
                    str(entry["checksum"]),
                )
                for entry in record["files"]
            )
            licence = str((record["metadata"].get("license") or {}).get("id", source.licence))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _odd_answer(source.zenodo, source.page) from None
        return replace(source, files=files, licence=licence)
    if source.hub is not None:
        listing = ask_json(source.hub)
        try:
            entries = {entry["path"]: entry for entry in listing}
            files = tuple(
                RemoteFile(
                    name,
                    source.files_at + name,
                    int(entries[name]["size"]),
                    f"sha256:{entries[name]['lfs']['oid']}" if "lfs" in entries[name] else None,
                )
                for name in source.wanted
            )
        except (KeyError, TypeError, ValueError):
            raise _odd_answer(source.hub, source.page) from None
        return replace(source, files=files)
    files = tuple(
        file if file.size is not None else replace(file, size=size_of(file.url))
        for file in source.files
    )
    return replace(source, files=files)


def _odd_answer(url: str, page: str) -> IcefrontError:
    return IcefrontError(f"{url} does not list the files as expected: look at {page} yourself.")


def _plain_name(name: str) -> str:
    if name != PurePosixPath(name).name or "\\" in name or name.startswith("."):
        raise IcefrontError(f"The server names a file {name!r}, which is no plain name.")
    return name


def description(source: Source) -> list[str]:
    """Describe what will be fetched, in lines to be shown before anything is."""
    sizes = [file.size for file in source.files]
    total = f"{readable(sum(s for s in sizes if s is not None))}" if None not in sizes else ""
    lines = [source.title, f"Size: {total or 'not stated by the server'}"]
    lines[-1] += f" in {len(source.files)} file{'s' * (len(source.files) != 1)}"
    lines += [f"Licence: {source.licence}", f"Cite: {source.citation}", f"Page: {source.page}"]
    for file in source.files:
        size = "size not stated" if file.size is None else readable(file.size)
        check = file.checksum or "no published checksum; the SHA-256 that is seen is recorded"
        lines.append(f"  {file.name}: {size}, {check}")
    return lines


@dataclass(frozen=True)
class Downloaded:
    """What was fetched.

    Attributes
    ----------
    folder : Path
    names : tuple of str
        Files and folders that now lie in it.
    notes : tuple of str
        What happened on the way.
    """

    folder: Path
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def download(
    source: Source, out: str | Path, *, keep_archives: bool = False, progress: bool = True
) -> Downloaded:
    """Fetch all files of a source and unpack the archives among them.

    What an earlier run finished is not fetched again; what it left unfinished is continued.

    Parameters
    ----------
    source : Source
        From `ask`.
    out : path
        Folder; created if it does not exist.
    keep_archives : bool
        Keep an archive when it is unpacked.
    progress : bool

    Returns
    -------
    Downloaded

    Raises
    ------
    IcefrontError
        As `fetch` and `unpack`.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise IcefrontError(f"{folder} is a file: name a folder for the download.")
    names: list[str] = []
    notes: list[str] = []
    with explained_writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder)
        record = _read_record(folder, source)
        for file in source.files:
            done = record["files"].get(file.name)
            if done is None or not (_same(done, file) and _is_there(done, folder)):
                _fetch(file, folder, record, notes, progress=progress)
            elif done.get("fetching"):
                with (folder / file.name).open("rb") as content:
                    digest = hashlib.file_digest(content, "sha256").hexdigest()
                _note_fetched(file, folder, record, digest)
            else:
                notes.append(f"{file.name}: was there already.")
            done = record["files"][file.name]
            if done["packed"] is None:
                done["packed"] = source.unpack and is_archive(folder / file.name)
            if done["packed"]:
                _unpack(file.name, folder, record, keep_archives)
            names += done["made"]
    return Downloaded(folder, tuple(names), tuple(notes))


# Each step is noted before and after it is done, so that a download that is killed at any moment
# goes on: a file that is there belongs to it, and was checked before it got its name.


def _fetch(
    file: RemoteFile, folder: Path, record: dict[str, Any], notes: list[str], *, progress: bool
) -> None:
    if (folder / file.name).exists():
        raise IcefrontError(
            f"{folder / file.name} is there already, from elsewhere: move it, or name "
            "another folder."
        )
    record["files"][file.name] = {**asdict(file), "made": [file.name], "packed": None}
    record["files"][file.name]["fetching"] = True
    _write_record(folder, record)
    try:
        _, digest, found = fetch(file, folder, progress=progress)
    except BaseException:
        del record["files"][file.name]
        if record["files"]:
            _write_record(folder, record)
        else:
            (folder / RECORD).unlink()
        raise
    notes += found
    _note_fetched(file, folder, record, digest)


def _note_fetched(file: RemoteFile, folder: Path, record: dict[str, Any], digest: str) -> None:
    remove_part(file, folder)
    entry = record["files"][file.name]
    entry |= {"sha256": digest, "checksum_published": file.checksum is not None}
    del entry["fetching"]
    _write_record(folder, record)


def _unpack(name: str, folder: Path, record: dict[str, Any], keep_archive: bool) -> None:
    """Unpack an archive that was fetched; one that cannot be is thrown away."""
    entry = record["files"][name]

    def note(names: list[str]) -> None:
        entry["unpacking"] = names
        _write_record(folder, record)

    if not _was_unpacked(entry, folder):
        try:
            unpack(folder / name, folder, before_moving=note)
        except Taken:
            raise
        except IcefrontError:
            (folder / name).unlink()
            del record["files"][name]
            _write_record(folder, record)
            raise
    if not keep_archive:
        (folder / name).unlink(missing_ok=True)
    names = entry.pop("unpacking")
    entry |= {"made": [*names, name] if keep_archive else names, "packed": False}
    _write_record(folder, record)


def _is_there(done: dict[str, Any], folder: Path) -> bool:
    return all((folder / name).exists() for name in done["made"]) or _was_unpacked(done, folder)


def _was_unpacked(done: dict[str, Any], folder: Path) -> bool:
    """Tell whether an archive was unpacked by a run that was killed before it noted so."""
    names = done.get("unpacking")
    return names is not None and all((folder / name).exists() for name in names)


def _same(done: dict[str, Any], file: RemoteFile) -> bool:
    """Tell whether what was fetched is what the publisher offers now, as far as is known."""
    if file.checksum is not None:
        return bool(done.get("checksum") == file.checksum)
    return file.size is None or done.get("size") in (None, file.size)


def _read_record(folder: Path, source: Source) -> dict[str, Any]:
    facts = {
        "icefront": __version__,
        "name": source.name,
        "title": source.title,
        "licence": source.licence,
        "citation": source.citation,
        "page": source.page,
    }
    try:
        found = json.loads((folder / RECORD).read_text("utf-8"))
        files = found["files"] if found["name"] == source.name else {}
        if not all(isinstance(d["made"], list) and "packed" in d for d in files.values()):
            files = {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        files = {}
    return {**facts, "files": files}


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    with writing(folder / RECORD) as part:
        part.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")


def source_named(name: str) -> Source:
    """Return a source by its name.

    Raises
    ------
    IcefrontError
        If there is none.
    """
    if name not in SOURCES:
        raise IcefrontError(
            f"There is nothing named {name!r} to download; there are {', '.join(SOURCES)}."
        )
    return SOURCES[name]
