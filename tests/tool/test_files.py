"""Photo files in and out: odd formats, tags, 16 bits, HEIC, raw, what is refused."""
import io
import os
import pickle
import struct
import subprocess
import sys
import threading
import time
from xml.etree import ElementTree

import numpy as np
import onnxruntime
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

import lowlight
from conftest import ROOT, huge_png
from lowlight import files, kinds
from lowlight.files import load_photo, load_tags, save_photo
from lowlight.network import Network
from lowlight.photo import mean_luma
from lowlight.tags import with_numbers

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
DATE = "2026:11:22 00:00:00"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def noise(rng, *size, dtype=np.uint8):
    return rng.integers(0, np.iinfo(dtype).max, (*size, 3)).astype(dtype)


def exif_block(orientation=6, artist=b"Jose"):
    """EXIF bytes as a camera writes them: maker, date, place, an owner, a preview."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "A camera"
    exif[0x013B] = "?" * len(artist)            # Pillow itself writes only ASCII
    exif.get_ifd(0x8769).update({0x9003: DATE, 0x829A: 0.01, 0x927C: b"maker" * 9})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 1.5)})
    block = bytearray(exif.tobytes().replace(b"?" * len(artist), artist)[6:])
    preview = io.BytesIO()
    Image.new("RGB", (16, 16)).save(preview, "JPEG")
    order = {b"II": "<", b"MM": ">"}[bytes(block[:2])]
    start, = struct.unpack_from(order + "L", block, 4)
    count, = struct.unpack_from(order + "H", block, start)
    struct.pack_into(order + "L", block, start + 2 + 12 * count, len(block))
    at = len(block) + 30
    block += struct.pack(order + "HHHLLHHLLL", 2, 0x0201, 4, 1, at, 0x0202, 4, 1,
                         len(preview.getvalue()), 0) + preview.getvalue()
    return b"Exif\0\0" + bytes(block)


def told(path):
    """(orientation, maker, artist as bytes, date, latitude, has preview) of a file."""
    with Image.open(path) as image:
        exif = image.getexif()
        return (exif.get(0x0112), exif.get(0x010F), exif[0x013B].encode("latin-1"),
                exif.get_ifd(0x8769).get(0x9003), exif.get_ifd(0x8825).get(2),
                bool(exif.get_ifd(ExifTags.IFD.IFD1)))


def saved(tmp_path, image, name="photo.png", **options):
    image.save(tmp_path / name, **options)
    return load_photo(tmp_path / name)


# Reading

def test_every_mode_becomes_rgb(tmp_path, rng):
    colour = Image.fromarray(noise(rng, 300, 12))       # more rows than a band
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        read = saved(tmp_path, colour.convert(mode))
        assert read.shape == (300, 12, 3) and read.dtype == np.uint8, mode
        wanted = colour.convert(mode).convert("RGBA").convert("RGB")
        assert np.array_equal(read, np.asarray(wanted)), mode
    for mode, name in (("CMYK", "a.jpg"), ("CMYK", "a.tif"), ("YCbCr", "b.jpg"),
                       ("LAB", "c.tif")):
        assert saved(tmp_path, colour.convert(mode), name).shape == (300, 12, 3), mode


def test_deep_grey_and_floats_are_scaled(tmp_path):
    levels = np.array([[0, 257, 32896, 65535]], np.uint16)
    for name in ("deep.png", "deep.tif"):
        read = saved(tmp_path, Image.fromarray(levels), name)
        assert read[0, :, 0].tolist() == [0, 1, 128, 255]
    levels = np.arange(0, 65536, 5, np.uint16)[:, None]     # rounded alike by all readers
    colour = np.broadcast_to(levels[..., None], (*levels.shape, 3))
    for name, image in (("grey.png", levels), ("colour.tif", colour)):
        if name == "grey.png":
            Image.fromarray(image).save(tmp_path / name)
        else:
            save_photo(tmp_path / name, image)
        assert np.array_equal(load_photo(tmp_path / name)[..., 0],
                              np.round(levels / 257.0)), name
    floats = np.zeros((600, 1), np.float32)
    floats[:3, 0] = 0, 0.5, 1               # the largest level lies in another band
    read = saved(tmp_path, Image.fromarray(floats), "float.tif")
    assert read[:3, 0, 1].tolist() == [0, 128, 255]


def test_cmyk_goes_through_its_profile(tmp_path, rng):
    pyvips = pytest.importorskip("pyvips")
    dark = np.repeat(noise(rng, 300, 1) // 4, 20, 1)        # more rows than a band
    cmyk = pyvips.Image.new_from_array(dark, interpretation="srgb").icc_transform("cmyk")
    for name in ("a.jpg", "a.tif"):
        cmyk.write_to_file(tmp_path / name)
        managed = pyvips.Image.new_from_file(tmp_path / name).icc_transform(
            "srgb", embedded=True).numpy()
        read = load_photo(tmp_path / name)
        assert np.abs(read - managed.astype(float)).max() <= 2, name
        assert load_tags(tmp_path / name).icc_profile == b""
    Image.open(tmp_path / "a.tif").save(tmp_path / "odd.tif", icc_profile=SRGB)
    assert load_photo(tmp_path / "odd.tif").shape == (300, 20, 3)


def test_alpha_is_dropped_not_blended(tmp_path):
    clear = Image.new("RGBA", (4, 4), (200, 100, 50, 0))
    assert (saved(tmp_path, clear) == [200, 100, 50]).all()
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 100, 50])
    assert (saved(tmp_path, palette, transparency=1) == [200, 100, 50]).all()


def test_first_frame_upright(tmp_path, rng):
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (load_photo(tmp_path / "a.gif") == [255, 0, 0]).all()
    photo = noise(rng, 10, 20)
    read = saved(tmp_path, Image.fromarray(photo), exif=exif_block(6))
    assert np.array_equal(read, np.rot90(photo, -1))


@pytest.mark.parametrize("size", [(1, 1), (10, 20000)])
def test_extreme_shapes(tmp_path, rng, size):
    assert saved(tmp_path, Image.fromarray(noise(rng, *size))).shape == (*size, 3)
    grey = Image.fromarray(noise(rng, *size, dtype=np.uint16)[..., 0])
    assert saved(tmp_path, grey).shape == (*size, 3)


@pytest.mark.parametrize("name", ["a.jpg", "a.heic", "a.dng"])
@pytest.mark.parametrize("content", [
    b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0\x08\0\0\0",
    b"\0\0\0\x18ftypheic\0\0\0\0"])
def test_what_is_no_photo_is_named(tmp_path, name, content, capfd):
    (tmp_path / name).write_bytes(content)
    for depth in (8, 16):
        with pytest.raises(ValueError, match=f"{name}: not a readable photo.*replace it"):
            load_photo(tmp_path / name, depth)
        with pytest.raises(ValueError, match="gone.png"):
            load_photo(tmp_path / "gone.png", depth)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name, depth", [
    ("a.jpg", 8), ("a.png", 8), ("a.tif", 8), ("d.png", 16), ("d.tif", 16),
    ("a.heic", 8), ("a.dng", 8)])
def test_a_cut_off_photo_is_refused(tmp_path, rng, name, depth, capfd):
    path = tmp_path / name
    if path.suffix == ".dng":
        write_dng(path, 6554)
    elif path.suffix == ".heic":
        write_heic(path, noise(rng, 100, 120))
    else:
        save_photo(path, noise(rng, 100, 120, dtype=np.dtype(f"uint{depth}")))
    content = path.read_bytes()
    path.write_bytes(content[:len(content) * 2 // 3])
    with pytest.raises(ValueError, match=f"{name}: not a readable photo.*replace it"):
        load_photo(path, depth)
    assert capfd.readouterr().err == ""


def test_a_heic_of_tiles_that_has_lost_some_is_refused(tmp_path, rng):
    """As phones write them; libheif makes lost tiles green."""
    write_heic(tmp_path / "a.heic", noise(rng, 200, 300), tile_size=64)
    content = (tmp_path / "a.heic").read_bytes()
    (tmp_path / "a.heic").write_bytes(content[:-5])
    picture = files.read_picture(tmp_path / "a.heic")
    assert "a.heic: the end of the file is missing" in picture.note
    (tmp_path / "a.heic").write_bytes(content[:len(content) // 2])
    with pytest.raises(ValueError, match="a.heic: not a readable photo.*end of the file"):
        load_photo(tmp_path / "a.heic")


def test_a_raw_file_filled_up_with_zeros_is_noted(tmp_path):
    """As rescued from a card; LibRaw makes what is lost black, and says nothing."""
    pytest.importorskip("rawpy")
    write_dng(tmp_path / "a.dng", 6554)                 # 100 x 150 pixels of 16 bits
    content = (tmp_path / "a.dng").read_bytes()
    (tmp_path / "a.dng").write_bytes(content[:-15000] + bytes(15000))
    result = files.enhance_photo(NETWORK, tmp_path / "a.dng", tmp_path / "a.png")
    assert "a.dng: holds only zeros at its end" in result.note


@pytest.mark.parametrize("name, options", [
    ("a.jpg", {"quality": 92}), ("progressive.jpg", {"progressive": True}),
    ("grey.jpg", {"quality": 92}), ("a.png", {}), ("deep.png", {}), ("deep.tif", {}),
    ("a.bmp", {}), ("a.tif", {})])
def test_a_photo_that_lacks_its_last_bytes_is_read_with_a_note(tmp_path, rng, name,
                                                               options):
    photo = np.clip(np.add.outer(np.arange(240), np.arange(320)) / 9 + 5, 0, 255)
    photo = photo.astype(np.uint8)[..., None] + noise(rng, 240, 320) // 16
    path = tmp_path / name
    if "deep" in name:
        save_photo(path, photo * np.uint16(257))
    else:
        Image.fromarray(photo).convert("L" if "grey" in name else "RGB").save(
            path, **options)
    content, whole = path.read_bytes(), load_photo(path)
    for lost in (1, 2, 3, 20, 50):
        path.write_bytes(content[:-lost])
        picture = files.read_picture(path)
        damaged = (picture.photo != whole).any((1, 2))
        assert damaged.sum() <= 17, lost
        is_whole = path.suffix == ".png" and lost <= 20     # the pixels end before
        assert is_whole or f"{name}: the end of the file is missing" in picture.note
    for share in (0.5, 0.75, 0.9):
        path.write_bytes(content[:int(share * len(content))])
        with pytest.raises(ValueError, match=f"{name}: not a readable photo"):
            load_photo(path)


def test_odd_tags_of_a_tiff_warn_of_nothing(tmp_path, rng, recwarn):
    save_photo(tmp_path / "a.tif", noise(rng, 20, 30), files.Tags(exif_block(1)))
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[:100])
    with pytest.raises(ValueError, match="cut.tif: not a readable photo"):
        files.enhance_photo(NETWORK, tmp_path / "cut.tif", tmp_path / "b.tif")
    assert not [one for one in recwarn if "Truncated" in str(one.message)]


def test_a_cut_tiff_whose_tags_are_lost_is_refused(tmp_path, rng):
    Image.fromarray(noise(rng, 90, 90)).save(tmp_path / "a.tif", compression="jpeg")
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:-20])
    with pytest.raises(ValueError, match="a.tif: not a readable photo"):
        load_photo(tmp_path / "a.tif")


def test_a_psd_with_more_channels_than_colours_is_refused(tmp_path, rng):
    """As with a saved selection; Pillow shifts its colours against each other."""
    planes = noise(rng, 20, 30).transpose(2, 0, 1)
    for extra in (0, 2):                                # one would be alpha
        channels = np.concatenate([planes, planes[:extra]])
        header = struct.pack(">4sH6xHLLHH", b"8BPS", 1, len(channels), 20, 30, 8, 3)
        (tmp_path / f"{extra}.psd").write_bytes(
            header + bytes(12) + struct.pack(">H", 0) + channels.tobytes())
    photo = load_photo(tmp_path / "0.psd")
    assert np.array_equal(photo, planes.transpose(1, 2, 0))
    with pytest.raises(ValueError, match="2.psd: .*more channels than colours"):
        load_photo(tmp_path / "2.psd")


def test_what_libvips_says_is_named(tmp_path, rng):
    """And not only that it was "unable to write to memory"."""
    planes = noise(rng, 40, 50, dtype=np.uint16).transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", tile=(16, 16),
                     planarconfig="separate")
    with pytest.raises(ValueError, match="a.tif: .*separate planes not supported"):
        load_photo(tmp_path / "a.tif")


def test_too_many_pixels_are_refused_before_decoding(tmp_path, rng, monkeypatch):
    (tmp_path / "bomb.png").write_bytes(huge_png())
    for depth in (8, 16):
        with pytest.raises(ValueError, match="bomb.png: refused, more than 200,"):
            load_photo(tmp_path / "bomb.png", depth)
    photo = noise(rng, 200, 200)
    write_dng(tmp_path / "a.dng", 6554)
    write_heic(tmp_path / "a.heic", photo)
    save_photo(tmp_path / "a.tif", photo.astype(np.uint16))
    monkeypatch.setattr(kinds, "MAX_PIXELS", 10_000)
    for name in ("a.dng", "a.heic", "a.tif"):
        for depth in (8, 16):
            with pytest.raises(ValueError, match=f"{name}: refused"):
                load_photo(tmp_path / name, depth)


def test_the_limit_of_the_program_around_is_left_alone(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)
    photo = noise(rng, 30, 40)
    save_photo(tmp_path / "a.png", photo)
    assert np.array_equal(load_photo(tmp_path / "a.png"), photo)
    assert Image.MAX_IMAGE_PIXELS == 7


def test_clips_of_other_kinds_get_a_remedy(tmp_path):
    with pytest.raises(ValueError, match="a.AVI: a clip, not a photo; give it"):
        load_photo(tmp_path / "a.AVI")


def run_python(code, folder):
    """Run `code` in a fresh Python in `folder`; returns what it printed."""
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True,
                          text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_an_ordinary_photo_needs_only_numpy_and_pillow(tmp_path, rng):
    save_photo(tmp_path / "a.jpg", noise(rng, 20, 30))
    code = ("import sys, lowlight.files as files\n"
            "photo, tags = files.load_photo('a.jpg'), files.load_tags('a.jpg')\n"
            "files.save_photo('b.png', photo, tags)\n"
            "print({'pyvips', 'rawpy', 'pillow_heif', 'keras'} & set(sys.modules))")
    done = run_python(code, tmp_path)
    assert done.stdout == "set()\n", done.stderr


# 16 bits

def write_deep(path, photo, photometric="rgb", **options):
    tifffile.imwrite(path, photo, photometric=photometric, **options)


@pytest.mark.parametrize("name, options", [
    ("plain.tif", {}), ("tiles.tif", {"tile": (64, 64)}),
    ("big-endian.tif", {"byteorder": ">"}),
    ("planes.tif", {"planarconfig": "separate"}),       # which Pillow misreads
    ("zip.tif", {"compression": "zlib", "predictor": True})])
def test_tiff_of_16_bits_keeps_them(tmp_path, rng, name, options):
    photo = noise(rng, 100, 120, dtype=np.uint16)
    planes = "planarconfig" in options
    written = np.moveaxis(photo, 2, 0) if planes else photo
    write_deep(tmp_path / name, written, **options)
    assert np.array_equal(load_photo(tmp_path / name, 16), photo)
    assert np.abs(load_photo(tmp_path / name) - photo / 257.0).max() <= 1


def test_grey_and_alpha_of_16_bits(tmp_path, rng):
    photo = rng.integers(0, 65535, (30, 40, 4)).astype(np.uint16)
    write_deep(tmp_path / "alpha.tif", photo, extrasamples=["unassalpha"])
    assert np.array_equal(load_photo(tmp_path / "alpha.tif", 16), photo[..., :3])
    for name in ("grey.png", "grey.tif"):
        Image.fromarray(photo[..., 0]).save(tmp_path / name)
        assert np.array_equal(load_photo(tmp_path / name, 16), photo[..., [0, 0, 0]])
    write_deep(tmp_path / "cmyk.tif", photo, photometric="separated")
    assert load_photo(tmp_path / "cmyk.tif", 16).shape == (30, 40, 3)
    write_deep(tmp_path / "white.tif", photo[..., 0], photometric="miniswhite")
    for depth in (8, 16):
        white = load_photo(tmp_path / "white.tif", depth)
        assert np.abs(white / (2 ** depth - 1) * 65535.0
                      - (65535 - photo[..., [0, 0, 0]])).max() <= 257


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.gif", "a.bmp"])
def test_8_bits_are_spread_over_16(tmp_path, rng, name):
    Image.fromarray(noise(rng, 30, 40)).save(tmp_path / name)
    deep = load_photo(tmp_path / name, 16)
    assert deep.dtype == np.uint16
    assert np.array_equal(deep, load_photo(tmp_path / name) * np.uint16(257))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_8_and_16_bits_are_turned_alike(tmp_path, rng, name, orientation):
    photo = noise(rng, 20, 30, dtype=np.uint16)
    save_photo(tmp_path / name, photo, files.Tags(exif=exif_block(orientation)))
    if name == "a.tif":                             # which is written upright
        tag = (0x0112, 3, 1, orientation, True)
        write_deep(tmp_path / name, photo, extratags=[tag])
    deep = load_photo(tmp_path / name, 16)
    assert deep.shape[:2] == ((20, 30) if orientation < 5 else (30, 20))
    assert np.abs(load_photo(tmp_path / name) - deep / 257.0).max() <= 1


MODES = [*((name, mode) for name in ("a.tif", "a.png")
           for mode in ("L", "LA", "RGB", "RGBA", "P", "1")),
         ("a.tif", "CMYK"), ("a.jpg", "L"), ("a.jpg", "RGB"), ("a.jpg", "CMYK"),
         ("a.webp", "RGB"), ("a.webp", "RGBA")]


@pytest.mark.parametrize("name, mode", MODES)
def test_every_mode_is_turned(tmp_path, rng, name, mode):
    image = Image.fromarray(noise(rng, 20, 30)).convert("RGBA").convert(mode)
    image.save(tmp_path / name, exif=exif_block(6), lossless=True)
    assert load_photo(tmp_path / name).shape == (30, 20, 3)
    if name[2:] in ("tif", "png"):
        wanted = np.asarray(image.convert("RGBA").convert("RGB"))
        assert np.array_equal(load_photo(tmp_path / name), np.rot90(wanted, -1))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "A.TIFF"])
def test_16_bits_round_trip(tmp_path, rng, name):
    photo = noise(rng, 37, 53, dtype=np.uint16)
    for written in (photo, np.rot90(photo)):            # in memory in another order
        save_photo(tmp_path / name, written)
        assert np.array_equal(load_photo(tmp_path / name, 16), written)
    if name != "a.png":                                 # as others read it
        assert np.array_equal(tifffile.imread(tmp_path / name), written)


# Tags

@pytest.mark.parametrize("artist", ["José".encode(), "Zoë".encode("latin-1")])
@pytest.mark.parametrize("source, target, dtype", [
    ("a.jpg", "b.jpg", "uint8"), ("a.png", "b.webp", "uint8"),
    ("a.webp", "b.png", "uint8"), ("a.jpg", "b.tif", "uint8"),
    ("a.tif", "b.tif", "uint8"), ("a.tif", "b.jpg", "uint8"),
    ("a.jpg", "b.png", "uint16"), ("a.png", "b.tif", "uint16"),
    ("a.heic", "b.jpg", "uint8")])
def test_tags_stay_and_the_photo_is_upright(tmp_path, rng, source, target, dtype,
                                            artist):
    image, block = Image.fromarray(noise(rng, 30, 40)), exif_block(6, artist)
    if source == "a.heic":
        write_heic(tmp_path / source, np.asarray(image), exif=block, icc_profile=SRGB)
    elif source == "a.tif":
        save_photo(tmp_path / source, np.asarray(image), files.Tags(block, SRGB))
    else:
        image.save(tmp_path / source, exif=block, icc_profile=SRGB)
    photo = load_photo(tmp_path / source).astype(dtype)
    save_photo(tmp_path / target, photo, load_tags(tmp_path / source))
    place = (48.0, 8.0, 1.5)
    assert told(tmp_path / target) == (1, "A camera", artist, DATE, place, False)
    assert load_photo(tmp_path / target).shape == photo.shape
    with Image.open(tmp_path / target) as result:
        assert result.info["icc_profile"] == SRGB
        notes = result.getexif().get_ifd(0x8769).get(0x927C)
        assert notes == (None if ".tif" in source + target else b"maker" * 9)


def test_the_dark_preview_is_left_behind(tmp_path, rng):
    Image.fromarray(noise(rng, 8, 8)).save(tmp_path / "a.jpg", exif=exif_block())
    rewrite(tmp_path, "a.jpg", "b.jpg")
    assert told(tmp_path / "a.jpg")[-1] and not told(tmp_path / "b.jpg")[-1]


def rewrite(tmp_path, source, target):
    """Write the photo and the tags of `source` into `target`."""
    photo, tags = load_photo(tmp_path / source), load_tags(tmp_path / source)
    save_photo(tmp_path / target, photo, tags)


def test_only_a_profile_of_rgb_is_kept(tmp_path, rng):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(noise(rng, 8, 8)).save(tmp_path / "a.png", icc_profile=lab)
    assert load_tags(tmp_path / "a.png").icc_profile == b""


def test_a_profile_with_zeros_after_its_end_is_kept(tmp_path, rng):
    Image.fromarray(noise(rng, 8, 8)).save(tmp_path / "a.jpg", icc_profile=SRGB + b"\0\0")
    assert load_tags(tmp_path / "a.jpg").icc_profile == SRGB


def test_a_profile_that_libpng_refuses_costs_no_photo(tmp_path, rng):
    odd = (len(SRGB) + 1).to_bytes(4, "big") + SRGB[4:] + b"\0"      # no multiple of 4
    photo = noise(rng, 8, 8, dtype=np.uint16)
    save_photo(tmp_path / "a.png", photo, files.Tags(exif_block(1), odd))
    assert np.array_equal(load_photo(tmp_path / "a.png", 16), photo)
    assert told(tmp_path / "a.png")[1] == "A camera"


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6" xmp:Rating="5"/></x:xmpmeta>'


@pytest.mark.parametrize("source", ["a.jpg", "a.webp"])
@pytest.mark.parametrize("target", ["b.jpg", "b.png", "b.webp", "b.tif"])
def test_xmp_stays_upright(tmp_path, rng, source, target):
    Image.fromarray(noise(rng, 30, 40)).save(tmp_path / source, xmp=XMP)
    rewrite(tmp_path, source, target)
    assert load_photo(tmp_path / source).shape == (40, 30, 3)
    assert load_photo(tmp_path / target).shape == (40, 30, 3)
    assert b'xmp:Rating="5"' in load_tags(tmp_path / target).xmp


def test_16_bits_keep_xmp_and_resolution(tmp_path, rng):
    pyvips = pytest.importorskip("pyvips")
    exif = Image.Exif()
    exif[0x011A] = exif[0x011B] = 300.0
    tags = files.Tags(exif.tobytes(), xmp=XMP)
    for name in ("a.png", "a.tif"):
        save_photo(tmp_path / name, noise(rng, 8, 8, dtype=np.uint16), tags)
        assert pyvips.Image.new_from_file(tmp_path / name).get("xmp-data") == XMP
        with Image.open(tmp_path / name) as result:
            assert result.getexif()[0x011A] == pytest.approx(300)


def test_xmp_of_a_clip_that_is_not_copied_is_left_behind(tmp_path, rng):
    moving = XMP.replace(b"xmp:Rating", b"GCamera:MotionPhoto")
    Image.fromarray(noise(rng, 8, 8)).save(tmp_path / "a.jpg", xmp=moving)
    kept = load_tags(tmp_path / "a.jpg").xmp
    assert b"GCamera" not in kept and b'tiff:Orientation="1"' in kept


def test_xmp_beside_that_of_a_clip_or_a_gain_map_stays(tmp_path, rng):
    """As of a phone, after the photo got keywords and stars from its owner."""
    packet = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"
 xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/' xmp:Rating="5"
 GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" hdrgm:Version='1.0'>
<Container:Directory><rdf:Seq><rdf:li><Container:Item Item:Mime="image/jpeg"/></rdf:li>
<rdf:li><Container:Item Item:Semantic="MotionPhoto" Item:Length="7"/></rdf:li></rdf:Seq>
</Container:Directory><hdrgm:Gamma/>
<dc:subject><rdf:Bag><rdf:li>Prague</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
    Image.fromarray(noise(rng, 8, 8)).save(tmp_path / "a.jpg", xmp=packet)
    kept = load_tags(tmp_path / "a.jpg").xmp
    assert b'xmp:Rating="5"' in kept and b"<rdf:li>Prague</rdf:li>" in kept
    for gone in (b"MotionPhoto", b"Version", b"Container", b"Gamma", b"Item"):
        assert gone not in kept
    ElementTree.fromstring(kept.replace(b"xmp:", b"").replace(b"dc:", b""))


def test_tiffs_of_every_mode_keep_the_tags_and_no_layout(tmp_path, rng):
    exif = Image.Exif()
    exif[0x010F] = "A scanner"
    exif.get_ifd(0x8769)[0x9003] = DATE
    for mode in ("L", "RGB", "RGBA", "CMYK", "1", "P", "LA"):
        image = Image.fromarray(noise(rng, 20, 30)).convert(mode)
        image.save(tmp_path / "a.tif", exif=exif.tobytes())
        for target in ("b.tif", "b.jpg"):
            rewrite(tmp_path, "a.tif", target)
            assert load_photo(tmp_path / target).shape == (20, 30, 3)
            with Image.open(tmp_path / target) as result:
                assert result.getexif()[0x010F] == "A scanner"
                assert result.getexif().get_ifd(0x8769)[0x9003] == DATE


def no_resolution():
    """EXIF that gives the resolution as 0/0, as some phones do."""
    exif = Image.Exif()
    exif[0x011A] = TiffImagePlugin.IFDRational(0, 0)
    return exif.tobytes()


@pytest.mark.parametrize("block", [
    b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"x" * 50,
    b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", no_resolution()])
def test_malformed_tags_cost_no_photo(tmp_path, rng, block):
    Image.fromarray(noise(rng, 8, 8)).save(tmp_path / "a.jpg", exif=block)
    for target in ("b.jpg", "b.tif", "b.png"):
        rewrite(tmp_path, "a.jpg", target)
    for tags in (load_tags(tmp_path / "a.jpg"), files.Tags(block)):
        save_photo(tmp_path / "c.png", noise(rng, 8, 8, dtype=np.uint16), tags)


def test_a_photo_with_a_broken_tag_block_is_read(tmp_path, rng):
    photo = noise(rng, 8, 8)
    broken = b"MM\0\0" + bytes(30)                  # Pillow reports it as no TIFF
    assert np.array_equal(saved(tmp_path, Image.fromarray(photo), exif=broken), photo)
    assert load_tags(tmp_path / "photo.png") == files.Tags()


def test_no_file_no_tags(tmp_path):
    (tmp_path / "a.png").write_text("no photo")
    for name in ("a.png", "gone.jpg"):
        assert load_tags(tmp_path / name) == files.Tags()


# HEIC and raw

def write_heic(path, photo, **options):
    heif = pytest.importorskip("pillow_heif")
    mode = "RGB;16" if photo.dtype == np.uint16 else "RGB"
    size = photo.shape[1::-1]                           # width, height
    heif.from_bytes(mode, size, photo.tobytes()).save(path, quality=90, **options)


def test_heic_is_read_with_its_bits(tmp_path):
    ramp = np.broadcast_to(np.arange(0, 65536, 512, dtype=np.uint16)[:, None, None],
                           (128, 64, 3))
    write_heic(tmp_path / "deep.HIF", ramp)
    deep, plain = (load_photo(tmp_path / "deep.HIF", depth) for depth in (16, 8))
    assert deep.dtype == np.uint16 and plain.dtype == np.uint8
    assert np.abs(deep - ramp.astype(float)).mean() < 400
    assert np.abs(plain * 257.0 - ramp).mean() < 800
    write_heic(tmp_path / "plain.heic", plain)
    assert np.array_equal(load_photo(tmp_path / "plain.heic", 16) // 257,
                          load_photo(tmp_path / "plain.heic"))


def write_dng(path, level, orientation=1, size=(100, 150)):
    """A raw file of grey `level` out of 65535; the primaries are those of sRGB."""
    matrix = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.057)
    fractions = [part for value in matrix for part in (round(value * 10000), 10000)]
    tags = [(271, 2, 0, "A maker"), (272, 2, 0, "A camera"), (274, 3, 1, orientation),
            (33421, 3, 2, (2, 2)), (33422, 1, 4, bytes([0, 1, 1, 2])),      # Bayer RGGB
            (36867, 2, 0, DATE), (50706, 1, 4, bytes([1, 4, 0, 0])),        # DNG 1.4
            (50714, 3, 1, 0), (50717, 4, 1, 65535), (50721, 10, 9, fractions),
            (50728, 5, 3, (1, 1, 1, 1, 1, 1)), (50778, 3, 1, 21)]       # neutral, D65
    tifffile.imwrite(path, np.full(size, level, np.uint16), photometric=32803,
                     metadata=None, extratags=[(*tag, True) for tag in tags])


def test_raw_is_developed_as_dark_as_it_was_taken(tmp_path):
    pytest.importorskip("rawpy")
    write_dng(tmp_path / "a.dng", 655)                  # 1 % of white
    srgb = 1.055 * (655 / 65535) ** (1 / 2.4) - 0.055
    for depth, largest in ((8, 255), (16, 65535)):
        photo = load_photo(tmp_path / "a.dng", depth)
        assert photo.shape == (100, 150, 3) and photo.dtype == f"uint{depth}"
        assert np.abs(photo / largest - srgb).max() < 1 / 255


def test_raw_is_upright_and_keeps_its_tags(tmp_path):
    pytest.importorskip("rawpy")
    write_dng(tmp_path / "a.DNG", 6554, orientation=6)
    assert load_photo(tmp_path / "a.DNG").shape == (150, 100, 3)
    for target in ("b.jpg", "b.tif"):
        rewrite(tmp_path, "a.DNG", target)
        with Image.open(tmp_path / target) as result:
            exif = result.getexif()
            assert (exif[0x0110], exif[0x9003], exif[0x0112]) == ("A camera", DATE, 1)


@pytest.mark.parametrize("depth", [8, 16])
def test_raw_of_a_monochrome_camera_is_grey(tmp_path, depth):
    pytest.importorskip("rawpy")
    tags = [(271, 2, 0, "A maker", True), (272, 2, 0, "A camera", True),
            (50706, 1, 4, bytes([1, 4, 0, 0]), True), (50717, 4, 1, 65535, True)]
    tifffile.imwrite(tmp_path / "a.dng", np.full((100, 150), 6554, np.uint16),
                     photometric="minisblack", metadata=None, extratags=tags)
    content = (tmp_path / "a.dng").read_bytes()
    grey, linear_raw = (struct.pack("<HHLH", 262, 3, 1, kind) for kind in (1, 34892))
    (tmp_path / "a.dng").write_bytes(content.replace(grey, linear_raw))
    picture = files.read_picture(tmp_path / "a.dng", depth)
    assert picture.photo.shape == (100, 150, 3)
    assert picture.is_grey
    files.enhance_photo(NETWORK, tmp_path / "a.dng", tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.mode == "L"


def write_sensor_behind_preview(path):
    """A TIFF as of a camera: a preview of 60 x 80, the sensor's pixels within it."""
    with tifffile.TiffWriter(path) as file:
        file.write(np.full((60, 80, 3), 9, np.uint8), photometric="rgb", subfiletype=1,
                   subifds=1, metadata=None, extratags=[(271, 2, 0, "NIKON", True)])
        file.write(np.full((100, 150), 900, np.uint16), photometric=32803,
                   metadata=None, extratags=[(33421, 3, 2, (2, 2), True),
                                             (33422, 1, 4, bytes([0, 1, 1, 2]), True)])


