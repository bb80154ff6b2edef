"""Tags wherever they stand in a file: found, set upright, written, without previews."""
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from lowlight import files, tags
from lowlight.files import load_photo, load_tags, save_photo

XMP = (b'<x:xmpmeta><rdf:Description tiff:Orientation="6" xmp:Rating="5"/></x:xmpmeta>')


def exif_of(orientation):
    """EXIF bytes with an orientation and a maker, without their title."""
    exif = Image.Exif()
    exif.endian = "<"
    exif[0x0112], exif[0x010F] = orientation, "A camera"
    return exif.tobytes().removeprefix(b"Exif\0\0")


def chunk(kind, data):
    return (struct.pack(">L", len(data)) + kind + data
            + struct.pack(">L", zlib.crc32(kind + data)))


def write_png(path, photo, before=b"", after=b""):
    """A PNG of 8 or 16 bits with chunks before and after its pixels."""
    height, width, _ = photo.shape
    header = struct.pack(">LLBBBBB", width, height, 8 * photo.itemsize, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes()
                    for row in photo)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before
                     + chunk(b"IDAT", zlib.compress(rows)) + after + chunk(b"IEND", b""))


def raw_profile(name, data):
    """A text chunk as ImageMagick writes it: a name, a length, hex digits."""
    digits = data.hex()
    lines = "\n".join(digits[at:at + 72] for at in range(0, len(digits), 72))
    text = f"\n{name}\n{len(data):8}\n{lines}\n".encode()
    return chunk(b"zTXt", b"Raw profile type " + name.encode() + b"\0\0"
                 + zlib.compress(text))


def xmp_chunk(xmp):
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)


KINDS = {"exif": chunk(b"eXIf", exif_of(6)),
         "profile": raw_profile("exif", b"Exif\0\0" + exif_of(6)),
         "app1": raw_profile("APP1", b"Exif\0\0" + exif_of(6)),
         "xmp": xmp_chunk(XMP),
         "xmp profile": raw_profile("xmp", XMP),
         "quotes": xmp_chunk(XMP.replace(b'"6"', b"'6'"))}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("depth, target", [
    (8, "b.png"), (8, "b.jpg"), (16, "b.png"), (16, "b.tif")])
def test_tags_of_a_png_are_found_wherever_they_stand(tmp_path, rng, kind, place, depth,
                                                     target):
    photo = rng.integers(0, 255, (20, 30, 3)).astype(f"uint{depth}")
    write_png(tmp_path / "a.png", photo, **{place: KINDS[kind]})
    read = load_photo(tmp_path / "a.png", depth)
    assert np.array_equal(read, np.rot90(photo, -1))
    found = load_tags(tmp_path / "a.png")
    save_photo(tmp_path / target, read, found)
    assert load_photo(tmp_path / target).shape == (30, 20, 3)
    if kind in ("exif", "profile", "app1"):
        with Image.open(tmp_path / target) as image:
            image.load()
            assert image.getexif()[0x010F] == "A camera"
    else:
        assert b'xmp:Rating="5"' in load_tags(tmp_path / target).xmp


def with_preview(preview, behind=b""):
    """EXIF bytes with a maker, a preview, and what lies behind it."""
    first = struct.pack("<H HHLL HHLL L", 2, 0x10F, 2, 7, 68, 0x112, 3, 1, 6, 38)
    second = struct.pack("<H HHLL HHLL L", 2, 0x201, 4, 1, 75, 0x202, 4, 1, len(preview), 0)
    return (b"Exif\0\0II*\0" + struct.pack("<L", 8) + first + second + b"Xiaomi\0"
            + preview + behind)


@pytest.mark.parametrize("behind", [b"", bytes(9), b"more"])
def test_a_preview_is_dropped_with_its_bytes(behind):
    preview = b"picture" * 13_000               # more than a JPEG may hold
    upright = tags.upright_exif(with_preview(preview, behind))
    assert b"picture" not in upright
    assert upright.endswith(behind.strip(b"\0"))
    assert (len(upright) < 100) == (behind != b"more")
    exif = Image.Exif()
    exif.load(upright)
    assert exif[0x010F] == "Xiaomi"
    assert exif[0x0112] == 1


