"""Every mistake of a user ends in one sentence that names the file."""

import io
import os
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.rpc import RPC
from rasterio.shutil import copy

from icefront import IcefrontError
from icefront.scenes import describe, open_scene

RNG = np.random.default_rng(3)
UTM = Affine(10, 0, 5e5, 0, -10, 7.6e6)


def write(path, bands, **profile):
    bands = np.asarray(bands)
    bands = bands[None] if bands.ndim == 2 else bands
    profile = {"crs": "EPSG:32622", "transform": UTM, "driver": "GTiff", **profile}
    count, height, width = bands.shape
    with rasterio.open(
        path, "w", height=height, width=width, count=count, dtype=bands.dtype, **profile
    ) as dst:
        dst.write(bands)
    return path


def speckle(shape=(300, 200)):
    return RNG.integers(1, 256, shape).astype(np.uint8)


def refused(path, match, **options):
    messages = []
    for read in (open_scene, describe):
        with pytest.raises(IcefrontError, match=match) as caught:
            read(path, **options)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "\n" not in messages[0]
    assert messages[0].endswith(".")
    assert path is None or path.name in messages[0]


def test_missing_files_and_folders_are_refused(tmp_path):
    refused(tmp_path / "none.tif", "does not exist")
    refused(tmp_path, "is a folder")
    safe = tmp_path / "S1A_X.SAFE"
    (safe / "measurement").mkdir(parents=True)
    (safe / "measurement" / "s1a-iw-grd-hh.tiff").touch()
    refused(safe, r"measurement/s1a-iw-grd-hh\.tiff")


def test_packed_files_and_zarr_stores_are_refused_with_what_to_do(tmp_path):
    image = write(tmp_path / "b.tif", speckle((60, 80)))
    packed = tmp_path / "a.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(image, "S1A.SAFE/preview/quick-look.png")
        archive.write(image, "S1A.SAFE/measurement/b.tiff")
    first = f"/vsizip/{packed}/S1A.SAFE/measurement/b.tiff"
    refused(packed, f"is a packed file, not an image; unpack it, or name an image in it: {first}")
    assert open_scene(first).shape == (60, 80)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(image)
    refused(tmp_path / "a.tar.gz", r"is a packed file, not an image; unpack it\.")
    with tarfile.open(tmp_path / "a.tif", "w") as archive:
        archive.add(image)
    refused(tmp_path / "a.tif", "is a packed file")
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / ".zgroup").touch()
    refused(tmp_path / "a.zarr", "is a Zarr store, not an image; open it with xarray")


def test_an_image_placed_by_rational_polynomials_alone_needs_a_pixel_size(tmp_path):
    path = tmp_path / "a.tif"
    axes = ("lat", "long", "line", "samp", "height")
    numbers = {f"{axis}_{what}": 1.0 for axis in axes for what in ("off", "scale")}
    for polynomial in ("line_num", "line_den", "samp_num", "samp_den"):
        numbers[f"{polynomial}_coeff"] = [1.0] * 20
    rpc = RPC(**numbers, err_bias=None, err_rand=None)
    write(path, speckle((60, 80)), crs=None, transform=Affine.identity(), rpcs=rpc)
    refused(path, r"rational polynomials \(RPC\) alone, .*: orthorectify it first")
    assert open_scene(path, pixel_size_m=10.0).pixel_size_m == 10
    assert open_scene(path, pixel_size_m="pixels").crs is None


def test_many_names_are_cut_short(tmp_path):
    path = write(tmp_path / "a.tif", speckle((40, 20, 20)))
    refused(path, r"has 40 bands \(1, 2, .*, 12 and 28 more\)")


def test_every_error_names_the_file(tmp_path):
    values = RNG.normal(-2500, 300, (60, 80)).astype(np.float32)
    refused(write(tmp_path / "a.tif", values), "dB")


def test_a_name_that_is_not_unicode_is_refused(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"a\xff.tif")
    with open(path, "wb") as file, open(write(tmp_path / "b.tif", speckle()), "rb") as image:
        file.write(image.read())
    for read in (open_scene, describe):
        with pytest.raises(
            IcefrontError, match=r"a\\udcff\.tif has a name that is not Unicode"
        ) as caught:
            read(os.fsdecode(path))
        str(caught.value).encode()