@pytest.mark.parametrize("name", ["a.nrw", "a.3fr", "a.unknown", "a.tif", "a.jpg"])
@pytest.mark.parametrize("write", [lambda path: write_dng(path, 655),
                                   write_sensor_behind_preview])
def test_raw_is_known_by_its_content(tmp_path, name, write):
    pytest.importorskip("rawpy")
    write(tmp_path / name)
    for depth in (8, 16):
        photo = load_photo(tmp_path / name, depth)
        assert photo.shape == (100, 150, 3)
        assert photo.dtype == f"uint{depth}"


def test_a_preview_is_never_taken_for_the_photo(tmp_path, rng):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(noise(rng, 6, 8), photometric="rgb", subfiletype=1)
        file.write(noise(rng, 60, 80), photometric="rgb")
    with pytest.raises(ValueError, match="a.tif: not a readable photo.*convert it"):
        load_photo(tmp_path / "a.tif")
    with tifffile.TiffWriter(tmp_path / "pages.tif") as file:   # equal pages: the first
        file.write(noise(rng, 6, 8), photometric="rgb")
        file.write(noise(rng, 60, 80), photometric="rgb")
    assert load_photo(tmp_path / "pages.tif").shape == (6, 8, 3)


def test_heic_and_jpeg_are_known_by_their_content(tmp_path, rng, monkeypatch):
    photo = noise(rng, 40, 60)
    write_heic(tmp_path / "a.heic", photo, exif=exif_block(1))
    for name in ("a.jpg", "a.png", "a.nef"):
        (tmp_path / name).write_bytes((tmp_path / "a.heic").read_bytes())
        read = load_photo(tmp_path / name)
        assert np.array_equal(read, load_photo(tmp_path / "a.heic"))
        assert load_tags(tmp_path / name) == load_tags(tmp_path / "a.heic")
    assert "HEIF" not in Image.registered_extensions().values()
    Image.fromarray(photo).save(tmp_path / "jpeg", "JPEG", exif=exif_block(1))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    for name in ("b.heic", "b.cr2", "b.tif", "b.png"):
        (tmp_path / name).write_bytes((tmp_path / "jpeg").read_bytes())
        assert np.array_equal(load_photo(tmp_path / name), load_photo(tmp_path / "jpeg"))
        assert told(tmp_path / name)[1] == "A camera"


