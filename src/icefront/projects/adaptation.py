"""A network adapted to a glacier of a project: what the pass through time is sure of teaches it.

The labels are those of `icefront.training.adaptation`; here they are brought to the images as the
network sees them, and what it has learned is judged on dates that had no part.
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from icefront import __version__
from icefront.datasets.caffe import CaffeDataset
from icefront.datasets.crops import Scenes
from icefront.errors import FullDiskError, IcefrontError, failure
from icefront.extraction.pipeline import open_needed
from icefront.extraction.series_fronts import DatedZones, series_grid, zones_on_lattice
from icefront.extraction.settings import ExtractionSettings
from icefront.files.cache import default_cache_folder
from icefront.grid import Grid
from icefront.inference.predict import for_card, predict
from icefront.models.card import ModelCard, card_of
from icefront.models.checkpoints import write_own
from icefront.models.registry import load_model
from icefront.progress import steps
from icefront.projects.adapted_models import SITE, AdaptedModel, note_adapted, site_of
from icefront.projects.catalogue import Catalogue
from icefront.projects.config import Areas
from icefront.projects.corrections import evidence_of, list_corrections
from icefront.projects.scene_files import named_folders
from icefront.projects.smoothing import configuration_of, series_of
from icefront.scenes.access import input_folders
from icefront.scenes.scene import Scene
from icefront.series.byte_series import ByteSeries
from icefront.series.evidence import SILENT
from icefront.series.lattice import nowhere, window_of, zones_onto
from icefront.simulation.torch_dataset import SimulatedScenes, kept_scenes
from icefront.training.adaptation import (
    LEAST_DATES,
    AdaptationConfig,
    adapt_network,
    agreement,
    dates_kept_out,
    has_learned,
    pass_without,
    sure_zones,
    zones_lost,
)
from icefront.zones import GLACIER, N_ZONES, NO_DATA, OCEAN, ZONE_NAMES

MOST_DATES = 240
"""Dates whose images are read; of more, as many are taken evenly through time."""

REPLAYED = 300
"""Replayed images at most."""

CHECKPOINT = ".safetensors"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AdaptationReport:
    """What became of an adaptation.

    Attributes
    ----------
    glacier : str or None
    checkpoint : Path or None
        None where the network is not offered.
    dates, taught, kept_out : int
        Dates of the glacier, those that taught the network, and those that judged it.
    before, after : float
        Agreement with the pass through time on the dates that were kept out: mean IoU of the
        zones of the single dates, of the network in use and of the adapted one; NaN where no
        network was trained.
    crops : int
    replay : str
        What was replayed.
    notes : tuple of str
    seconds : float
    lost : tuple of str
        Zones that the pass has nearly done away with, so that it cannot teach.
    """

    glacier: str | None
    checkpoint: Path | None
    dates: int
    taught: int
    kept_out: int
    before: float
    after: float
    crops: int
    replay: str
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    lost: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Return it in one line."""
        name = self.glacier or "The glacier"
        if self.lost:
            return (
                f"{name}: the pass through time leaves less than a third of the "
                f"{' and '.join(self.lost)} that the images show, and would teach that there is "
                "none: no network is adapted, and nothing was written. Corrections by hand show "
                "the pass where it errs (icefront monitor correct)."
            )
        scores = f"{self.before:.3f} before, {self.after:.3f} after, {self.kept_out} dates"
        if self.checkpoint is None:
            return (
                f"{name}: the adapted network does not clearly agree better with dates that were "
                f"kept out ({scores}), so it is not offered and nothing was written."
            )
        return (
            f"{name}: adapted by {self.taught} of {self.dates} dates in {self.seconds / 60:.1f} "
            f"minutes; agreement on dates kept out: {scores}. The network is {self.checkpoint}: "
            "'icefront monitor run' takes it with --model and --renew."
        )