@pytest.mark.parametrize("behind", [b"", b"more"])
@pytest.mark.parametrize("source", ["a.heic", "a.png", "a.webp"])
def test_tags_with_a_large_preview_go_into_a_jpeg(tmp_path, rng, source, behind):
    image = Image.fromarray(rng.integers(0, 255, (48, 64, 3)).astype(np.uint8))
    exif = with_preview(b"picture" * 13_000, behind)
    if source == "a.heic":
        heif = pytest.importorskip("pillow_heif")
        heif.from_pillow(image).save(tmp_path / source, exif=exif)
    else:
        image.save(tmp_path / source, exif=exif)
    save_photo(tmp_path / "b.jpg", load_photo(tmp_path / source),
               load_tags(tmp_path / source))
    with Image.open(tmp_path / "b.jpg") as result:
        assert result.getexif()[0x010F] == "Xiaomi"
    assert b"picture" not in (tmp_path / "b.jpg").read_bytes()


def test_large_notes_of_a_maker_do_not_cost_the_other_tags(tmp_path, rng):
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    exif.get_ifd(0x8769).update({0x9003: "2026:11:22 00:00:00", 0x927C: bytes(80_000)})
    photo = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
    save_photo(tmp_path / "a.png", photo, tags.Tags(exif.tobytes()))
    save_photo(tmp_path / "b.jpg", photo, load_tags(tmp_path / "a.png"))
    with Image.open(tmp_path / "b.jpg") as result:
        assert result.getexif()[0x010F] == "A camera"
        assert result.getexif().get_ifd(0x8769)[0x9003] == "2026:11:22 00:00:00"
    with Image.open(tmp_path / "a.png") as result:      # which can hold them
        assert len(result.getexif().get_ifd(0x8769)[0x927C]) == 80_000


def test_previews_in_xmp_are_left_behind(tmp_path, rng):
    thumbnails = (b"<xmp:Thumbnails><rdf:Alt><xmpGImg:image>" + b"QUJD" * 20_000
                  + b"</xmpGImg:image></rdf:Alt></xmp:Thumbnails>")
    xmp = XMP.replace(b"</x:xmpmeta>", thumbnails + b"</x:xmpmeta>")
    write_png(tmp_path / "a.png", np.zeros((4, 6, 3), np.uint8), before=xmp_chunk(xmp))
    found = load_tags(tmp_path / "a.png")
    assert found.xmp == XMP.replace(b'"6"', b'"1"')
    save_photo(tmp_path / "b.jpg", np.zeros((6, 4, 3), np.uint8), found)
    assert load_tags(tmp_path / "b.jpg").xmp == found.xmp


def test_xmp_too_large_for_a_jpeg_costs_no_photo(tmp_path):
    large = XMP.replace(b"<x:xmpmeta>", b"<x:xmpmeta>" + b" " * 70_000)
    photo = np.zeros((4, 6, 3), np.uint8)
    found = tags.Tags(exif=b"Exif\0\0" + exif_of(1), xmp=large)
    save_photo(tmp_path / "a.jpg", photo, found)
    assert load_tags(tmp_path / "a.jpg").xmp == b""
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getexif()[0x010F] == "A camera"


@pytest.mark.parametrize("start", [b"II*\0", b"IIRO", b"IIRS", b"IIU\0"])
def test_tags_of_raw_files_like_tiff(tmp_path, start):
    (tmp_path / "a.raw").write_bytes(start + exif_of(6)[4:])
    exif = Image.Exif()
    exif.load(load_tags(tmp_path / "a.raw").exif)
    assert exif[0x010F] == "A camera"
    assert exif[0x0112] == 1


def test_tags_of_raw_files_of_fujifilm(tmp_path):
    exif = b"Exif\0\0" + exif_of(6)
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=exif)
    preview = (tmp_path / "a.jpg").read_bytes()
    header = b"FUJIFILMCCD-RAW ".ljust(84, b"\0") + struct.pack(">LL", 92, len(preview))
    (tmp_path / "a.raf").write_bytes(header + preview + bytes(99))
    exif = Image.Exif()
    exif.load(load_tags(tmp_path / "a.raf").exif)
    assert exif[0x010F] == "A camera"
    assert exif[0x0112] == 1


