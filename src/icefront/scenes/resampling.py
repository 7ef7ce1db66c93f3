"""Other pixel sizes for a scene, and maps brought back to the pixels of the scene."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import sparse

from icefront.errors import IcefrontError
from icefront.grid import composed
from icefront.scenes.scene import Scene


def resample(scene: Scene, pixel_size_m: float) -> Scene:
    """Bring a scene to another pixel size, in the same CRS.

    Grey values are averaged by area where pixels become larger and interpolated bilinearly where
    they become smaller, each axis for itself, over valid pixels only; a pixel is valid if at
    least half of the part of it that lies in the image is.

    Parameters
    ----------
    scene : Scene
        With a pixel size, a number or rows x columns.
    pixel_size_m : float
        Side of the new, square pixels in metres.

    Returns
    -------
    Scene
        Its transform leads to the same coordinates as before: to the CRS, or for a scene without
        one to the pixels of the file.

    Raises
    ------
    IcefrontError
        If the pixel size of the scene is unknown, or `pixel_size_m` is not positive.
    """
    try:
        grid = scene.grid.resampled(pixel_size_m)
    except IcefrontError as error:
        raise IcefrontError(f"{scene.name}: {error}") from error
    sides = scene.grid.sides_m
    assert sides is not None
    factor_r, factor_c = pixel_size_m / sides[0], pixel_size_m / sides[1]
    if abs(factor_r - 1.0) < 1e-6 and abs(factor_c - 1.0) < 1e-6:
        return scene
    height, width = scene.shape
    across_r = _axis_weights(height, grid.height, factor_r)
    across_c = _axis_weights(width, grid.width, factor_c)
    image = _weighted_mean(scene.image, across_r, across_c)
    return replace(scene, image=image, transform=grid.transform, pixel_size_m=grid.pixel_size_m)


def coarsened(scene: Scene, pixel_size_m: float | None) -> Scene:
    """Return a scene on pixels of a size where these are larger than its own, else the scene.

    Parameters
    ----------
    scene : Scene
    pixel_size_m : float or None
        Side in metres; None if it is not known.
    """
    if pixel_size_m is None or not is_coarser(pixel_size_m, scene):
        return scene
    return resample(scene, pixel_size_m)


def is_coarser(pixel_size_m: float | None, scene: Scene) -> bool:
    """Tell whether pixels of a size in metres are larger than those of a scene, as far as known."""
    side_m = scene.grid.side_m
    return pixel_size_m is not None and side_m is not None and pixel_size_m > side_m * (1 + 1e-6)


def resample_to(array: np.ndarray, from_scene: Scene, to_scene: Scene) -> np.ndarray:
    """Bring maps from the grid of a resampled scene back to that of the scene.

    Parameters
    ----------
    array : float (C, h, w)
        Maps on the grid of `from_scene`, for instance probabilities; no NaN.
    from_scene, to_scene : Scene
        Both in the same CRS, or both of the same file without one.

    Returns
    -------
    float32 (C, H, W)
        On the grid of `to_scene`: bilinear where that is finer, averaged by area where it is
        coarser; beyond the centres of the outermost pixels the nearest value holds. Sums over
        channels are kept.

    Raises
    ------
    IcefrontError
        If the grids are in different CRS or turned against each other.
    ValueError
        If `array` does not lie on the grid of `from_scene`.
    """
    across_r, across_c = _weights_between(array, from_scene, to_scene)
    return _weighted(array, across_r, across_c)


def resample_through(
    array: np.ndarray, from_scene: Scene, through: Scene, to_scene: Scene, rows_at_once: int = 128
) -> Iterator[tuple[slice, np.ndarray, slice, np.ndarray]]:
    """Bring maps to one grid and from there to a coarser one, in strips.

    Together the strips are what `resample_to` gives, to the bit; the maps on the grid of
    `through` are never there as a whole.

    Parameters
    ----------
    array : float (C, h, w)
        Maps on the grid of `from_scene`; no NaN.
    from_scene, through, to_scene : Scene
        As for `resample_to`; the grid of `to_scene` is coarser than that of `through`.
    rows_at_once : int
        Rows of a strip on the grid of `through`, at least about.

    Yields
    ------
    slice, float32 (C, rows, W)
        Rows of the grid of `through` that follow those before, and the maps there.
    slice, float32 (C, rows, w)
        Likewise for `to_scene`.

    Raises
    ------
    IcefrontError, ValueError
        As `resample_to`.
    """
    up_r, up_c = _weights_between(array, from_scene, through)
    blank = np.broadcast_to(np.float32(0), (len(array), *through.shape))
    down_r, down_c = _weights_between(blank, through, to_scene)
    height, count = through.shape[0], down_r.shape[0]
    step = max(1, rows_at_once * count // height)
    done = 0
    for top in range(0, count, step):
        rows = slice(top, min(top + step, count))
        used = down_r.indices[down_r.indptr[rows.start] : down_r.indptr[rows.stop]]
        low = min(int(used.min()), done)
        high = height if rows.stop == count else int(used.max()) + 1
        values = _weighted(array, up_r[low:high], up_c)
        below = _weighted(values, down_r[rows][:, low:high], down_c)
        yield slice(done, high), values[:, done - low :], rows, below
        done = high


def _weights_between(
    array: np.ndarray, from_scene: Scene, to_scene: Scene
) -> tuple[sparse.csr_matrix, sparse.csc_matrix]:
    """Return the weights that bring maps from grid to grid, along rows and along columns."""
    if array.ndim != 3 or array.shape[1:] != from_scene.shape:
        raise ValueError(f"an array (C, {from_scene.shape}) is needed, not {array.shape}")
    if from_scene.crs != to_scene.crs:
        raise IcefrontError(
            f"{from_scene.name} and {to_scene.name} are in different coordinate systems; warp one."
        )
    between = composed(~from_scene.transform, to_scene.transform)
    if abs(between.b) > 1e-9 or abs(between.d) > 1e-9 or between.a <= 0 or between.e <= 0:
        raise IcefrontError(
            f"The grids of {from_scene.name} and {to_scene.name} are turned against each other."
        )
    (height, width), (h, w) = to_scene.shape, from_scene.shape
    across_r = _axis_weights(h, height, between.e, between.f)
    return across_r, _axis_weights(w, width, between.a, between.c).T.tocsc()


def _weighted(
    array: np.ndarray, across_r: sparse.csr_matrix, across_c: sparse.csc_matrix
) -> np.ndarray:
    """Apply both axes' weights to maps without NaN, float32 (C, rows, columns)."""
    result = np.empty((len(array), across_r.shape[0], across_c.shape[1]), dtype=np.float32)
    for channel, values in enumerate(array):
        result[channel] = (across_r @ np.asarray(values, dtype=np.float32)) @ across_c
    return result