def adapt_project(
    project: Path,
    out: Path,
    *,
    glacier: str | None = None,
    model: nn.Module | str | None = None,
    replay: Path | None = None,
    config: AdaptationConfig | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> AdaptationReport:
    """Adapt a network to a glacier of a project, and write it if it has learned something.

    Parameters
    ----------
    project : Path
        With probabilities of at least 15 dates of the glacier.
    out : Path
        Checkpoint to write, ``.safetensors``; its card comes beside it.
    glacier : str, optional
        Needed where the project has several.
    model : nn.Module or str, optional
        What is adapted; the model of the project's newest run by default.
    replay : Path, optional
        Labelled images in CaFFe's layout that are mixed in, so that the network does not forget;
        simulated scenes by default.
    config : AdaptationConfig, optional
    overwrite : bool
        Replace a checkpoint.
    progress : bool
        Show bars on stderr, if that is a terminal.

    Returns
    -------
    AdaptationReport

    Raises
    ------
    IcefrontError
        If the project keeps no probabilities of enough dates, the model or the replayed images
        cannot be read, or the checkpoint is there already.
    """
    begun = time.monotonic()
    config = config or AdaptationConfig()
    _check_out(out, overwrite)
    settings, root = configuration_of(project)
    with Catalogue(project) as catalogue:
        name, found = _chosen(catalogue, glacier, project)
        members = [member for member, _ in found]
        network = model if isinstance(model, nn.Module) else _base(model, settings.model, root)
        card = card_of(network)
        _check_base(card)
        others, what = _replayed(replay, card, config, progress)
        corrections = evidence_of(list_corrections(catalogue, name), members, catalogue)
        area = Areas(settings, root).of(name)
        extraction = settings.extraction().model_copy(update={"aoi": area})
        site = _Site(members, [path for _, path in found], extraction, card, project)
        with input_folders(named_folders(settings, root)):
            taught, kept = site.learn(network, corrections, config, progress)
            if site.lost:
                return AdaptationReport(
                    glacier=name,
                    checkpoint=None,
                    dates=len(members),
                    taught=0,
                    kept_out=len(kept),
                    before=float("nan"),
                    after=float("nan"),
                    crops=0,
                    replay=what,
                    notes=tuple(site.notes),
                    seconds=time.monotonic() - begun,
                    lost=tuple(site.lost),
                )
            _log.info("%s: %d dates teach, %d are kept out", name, len(taught), len(kept))
            adapted = adapt_network(
                network,
                [pair for pair, weight in taught for _ in range(weight)],
                others,
                config,
                progress=progress,
            )
            adapted.card = card  # type: ignore[assignment]
            singly = site.judge(adapted, kept, progress)
        before, after = (float(np.mean(scores)) for scores in singly)
        report = AdaptationReport(
            glacier=name,
            checkpoint=out if has_learned(*singly) else None,
            dates=len(members),
            taught=len(taught),
            kept_out=len(kept),
            before=before,
            after=after,
            crops=config.crops,
            replay=what,
            notes=tuple(site.notes),
            seconds=time.monotonic() - begun,
        )
        if report.checkpoint is not None:
            own = write_own(out, adapted, _card(card, report, site, config))
            note_adapted(
                catalogue,
                AdaptedModel(name, out.absolute(), own.sha256, card.sha256, before, after),
            )
    return report


def _check_out(out: Path, overwrite: bool) -> None:
    if out.suffix != CHECKPOINT:
        raise IcefrontError(
            f"{out} is no name of a checkpoint: name a file {out.stem}{CHECKPOINT}."
        )
    if out.is_dir():
        raise IcefrontError(f"{out} is a folder: name a file for the checkpoint.")
    if out.exists() and not overwrite:
        raise IcefrontError(f"{out} is there already: name another file, or give --overwrite.")


def _chosen(
    catalogue: Catalogue, glacier: str | None, project: Path
) -> tuple[str | None, list[tuple[DatedZones, str]]]:
    """Return the glacier that was asked for, its dates and their files."""
    series = {
        name: [(member, row["path"]) for member, row in members]
        for name, members in series_of(catalogue).items()
    }
    if not series:
        raise IcefrontError(
            f"{project} holds no glacier with several dates whose probabilities are kept: run "
            "'icefront monitor run' with --renew first."
        )
    listed = ", ".join(sorted(name or "one without name" for name in series))
    if glacier is not None:
        same = [name for name in series if (name or "").casefold() == glacier.casefold()]
        if not same:
            raise IcefrontError(
                f"{project} has no series of dates of {glacier!r}; there are {listed}."
            )
        name = same[0]
    elif len(series) > 1:
        raise IcefrontError(
            f"{project} has several glaciers ({listed}), and a network belongs to one: name it "
            "with --glacier."
        )
    else:
        name = next(iter(series))
    members = series[name]
    if len(members) < LEAST_DATES:
        raise IcefrontError(
            f"{name or 'The glacier'} has {len(members)} dates in {project}: a network learns a "
            f"site from {LEAST_DATES} and more."
        )
    return name, members


def _base(asked: str | None, used: str | None, root: Path) -> nn.Module:
    """Load the model that is asked for, or that of the newest run."""
    if asked is not None:
        return load_model(asked)
    if used is not None and (root / used).exists():
        return load_model(root / used)
    try:
        return load_model(used)
    except IcefrontError as error:
        raise IcefrontError(
            f"The model of the project's newest run, {used}, is not found any more: name the one "
            "to adapt with --model."
        ) from error


def _check_base(card: ModelCard) -> None:
    site = site_of(card)
    if site is not None:
        source = card.provenance.get("adapted_from", {})
        raise IcefrontError(
            f"{card.name} was adapted to {site or 'a glacier'} already, and a second round gains "
            f"nothing: name the model it was adapted from ({source.get('name')}) with --model."
        )


# --- the site -------------------------------------------------------------------------------


@dataclass
class _Site:
    """The dates of one glacier, their images as the network sees them, and what is known of them.

    Attributes
    ----------
    members : list of DatedZones
    paths : list of str
        Of their scenes.
    settings : ExtractionSettings
        How scenes are read and predicted.
    card : ModelCard
    folder : Path
        Of the project, where temporary files lie.
    grid : Grid
        Of the series.
    notes : list of str
    lost : list of str
        Zones that the pass has nearly done away with.
    """

    members: Sequence[DatedZones]
    paths: Sequence[str]
    settings: ExtractionSettings
    card: ModelCard
    folder: Path
    notes: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.grid = series_grid(self.members)

    def learn(
        self,
        network: nn.Module,
        corrections: Mapping[int, np.ndarray],
        config: AdaptationConfig,
        progress: bool,
    ) -> tuple[list[tuple[tuple[np.ndarray, np.ndarray], int]], dict[int, np.ndarray]]:
        """Find what the pass is sure of.

        Returns
        -------
        list of ((image, zones), weight)
            uint8 (h, w) each, of the dates that teach.
        dict of int to uint8 (H, W)
            What the other dates, or a person, say about the dates that are kept out.
            Nothing is taught where the pass has `lost` a zone.
        """
        dates = [member.date for member in self.members]
        kept_out = dates_kept_out(dates, sorted(corrections))
        count, shape = len(self.members), self.grid.shape
        kept = {}
        with (
            ByteSeries(count, shape, self.folder) as single,
            ByteSeries(count, shape, self.folder) as smoothed,
        ):
            with steps("Views", count, show=progress) as advance:
                for index in range(count):
                    single[index, :, slice(0, shape[0])] = self._seen(index, network, config)
                    advance(1)
            pass_without(
                single,
                dates,
                kept_out,
                corrections=corrections,
                out=smoothed,
                progress=progress,
            )
            for index in kept_out:
                known = sure_zones(smoothed.date(index), config.sure)
                drawn = corrections.get(index)
                if drawn is not None:
                    known = np.where((drawn == NO_DATA) | (drawn == SILENT), known, drawn)
                kept[index] = known
            if not corrections:
                shown, passed = (self._counts(series, kept_out) for series in (single, smoothed))
                self.lost = [ZONE_NAMES[code] for code in zones_lost(shown, passed)]
                if self.lost:
                    return [], kept
            teaching = self._teaching(single, smoothed, kept_out, config)
            box = self._box(smoothed, teaching)
            taught = []
            with steps("Images", len(teaching), show=progress) as advance:
                for index in teaching:
                    pair = self._pair(index, sure_zones(smoothed.date(index), config.sure), box)
                    if pair is not None:
                        weight = config.corrected_weight if index in corrections else 1
                        taught.append((pair, weight))
                    advance(1)
        if not taught:
            raise IcefrontError(
                "No date can teach: the scenes are not where they were, or the pass is sure of "
                "none."
            )
        return taught, kept

    def judge(
        self, adapted: nn.Module, kept: Mapping[int, np.ndarray], progress: bool
    ) -> tuple[list[float], list[float]]:
        """Return how well the dates that were kept out agree with what others say about them.

        Returns
        -------
        tuple of list of float
            As they are in the project, and as the adapted network sees them, date by date.
        """
        before, after = [], []
        with steps("Dates kept out", len(kept), show=progress) as advance:
            for index, reference in kept.items():
                advance(1)
                scene = self._scene(index)
                if scene is None:
                    continue
                member = self.members[index]
                both = (self._whole(member.read(), member.grid), self._predicted(adapted, scene))
                scores = [agreement(values.argmax(axis=0), reference) for values in both]
                if np.isfinite(scores).all():
                    before.append(scores[0])
                    after.append(scores[1])
        if not before:
            raise IcefrontError(
                "None of the dates that were kept out can be compared: their scenes are not where "
                "they were."
            )
        return before, after

    def facts(self) -> dict[str, Any]:
        """Return what the card of the adapted network says of the site."""
        assert self.grid.crs is not None
        days = sorted(member.date.isoformat() for member in self.members)
        return {
            "glacier": self.members[0].glacier,
            "crs": self.grid.crs.to_string(),
            "pixel_size_m": self.grid.transform.a,
            "bounds": [float(value) for value in self.grid.outline().bounds],
            "dates": len(days),
            "first": days[0],
            "last": days[-1],
        }

    def _seen(self, index: int, network: nn.Module, config: AdaptationConfig) -> np.ndarray:
        """Return what the network says of a date over several views, uint8 (4, H, W)."""
        member = self.members[index]
        more = config.views > self.settings.symmetries
        scene = self._scene(index) if more else None
        if scene is None:
            return self._whole(member.read(), member.grid)
        return self._predicted(network, scene, config.views)

    def _predicted(self, network: nn.Module, scene: Scene, views: int | None = None) -> np.ndarray:
        """Return what a network says of a scene, uint8 (4, H, W)."""
        assert self.grid.crs is not None
        settings = self.settings
        if views is not None:
            settings = settings.model_copy(update={"symmetries": views})
        values, part = zones_on_lattice(predict([network], scene, settings), self.grid.crs)
        return self._whole(values[:N_ZONES], part)  # without the front

    def _whole(self, values: np.ndarray, part: Grid) -> np.ndarray:
        """Return probabilities of a part of the grid on all of it, uint8 (4, H, W)."""
        whole = nowhere(self.grid)
        rows, columns = window_of(part, self.grid)
        whole[:, rows, columns] = values
        return whole

    def _counts(self, series: ByteSeries, kept_out: Sequence[int]) -> np.ndarray:
        """Return the number of places by zone code over the dates that are not kept out."""
        counts = np.zeros(N_ZONES, np.int64)
        for index in range(len(self.members)):
            if index not in kept_out:
                zones = series.date(index).argmax(axis=0)
                counts += np.bincount(zones.ravel(), minlength=N_ZONES)
        return counts

    def _teaching(
        self,
        single: ByteSeries,
        smoothed: ByteSeries,
        kept_out: Sequence[int],
        config: AdaptationConfig,
    ) -> list[int]:
        """Choose the dates that teach: their images do not contradict the pass as a whole."""
        chosen = []
        for index in range(len(self.members)):
            if index not in kept_out:
                alone, through = (s.date(index).argmax(axis=0) for s in (single, smoothed))
                if agreement(alone, through) >= config.least_agreement:
                    chosen.append(index)
        chosen.sort(key=lambda index: self.members[index].date)
        if len(chosen) > MOST_DATES:
            chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, MOST_DATES).astype(int)]
        return chosen

    def _box(self, smoothed: ByteSeries, indices: Sequence[int]) -> tuple[slice, slice]:
        """Return the rows and columns that hold the boundaries of ice and water, and their
        surroundings: a large scene has little to teach elsewhere."""
        met = np.zeros(self.grid.shape, bool)
        for index in indices:
            zones = smoothed.date(index).argmax(axis=0)
            for one, other in ((zones[1:], zones[:-1]), (zones[:-1], zones[1:])):
                met[:-1] |= (one == GLACIER) & (other == OCEAN)
            for one, other in ((zones[:, 1:], zones[:, :-1]), (zones[:, :-1], zones[:, 1:])):
                met[:, :-1] |= (one == GLACIER) & (other == OCEAN)
        if not met.any():
            return slice(0, self.grid.height), slice(0, self.grid.width)
        margin = self.card.window // 2
        rows, columns = (np.flatnonzero(met.any(axis=axis)) for axis in (1, 0))
        return (
            slice(max(0, int(rows[0]) - margin), int(rows[-1]) + margin + 1),
            slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin + 1),
        )

    def _pair(
        self, index: int, zones: np.ndarray, box: tuple[slice, slice]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the image of a date as the network sees it and its zones, or None."""
        scene = self._scene(index)
        if scene is None:
            return None
        seen = for_card(scene, self.card)[0]
        inside = np.full(zones.shape, SILENT, np.uint8)
        inside[box] = zones[box]
        labels = zones_onto(inside, self.grid, seen.grid, SILENT)
        labels[~seen.valid & (labels != SILENT)] = NO_DATA
        known = (labels != SILENT) & (labels != NO_DATA)
        if not known.any():
            return None
        rows, columns = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
        cut = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return grey_of(seen)[cut], labels[cut]

    def _scene(self, index: int) -> Scene | None:
        """Open the scene of a date, or note that it cannot be."""
        path = self.paths[index]
        try:
            return open_needed(path, self.settings, self.settings.aoi, self.card)
        except FullDiskError:
            raise
        except Exception as error:  # as in a run: what is wrong with one scene stops no other
            note = failure(path, error)
            if note not in self.notes:
                self.notes.append(note)
            return None


def grey_of(scene: Scene) -> np.ndarray:
    """Return the image of a scene as images are stored for training, uint8 (H, W), 0: no data."""
    grey = np.rint(np.nan_to_num(scene.image, nan=0.0).clip(0, 1) * 255)
    return np.where(scene.valid, grey.clip(1, 255), 0).astype(np.uint8)


# --- what is replayed -----------------------------------------------------------------------


class LabelledImages(Sequence[tuple[np.ndarray, np.ndarray]]):
    """Images and zones of a data set at the pixel size of a model, read when they are needed.

    Images that fit into the window as they are were brought to its size before, whatever the
    resolution in their names says; others are resampled.

    Parameters
    ----------
    dataset : CaffeDataset
    card : ModelCard
    indices : sequence of int
    """

    def __init__(self, dataset: CaffeDataset, card: ModelCard, indices: Sequence[int]) -> None:
        self.dataset, self.card, self.indices = dataset, card, list(indices)
        self._read = lru_cache(maxsize=None)(self._pair)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: Any) -> Any:
        return self._read(self.indices[number])

    def _pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, zones = self.dataset.image(index), self.dataset.zones(index)
        if max(image.shape) <= self.card.window or self.card.pixel_size_m is None:
            return image, zones
        seen = for_card(self.dataset.scene(index), self.card)[0]
        if seen.shape == image.shape:
            return image, zones
        coarse = F.interpolate(
            torch.from_numpy(zones)[None, None].float(), seen.shape, mode="nearest-exact"
        )
        return grey_of(seen), coarse[0, 0].numpy().astype(np.uint8)


def _replayed(
    folder: Path | None, card: ModelCard, config: AdaptationConfig, progress: bool
) -> tuple[Scenes, str]:
    """Return the images that are replayed, and what they are."""
    if folder is None:
        scenes = SimulatedScenes(config.simulated, window=card.window, seed=config.seed)
        return kept_scenes(scenes, default_cache_folder(), progress=progress), "simulated scenes"
    dataset = CaffeDataset(folder, clean_labels=True)
    count = len(dataset)
    chosen = sorted(np.random.default_rng(config.seed).permutation(count)[:REPLAYED].tolist())
    return LabelledImages(dataset, card, chosen), f"{len(chosen)} images of {folder.name}"


def _card(
    base: ModelCard, report: AdaptationReport, site: _Site, config: AdaptationConfig
) -> ModelCard:
    """Return the card of the adapted network, which names its site."""
    glaciers = sorted({*base.provenance.get("glaciers", ()), *filter(None, [report.glacier])})
    return replace(
        base,
        name=f"{base.name}-{report.glacier or 'site'}",
        sha256="",
        scores={
            "agreement": {
                "before": report.before,
                "after": report.after,
                "dates": report.kept_out,
            }
        },
        provenance={
            "icefront": __version__,
            "torch": torch.__version__,
            "processor": f"{platform.machine()}, {torch.get_num_threads()} threads",
            SITE: site.facts(),
            "adapted_from": {"name": base.name, "sha256": base.sha256},
            "adaptation": {
                **config.model_dump(),
                "taught": report.taught,
                "replay": report.replay,
                "minutes": round(report.seconds / 60, 2),
            },
            "glaciers": glaciers,
            "base": base.provenance,
        },
    )
