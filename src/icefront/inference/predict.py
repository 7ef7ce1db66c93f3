"""Models and a scene to the probabilities of its zones: resampled, predicted, brought back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from icefront.grid import pixel_sides
from icefront.inference.ensembles import predict_ensemble
from icefront.inference.false_gaps import without_false_gaps
from icefront.inference.network import (
    BATCHES,
    FoldedNetwork,
    answering,
    predict_whole,
    prepared,
)
from icefront.inference.precision import choose_device, computing, evaluating, precision_here
from icefront.inference.settings import Precision, PredictionSettings, Windows
from icefront.inference.symmetries import SymmetryAverage
from icefront.inference.windows import Layout, Network, blend_windows, layout_of
from icefront.models.card import ModelCard, card_of
from icefront.recipes import validated
from icefront.scenes.resampling import is_coarser, resample_through, resample_to
from icefront.scenes.resampling import resample as resample_scene
from icefront.scenes.scene import Scene
from icefront.zones import N_ZONES, NO_DATA, ZoneProbabilities, likeliest


@dataclass(frozen=True)
class Predicted:
    """What models say about a scene, on the grid on which they saw it.

    Attributes
    ----------
    scene : Scene
        As it was given.
    for_model : Scene
        As the models saw it: `scene`, or resampled to the pixel size of their card.
    probabilities : float32 (4, h, w)
        Of the zones, on the grid of `for_model`; the mean over all models.
    std : float32 (4, h, w) or None
        Of an ensemble: see `icefront.inference.ensembles.EnsembleZones`.
    logit_std : float32 (h, w) or None
        Likewise.
    front : float32 (h, w) or None
        Probability that the boundary of glacier and ocean at a place is calving front, on the
        grid of `for_model`; None where a model does not tell.
    note : str or None
        What was done to the scene, in one sentence.
    """

    scene: Scene
    for_model: Scene
    probabilities: np.ndarray
    std: np.ndarray | None = None
    logit_std: np.ndarray | None = None
    front: np.ndarray | None = None
    note: str | None = None

    def on_scene(self) -> ZoneProbabilities:
        """Return the probabilities on the grid of the scene, float32 (4, H, W)."""
        found, front = self.probabilities, self.front
        if self.for_model is not self.scene:
            found = resample_to(found, self.for_model, self.scene)
            if front is not None:
                front = resample_to(front[None], self.for_model, self.scene)[0]
        return ZoneProbabilities(found, self.for_model.grid.side_m, front)

    def for_front(self, *, bare: bool = False) -> tuple[np.ndarray, ZoneProbabilities, Scene]:
        """Return what a front is drawn from, without the probabilities of the scene as a whole.

        Parameters
        ----------
        bare : bool
            As for `likeliest_zones`.

        Returns
        -------
        zones : uint8 (H, W)
            What `likeliest_zones` makes of `on_scene`.
        probabilities : ZoneProbabilities (4, h, w)
            What `icefront.scenes.resample_to` makes of `on_scene`, the front likewise, for:
        scene : Scene
            On the pixels on which the models saw it, where these are larger, else as it was given.
        """
        coarser = self.for_model
        if not is_coarser(coarser.grid.side_m, self.scene):
            found = self.on_scene()
            zones = likeliest_zones(found, self.scene, bare=bare)
            return zones, found, self.scene
        zones = np.empty(self.scene.shape, np.uint8)
        stacked = self.probabilities
        if self.front is not None:
            stacked = np.concatenate([stacked, self.front[None]])
        averaged = np.empty((len(stacked), *coarser.shape), np.float32)
        for rows, fine, coarse_rows, coarse in resample_through(
            stacked, self.for_model, self.scene, coarser
        ):
            zones[rows] = likeliest(fine[:N_ZONES])
            if not bare:
                zones[rows][~np.isfinite(self.scene.image[rows])] = NO_DATA
            averaged[:, coarse_rows] = coarse
        found = ZoneProbabilities(
            averaged[:N_ZONES],
            pixel_size_m=self.for_model.grid.side_m,
            front=None if self.front is None else averaged[N_ZONES],
        )
        return zones, found, coarser


def predict(
    models: Sequence[nn.Module],
    scene: Scene,
    settings: PredictionSettings | None = None,
    *,
    ensemble: bool = False,
    resample: bool = True,
    layout: Layout | None = None,
    whole: bool = True,
    progress: bool = False,
) -> Predicted:
    """Predict a scene: the only way from a scene to probabilities.

    Parameters
    ----------
    models : sequence of torch.nn.Module
        One, or several of an ensemble; their cards must agree on windows, input and pixel size.
    scene : Scene
        Image in 0..1 with NaN for no data, which enters the network as 0.
    settings : PredictionSettings, optional
        The defaults if it is not given.
    ensemble : bool
        Give standard deviations too, also for a single model.
    resample : bool
        Bring the scene to the pixel size that the card states, if both are known and differ by
        more than 5 %.
    layout : Layout, optional
        Of the windows, instead of what `settings` says; a scene that may be taken as one still is.
    whole : bool
        Take a scene that fits into the window as one, if the card allows it.
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    Predicted
        But where ``settings.exact`` is set, large areas that hold data are no gaps, whatever the
        network says: see `icefront.inference.false_gaps`.

    Raises
    ------
    IcefrontError
        If the device does not exist, the models do not fit together or the layout leaves gaps.
    """
    settings = settings or PredictionSettings()
    card = card_of(models[0])
    for_model, note = for_card(scene, card) if resample else (scene, None)
    if layout is None:
        layout = layout_of(models[0], settings.windows)
    where = choose_device(settings.device)
    precision = precision_here(
        settings.precision, where, lambda: FoldedNetwork(models[0]).network, card.window
    )
    if ensemble or len(models) > 1:
        found = predict_ensemble(
            models,
            for_model,
            symmetries=settings.symmetries,
            layout=layout,
            device=settings.device,
            precision=precision,
            exact=settings.exact,
            progress=progress,
        )
        mean = _with_gaps_of(for_model, found.mean, settings)
        return Predicted(scene, for_model, mean, found.std, found.logit_std, found.front, note)
    image = prepared(for_model, card)
    at_once = whole and card.whole and max(image.shape) <= card.window
    with evaluating(models[0], where), computing(where, precision):
        network: Network = answering(models[0])
        if not (at_once or settings.exact):
            network = FoldedNetwork(models[0], freezing=True)
        if settings.symmetries > 1:
            network = SymmetryAverage(network, settings.symmetries)
        if at_once:
            maps = predict_whole(image, network, window=card.window, device=where)
        else:
            maps = blend_windows(
                image,
                network,
                window=layout.window,
                target=layout.target,
                stride=layout.stride,
                coarse=layout.coarse,
                batch=BATCHES.get(where.type, 1),
                device=where,
                progress=progress,
            )
    front = maps[N_ZONES] if len(maps) > N_ZONES else None
    zones = _with_gaps_of(for_model, maps[:N_ZONES], settings)
    return Predicted(scene, for_model, zones, front=front, note=note)


def _with_gaps_of(
    scene: Scene, probabilities: np.ndarray, settings: PredictionSettings
) -> np.ndarray:
    """Leave no large gap where the scene has none, unless the answer is to be as published."""
    if settings.exact:
        return probabilities
    return without_false_gaps(probabilities, scene.image, scene.pixel_size_m)


def predict_zones(
    model: nn.Module,
    scene: Scene,
    *,
    windows: Windows = "default",
    symmetries: int = 1,
    precision: Precision = "auto",
    device: str = "auto",
    tta: bool = False,
    exact: bool = False,
    layout: Layout | None = None,
    stride: int | None = None,
    resample: bool = True,
    progress: bool = True,
) -> ZoneProbabilities:
    """Predict the probabilities of the four zones of a scene, on the grid of the scene.

    A scene whose pixel size differs from that of the model's card is resampled for the model, and
    the probabilities are brought back; one whose pixel size is unknown is taken as it is.

    Parameters
    ----------
    model : torch.nn.Module
        From (B, 1, window, window) in 0..1 to logits (B, 4, window, window). Its card, if it has
        one, tells pixel size, windows and the mapping of the input.
    scene : Scene
        Image in 0..1 with NaN for no data, which enters the network as 0.
    windows, symmetries, precision, device, tta, exact
        See `icefront.inference.settings.PredictionSettings`.
    layout : Layout, optional
        Of the windows, instead of `windows`; a scene that may be taken as one still is.
    stride : int, optional
        Step of the card's windows in pixels. A given stride also makes a model that may take a
        scene as one go by windows.
    resample : bool
        False predicts the scene on its own pixels, whatever the card says.
    progress : bool
        Show a bar on stderr, if that is a terminal.

    Returns
    -------
    ZoneProbabilities
        float32 (4, H, W): probabilities of no data, rock, glacier, ocean; they sum to 1
        everywhere, also where the scene has no data. The attribute `pixel_size_m` is that of the
        grid on which the model saw the scene, `front` the front probability (H, W) or None.

    Raises
    ------
    IcefrontError
        If a setting is unknown, the device does not exist or the stride leaves gaps.
    """
    asked = {
        "windows": windows,
        "symmetries": symmetries,
        "precision": precision,
        "device": device,
        "tta": tta,
        "exact": exact,
    }
    fields = PredictionSettings.model_fields
    asked = {
        name: value
        for name, value in asked.items()
        if name not in fields or value != fields[name].default
    }
    settings = validated(asked, PredictionSettings, "The settings")
    if stride is not None:
        card = card_of(model)
        layout = Layout(card.window, card.target, stride)
    return predict(
        [model],
        scene,
        settings,
        resample=resample,
        layout=layout,
        whole=stride is None,
        progress=progress,
    ).on_scene()


def for_card(scene: Scene, card: ModelCard, tolerance: float = 0.05) -> tuple[Scene, str | None]:
    """Bring a scene to the pixel size a model's card asks for.

    Parameters
    ----------
    scene : Scene
        Its pixel size may be one number, rows and columns, or unknown.
    card : ModelCard
    tolerance : float
        Relative difference of pixel sizes that is left as it is.

    Returns
    -------
    Scene
        The scene itself where nothing had to be done.
    str or None
        What was done, or could not be, in one sentence.
    """
    wanted, size = card.pixel_size_m, scene.pixel_size_m
    if wanted is None:
        return scene, None
    if size is None:
        return scene, (
            f"The pixel size is unknown, so the scene was taken as it is; the model {card.name} "
            f"was trained at {wanted:g} m."
        )
    if all(abs(side / wanted - 1) <= tolerance for side in pixel_sides(size)):
        return scene, None
    resampled = resample_scene(scene, wanted)
    rows, columns = resampled.shape
    given = f"{size[0]:.4g} x {size[1]:.4g}" if isinstance(size, tuple) else f"{size:.4g}"
    return resampled, (
        f"For the model {card.name} the scene was resampled from {given} m to {wanted:g} m "
        f"({rows} x {columns} pixels)."
    )


def likeliest_zones(probabilities: np.ndarray, scene: Scene, *, bare: bool = False) -> np.ndarray:
    """Take the likeliest zone of each pixel; no data where the scene has none.

    Parameters
    ----------
    probabilities : float32 (4, H, W)
        On the grid of `scene`.
    scene : Scene
    bare : bool
        Take what the network says also where the scene has no data, as published.

    Returns
    -------
    uint8 (H, W)
        Zone codes.
    """
    zones = likeliest(probabilities)
    if not bare:
        zones[~scene.valid] = NO_DATA
    return zones