def test_tags_of_raw_files_of_panasonic(tmp_path):
    """From the preview, as of Fujifilm: around it there is less, such as no ISO."""
    exif = Image.Exif()
    exif[0x0112], exif.get_ifd(0x8769)[0x8827] = 6, 800
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=exif)
    preview = (tmp_path / "a.jpg").read_bytes()
    directory = struct.pack("<L H HHLL L", 8, 1, 0x2E, 7, len(preview), 26, 0)
    (tmp_path / "a.rw2").write_bytes(b"IIU\0" + directory + preview)
    exif = Image.Exif()
    exif.load(load_tags(tmp_path / "a.rw2").exif)
    assert (exif[0x0112], exif.get_ifd(0x8769)[0x8827]) == (1, 800)


def test_exif_that_ends_with_its_first_directory_is_kept():
    directory = struct.pack("<HHHLHH", 1, 0x0112, 3, 1, 6, 0)
    upright = tags.upright_exif(b"II*\0" + struct.pack("<L", 8) + directory)
    assert upright.endswith(struct.pack("<HHLHH", 0x0112, 3, 1, 1, 0))


def test_damaged_chunks_cost_no_photo(tmp_path, rng):
    photo = rng.integers(0, 255, (8, 9, 3)).astype(np.uint8)
    for damaged in (chunk(b"eXIf", b"MM"), chunk(b"zTXt", b"Raw profile type exif\0\0x"),
                    raw_profile("exif", b""), raw_profile("APP1", b"no exif")):
        write_png(tmp_path / "a.png", photo, after=damaged)
        assert np.array_equal(load_photo(tmp_path / "a.png"), photo)
        rewritten = files.Tags(*load_tags(tmp_path / "a.png"))
        save_photo(tmp_path / "b.png", photo, rewritten)


@pytest.mark.parametrize("source, target", [
    ("a.jpg", "b.png"), ("a.png", "b.tif"), ("a.tif", "b.bmp"), ("a.bmp", "b.jpg"),
    ("a.jpg", "deep.png"), ("a.png", "deep.tif")])
def test_dots_an_inch_are_those_of_the_scan(tmp_path, source, target):
    Image.new("RGB", (8, 6)).save(tmp_path / source, dpi=(300, 300))
    photo = np.zeros((6, 8, 3), np.uint16 if "deep" in target else np.uint8)
    save_photo(tmp_path / target, photo, load_tags(tmp_path / source))
    assert tags.load_tags(tmp_path / target).dpi == pytest.approx((300, 300), abs=0.01)


def test_the_comment_of_a_jpeg_is_kept(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", comment=b"Harbour")
    found = load_tags(tmp_path / "a.jpg")
    for name in ("b.jpg", "b.png", "b.tif", "b.webp"):
        save_photo(tmp_path / name, np.zeros((6, 8, 3), np.uint8), found)
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.info["comment"] == b"Harbour"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_texts_and_colours_of_a_png_are_kept(tmp_path, dtype):
    chunks = [(b"gAMA", struct.pack(">L", 100_000)), (b"cICP", bytes([12, 13, 0, 1])),
              (b"tEXt", b"parameters\0a cat"), (b"iTXt", b"Author\0\0\0\0\0Jos\xc3\xa9")]
    before = b"".join(chunk(*one) for one in chunks) + KINDS["xmp"] + KINDS["profile"]
    write_png(tmp_path / "a.png", np.zeros((6, 8, 3), dtype), before)
    save_photo(tmp_path / "b.png", np.zeros((8, 6, 3), dtype),
               load_tags(tmp_path / "a.png"))
    with open(tmp_path / "b.png", "rb") as file:
        assert sorted(tags.png_chunks(file, {b"gAMA", b"cICP", b"tEXt"})) == sorted(
            chunks[:3])
    with Image.open(tmp_path / "b.png") as image:
        image.load()
        assert image.info["Author"] == "José"
        assert b'Orientation="1"' in image.info["xmp"]


@pytest.mark.parametrize("target", ["b.jpg", "b.tif"])
@pytest.mark.parametrize("source", ["a.jpg", "a.tif"])
def test_stars_and_keywords_of_windows_stay(tmp_path, source, target):
    exif = Image.Exif()
    exif[0x4746], exif[0x9C9E] = 4, "Köln\0".encode("utf-16-le")
    Image.new("RGB", (8, 6)).save(tmp_path / source, exif=exif.tobytes())
    save_photo(tmp_path / target, np.zeros((6, 8, 3), np.uint8),
               load_tags(tmp_path / source))
    with Image.open(tmp_path / target) as image:
        assert image.getexif()[0x4746] == 4
        assert bytes(image.getexif()[0x9C9E]).decode("utf-16-le") == "Köln\0"


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("damaged", [
    chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(900)))[:-1] + b"?",     # wrong sum
    chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(2 ** 21)))])       # too large