def test_16_bits_are_known_by_the_content(tmp_path, rng):
    photo = noise(rng, 20, 30, dtype=np.uint16)
    save_photo(tmp_path / "a.png", photo)
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.png").read_bytes())
    assert np.array_equal(load_photo(tmp_path / "a.jpg", 16), photo)


@pytest.mark.parametrize("name, package, extra", [("a.HEIC", "pillow_heif", "heic"),
                                                  ("a.cr3", "rawpy", "raw")])
def test_a_missing_package_is_named(tmp_path, monkeypatch, name, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"{name}: .*install 'lowlight\[{extra}\]'"):
        load_photo(tmp_path / name)
    assert load_tags(tmp_path / name) == files.Tags()


def test_a_missing_package_is_named_under_any_name(tmp_path, monkeypatch):
    write_sensor_behind_preview(tmp_path / "raw.tif")
    write_heic(tmp_path / "heic.jpg", np.zeros((40, 60, 3), np.uint8))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(ValueError, match=r"raw.tif: .*install 'lowlight\[raw\]'"):
        load_photo(tmp_path / "raw.tif")
    with pytest.raises(ValueError, match=r"heic.jpg: .*install 'lowlight\[heic\]'"):
        load_photo(tmp_path / "heic.jpg")


def test_alpha_and_grey_of_heic(tmp_path, rng):
    heif = pytest.importorskip("pillow_heif")
    alpha = rng.integers(0, 255, (48, 64)).astype(np.uint8)
    image = Image.fromarray(np.dstack([noise(rng, 48, 64), alpha]))
    heif.from_pillow(image).save(tmp_path / "a.heic", quality=-1)       # lossless
    for depth in (8, 16):
        picture = files.read_picture(tmp_path / "a.heic", depth)
        assert np.array_equal(picture.alpha, alpha * (1 if depth == 8 else np.uint16(257)))
    heif.from_pillow(image.convert("L")).save(tmp_path / "grey.heic")
    assert files.read_picture(tmp_path / "grey.heic").is_grey