def _axis_weights(n_in: int, n_out: int, factor: float, offset: float = 0.0) -> sparse.csr_matrix:
    """Return the weights of old pixels in each new one along one axis, (n_out, n_in) float32.

    New pixel i covers the old coordinates offset + factor * [i, i + 1]; what lies outside the old
    ones does not count, and a pixel wholly outside takes the nearest. Rows sum to 1.
    """
    first = offset + factor * np.arange(n_out)
    if factor > 1.0:
        last = first + factor
        first = np.clip(first, 0.0, n_in - 1e-6)
        last = np.clip(last, first + 1e-6, n_in)
        taps = math.ceil(factor) + 1
        index = np.floor(first).astype(np.int64)[:, None] + np.arange(taps)
        weight = np.minimum(index + 1, last[:, None]) - np.maximum(index, first[:, None])
        weight = np.where(index < n_in, np.maximum(weight, 0.0), 0.0)
        weight /= weight.sum(axis=1, keepdims=True)
        index = np.minimum(index, n_in - 1)
    else:
        centre = np.clip(first + factor / 2 - 0.5, 0.0, n_in - 1.0)
        lower = np.minimum(np.floor(centre).astype(np.int64), max(n_in - 2, 0))
        index = np.stack([lower, np.minimum(lower + 1, n_in - 1)], axis=1)
        fraction = centre - lower
        weight = np.stack([1.0 - fraction, fraction], axis=1)
    rows = np.repeat(np.arange(n_out), index.shape[1])
    matrix = sparse.coo_matrix(
        (weight.ravel().astype(np.float32), (rows, index.ravel())), shape=(n_out, n_in)
    ).tocsr()
    matrix.eliminate_zeros()
    return matrix


def _weighted_mean(
    image: np.ndarray, across_r: sparse.csr_matrix, across_c: sparse.csr_matrix
) -> np.ndarray:
    """Apply both axes' weights to an image with NaN; NaN where less than half is valid."""
    n_out = across_r.shape[0]
    result = np.empty((n_out, across_c.shape[0]), dtype=np.float32)
    to_columns = across_c.T.tocsc()
    bounds = across_r.indptr
    # In strips, so that the copies with zeros for NaN stay small beside the image.
    rows_at_once = max(1, int((1 << 24) * n_out / max(1, image.size)))
    for top in range(0, n_out, rows_at_once):
        weights = across_r[top : top + rows_at_once]
        used = across_r.indices[bounds[top] : bounds[min(n_out, top + rows_at_once)]]
        low, high = int(used.min()), int(used.max()) + 1
        part, weights = image[low:high], weights[:, low:high]
        valid = np.isfinite(part)
        total = (weights @ np.where(valid, part, np.float32(0.0))) @ to_columns
        if not valid.all():
            fraction = (weights @ valid.astype(np.float32)) @ to_columns
            with np.errstate(invalid="ignore", divide="ignore"):
                total /= fraction
            total[fraction < 0.5 - 1e-4] = np.nan
        result[top : top + rows_at_once] = total
    return np.clip(result, 0.0, 1.0, out=result)
