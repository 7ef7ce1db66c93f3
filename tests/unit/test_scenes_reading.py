import datetime as dt
import json
import tracemalloc
import zipfile

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pyproj import CRS, Transformer
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from scipy import ndimage

import icefront
from icefront.scenes import describe, open_scene
from icefront.scenes.radiometry import to_grey
from icefront.scenes.reading import scene_of
from icefront.scenes.survey import survey

RNG = np.random.default_rng(11)
UTM = Affine(10, 0, 5e5, 0, -10, 7.6e6)


def write(path, bands, *, descriptions=None, colours=None, tags=None, gcps=None, **profile):
    bands = np.asarray(bands)
    bands = bands[None] if bands.ndim == 2 else bands
    profile = {"crs": "EPSG:32622", "transform": UTM, "driver": "GTiff", **profile}
    profile = {key: value for key, value in profile.items() if value is not None}
    count, height, width = bands.shape
    with rasterio.open(
        path, "w", height=height, width=width, count=count, dtype=bands.dtype, **profile
    ) as dst:
        if gcps:
            dst.gcps = (gcps[0], rasterio.crs.CRS.from_user_input(gcps[1]))
        if colours:
            dst.colorinterp = colours
        dst.write(bands)
        if descriptions:
            dst.descriptions = descriptions
        if tags:
            dst.update_tags(**tags)
    return path


def speckle(shape=(60, 80)):
    return RNG.integers(1, 256, shape).astype(np.uint8)


def test_a_projected_square_raster_stays_as_it_is(tmp_path):
    image = speckle()
    scene = icefront.open_scene(write(tmp_path / "Store_2019-08-01_S1_HH.tif", image))
    np.testing.assert_array_equal(scene.image, image.astype(np.float32) / 255)
    assert scene.image.dtype == np.float32
    assert scene.transform == UTM
    assert scene.crs == CRS.from_epsg(32622)
    assert scene.pixel_size_m == 10
    assert (scene.glacier, scene.date, scene.sensor, scene.polarisation) == (
        "Store", dt.date(2019, 8, 1), "S1", "HH",
    )  # fmt: skip
    assert scene.radiometry == "grey"
    assert any("grey" in note for note in scene.notes)


@pytest.mark.parametrize("options", [
    {}, {"compress": "deflate"}, {"tiled": True, "blockxsize": 64, "blockysize": 64},
    {"compress": "lzw", "blockysize": 7}, {"interleave": "band"}, {"compress": "zstd"},
])  # fmt: skip
def test_the_layout_of_the_file_does_not_matter(tmp_path, options):
    image = speckle((131, 97))
    path = write(tmp_path / "a.tif", image, **options)
    # Strips of a few rows, so that blocks and strips do not agree.
    scene = scene_of(survey(path, keep_values=True, strip_pixels=1000))
    np.testing.assert_array_equal(scene.image, to_grey(image, "grey"))


def test_caffe_png_is_grey_by_255_whatever_its_histogram(tmp_path):
    image = RNG.normal(129, 14, (50, 70)).round().clip(1, 255).astype(np.uint8)
    image[10:20, 10:30] = 0  # radar shadow is not a black edge
    path = tmp_path / "Crane_2002-11-09_ERS_20_2_061.png"
    Image.fromarray(image).save(path)
    scene = open_scene(path)
    np.testing.assert_array_equal(scene.image, image.astype(np.float32) / 255)
    assert scene.crs is None
    assert scene.transform == Affine.identity()
    assert scene.pixel_size_m == 20
    assert scene.orbit == "061"
    assert any("lines are in pixels" in note for note in scene.notes)
    other = path.with_name("other.png")
    other.write_bytes(path.read_bytes())
    assert open_scene(other).radiometry == "stretched"
    assert open_scene(other).pixel_size_m is None


@pytest.mark.parametrize(
    ("asked", "found"),
    [(60, 60.0), ((73.7, 61.8), (73.7, 61.8)), ("pixels", None), (None, 6.0)],
)
def test_a_stated_pixel_size_overrides_the_name(tmp_path, asked, found):
    path = tmp_path / "JAC_2015-04-25_TSX_6_1_005.png"
    Image.fromarray(speckle()).save(path)
    assert open_scene(path, pixel_size_m=asked).pixel_size_m == found