def test_text_and_empty_files_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    path.write_text("no image at all")
    refused(path, "not an image in a format that is known")
    path.write_bytes(b"")
    refused(path, "is empty")


def tiff(**options):
    def make(path):
        write(path, speckle(), **options)
        return path.read_bytes()

    return make


def pillow(format_name):
    def make(path):
        buffer = io.BytesIO()
        Image.fromarray(speckle()).save(buffer, format_name)
        return buffer.getvalue()

    return make


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95, 0.999])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("raw.tif", tiff()),
        ("deflate.tif", tiff(compress="deflate")),
        ("tiled.tif", tiff(tiled=True, blockxsize=64, blockysize=64, compress="lzw")),
        ("cog.tif", tiff(driver="COG")),
        ("jpeg.tif", tiff(compress="jpeg")),
        ("pillow.tif", pillow("TIFF")),
        ("a.png", pillow("PNG")),
        ("a.jpg", pillow("JPEG")),
    ],
)
def test_truncated_files_are_refused(tmp_path, name, make, share):
    path = tmp_path / name
    whole = make(path)
    path.write_bytes(whole)
    assert open_scene(path).valid.all()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(path, "damaged or cut short")


def test_several_bands_need_a_choice(tmp_path):
    path = write(tmp_path / "a.tif", speckle((3, 60, 80)))
    refused(path, "has 3 bands .*say with band which")
    refused(path, "has no band 4; its bands are 1", band=4)
    refused(path, "has no band VV", band="VV")
    two = write(tmp_path / "b.tif", RNG.random((2, 60, 80)).astype(np.float32))
    with rasterio.open(two, "r+") as dst:
        dst.descriptions = ("HH", "HV")
    refused(two, r"has 2 bands \(1 'HH', 2 'HV'\)")
    colour = RNG.integers(0, 255, (60, 80, 3)).astype(np.uint8)
    Image.fromarray(colour).save(tmp_path / "c.png")
    refused(tmp_path / "c.png", r"1 'red', 2 'green', 3 'blue'")


@pytest.mark.parametrize("dtype", ["complex64", "complex_int16"])
def test_complex_data_are_refused(tmp_path, dtype):
    path = tmp_path / "slc.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=20, width=30, count=1, dtype=dtype, transform=UTM
    ) as dst:
        dst.write(np.ones((1, 20, 30), np.complex64))
    refused(path, "complex values")


@pytest.mark.parametrize(
    ("image", "profile"),
    [
        (np.full((60, 80), np.nan, np.float32), {}),
        (np.full((60, 80), 7, np.uint8), {"nodata": 7}),
        (np.zeros((60, 80), np.uint8), {}),
    ],
)
def test_files_without_any_data_are_refused(tmp_path, image, profile):
    refused(write(tmp_path / "a.tif", image, **profile), "no data at all")


def test_one_constant_value_is_refused(tmp_path):
    refused(write(tmp_path / "a.tif", np.full((60, 80), 7, np.uint8)), "has the value 7")
    image = np.full((60, 80), 0.25, np.float32)
    image[:, :30] = 0  # a black edge beside it changes nothing
    image[20:30, 50:60] = np.nan
    refused(write(tmp_path / "b.tif", image), "has the value 0.25")


def test_colour_palettes_are_refused(tmp_path):
    path = write(tmp_path / "a.tif", speckle())
    with rasterio.open(path, "r+") as dst:
        dst.write_colormap(1, {i: (255 - i, i, 0, 255) for i in range(256)})
    refused(path, "colour palette")


def test_arguments_that_do_not_fit_are_refused(tmp_path):
    path = write(tmp_path / "a.tif", speckle())
    for size in (0, -3.0, float("nan"), (10, 0), "metres", (1, 2, 3)):
        with pytest.raises(IcefrontError, match="pixel size"):
            open_scene(path, pixel_size_m=size)
    refused(path, "has a coordinate system", pixel_size_m=(10, 20))
    with pytest.raises(IcefrontError, match="radiometry 'watts' is unknown"):
        open_scene(path, radiometry="watts")