# Writing

@pytest.mark.parametrize("suffix", sorted(files.WRITTEN))
def test_every_format_holds_a_photo(tmp_path, suffix):
    photo = np.full((20, 30, 3), (40, 80, 120), np.uint8)
    path = tmp_path / f"Nacht über Köln{suffix}"
    save_photo(path, photo, files.Tags(exif_block(1), SRGB, XMP))
    read = load_photo(path).astype(int)
    assert np.abs(read - photo).max() <= (3 if suffix in files.LARGEST_SIDE else 0)


def test_quality_changes_the_size(tmp_path, rng):
    for name in ("a.jpg", "a.webp"):
        sizes = []
        for quality in (30, 95):
            save_photo(tmp_path / name, noise(rng, 60, 60), quality=quality)
            sizes.append((tmp_path / name).stat().st_size)
        assert sizes[0] < sizes[1]


@pytest.mark.parametrize("name, photo, message", [
    ("a.jpg", np.zeros((1, 65501, 3), np.uint8), "65500 pixels a side; choose PNG"),
    ("a.webp", np.zeros((16384, 1, 3), np.uint8), "16383 pixels a side; choose PNG"),
    ("a.jpg", np.zeros((2, 2, 3), np.uint16), "16 bits go into PNG or TIFF"),
    ("a.gif", np.zeros((2, 2, 3), np.uint8), "written as JPEG, PNG"),
    ("a.png", np.zeros((2, 2)), "expected a uint8 or uint16 photo"),
    ("a.tif", np.zeros((0, 2, 3), np.uint8), "expected a uint8 or uint16 photo")])