def test_damaged_tags_of_a_png_cost_neither_photo_nor_other_tags(tmp_path, rng, depth,
                                                                 damaged):
    photo = rng.integers(0, 255, (20, 30, 3)).astype(f"uint{depth}")
    write_png(tmp_path / "a.png", photo, before=damaged + KINDS["exif"])
    picture = files.read_picture(tmp_path / "a.png", depth)
    assert np.array_equal(picture.photo, np.rot90(photo, -1))
    assert (depth == 16) or "a.png: some of its tags are damaged" in picture.note
    save_photo(tmp_path / "b.png", picture.photo, load_tags(tmp_path / "a.png"))
    assert b"A camera" in load_tags(tmp_path / "b.png").exif
    assert np.array_equal(load_photo(tmp_path / "b.png", depth), picture.photo)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_the_colours_of_a_jpeg_are_as_fine_as_they_were(tmp_path, subsampling):
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", subsampling=subsampling)
    found = load_tags(tmp_path / "a.jpg")
    save_photo(tmp_path / "b.jpg", np.zeros((6, 8, 3), np.uint8), found)
    assert load_tags(tmp_path / "b.jpg").subsampling == subsampling
    for name in ("b.png", "b.webp", "b.tif", "b.bmp"):
        save_photo(tmp_path / name, np.zeros((6, 8, 3), np.uint8), found)


def tiff_block(tags_and_values):
    """The bytes of a TIFF directory, as the boxes of a CR3 hold them."""
    exif = Image.Exif()
    for tag, value in tags_and_values.items():
        exif[tag] = value
    return exif.tobytes().removeprefix(b"Exif\0\0")


def test_tags_of_raw_files_of_canon(tmp_path):
    def box(name, content):
        return struct.pack(">L", 8 + len(content)) + name + content
    groups = [{0x010F: "Canon", 0x0112: 6, 0x011A: 72.0},
              {0x9003: "2026:11:22 00:00:00", 0x829A: 0.01, 0xA434: "RF 50mm"},
              {1: "N", 2: (48.0, 8.0, 1.5)}]
    blocks = [box(name, tiff_block(group))
              for name, group in zip((b"CMT1", b"CMT2", b"CMT4"), groups)]
    (tmp_path / "a.cr3").write_bytes(box(b"ftyp", b"crx \0\0\0\1crx isom")
                                     + box(b"moov", b"".join(blocks)))
    photo = np.zeros((6, 8, 3), np.uint8)
    for name in ("b.jpg", "b.tif"):
        save_photo(tmp_path / name, photo, load_tags(tmp_path / "a.cr3"))
        with Image.open(tmp_path / name) as image:
            exif = image.getexif()
            assert (exif[0x010F], exif[0x0112]) == ("Canon", 1)
            assert exif.get_ifd(0x8769)[0x9003] == "2026:11:22 00:00:00"
            assert exif.get_ifd(0x8769)[0xA434] == "RF 50mm"
            assert exif.get_ifd(0x8825)[2] == (48.0, 8.0, 1.5)