def test_wrong_coordinates_are_refused(tmp_path):
    # Metres that are said to be degrees.
    refused(write(tmp_path / "a.tif", speckle(), crs="EPSG:4326"), "latitudes reach")
    far = Affine(10, 0, 9e9, 0, -10, 9e9)
    refused(write(tmp_path / "b.tif", speckle(), transform=far), "coordinate")
    engineering = 'LOCAL_CS["site",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
    scene = open_scene(write(tmp_path / "c.tif", speckle(), crs=engineering))
    assert scene.crs is None
    assert any("lines are in pixels" in note for note in scene.notes)


MESH = [
    (row, column, -38 + 2e-4 * column, 66 - 1e-4 * row)
    for row in np.linspace(0, 300, 5)
    for column in np.linspace(0, 200, 5)
]


@pytest.mark.parametrize(
    ("points", "match"),
    [
        ([(r, r, -38 + 2e-4 * r, 66 - 1e-4 * r) for r in range(0, 300, 20)], "lie on a line"),
        ([(r, c, -38 + 2e-4 * c, 66 - 1e-4 * c) for r, c, *_ in MESH], "lie on a line"),
        ([(r, c, -38, 66) for r, c, *_ in MESH], "lie on a line"),
        (MESH[:2], "its 2 ground control points lie on a line"),
        ([(*point[:2], np.nan, point[3]) for point in MESH], "point 1 of 25 .nan, 66. are no"),
        ([*MESH[:-1], (300, 200, -38, np.inf)], "point 25 of 25 .-38, inf. are no"),
        ([(r, c, x, y + 30) for r, c, x, y in MESH], "latitudes reach 96"),
        ([(r, c, x + (i * 7919) % 97, y) for i, (r, c, x, y) in enumerate(MESH)], "contradict"),
        ([*MESH[:5], MESH[20]], "do not determine where the image lies"),
    ],
)
def test_control_points_that_lead_nowhere_are_refused(tmp_path, points, match):
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=300, width=200, count=1, dtype="uint8"
    ) as dst:
        crs = rasterio.crs.CRS.from_epsg(4326)
        dst.gcps = ([rasterio.control.GroundControlPoint(*point) for point in points], crs)
        dst.write(speckle(), 1)
    refused(path, match)


@pytest.mark.parametrize("transform", [(np.nan, 0, 5e5, 0, -10, 7e6), (10, 0, 5e5, 10, 0, 7e6)])
def test_transforms_that_lead_nowhere_are_refused(tmp_path, transform):
    path = write(tmp_path / "a.tif", speckle(), transform=Affine(*transform))
    refused(path, "leads to no places")


def test_a_grid_too_fine_is_refused(tmp_path):
    refused(write(tmp_path / "a.tif", speckle()), "larger pixel size", pixel_size_m=0.001)


def test_a_claim_of_very_many_bands_is_refused_at_once(tmp_path):
    path = write(tmp_path / "a.tif", speckle((60, 80)))
    content = bytearray(path.read_bytes())
    samples = content.index(struct.pack("<HHI", 277, 3, 1))
    content[samples + 8 : samples + 10] = struct.pack("<H", 61441)
    path.write_bytes(content)
    refused(path, "claims to have 61441 bands|damaged or cut short")


def test_a_damaged_header_of_netcdf_is_refused_before_its_library_sees_it(tmp_path):
    made = write(tmp_path / "a.tif", speckle((60, 80)))
    path = tmp_path / "a.nc"
    with rasterio.open(made) as source:
        copy(source, path, driver="netCDF")
    assert open_scene(path).shape == (60, 80)
    content = bytearray(path.read_bytes())
    content[12:16] = b"\x00\xff\xff\xff"  # the number of dimensions
    path.write_bytes(content)
    refused(path, "damaged or cut short")


def test_pixels_without_size_on_the_ground_are_refused(tmp_path):
    path = write(tmp_path / "a.tif", speckle(), transform=Affine(1e-13, 0, 5e5, 0, -1e-13, 7.6e6))
    refused(path, "have no size on the ground")