def test_what_a_format_cannot_hold_is_said(tmp_path, name, photo, message):
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        save_photo(tmp_path / name, photo)
    assert not list(tmp_path.iterdir())


def test_tags_too_large_for_jpeg_get_a_remedy(tmp_path, rng):
    with pytest.raises(ValueError, match="a.jpg: cannot be written.*choose PNG"):
        tags = files.Tags(b"Exif\0\0" + bytes(70000))
        save_photo(tmp_path / "a.jpg", noise(rng, 8, 8), tags)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError), files.whole_file(tmp_path / "a.txt") as part:
        part.write_text("half")
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs permissions of POSIX")
@pytest.mark.parametrize("umask, before, after", [
    (0o022, 0o644, 0o644), (0o002, 0o664, 0o664), (0o077, 0o644, 0o600),
    (0o002, 0o600, 0o600), (0o002, 0o640, 0o640), (0o022, 0o777, 0o644),
    (0o022, 0o444, 0o644)])                 # who makes a photo may change it
def test_a_result_is_no_less_private_than_its_photo(tmp_path, rng, umask, before, after):
    Image.fromarray(noise(rng, 8, 8)).save(tmp_path / "a.png")
    os.chmod(tmp_path / "a.png", before)
    umask_before = os.umask(umask)
    try:
        files.enhance_photo(NETWORK, tmp_path / "a.png", tmp_path / "b.jpg")
    finally:
        os.umask(umask_before)
    assert (tmp_path / "b.jpg").stat().st_mode & 0o777 == after