def test_a_stated_pixel_size_is_the_grid_of_a_georeferenced_scene(tmp_path):
    image = speckle()
    path = write(tmp_path / "a.tif", image)
    scene = open_scene(path, pixel_size_m=20)
    assert scene.shape == (30, 40)
    assert scene.transform == Affine(20, 0, 5e5, 0, -20, 7.6e6)
    means = image.reshape(30, 2, 40, 2).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(scene.image, means, atol=1e-5)


def test_every_kind_of_no_data_becomes_nan(tmp_path):
    image = (RNG.random((64, 96)) + 0.1).astype(np.float32)
    missing = np.zeros(image.shape, bool)
    for rows, columns, value in (
        ((5, 9), (5, 9), np.nan),
        ((20, 22), (30, 50), -9999.0),
        ((30, 33), (30, 50), -32767.0),
        ((0, 64), (80, 96), 0.0),  # a black edge
        ((50, 51), (50, 51), np.inf),
    ):
        image[slice(*rows), slice(*columns)] = value
        missing[slice(*rows), slice(*columns)] = True
    scene = open_scene(write(tmp_path / "a.tif", image, nodata=-32767.0))
    np.testing.assert_array_equal(~scene.valid, missing)
    assert scene.radiometry == "power"
    assert any("black edges" in note for note in scene.notes)


def test_masks_and_alpha_are_no_data(tmp_path):
    image, alpha = speckle(), np.full((60, 80), 255, np.uint8)
    alpha[10:20, 30:60] = 0
    path = write(
        tmp_path / "alpha.tif", [image, alpha], colours=[ColorInterp.gray, ColorInterp.alpha]
    )
    np.testing.assert_array_equal(open_scene(path).valid, alpha > 0)
    masked = write(tmp_path / "masked.tif", image)
    with rasterio.open(masked, "r+") as dst:
        dst.write_mask(alpha > 0)
    np.testing.assert_array_equal(open_scene(masked).valid, alpha > 0)


def test_power_amplitude_and_db_files_give_one_scene(tmp_path):
    db = RNG.normal(-12, 4, (60, 80)).astype(np.float32)
    scenes = [
        open_scene(write(tmp_path / "Sigma0_HH_db.tif", db)),
        open_scene(write(tmp_path / "Sigma0_HH.tif", 10 ** (db / 10))),
        open_scene(write(tmp_path / "Sigma0_HH_amplitude.tif", 10 ** (db / 20))),
        open_scene(write(tmp_path / "x.tif", 10 ** (db / 20)), radiometry="amplitude"),
    ]
    assert [scene.radiometry for scene in scenes] == ["db", "power", "amplitude", "amplitude"]
    for scene in scenes:
        np.testing.assert_allclose(scene.image, to_grey(db, "db"), atol=1e-5)


