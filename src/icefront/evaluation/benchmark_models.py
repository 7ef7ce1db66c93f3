"""What a benchmark scores: models, an ensemble of them, or zones that other programs predicted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from icefront import __version__
from icefront.datasets.caffe import read_zones
from icefront.errors import IcefrontError
from icefront.evaluation.predictions import Prediction, averaged_std, bare
from icefront.evaluation.protocol import protocol_front
from icefront.fronts.uncertainty import disagreement_along, front_logit, uncertainty_along
from icefront.inference.ensembles import check_models
from icefront.inference.predict import likeliest_zones, predict
from icefront.inference.settings import PredictionSettings
from icefront.inference.symmetries import check_symmetries
from icefront.models.card import card_of
from icefront.models.checkpoints import sha256_of
from icefront.models.registry import load_model, packaged_weights
from icefront.scenes.scene import Scene
from icefront.series.lattice import WHOLE, to_bytes
from icefront.zones import GLACIER, N_ZONES, NO_DATA, OCEAN, likeliest

ENSEMBLE = "ensemble"


class BenchmarkSettings(PredictionSettings):
    """How images are predicted, the same for all models.

    Attributes
    ----------
    native : bool
        Images go to the model at their own pixel size, whatever its card asks for.
    windows, symmetries, precision, device
        See `icefront.inference.settings.PredictionSettings`; the symmetries are those of single
        models.
    through_time : bool
        Score beside each model's single dates those of all dates of a glacier smoothed together.
    """

    native: bool = False
    through_time: bool = False


@dataclass(frozen=True)
class BenchmarkModel:
    """A model, an ensemble, or a folder of predicted zones, that a benchmark scores.

    Attributes
    ----------
    label : str
        In tables and as the name of a folder.
    models : tuple of nn.Module
        One, several for an ensemble, none where zones are given.
    symmetries : int
        0 for a model as it is; 1, 4 or 8 for an ensemble.
    identity : str
        SHA-256 of the weights; of all weights together for an ensemble.
    source : str
        In words: file or folder, members.
    given : Path or None
        Folder of predicted zones.
    smooths : str or None
        Label of the model whose dates are smoothed together, for the row beside it.
    """

    label: str
    models: tuple[nn.Module, ...]
    symmetries: int
    identity: str
    source: str
    given: Path | None = None
    smooths: str | None = None

    def smoothed(self) -> BenchmarkModel:
        """Return the row beside this one: its dates smoothed together."""
        return replace(
            self,
            label=f"{self.label}-through-time",
            source=f"{self.source}, all dates of a glacier smoothed together",
            smooths=self.label,
        )

    def facts(self, image: Path, pixel_size: object, settings: BenchmarkSettings) -> dict[str, str]:
        """Return what a prediction of an image follows from."""
        decisive: dict[str, object] = {
            "exact": settings.exact,
            "native": settings.native,
            "symmetries": self.symmetries,
            "pixel_size": pixel_size,
        }
        if not settings.exact:
            # The default windows are not those of version 0.1.0: predictions must not be mixed.
            decisive["windows"] = "at fronts" if settings.windows == "default" else "card"
            decisive["precision"] = settings.precision
        if settings.through_time:
            decisive["through_time"] = True
        return {
            "software": f"icefront {__version__}",
            "model": self.label,
            "model_sha256": self.identity,
            "settings": json.dumps(decisive),
            "input": image.name,
            "input_sha256": sha256_of(image),
        }

    def predict(self, scene: Scene, settings: BenchmarkSettings) -> Prediction:
        """Predict one image.

        Parameters
        ----------
        scene : Scene
            The image in 0..1, with its name and pixel size.
        settings : BenchmarkSettings

        Raises
        ------
        IcefrontError
            If zones are given and those of this image are missing, damaged or of another size.
        """
        if self.given is not None:
            return bare(_given_zones(self.given, scene.name, scene.shape))
        if self.symmetries:
            settings = settings.model_copy(update={"symmetries": self.symmetries})
        return predict_image(self.models, scene, settings, ensemble=bool(self.symmetries))


def predict_image(
    models: Sequence[nn.Module], scene: Scene, settings: BenchmarkSettings, *, ensemble: bool
) -> Prediction:
    """Predict the zones of a scene and how sure its front is, as ``icefront extract`` does.

    Parameters
    ----------
    models : sequence of nn.Module
    scene : Scene
        On the grid of the image.
    settings : BenchmarkSettings
    ensemble : bool
        Whether standard deviations are wanted.

    Returns
    -------
    Prediction
        On the grid of `scene`.
    """
    found = predict(models, scene, settings, ensemble=ensemble, resample=not settings.native)
    for_model = found.for_model
    class_std, std = np.full(N_ZONES, np.nan), None
    if found.std is not None:
        class_std = found.std.mean(axis=(1, 2), dtype=np.float64)
        std = averaged_std(found.std)
    on_scene = found.on_scene()
    zones = likeliest_zones(on_scene, scene, bare=settings.exact)
    kept = _kept_probabilities(on_scene, scene) if settings.through_time else None
    del on_scene
    index = np.flatnonzero(protocol_front(zones, scene.pixel_size_m))
    rows, columns = np.divmod(index, scene.shape[1])
    # The uncertainty is that of the grid on which the model saw the front.
    points = np.stack(
        [
            (rows + 0.5) * (for_model.shape[0] / scene.shape[0]) - 0.5,
            (columns + 0.5) * (for_model.shape[1] / scene.shape[1]) - 0.5,
        ],
        axis=1,
    )
    sides = for_model.grid.sides_m or (1.0, 1.0)
    logit = front_logit(found.probabilities[GLACIER], found.probabilities[OCEAN])
    width = uncertainty_along(logit, points, sides)
    disagreement = np.zeros(len(index))
    if found.logit_std is not None:
        disagreement = disagreement_along(logit, found.logit_std, points, sides)
    return Prediction(
        zones,
        index,
        width.astype(np.float32),
        disagreement.astype(np.float32),
        class_std,
        std,
        kept,
    )


def _kept_probabilities(found: np.ndarray, scene: Scene) -> np.ndarray:
    """Return probabilities in 8 bits; no data is 255 where the image has none, and only there.

    A place without data says nothing to other dates. Black water that a network takes for no data
    is filled from them; a masked place, of value 0, stays what it is.
    """
    values = to_bytes(found)
    gaps = ~scene.valid | ((scene.image == 0) & (likeliest(found) == NO_DATA))
    sure = values[NO_DATA] == WHOLE
    values[NO_DATA, sure] -= 1
    values[OCEAN, sure] += 1
    values[:, gaps] = 0
    values[NO_DATA, gaps] = WHOLE
    return values


def _given_zones(folder: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    for path in (folder / f"{name}.png", folder / f"{name}_zones.png"):
        if path.exists():
            zones = read_zones(path)
            if zones.shape != shape:
                raise IcefrontError(
                    f"{path} is {zones.shape[1]}×{zones.shape[0]} pixels and its image "
                    f"{shape[1]}×{shape[0]}; give zones on the grid of the image."
                )
            return zones
    raise IcefrontError(f"{folder} has no zones of {name} ({name}.png or {name}_zones.png).")


def load_benchmark_models(
    models: Sequence[str | Path],
    given: Sequence[str | Path] = (),
    *,
    ensemble: bool = False,
    symmetries: int = 8,
) -> list[BenchmarkModel]:
    """Load what a benchmark scores, each under a label of its own.

    Parameters
    ----------
    models : sequence of str or Path
        Names of models or paths of checkpoints.
    given : sequence of str or Path
        Folders of predicted zones, PNG files in CaFFe's grey values named like the images.
    ensemble : bool
        All models together are scored too.
    symmetries : 1, 4 or 8
        Of the ensemble.

    Raises
    ------
    IcefrontError
        If nothing is named, a model cannot be loaded, or the models do not fit together.
    """
    if not models and not given:
        raise IcefrontError(
            "There is nothing to score: name a model or a folder of predictions (--model, "
            "--predictions)."
        )
    if ensemble and not models:
        raise IcefrontError("An ensemble consists of models: name them with --model.")
    found: list[BenchmarkModel] = []
    taken = {ENSEMBLE} if ensemble else set()

    def label_of(wish: str) -> str:
        wish = re.sub(r"[^\w.+-]+", "-", wish).strip("-.") or "model"
        label, number = wish, 2
        while label in taken:
            label, number = f"{wish}-{number}", number + 1
        taken.add(label)
        return label

    for name in models:
        network = load_model(name)
        card = card_of(network)
        path = packaged_weights(str(name))
        identity = card.sha256 or sha256_of(path or Path(name))
        found.append(BenchmarkModel(label_of(card.name), (network,), 0, identity, Path(name).name))
    if ensemble:
        together = tuple(m.models[0] for m in found)
        check_models([card_of(m) for m in together])
        check_symmetries(symmetries)
        joined = hashlib.sha256("".join(m.identity for m in found).encode()).hexdigest()
        words = f"{len(together)} models × {symmetries} symmetries"
        found.append(BenchmarkModel(ENSEMBLE, together, symmetries, joined, words))
    for folder in map(Path, given):
        if not folder.is_dir():
            raise IcefrontError(f"There is no folder of predictions {folder}.")
        found.append(
            BenchmarkModel(label_of(folder.name), (), 0, "", f"zones in {folder.name}", folder)
        )
    return found