def test_a_folder_that_is_a_file_is_named(tmp_path, rng):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="photo.png: cannot be written.*another folder"):
        save_photo(tmp_path / "file" / "photo.png", noise(rng, 5, 5))


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk_leaves_nothing_behind(tmp_path):
    code = """if True:
        import resource, signal, sys, numpy as np
        from lowlight.files import save_photo
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        photo = np.random.default_rng(0).integers(0, 255, (300, 300, 3), "uint8")
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        for name, dtype in (("a.jpg", "uint8"), ("a.png", "uint8"), ("a.webp", "uint8"),
                            ("a.tif", "uint8"), ("a.bmp", "uint8"), ("b.png", "uint16"),
                            ("b.tif", "uint16")):
            try:
                save_photo(name, photo.astype(dtype))
            except OSError as error:
                print("refused:", error)"""
    done = run_python(code, tmp_path)
    assert done.stdout.count("refused: ") == 7 and done.stderr == "", done.stderr
    assert done.stdout.count("make room or choose another folder") == 7
    assert list(tmp_path.iterdir()) == []


# From file to file

NETWORK = Network(lambda photo, thumbnail, window: photo ** 0.5, multiple=16, radius=8)


@pytest.mark.parametrize("name, depth", [("b.jpg", 8), ("b.png", 16), ("b.tif", 16)])
def test_enhance_photo_brightens_and_keeps_tags(tmp_path, rng, name, depth):
    source, target = tmp_path / "a.jpg", tmp_path / name
    Image.fromarray(noise(rng, 30, 40) // 4).save(source, exif=exif_block(6))
    result = files.enhance_photo(NETWORK, source, target, files.Settings(depth=depth))
    assert result == (0.0012, "")
    before, after = (load_photo(path, depth) for path in (source, target))
    largest = np.iinfo(after.dtype).max
    assert np.abs(after / largest - (before / largest) ** 0.5).mean() < 0.02
    assert told(tmp_path / name)[:3] == (1, "A camera", b"Jose")


def tinted(photo, thumbnail, window):
    """A network that brightens, and invents a colour."""
    return photo ** np.array([0.4, 0.5, 0.6], np.float32)


TINTING = Network(tinted, multiple=16, radius=8)


@pytest.mark.parametrize("source, target", [
    ("a.png", "b.bmp"), ("a.jpg", "b.png"), ("a.tif", "b.jpg"), ("deep.png", "b.webp"),
    ("deep.tif", "b.tif"), ("a.png", "deep.png"), ("deep.png", "deep.tif")])
def test_grey_stays_grey(tmp_path, rng, source, target):
    (tmp_path / "out").mkdir()
    path, result = tmp_path / source, tmp_path / "out" / target
    grey = rng.integers(0, 60, (30, 40)).astype(np.uint8)
    save_photo(path, grey * np.uint16(257) if "deep" in source else grey)
    settings = files.Settings(depth=16 if "deep" in target else 8)
    files.enhance_photo(TINTING, path, result, settings)
    bright = load_photo(result)
    assert mean_luma(bright) > 1.5 * mean_luma(load_photo(path))
    spread = bright.max(-1).astype(int) - bright.min(-1)
    assert spread.max() <= (1 if target == "b.webp" else 0)     # which has no grey
    if target != "b.webp":
        with Image.open(result) as image:
            assert image.getbands() in (("L",), ("I",))


def test_equal_channels_stay_equal(tmp_path, rng):
    grey = rng.integers(0, 60, (300, 40)).astype(np.uint8)      # more rows than a band
    save_photo(tmp_path / "a.png", np.dstack([grey] * 3))
    files.enhance_photo(TINTING, tmp_path / "a.png", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert image.mode == "RGB"
    assert np.ptp(load_photo(tmp_path / "b.png").astype(int), -1).max() == 0
    still = files.Settings(strength=0.0)
    files.enhance_photo(TINTING, tmp_path / "a.png", tmp_path / "same.png", still)
    assert np.array_equal(load_photo(tmp_path / "same.png")[..., 0], grey)
    one_red = np.dstack([grey] * 3)
    one_red[-1, -1] = 9, 0, 0
    save_photo(tmp_path / "a.png", one_red)
    files.enhance_photo(TINTING, tmp_path / "a.png", tmp_path / "b.png")
    assert np.ptp(load_photo(tmp_path / "b.png").astype(int), -1).max() > 0


def test_tags_too_large_for_jpeg_are_noted(tmp_path, rng):
    large = files.Tags(xmp=XMP.replace(b"/>", b" " * 70_000 + b"/>"))
    save_photo(tmp_path / "a.png", noise(rng, 20, 30), large)
    for name, note in (("b.jpg", "b.jpg: some tags are too large for JPEG"), ("b.png", "")):
        result = files.enhance_photo(NETWORK, tmp_path / "a.png", tmp_path / name)
        assert note in result.note
        assert bool(note) == bool(result.note)


def test_a_grey_profile_stays_with_grey(tmp_path, rng):
    profile = bytearray(SRGB)
    profile[16:20] = b"GRAY"
    grey = Image.fromarray(rng.integers(0, 60, (30, 40)).astype(np.uint8))
    grey.save(tmp_path / "a.jpg", icc_profile=bytes(profile))
    assert load_tags(tmp_path / "a.jpg").icc_profile == b""         # made for RGB
    for name in ("b.jpg", "b.tif", "b.webp"):
        files.enhance_photo(NETWORK, tmp_path / "a.jpg", tmp_path / name)
    for name in ("b.jpg", "b.tif"):
        with Image.open(tmp_path / name) as image:
            assert image.info["icc_profile"] == profile
    with Image.open(tmp_path / "b.webp") as image:
        assert "icc_profile" not in image.info


def cut_out(rng, mode):
    """A PIL image of 30 x 40 of a mode with alpha, and its alpha."""
    alpha = rng.integers(0, 255, (30, 40)).astype(np.uint8)
    image = Image.fromarray(np.dstack([noise(rng, 30, 40) // 4, alpha]))
    if mode == "P":
        alpha = np.where(alpha > 127, 255, 0).astype(np.uint8)
        image.putalpha(Image.fromarray(alpha))
        return image.quantize(64), np.asarray(image.quantize(64).convert("RGBA"))[..., 3]
    return image.convert(mode), alpha


@pytest.mark.parametrize("source, mode", [
    ("a.png", "RGBA"), ("a.png", "LA"), ("a.png", "P"), ("a.webp", "RGBA"),
    ("a.tif", "RGBA"), ("a.tif", "LA")])
def test_alpha_is_kept(tmp_path, rng, source, mode):
    image, alpha = cut_out(rng, mode)
    image.save(tmp_path / source, exif=exif_block(6), lossless=True, exact=True)
    alpha = np.rot90(alpha, -1)
    for target, depth in (("b.png", 8), ("b.webp", 8), ("b.tif", 8), ("b.png", 16),
                          ("b.tif", 16)):
        result = files.enhance_photo(NETWORK, tmp_path / source, tmp_path / target,
                                     files.Settings(depth=depth))
        assert result.note == ""
        picture = files.read_picture(tmp_path / target)
        assert np.array_equal(picture.alpha, alpha)
        assert picture.is_grey == (mode == "LA" and target != "b.webp")
        if target == "b.tif":
            bands = tifffile.imread(tmp_path / target).shape[2]
            assert bands == (2 if mode == "LA" else 4)


@pytest.mark.parametrize("target", ["b.jpg", "b.bmp"])
def test_alpha_that_a_format_has_not_is_noted(tmp_path, rng, target):
    image, _ = cut_out(rng, "RGBA")
    image.save(tmp_path / "a.png")
    result = files.enhance_photo(NETWORK, tmp_path / "a.png", tmp_path / target)
    assert f"{target}: its transparency is lost; PNG, WebP and TIFF keep it" in result.note
    under = load_photo(tmp_path / "a.png") / 255
    assert np.abs(load_photo(tmp_path / target) / 255 - under ** 0.5).mean() < 0.1
    with pytest.raises(ValueError, match=f"{target}: .*choose PNG, WebP or TIFF"):
        save_photo(tmp_path / target, noise(rng, 2, 2), alpha=np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="a.png: expected alpha uint8"):
        save_photo(tmp_path / "a.png", noise(rng, 2, 2), alpha=np.zeros((2, 3), np.uint8))


def test_alpha_that_hides_nothing_is_left_out(tmp_path, rng):
    opaque = Image.fromarray(noise(rng, 20, 30))
    opaque.putalpha(255)
    opaque.save(tmp_path / "a.png")
    result = files.enhance_photo(NETWORK, tmp_path / "a.png", tmp_path / "b.jpg")
    assert result.note == ""
    assert files.read_picture(tmp_path / "a.png").alpha is None


def test_alpha_of_tiff_is_what_its_tag_says(tmp_path):
    clear = np.full((20, 30, 4), 20000, np.uint16)
    clear[..., 3] = 40000
    for kind, level, alpha in (("unassalpha", 20000, 40000), ("assocalpha", 32768, 40000),
                               ("unspecified", 20000, None)):
        write_deep(tmp_path / "a.tif", clear, extrasamples=[kind])
        write_deep(tmp_path / "b.tif", (clear // 257).astype(np.uint8),
                   extrasamples=[kind])
        for name in ("a.tif", "b.tif"):
            picture = files.read_picture(tmp_path / name, 16)
            assert np.abs(picture.photo - float(level)).max() <= 514, kind
            if alpha is None:
                assert picture.alpha is None
            else:
                assert np.abs(picture.alpha - float(alpha)).max() <= 257


def test_a_brightness_out_of_reach_is_said(tmp_path):
    half = np.zeros((40, 60, 3), np.uint8)
    half[:, 30:] = 255                          # pure black and white cannot be moved
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    save_photo(source, half)
    result = files.enhance_photo(NETWORK, source, target, files.Settings(0.9))
    assert "b.png: mean luma 0.50 instead of 0.9" in result.note
    result = files.enhance_photo(NETWORK, source, target, files.Settings(0.5))
    assert result.note == ""
    assert mean_luma(load_photo(target)) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif", "a.mpo"])
@pytest.mark.parametrize("count", [1, 2])
def test_pictures_behind_the_first_are_noted(tmp_path, rng, name, count):
    """But not that of a JPEG to which phones add a map of gains."""
    first, *others = [Image.fromarray(noise(rng, 20, 30)) for _ in range(count)]
    first.save(tmp_path / name, save_all=True, append_images=others)
    result = files.enhance_photo(NETWORK, tmp_path / name, tmp_path / "b.png")
    said = f"{name}: holds several pictures; only the first is enhanced" in result.note
    assert said == (count == 2 and name != "a.mpo")
    assert said or not result.note


def test_a_photo_in_hdr_becomes_sdr(tmp_path):
    """As .HIF of cameras: paper white, 203 candelas a square metre, is 0.58 in PQ."""
    heif = pytest.importorskip("pillow_heif")
    photo = np.full((48, 64, 3), round(0.5807 * 65535), np.uint16)
    path = tmp_path / "a.hif"
    for transfer, level in ((16, 245), (13, 148)):
        heif.from_bytes("RGB;16", (64, 48), photo.tobytes()).save(
            path, quality=95, color_primaries=9, transfer_characteristics=transfer,
            matrix_coefficients=9)
        for depth, spread in ((8, 1), (16, 257)):
            assert load_photo(path, depth).mean() / spread == pytest.approx(level, abs=2)
        result = files.enhance_photo(NETWORK, path, tmp_path / "b.jpg")
        assert ("a.hif: converted from HDR to SDR" in result.note) == (transfer == 16)


def test_the_white_of_floats_and_of_12_bits(tmp_path):
    for white in (1, 255, 65535):
        floats = np.array([[0, 0.5, 1, 1.01]], np.float32) * white
        if white > 1:
            floats[0, 3] = white
        tifffile.imwrite(tmp_path / "a.tif", floats, photometric="minisblack")
        assert load_photo(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 128, 255, 255]
    floats[0, 0] = np.nan                               # of a map, where it knows nothing
    tifffile.imwrite(tmp_path / "a.tif", floats, photometric="minisblack")
    assert load_photo(tmp_path / "a.tif")[0, 1:, 0].tolist() == [128, 255, 255]
    ramp = np.linspace(0, 1, 1000, dtype=np.float32)[None]
    tifffile.imwrite(tmp_path / "a.tif", ramp, photometric="minisblack")
    assert len(np.unique(load_photo(tmp_path / "a.tif", 16))) == 1000
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    directory.update({256: 2, 257: 1, 258: 12, 259: 1, 262: 1, 273: 0, 277: 1, 278: 1,
                      279: 3})
    with open(tmp_path / "b.tif", "wb") as file:
        directory.save(file)
        file.write(bytes.fromhex("800fff"))             # levels 2048 and 4095
    assert load_photo(tmp_path / "b.tif")[0, :, 0].tolist() == [128, 255]


def write_deep_avif(path, photo, transfer):
    """An AVIF of 10 bits of a uint16 photo (H, W, 3), in BT.2020 and full range."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format="avif") as file:
        stream = file.add_stream("libsvtav1", rate=1, options={"crf": "5"})
        stream.height, stream.width, stream.pix_fmt = *photo.shape[:2], "yuv420p10le"
        coder = stream.codec_context
        coder.colorspace, coder.color_primaries, coder.color_trc = 9, 9, transfer
        coder.color_range = 2
        frame = av.VideoFrame.from_ndarray(photo, "rgb48le").reformat(
            format="yuv420p10le", dst_colorspace=9, dst_color_range=2)
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def test_avif_of_10_bits_keeps_them_and_hdr_becomes_sdr(tmp_path):
    levels = np.linspace(0, 65535, 256).astype(np.uint16)
    ramp = np.broadcast_to(levels[None, :, None], (64, 256, 3))
    write_deep_avif(tmp_path / "a.avif", ramp, 1)
    deep = load_photo(tmp_path / "a.avif", 16)
    assert np.abs(deep - ramp.astype(float)).mean() < 400
    assert (deep % 257 > 0).mean() > 0.5                # not 8 bits, spread
    white = np.full((64, 64, 3), round(0.5807 * 65535), np.uint16)  # of paper, in PQ
    write_deep_avif(tmp_path / "b.avif", white, 16)
    content = (tmp_path / "b.avif").read_bytes()
    assert content[8:12] == b"avif"
    (tmp_path / "c.avif").write_bytes(content[:8] + b"mif1" + content[12:])
    for name, depth, spread in (("b.avif", 8, 1), ("b.avif", 16, 257), ("c.avif", 8, 1)):
        picture = files.read_picture(tmp_path / name, depth)
        assert picture.photo.mean() / spread == pytest.approx(245, abs=2)
        assert f"{name}: converted from HDR to SDR" in picture.note


@pytest.mark.parametrize("primaries, transfer, has_profile", [
    (12, 13, True), (1, 13, False), (12, 16, False)])
@pytest.mark.parametrize("name", ["a.avif", "a.heic"])
def test_colours_of_p3_named_by_number_get_their_profile(tmp_path, rng, name, primaries,
                                                         transfer, has_profile):
    """As phones write them; without one, a viewer would show them pale."""
    image, path = Image.fromarray(noise(rng, 64, 64)), tmp_path / name
    if name == "a.avif":
        image.save(path, quality=90)
        numbers = b"colrnclx" + struct.pack(">HH", primaries, transfer)
        content = path.read_bytes().replace(b"colrnclx\0\1\0\x0d", numbers)
        path.write_bytes(content)
    else:
        pytest.importorskip("pillow_heif").from_pillow(image).save(
            path, color_primaries=primaries, transfer_characteristics=transfer,
            matrix_coefficients=6)
    profile = load_tags(path).icc_profile
    assert bool(profile) == has_profile
    if profile:
        red = ImageCms.profileToProfile(Image.new("RGB", (1, 1), (255, 0, 0)),
                                        ImageCms.createProfile("sRGB"),
                                        ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        assert red.getpixel((0, 0)) == pytest.approx((234, 51, 35), abs=2)


@pytest.mark.parametrize("transfer, level", [(16, 245), (13, 148)])
def test_a_png_in_hdr_becomes_sdr(tmp_path, transfer, level):
    """As of an editor that exports HDR: paper white, 203 candelas, is 0.58 in PQ."""
    photo = np.full((8, 9, 3), round(0.5807 * 65535), np.uint16)
    alpha = np.full((8, 9), 257 * 99, np.uint16)
    numbers = b"cICP", bytes([9, transfer, 0, 1])
    save_photo(tmp_path / "a.png", photo, files.Tags(chunks=(numbers,)), alpha=alpha)
    for depth, spread in ((8, 1), (16, 257)):
        found = load_photo(tmp_path / "a.png", depth).mean() / spread
        assert found == pytest.approx(level, abs=2)
    result = files.enhance_photo(NETWORK, tmp_path / "a.png", tmp_path / "b.png",
                                 files.Settings(depth=16))
    assert ("a.png: converted from HDR to SDR" in result.note) == (transfer == 16)
    assert (b"cICP" in (tmp_path / "b.png").read_bytes()) == (transfer == 13)
    files.enhance_photo(NETWORK, tmp_path / "a.png", tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as image:
        assert image.getchannel("A").getextrema() == (99, 99)


def test_a_photo_in_cmyk_becomes_rgb_with_a_note(tmp_path, rng):
    Image.fromarray(noise(rng, 8, 8)).convert("CMYK").save(tmp_path / "a.jpg")
    result = files.enhance_photo(NETWORK, tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert result.note == f"{tmp_path / 'a.jpg'}: converted from CMYK to RGB"


def test_a_photo_larger_than_memory_is_not_called_unreadable(tmp_path, rng, monkeypatch):
    save_photo(tmp_path / "a.png", noise(rng, 8, 8))

    def without_memory(*_):
        raise MemoryError
    monkeypatch.setattr(files, "to_rgb", without_memory)
    with pytest.raises(ValueError, match="a.png: too large for the memory"):
        load_photo(tmp_path / "a.png")


def test_a_photo_that_becomes_sdr_loses_the_profile_of_hdr():
    assert with_numbers(SRGB, 9, 16) == with_numbers(SRGB, 9, 18) == b""
    assert with_numbers(SRGB, 9, 13) == with_numbers(SRGB, None, None) == SRGB


def test_pictures_behind_the_first_of_a_heic_are_noted(tmp_path, rng):
    """As in a spatial photo, one for each eye."""
    pictures = pytest.importorskip("pillow_heif").HeifFile()
    for is_noted in (False, True):
        pictures.add_from_pillow(Image.fromarray(noise(rng, 20, 30)))
        pictures.save(tmp_path / "a.heic")
        result = files.enhance_photo(NETWORK, tmp_path / "a.heic", tmp_path / "b.jpg")
        assert ("a.heic: holds several pictures" in result.note) == is_noted


def test_a_photo_for_two_eyes_is_noted(tmp_path, rng):
    first, second = [Image.fromarray(noise(rng, 20, 30)) for _ in range(2)]
    first.save(tmp_path / "a.mpo", save_all=True, append_images=[second])
    content = (tmp_path / "a.mpo").read_bytes()
    with Image.open(tmp_path / "a.mpo") as image:
        entries = image.mpinfo[0xB002]
    lengths = [struct.pack("<L", entry["Size"]) for entry in entries]
    assert content.count(bytes(4) + lengths[1]) == 1
    stereo = content.replace(bytes(4) + lengths[1], b"\x02\0\x02\0" + lengths[1])
    (tmp_path / "a.jpg").write_bytes(stereo)
    result = files.enhance_photo(NETWORK, tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert "a.jpg: holds several pictures" in result.note


@pytest.mark.parametrize("share, padding, message", [
    (0.5, 20000, "the end of the file is lost"), (1, 20000, ""), (0.5, 0, "not a readable")])
def test_a_jpeg_filled_up_with_zeros_is_refused(tmp_path, rng, share, padding, message):
    """As rescued from a card, or where a download broke off; not if only padded."""
    Image.fromarray(noise(rng, 200, 300)).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    content = content[:round(share * len(content))] + bytes(padding)
    (tmp_path / "a.jpg").write_bytes(content)
    if message:
        with pytest.raises(ValueError, match=message):
            load_photo(tmp_path / "a.jpg")
    else:
        assert load_photo(tmp_path / "a.jpg").shape == (200, 300, 3)


@pytest.mark.parametrize("options, kept", [
    (dict(lossless=True), True), (dict(lossless=True, icc_profile=SRGB), True),
    (dict(quality=90), False), (dict(quality=90, exif=exif_block()), False)])
def test_a_webp_without_loss_stays_so(tmp_path, rng, options, kept):
    Image.fromarray(noise(rng, 40, 41)).save(tmp_path / "a.webp", **options)
    files.enhance_photo(NETWORK, tmp_path / "a.webp", tmp_path / "b.webp")
    wanted = files.enhance_picture(
        NETWORK, files.read_picture(tmp_path / "a.webp"), files.Settings()).photo
    assert np.array_equal(load_photo(tmp_path / "b.webp"), wanted) == kept


# Called from Python

def test_a_photo_of_pillow_is_taken_and_one_without_pixels_refused(tmp_path, rng):
    photo = noise(rng, 40, 50)
    network = lowlight.load()
    result = lowlight.enhance(network, Image.fromarray(photo))
    np.testing.assert_array_equal(result, lowlight.enhance(network, photo))
    save_photo(tmp_path / "a.png", Image.fromarray(photo))
    np.testing.assert_array_equal(load_photo(tmp_path / "a.png"), photo)
    for size in ((0, 0), (0, 5), (5, 0)):
        with pytest.raises(ValueError, match="expected a uint8 or uint16 photo"):
            lowlight.enhance(network, np.zeros((*size, 3), np.uint8))
    bright = lowlight.set_brightness(Image.fromarray(photo), 0.4)
    assert mean_luma(bright) == pytest.approx(0.4, abs=0.01)
    for wrong in (photo[..., 0], photo / 255, np.dstack([photo, photo[..., :1]])):
        with pytest.raises(ValueError, match="expected a uint8 or uint16 photo"):
            lowlight.set_brightness(wrong, 0.4)


def test_a_brightness_that_cannot_be_is_refused_before_the_work(rng):
    def run(*_):
        raise AssertionError("the network was asked")
    with pytest.raises(ValueError, match="brightness 40: must lie between 0 and 1"):
        lowlight.enhance(Network(run, 16, 8), noise(rng, 40, 50), brightness=40)


def test_a_thread_may_print_while_another_loads_a_network():
    code = ("import lowlight, numpy as np\n"
            "from concurrent.futures import ThreadPoolExecutor\n"
            "network = lowlight.load()\n"
            "def work(number):\n"
            "    lowlight.enhance(network, np.zeros((32 + 32 * number, 48, 3), 'uint8'))\n"
            "    print('done')\n"
            "with ThreadPoolExecutor(2) as pool:\n"
            "    list(pool.map(work, range(8)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == 8 * "done\n"


def test_the_package_can_be_looked_at_without_keras():
    code = ("import sys; sys.modules['keras'] = None\n"
            "import lowlight, inspect; from lowlight import *\n"
            "print(len(inspect.getmembers(lowlight)), load_photo)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not done.stderr and "load_photo" in done.stdout


def test_a_network_goes_into_other_processes(rng):
    """As with multiprocessing: by pickle."""
    network, photo = lowlight.load(), noise(rng, 40, 50)
    other = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(lowlight.enhance(other, photo),
                                  lowlight.enhance(network, photo))
    with pytest.raises(TypeError, match="loaded from a file"):
        pickle.dumps(NETWORK)


def test_threads_that_load_at_once_keep_what_is_printed(monkeypatch):
    session, seconds = onnxruntime.InferenceSession, iter([0.3, 0.6])

    def slow_session(*arguments, **options):
        time.sleep(next(seconds))
        return session(*arguments, **options)
    monkeypatch.setattr(onnxruntime, "InferenceSession", slow_session)
    before = sys.stdout
    threads = [threading.Thread(target=lowlight.load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.stdout is before