def test_scale_and_offset_of_the_file_are_applied(tmp_path):
    db = RNG.normal(-12, 4, (60, 80)).clip(-30, 9)
    path = write(tmp_path / "a.tif", ((db + 40) * 100).round().astype(np.uint16))
    with rasterio.open(path, "r+") as dst:
        dst.scales, dst.offsets = (0.01,), (-40.0,)
    scene = open_scene(path)
    assert scene.radiometry == "db"
    np.testing.assert_allclose(scene.image, to_grey(db, "db"), atol=2e-4)
    coarse = open_scene(path, pixel_size_m=20)
    means = db.reshape(30, 2, 40, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(coarse.image, to_grey(means, "db"), atol=3e-4)


@pytest.mark.parametrize("transform", [UTM, Affine(10, 0, 5e5, 0, 10, 7.6e6)])
def test_rules_for_fill_values_hold_after_scale_and_offset(tmp_path, transform):
    db = RNG.uniform(-30, 9, (60, 80))
    stored = (db * 1000).round().astype(np.int16)
    path = write(tmp_path / "a.tif", stored, transform=transform)
    with rasterio.open(path, "r+") as dst:
        dst.scales = (0.001,)
    scene = open_scene(path)
    assert scene.radiometry == "db"
    assert scene.valid.all()
    expected = to_grey(db if transform.e < 0 else db[::-1], "db")
    np.testing.assert_allclose(scene.image, expected, atol=1e-4)


def plane(rows, columns):
    return 0.2 + 0.001 * rows + 0.002 * columns


def check_plane(scene, native_of):
    """Compare a warped scene with the plane its file holds; `native_of` leads to file pixels."""
    rows, columns = np.indices(scene.shape) + 0.5
    t = scene.transform
    r, c = native_of(t.a * columns + t.c, t.e * rows + t.f, scene.crs)
    inside = (r > 2) & (r < 98) & (c > 2) & (c < 148)
    outside = (r < -2) | (r > 102) | (c < -2) | (c > 152)
    assert inside.sum() > 5000
    assert scene.valid[inside].all()
    assert not scene.valid[outside].any()
    values = 10 ** ((scene.image * 30 - 25) / 10)
    # GDAL's warper follows the projection to an eighth of a pixel.
    np.testing.assert_allclose(values[inside], plane(r - 0.5, c - 0.5)[inside], atol=4e-4)


def native_in(crs, transform):
    def native_of(x, y, scene_crs=3413):
        x, y = Transformer.from_crs(scene_crs, crs, always_xy=True).transform(x, y)
        inverse = ~transform
        return (
            inverse.d * x + inverse.e * y + inverse.f,
            inverse.a * x + inverse.b * y + inverse.c,
        )

    return native_of


def test_a_geographic_raster_is_warped_to_where_it_belongs(tmp_path):
    image = plane(*np.indices((100, 150))).astype(np.float32)
    transform = Affine(2.1e-4, 0, -38.28, 0, -1.8e-4, 66.41)
    path = write(tmp_path / "a.tif", image, crs="EPSG:4326", transform=transform)
    scene = open_scene(path, radiometry="power")
    assert scene.crs == CRS.from_epsg(3413)
    assert scene.pixel_size_m == pytest.approx(13.7, abs=0.2)
    check_plane(scene, native_in(4326, transform))


def test_a_raster_with_ground_control_points_is_warped(tmp_path):
    # As in Sentinel-1 GRD files: no CRS, no transform, a mesh of points in degrees.
    image = plane(*np.indices((100, 150))).astype(np.float32)
    transform = Affine.translation(5e5, 7.3e6) @ Affine.rotation(12) @ Affine.scale(-10, -10)
    to_degrees = Transformer.from_crs(32624, 4326, always_xy=True)
    gcps = []
    for row in np.linspace(0, 100, 5):
        for column in np.linspace(0, 150, 6):
            x, y = transform @ (column, row)
            gcps.append(GroundControlPoint(row, column, *to_degrees.transform(x, y), z=12.0))
    path = write(tmp_path / "a.tif", image, crs=None, transform=None, gcps=(gcps, "EPSG:4326"))
    scene = open_scene(path, radiometry="power")
    assert scene.crs == CRS.from_epsg(3413)
    assert scene.pixel_size_m == pytest.approx(10, abs=0.1)
    assert any("ground control points" in note for note in scene.notes)
    check_plane(scene, native_in(32624, transform))


@pytest.mark.parametrize("turn", [0.0, 360.0])
@pytest.mark.parametrize(
    ("longitude", "latitude", "epsg"),
    [(180, 70, 3413), (-180, -75, 3031), (179.999, 52, 32660), (30, 90, 3413), (0, -90, 3031)],
)
def test_control_points_lead_across_the_date_line_and_the_poles(
    tmp_path, longitude, latitude, epsg, turn
):
    local = CRS.from_proj4(f"+proj=aeqd +lon_0={longitude} +lat_0={latitude} +datum=WGS84")
    transform = Affine.rotation(12) @ Affine.scale(100, -100) @ Affine.translation(-75, -50)
    to_degrees = Transformer.from_crs(local, 4326, always_xy=True)
    gcps = []
    for row in np.linspace(0, 100, 5):
        for column in np.linspace(0, 150, 6):
            x, y = to_degrees.transform(*(transform @ (column, row)))
            gcps.append(GroundControlPoint(row, column, x % 360 if turn else x, y))
    image = plane(*np.indices((100, 150))).astype(np.float32)
    path = write(tmp_path / "a.tif", image, crs=None, transform=None, gcps=(gcps, "EPSG:4326"))
    scene = open_scene(path, radiometry="power")
    assert scene.crs == CRS.from_epsg(epsg)
    assert scene.pixel_size_m == pytest.approx(100, rel=0.01)
    # Of a turned image of 100 x 150 pixels, the bounding box.
    assert scene.valid.sum() == pytest.approx(100 * 150, rel=0.1)
    assert scene.image.size < 2.5 * 100 * 150
    check_plane(scene, native_in(local, transform))
    assert describe(path, radiometry="power")["crs"] == "EPSG:4326"


@pytest.mark.parametrize("west", [179.85, -180.15])
def test_degrees_lead_across_the_date_line(tmp_path, west):
    image = plane(*np.indices((100, 150))).astype(np.float32)
    transform = Affine(2e-3, 0, west, 0, -1e-3, 70)
    path = write(tmp_path / "a.tif", image, crs="EPSG:4326", transform=transform)
    scene = open_scene(path, radiometry="power")
    assert scene.valid.sum() == pytest.approx(100 * 150, rel=0.1)


def test_no_data_takes_no_part_in_warping(tmp_path):
    image = np.full((100, 150), 0.5, np.float32) + RNG.random((100, 150)).astype(np.float32) * 1e-3
    image[:, :40] = 0  # a black edge
    image[50:60, 80:100] = np.nan
    transform = Affine(2.1e-4, 0, -38.28, 0, -1.8e-4, 66.41)
    path = write(tmp_path / "a.tif", image, crs="EPSG:4326", transform=transform)
    scene = open_scene(path, radiometry="power")
    values = 10 ** ((scene.image[scene.valid] * 30 - 25) / 10)
    assert values.min() > 0.4999
    assert values.max() < 0.5011
    rows, columns = np.indices(scene.shape) + 0.5
    t = scene.transform
    r, c = native_in(4326, transform)(t.a * columns + t.c, t.e * rows + t.f)
    hole = (r > 51.5) & (r < 58.5) & (c > 81.5) & (c < 98.5)
    edge = (c < 38.5) & (r > 0) & (r < 100)
    assert hole.any()
    assert not scene.valid[hole | edge].any()


def test_an_image_warped_from_memory_is_that_warped_from_the_file(tmp_path):
    image = np.clip(RNG.gamma(4, 20, (300, 200)), 1, 255).astype(np.uint8)
    image[:, :40] = 0  # a black edge
    image[100:103, 80:100] = 0  # values, since no border is near
    path = write(
        tmp_path / "a.tif", image, crs="EPSG:4326", transform=Affine(2.1e-4, 0, -38, 0, -9e-5, 66)
    )
    scenes = [
        scene_of(survey(path, keep_values=True, most_in_memory=most)) for most in (0, 1 << 20)
    ]
    file, memory = (scene.valid for scene in scenes)
    assert not (file & ~memory).any()
    assert not (memory & ~ndimage.binary_dilation(file, np.ones((3, 3)))).any()
    off = np.abs(scenes[0].image - scenes[1].image)[file]
    assert np.count_nonzero(off > 1e-6) < 0.02 * off.size  # beside the edge only
    assert off.max() < 0.5


def test_south_up_rasters_are_turned_exactly(tmp_path):
    image = speckle()
    path = write(tmp_path / "a.tif", image[::-1], transform=Affine(10, 0, 5e5, 0, 10, 7.6e6 - 600))
    scene = open_scene(path)
    assert scene.transform == UTM
    np.testing.assert_allclose(scene.image, to_grey(image, "grey"), atol=1e-6)


@pytest.mark.parametrize("names", [("sigma0 HH", "local incidence angle"), ("angle", "Sigma0_HH")])
def test_the_band_that_names_a_polarisation_is_taken(tmp_path, names):
    bands = np.stack([RNG.random((60, 80)), RNG.random((60, 80))]).astype(np.float32)
    scene = open_scene(write(tmp_path / "a.tif", bands, descriptions=names))
    index = next(i for i, name in enumerate(names) if "HH" in name)
    np.testing.assert_allclose(scene.image, to_grey(bands[index], "power"), atol=1e-6)
    assert scene.polarisation == "HH"


def test_bands_are_found_by_number_and_name(tmp_path):
    bands = np.stack([RNG.random((60, 80)), RNG.random((60, 80))]).astype(np.float32)
    path = write(tmp_path / "a.tif", bands, descriptions=("HH", "HV"))
    for band, index in ((1, 0), ("2", 1), ("HV", 1), ("hh", 0)):
        scene = open_scene(path, band=band)
        np.testing.assert_allclose(scene.image, to_grey(bands[index], "power"), atol=1e-6)
        assert scene.polarisation == ("HH", "HV")[index]


def test_grey_images_in_colour_files_are_read(tmp_path):
    image = speckle()
    Image.fromarray(np.stack([image] * 3, axis=-1)).save(tmp_path / "a.png")
    scene = open_scene(tmp_path / "a.png")
    np.testing.assert_array_equal(scene.image, to_grey(image, "grey"))


def test_world_files_without_crs_leave_lines_in_pixels(tmp_path):
    Image.fromarray(speckle()).save(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text("10\n0\n0\n-10\n500005\n7599995\n")
    scene = open_scene(tmp_path / "a.png")
    assert scene.crs is None
    assert scene.transform == Affine.identity()
    assert any("world file" in note and "in pixels" in note for note in scene.notes)


def test_tags_win_over_the_name(tmp_path):
    tags = {"ACQUISITION_DATE": "2020-01-02", "SENSOR": "TerraSAR-X", "POLARISATION": "VV"}
    path = write(tmp_path / "helheim_20180602_S1_HH.tif", speckle(), tags=tags)
    scene = open_scene(path)
    assert (scene.glacier, scene.date, scene.sensor, scene.polarisation) == (
        "helheim", dt.date(2020, 1, 2), "TSX", "VV",
    )  # fmt: skip


def test_describe_agrees_with_the_scene_and_is_plain(tmp_path):
    image = speckle((100, 150))
    image[:, :30] = 0
    transform = Affine(2.1e-4, 0, -38.28, 0, -1.8e-4, 66.41)
    path = write(
        tmp_path / "helheim_20180602_S1_HH.tif", image, crs="EPSG:4326", transform=transform
    )
    seen, scene = describe(path), open_scene(path)
    assert json.loads(json.dumps(seen)) == seen
    assert seen["size"] == [100, 150]
    assert seen["crs"] == "EPSG:4326"
    assert seen["scene_crs"] == scene.crs.to_string()
    assert seen["scene_size"] == list(scene.shape)
    assert seen["scene_pixel_m"] == scene.pixel_size_m
    assert seen["radiometry"] == scene.radiometry
    assert seen["no_data_share"] == seen["black_edge_share"] == pytest.approx(0.2)
    assert seen["date"] == "2018-06-02"
    assert tuple(seen["notes"]) == scene.notes
    assert seen["native_pixel_m"] == pytest.approx([20.07, 9.4], abs=0.05)


def test_large_images_are_decided_on_a_regular_sample(tmp_path):
    image = RNG.normal(100, 12, (131, 97)).round().clip(1, 255).astype(np.uint8)
    path = write(tmp_path / "a.tif", image, blockysize=5)
    found = survey(path, strip_pixels=1000, sample_pixels=800)
    step = 4  # the root of 131 * 97 / 800, rounded up
    sample = np.append(image[::step, ::step], [image.min(), image.max()])
    assert (found.radiometry.low, found.radiometry.high) == pytest.approx(
        tuple(np.percentile(sample, [1, 99]))
    )
    assert (found.pixels.lowest, found.pixels.highest) == (image.min(), image.max())


@pytest.mark.parametrize("crs", ["EPSG:32622", "EPSG:4326"])
def test_memory_is_that_of_the_scene_and_little_more(tmp_path, crs):
    image = speckle((2048, 2048))
    image[:, :100] = 0
    transform = UTM if crs == "EPSG:32622" else Affine(2e-4, 0, -38, 0, -1e-4, 66)
    path = write(tmp_path / "a.tif", image, crs=crs, transform=transform, blockysize=16)
    few = {"keep_values": True, "strip_pixels": 1 << 17, "sample_pixels": 10_000}
    few["most_in_memory"] = 1 << 21
    scene_of(survey(path, **few))  # what is loaded once does not count
    tracemalloc.start()
    scene = scene_of(survey(path, **few))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The scene, one byte for each native pixel, and strips.
    assert peak < scene.image.nbytes + image.nbytes + 0.6 * scene.image.nbytes


def test_scenes_in_archives_are_read(tmp_path):
    transform = Affine(2.1e-4, 0, -38.28, 0, -1.8e-4, 66.41)
    path = write(
        tmp_path / "helheim_20180602_S1.tif", speckle(), crs="EPSG:4326", transform=transform
    )
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, path.name)
    scene, packed = open_scene(path), open_scene(f"zip://{tmp_path}/a.zip!{path.name}")
    np.testing.assert_array_equal(packed.image, scene.image)
    assert (packed.glacier, packed.path) == ("helheim", None)