@pytest.mark.parametrize("kind", [2, 4, 5, 11])
def test_a_tag_of_the_wrong_type_costs_no_other(tmp_path, kind):
    """The unit of the resolution, a SHORT, as text, LONG, fraction or float."""
    directory = struct.pack("<H HHLL HHLL L", 2, 0x010F, 2, 6, 38, 0x0128, kind, 1, 44, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<L", 8) + directory + b"Canon\0" + bytes(8)
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=exif)
    found = load_tags(tmp_path / "a.jpg")
    for name in ("b.tif", "b.jpg"):
        save_photo(tmp_path / name, np.zeros((6, 8, 3), np.uint8), found)
        with Image.open(tmp_path / name) as image:
            assert image.getexif()[0x010F] == "Canon"


@pytest.mark.parametrize("source", ["a.jpg", "a.heic"])
@pytest.mark.parametrize("target", ["b.jpg", "b.tif", "b.png"])
def test_the_sides_in_exif_are_those_of_the_upright_photo(tmp_path, source, target):
    exif, image = Image.Exif(), Image.new("RGB", (80, 60))
    exif[0x0112], exif[0x0100], exif[0x0101] = 6, 80, 60
    exif.get_ifd(0x8769).update({0xA002: 80, 0xA003: 60, 0x9003: "2026:11:22 00:00:00"})
    if source == "a.heic":
        heif = pytest.importorskip("pillow_heif")
        heif.from_pillow(image).save(tmp_path / source, exif=exif.tobytes())
    else:
        image.save(tmp_path / source, exif=exif)
    save_photo(tmp_path / target, load_photo(tmp_path / source),
               load_tags(tmp_path / source))
    with Image.open(tmp_path / target) as result:
        exif = result.getexif()
        group = exif.get_ifd(0x8769)
        assert result.size == (60, 80)
        assert (group[0xA002], group[0xA003]) == (60, 80)
        assert (exif.get(0x0100, 60), exif.get(0x0101, 80)) == (60, 80)
        assert group[0x9003] == "2026:11:22 00:00:00"


@pytest.mark.parametrize("target, kept", [("b.jpg", True), ("b.png", False)])
def test_captions_of_the_press_stay_in_a_jpeg(tmp_path, rng, target, kept):
    """IPTC as Photoshop writes it, beside a dark preview, which is left behind."""
    caption = b"\x1c\x02\x78\0\x05Night\x1c\x02\x19\0\x06Prague\x1c\x02\x05\0\x01x"
    segment = b"Photoshop 3.0\0"
    for kind, data in ((0x0404, caption), (0x040C, bytes(500))):
        segment += b"8BIM" + struct.pack(">HHL", kind, 0, len(data)) + data
        segment += bytes(len(data) % 2)
    segment = b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment
    photo = rng.integers(0, 60, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.jpg", extra=segment)
    found = load_tags(tmp_path / "a.jpg")
    assert found.iptc == caption
    save_photo(tmp_path / target, photo, found)
    assert load_tags(tmp_path / target).iptc == (caption if kept else b"")
    with Image.open(tmp_path / target) as image:
        assert set(image.info.get("photoshop", {})) <= {0x0404}


@pytest.mark.parametrize("order, start", [("<", b"II*\0"), (">", b"MM\0*")])
@pytest.mark.parametrize("title", [b"Exif\0\0", 2 * b"Exif\0\0"])
def test_a_photo_whose_tags_are_damaged_is_turned_all_the_same(tmp_path, order, start,
                                                               title):
    """The maker lies behind the end; viewers turn such a photo, and Pillow does not."""
    exif = start + struct.pack(order + "LHHHLLHHLHHL", 8, 2, 0x010F, 2, 400, 99999,
                               0x0112, 3, 1, 6, 0, 0)
    photo = np.zeros((40, 80, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.jpg", exif=title + exif)
    assert load_photo(tmp_path / "a.jpg").shape == (80, 40, 3)
    save_photo(tmp_path / "b.jpg", photo, load_tags(tmp_path / "a.jpg"))
    assert load_photo(tmp_path / "b.jpg").shape == (40, 80, 3)
