"""Which formats are opened, what they may refer to, and that a named part is what is read."""

import http.server
import os
import threading
import zipfile
from html import escape

import h5py
import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.shutil import copy

from icefront import IcefrontError
from icefront.fronts.vector_files import read_vectors
from icefront.scenes import describe, open_scene
from icefront.scenes.access import input_folders

RNG = np.random.default_rng(5)
DEGREES = Affine(2e-4, 0, -38, 0, -1e-4, 66.4)
POLAR = Affine(30, 0, 3e5, 0, -30, -2.5e6)


def write(path, bands, crs="EPSG:4326", transform=DEGREES, **options):
    bands = bands if bands.ndim == 3 else bands[None]
    count, height, width = bands.shape
    profile = {"height": height, "width": width, "count": count, "dtype": bands.dtype}
    with rasterio.open(
        path, "w", driver="GTiff", crs=crs, transform=transform, **profile, **options
    ) as raster:
        raster.write(bands)
    return path


def speckle(shape=(60, 80)):
    return RNG.integers(1, 256, shape).astype(np.uint8)


def image(folder, name="a.tif"):
    folder.mkdir(parents=True, exist_ok=True)
    return write(folder / name, speckle(), crs="EPSG:3413", transform=POLAR)


def virtual(path, source, *, relative=0, inner="", band="", attributes=""):
    """Write a virtual raster of one source."""
    path.write_text(
        f'<VRTDataset rasterXSize="80" rasterYSize="60"><SRS>EPSG:3413</SRS>'
        f"<GeoTransform>300000, 30, 0, -2500000, 0, -30</GeoTransform>{inner}"
        f'<VRTRasterBand dataType="Byte" band="1"{band}><SimpleSource{attributes}>'
        f'<SourceFilename relativeToVRT="{relative}">{source}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return path


def refused(path, match):
    for read in (open_scene, describe):
        with pytest.raises(IcefrontError, match=match) as caught:
            read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


# --- the named part of a file ---------------------------------------------------------------


def variable(folder):
    bands = speckle((2, 60, 80))
    write(folder / "a.tif", bands)
    with rasterio.open(folder / "a.tif") as source:
        copy(source, folder / "a.nc", driver="netCDF")
    write(folder / "part.tif", bands[1])
    return f'NETCDF:"{folder}/a.nc":Band2'


def band_of_two(folder):
    bands = speckle((2, 60, 80))
    write(folder / "a.tif", bands)
    write(folder / "part.tif", bands[1])
    return f"vrt://{folder}/a.tif?bands=2"


def second_page(folder):
    write(folder / "a.tif", speckle())
    second = speckle()
    write(folder / "a.tif", second, APPEND_SUBDATASET="YES")
    write(folder / "part.tif", second)
    return f"GTIFF_DIR:2:{folder}/a.tif"


def packed_file(folder):
    write(folder / "part.tif", speckle())
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.write(folder / "part.tif", "b.tif")
    return f"zip://{folder}/a.zip!b.tif"


@pytest.mark.parametrize("part", [variable, band_of_two, second_page, packed_file])
def test_the_named_part_of_a_file_is_the_part_that_is_warped(tmp_path, part):
    named = open_scene(part(tmp_path), radiometry="grey")
    alone = open_scene(tmp_path / "part.tif", radiometry="grey")
    assert named.crs.to_epsg() == 3413
    np.testing.assert_array_equal(named.image, alone.image)


def test_a_name_whose_file_is_missing_is_refused(tmp_path):
    refused(f'NETCDF:"{tmp_path}/a.nc":sigma0', "names no file that exists")


# --- formats --------------------------------------------------------------------------------


@pytest.fixture
def server():
    """A server that counts what is asked of it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


def map_service(address):
    return (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{address}/${{z}}.png</ServerUrl></Service>'
        "<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>10</UpperLeftY><LowerRightX>10"
        "</LowerRightX><LowerRightY>0</LowerRightY><TileLevel>0</TileLevel><SizeX>256</SizeX>"
        "<SizeY>256</SizeY></DataWindow><BandsCount>1</BandsCount></GDAL_WMS>"
    )


def test_an_image_that_holds_xml_is_refused(tmp_path, server):
    address, asked = server
    path = tmp_path / "a.tif"
    for text in (map_service(address), f"\ufeff \n<!-- x -->{map_service(address)}", "<a/>"):
        path.write_text(text)
        refused(path, "holds XML")
    virtual(path, image(tmp_path, "b.tif"))
    refused(path, "holds XML")
    path.write_text('{"type": "Feature", "stac_version": "1.0.0"}')
    refused(path, "not an image in a format that is known")
    refused(virtual(tmp_path / "b.vrt", path), "not an image in a format that is known")
    refused(f"vrt://{path}?bands=1", "not an image in a format that is known")
    assert not asked


@pytest.mark.parametrize("side", [".msk", ".ovr"])
def test_files_beside_an_image_are_images(tmp_path, server, side):
    address, asked = server
    path = image(tmp_path)
    (tmp_path / f"a.tif{side}").write_text(map_service(address))
    refused(path, "is no image; remove it")
    assert not asked


def test_metadata_beside_an_image_lead_nowhere_else(tmp_path, server):
    address, asked = server
    path = image(tmp_path)
    beside = tmp_path / "a.tif.aux.xml"
    beside.write_text(
        '<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">'
        f"/vsicurl/{address}/a.ovr</MDI></Metadata></PAMDataset>"
    )
    refused(path, "is not fetched")
    for harmless in (
        "<PAMDataset><Metadata><MDI key='URL'>https://example.org</MDI></Metadata></PAMDataset>",
        "<PAMDataset><Metadata format='xml'><x a='/b'>/c</x></Metadata></PAMDataset>",
        "<PAMDataset><Metadata domain='OVERVIEWS'><MDI key='OVERVIEW_FILE'>a.rrd</MDI></Metadata>"
        "</PAMDataset>",
        "damaged",
    ):
        beside.write_text(harmless)
        open_scene(path)
    assert not asked


def test_an_xml_product_refers_to_images_beside_it(tmp_path, server):
    address, asked = server
    inside = tmp_path / "a.SAFE"
    image(inside / "measurement")
    manifest = inside / "manifest.safe"
    text = '<xfdu:XFDU xmlns:xfdu="urn:x"><f href="./{}"/></xfdu:XFDU>'
    (tmp_path / "secret").write_text("x")
    manifest.write_text(text.format("../secret"))
    refused(manifest, "outside of its folder")
    (inside / "measurement" / "a.tif").write_text(map_service(address))
    manifest.write_text(text.format("measurement/a.tif"))
    refused(manifest, "holds XML")
    assert not asked


# --- virtual rasters ------------------------------------------------------------------------


def test_a_virtual_raster_reads_files_under_its_folder(tmp_path):
    path = image(tmp_path / "parts")
    expected = open_scene(path).image
    for source, relative in ((path, 0), ("parts/a.tif", 1), ("./parts/../parts/a.tif", 1)):
        found = open_scene(virtual(tmp_path / "a.vrt", source, relative=relative))
        np.testing.assert_array_equal(found.image, expected)
    nested = virtual(tmp_path / "b.vrt", "a.vrt", relative=1)
    np.testing.assert_array_equal(open_scene(nested).image, expected)
    os.symlink(nested, tmp_path / "parts" / "link.vrt")
    np.testing.assert_array_equal(open_scene(tmp_path / "parts" / "link.vrt").image, expected)
    with rasterio.open(path) as source:
        copy(source, tmp_path / "c.vrt", driver="VRT")
    np.testing.assert_array_equal(open_scene(tmp_path / "c.vrt").image, expected)


def test_a_virtual_raster_may_refer_to_folders_that_the_user_named(tmp_path):
    path = image(tmp_path / "images")
    (tmp_path / "virtual").mkdir()
    made = virtual(tmp_path / "virtual" / "a.vrt", path)
    refused(made, "outside of its folder")
    with input_folders([tmp_path]):
        np.testing.assert_array_equal(open_scene(made).image, open_scene(path).image)
    refused(made, "outside of its folder")


PARTS = st.lists(st.sampled_from(["..", ".", "in", "out", "a.tif"]), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(PARTS)
def test_whatever_leads_out_of_the_folder_is_refused(tmp_path_factory, parts):
    folder = tmp_path_factory.getbasetemp() / "tree" / "in"
    if not folder.exists():
        for place in (folder, folder / "in", folder / "in" / "in", folder.parent):
            image(place)
    source = "/".join(parts)
    path = virtual(folder / "v.vrt", source, relative=1)
    target = os.path.normpath(folder / source)
    if target.startswith(f"{folder}/") and os.path.isfile(f"{folder}/{source}"):
        assert open_scene(path).shape == (60, 80)
    else:
        refused(path, "outside of its folder|does not exist|not an image|refers to itself")


def test_whatever_reads_other_files_is_refused(tmp_path, server):
    address, asked = server
    secret = tmp_path / "secret.txt"
    secret.write_text("root:x:0:0:" * 1000)
    folder = tmp_path / "in"
    own = image(folder)
    os.symlink(secret, folder / "link.bin")
    path = folder / "a.vrt"
    raw = ' subClass="VRTRawRasterBand"'
    cases = [
        (f"/vsicurl/{address}/a.tif", {}, "is not fetched"),
        (escape(map_service(address)), {}, "is not fetched"),
        (str(secret), {"band": raw}, "outside of its folder"),
        ("../secret.txt", {"band": raw, "relative": 1}, "outside of its folder"),
        ("link.bin", {"band": raw, "relative": 1}, "outside of its folder"),
        (f"{secret}<!-- -->/../../in/a.tif", {}, "outside of its folder"),
        (str(own), {"attributes": f' SOURCEFILENAME="{secret}"'}, "outside of its folder"),
        (str(own), {"inner": f"<sourceDataset>{secret}</sourceDataset>"}, "outside of its folder"),
        (str(own), {"inner": f"<Any>/vsicurl/{address}/b</Any>"}, "is not fetched"),
        (
            str(own),
            {"inner": f'<Step><Argument name="gain_dataset_filename">{secret}</Argument></Step>'},
            "outside of its folder",
        ),
        ("a.vrt", {"relative": 1}, "refers to itself"),
        ("gone.tif", {"relative": 1}, "is put together from other files, of which gone.tif"),
    ]
    for source, options, match in cases:
        refused(virtual(path, source, **options), match)
    path.write_text("<VRTDataset><open>")
    refused(path, "damaged XML")
    assert not asked


def test_virtual_rasters_in_archives_stay_in_their_archive(tmp_path):
    path = image(tmp_path / "out")
    inside = image(tmp_path / "in", "b.tif")
    for source, relative in (("b.tif", 1), (path, 0), ("../../out/a.tif", 1)):
        made = virtual(tmp_path / "in" / "v.vrt", source, relative=relative)
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.write(inside, "in/b.tif")
            archive.write(made, "in/v.vrt")
        name = f"/vsizip/{tmp_path}/a.zip/in/v.vrt"
        if source == "b.tif":
            np.testing.assert_array_equal(open_scene(name).image, open_scene(inside).image)
        else:
            refused(name, "no image under its own folder|cannot be opened")


def test_what_the_user_names_on_a_server_is_fetched(server):
    address, asked = server
    refused(f"{address}/a.tif", "cannot be opened as an image")
    assert asked


def test_vectors_come_from_the_file_that_was_named(tmp_path, server):
    address, asked = server
    line = '{"type": "LineString", "coordinates": [[-38, 66], [-37.9, 66.1]]}'
    (tmp_path / "secret.geojson").write_text(line)
    path = tmp_path / "fronts.geojson"
    for text in (
        "<OGRVRTDataSource><OGRVRTLayer name='secret'><SrcDataSource>"
        f"{tmp_path}/secret.geojson</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>",
        f"<OGRWFSDataSource><URL>{address}/wfs</URL></OGRWFSDataSource>",
        '{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read '
        f'{tmp_path}/secret.geojson ! write streamed"}}',
    ):
        path.write_text(text)
        with pytest.raises(IcefrontError, match="describes where lines and polygons"):
            read_vectors(path, "lines")
    path.write_text(line)
    assert len(read_vectors(path, "lines")) == 1
    assert not asked


def test_hdf5_refers_to_files_under_its_folder(tmp_path):
    outside, folder = tmp_path / "secret.bin", tmp_path / "in"
    folder.mkdir()
    outside.write_bytes(speckle().tobytes())
    (folder / "own.bin").write_bytes(outside.read_bytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["d"] = speckle()
    path = folder / "a.h5"
    made = {
        "external": lambda file, name: file.create_dataset(
            "d", (60, 80), dtype="u1", external=[(name, 0, 4800)]
        ),
        "link": lambda file, name: file.update({"d": h5py.ExternalLink(name, "d")}),
        "virtual": lambda file, name: file.create_virtual_dataset("d", virtual_layout(name)),
    }
    for kind, make in made.items():
        for name in (outside if kind == "external" else tmp_path / "other.h5", "../other.h5"):
            with h5py.File(path, "w", userblock_size=512 if kind == "link" else 0) as file:
                make(file.create_group("group"), str(name))
            refused(path, "outside of its folder")
            refused(f'HDF5:"{path}"://group/d', "outside of its folder")
            os.replace(path, folder / "b.tif")
            refused(folder / "b.tif", "outside of its folder")
    with h5py.File(path, "w") as file:
        made["external"](file, str(folder / "own.bin"))
    assert open_scene(path, radiometry="grey").shape == (60, 80)
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.write(path, "a.h5")
    refused(f"/vsizip/{folder}/a.zip/a.h5", "unpack or download HDF5")
    path.write_bytes(path.read_bytes()[:300])
    refused(path, "damaged or cut short")


def virtual_layout(name):
    layout = h5py.VirtualLayout((60, 80), "u1")
    layout[:] = h5py.VirtualSource(name, "d", (60, 80))
    return layout
