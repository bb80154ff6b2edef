"""Tags of photo files: EXIF, colour profile (ICC), XMP and the like, for an upright photo.

EXIF of JPEG, PNG, WebP and HEIC is a block of bytes in which only the orientation and the
sides are changed, so that texts in any encoding and the notes of camera makers stay what
they were. In TIFF and raw it is mixed with tags that say how pixels lie.
"""
import contextlib
import io
import re
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.JpegImagePlugin import get_sampling
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from lowlight.hdr import HLG, PQ
from lowlight.kinds import kind_of, no_warnings, open_file, opened

DESCRIPTIVE = {
    Base.ImageDescription, Base.Make, Base.Model, Base.Orientation, Base.XResolution,
    Base.YResolution, Base.ResolutionUnit, Base.Software, Base.DateTime, Base.Artist,
    Base.Copyright, Base.DateTimeOriginal, Base.DocumentName, Base.HostComputer,
    Base.Rating, Base.RatingPercent, Base.XPTitle, Base.XPComment, Base.XPAuthor,
    Base.XPKeywords, Base.XPSubject}            # XP: of Windows
LARGEST_JPEG_EXIF = 65533                       # bytes of one segment
LARGEST_JPEG_XMP = 65504                        # the same, less its title
LARGEST_JPEG_IPTC = 65500                       # the same, less the frame around it
IPTC = 0x0404                                   # of the blocks of Photoshop
EXIF_TITLE = b"Exif\0\0"
ORDERS = {b"II*\0": "<", b"MM\0*": ">"}         # how EXIF begins, and its order of bytes
LONG = 4                                        # type of a tag
OFFSETS = {Base.MakerNote, IFD.Interop}         # point to places, so cannot be moved
XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>\s*))([2-8])")
XMP_PREVIEWS = re.compile(rb"<xmp:Thumbnails>.*?</xmp:Thumbnails>", re.DOTALL)
XMP_TITLE = "XML:com.adobe.xmp"                 # of PNG
XMP_OF_MORE = re.compile(       # of clips, depth and gain maps that follow in the file
    rb"\s(?:GCamera|Container|hdrgm|GDepth|GImage|xmpNote):\w+\s*=\s*"
    rb"(?:\"[^\"]*\"|'[^']*')|"
    rb"<((?:GCamera|Container|hdrgm|GDepth|GImage):\w+)(?:[^>]*/>|.*?</\1>)", re.DOTALL)
PREVIEW_START, PREVIEW_LENGTH = 0x0201, 0x0202  # tags of EXIF's second directory
RAW_AS_TIFF = {b"IIRO": b"II*\0", b"IIRS": b"II*\0", b"MMOR": b"MM\0*",  # Olympus
               b"IIU\0": b"II*\0"}              # Panasonic: TIFF under another start
PANASONIC_PREVIEW = 0x2E                        # tag with a JPEG, whose EXIF says more
ISO_FORMATS = {"HEIF", "AVIF"}                  # of Pillow
NCLX = re.compile(rb"colrnclx(....)", re.DOTALL)        # of HEIC and AVIF
DISPLAY_P3 = 12                                 # primaries in ITU-T H.273
JPEG_FORMATS = {"JPEG", "MPO"}                  # of Pillow; MPO: with a second picture
PNG_HEADER = 33                                 # bytes: signature and chunk IHDR
TEXT_CHUNKS = {b"iTXt", b"tEXt", b"zTXt"}       # of PNG
COLOUR_CHUNKS = {b"gAMA", b"cHRM", b"sRGB", b"cICP"}        # say what the levels mean
TAG_CHUNKS = TEXT_CHUNKS | COLOUR_CHUNKS | {b"eXIf", b"iCCP", b"pHYs"}
OTHER_TEXTS = (XMP_TITLE.encode() + b"\0", b"Raw profile type ")       # read as tags
PROFILE_TEXTS = {                               # of ImageMagick, by what they hold
    "exif": ("Raw profile type exif", "Raw profile type APP1"),
    "icc_profile": ("Raw profile type icc", "Raw profile type icm"),
    "xmp": ("Raw profile type xmp",)}


class Tags(NamedTuple):
    """What a photo file says about its photo, as bytes to write into another file."""
    exif: bytes = b""
    icc_profile: bytes = b""
    xmp: bytes = b""
    dpi: tuple = ()             # dots an inch, across and down
    comment: bytes = b""        # of JPEG
    subsampling: int = -1       # of the colours of JPEG, as Pillow counts it; -1: usual
    iptc: bytes = b""           # captions and keywords of the press, of JPEG
    lossless: bool = False      # of WebP
    chunks: tuple = ()          # (kind, data) of texts and colours: from PNG into PNG


class AsRead(str):
    """A text of EXIF; Pillow reads it as Latin-1, but would write only ASCII."""

    def encode(self, *_):
        return str.encode(self, "latin-1")


@no_warnings()
def load_tags(path, grey=False):
    """Tags of the photo file `path` for an upright RGB photo; empty where unreadable.

    Orientation is reset, previews are taken out, and a colour profile of grey or CMYK is
    left behind, as are the claims of phones that a clip or a gain map follows. `grey`:
    for a photo of one channel, with whose profile it is the other way round.
    """
    path = Path(path)
    with contextlib.suppress(Exception):
        kind = kind_of(path)
        if kind == "raw":
            return Tags(raw_exif(path))
        if starts_as_png(path):         # Pillow opens none of which a tag is damaged
            info = png_info(path)
            tags = tags_of(info, info_exif(info), grey)
            kinds = TEXT_CHUNKS | COLOUR_CHUNKS
            if hdr_transfer_of_png(path):       # becomes sRGB
                tags, kinds = tags._replace(icc_profile=b""), TEXT_CHUNKS
            return tags._replace(chunks=png_chunks_of(path, kinds))
        with opened(path, kind) as image:
            tags = tags_of(image.info, image_exif(image), grey)
            if image.format in JPEG_FORMATS:
                photoshop = image.info.get("photoshop", {})
                tags = tags._replace(comment=image.info.get("comment", b""),
                                     iptc=photoshop.get(IPTC, b""),
                                     subsampling=get_sampling(image))
            if image.format in ISO_FORMATS:
                numbers = (heic_numbers(image.info) if kind == "heic"
                           else colour_numbers(path))
                profile = with_numbers(tags.icc_profile, *numbers)
                tags = tags._replace(icc_profile=profile)
            if image.format == "WEBP":
                tags = tags._replace(lossless=is_lossless_webp(path))
            return tags
    return Tags()


def tags_of(info, exif, grey):
    """The Tags in a PIL image's `info`, with EXIF bytes; `grey` as of `load_tags`."""
    return Tags(exif, photo_profile(info.get("icc_profile") or b"", grey),
                upright_xmp(info.get("xmp") or b""), dots_per_inch(info))


def colour_numbers(source):
    """(primaries, transfer) of a HEIC or AVIF photo by ITU-T H.273; (None, None) if it
    does not say."""
    with open_file(source) as file:
        found = NCLX.search(file.read(2 ** 16))
    return struct.unpack(">HH", found[1]) if found else (None, None)


def heic_numbers(info):
    """The same of an opened HEIC photo; its file may hold others, of a gain map."""
    colours = info.get("nclx_profile") or {}
    return colours.get("color_primaries"), colours.get("transfer_characteristics")


def with_numbers(profile, primaries, transfer):
    """The colour profile of a photo with these numbers; P3 may be named by them alone."""
    if transfer in (PQ, HLG):                   # HDR becomes sRGB
        return b""
    if profile or primaries != DISPLAY_P3:
        return profile
    import pyvips
    pixel = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    return pixel.icc_transform("p3", input_profile="srgb").get("icc-profile-data")


def is_lossless_webp(path):
    """Whether the WebP file `path` holds its pixels without loss."""
    with open_file(path) as file:
        file.seek(12)                           # behind the title of the file
        while len(header := file.read(8)) == 8:
            kind, length = struct.unpack("<4sL", header)
            if kind in (b"VP8L", b"VP8 "):
                return kind == b"VP8L"
            file.seek(length + length % 2, 1)
    return False


def starts_as_png(path):
    """Whether the file `path` is a PNG by its first bytes."""
    with open_file(path) as file:
        return file.read(4) == b"\x89PNG"


def raw_exif(path):
    """EXIF bytes of a raw file: of its directories or, of some makers, its preview."""
    content = bytearray(path.read_bytes())
    if content[4:8] == b"ftyp":
        return directory_bytes(canon_directory(content))
    if content.startswith(b"FUJIFILMCCD-RAW"):
        start, length = struct.unpack_from(">LL", content, 84)
        return exif_of_preview(content[start:start + length])
    content[:4] = RAW_AS_TIFF.get(bytes(content[:4]), content[:4])
    exif = Image.Exif()
    exif.load_from_fp(io.BytesIO(content))
    if PANASONIC_PREVIEW in exif:
        return exif_of_preview(exif[PANASONIC_PREVIEW])
    return directory_bytes(describing(exif))


def exif_of_preview(preview):
    """EXIF bytes of the preview in a raw file, given as the bytes of a JPEG."""
    with Image.open(io.BytesIO(preview)) as image:
        return image_exif(image)


def canon_directory(content):
    """The TIFF directory of a CR3 file, which has one for each group of tags."""
    directory = ImageFileDirectory_v2()
    for name, group in ((b"CMT1", None), (b"CMT2", IFD.Exif), (b"CMT4", IFD.GPSInfo)):
        at = content.find(name)                 # after the length of this box, in 4 bytes
        if at < 4:
            continue
        length, = struct.unpack_from(">L", content, at - 4)
        exif = Image.Exif()
        exif.load(bytes(content[at + 4:at - 4 + length]))
        if group is None:
            directory.update(describing(exif))
        else:
            directory[group] = writable(exif, group)
    return directory


def png_info(source):
    """What Pillow's `info` holds of the tags of a PNG, less those that are malformed."""
    with contextlib.suppress(Exception):
        with open_file(source) as file:
            chunks = list(png_chunks(file, TAG_CHUNKS))
        # Pillow decodes each chunk, put before the one pixel of another PNG.
        one_pixel = io.BytesIO()
        Image.new("L", (1, 1)).save(one_pixel, "PNG")
        header = one_pixel.getvalue()[:PNG_HEADER]
        rest = one_pixel.getvalue()[PNG_HEADER:]
        info = {}
        for chunk in chunks:
            tagged = io.BytesIO(header + png_chunk(chunk) + rest)
            with contextlib.suppress(Exception), Image.open(tagged) as image:
                info |= image.info
        if XMP_TITLE in info and "xmp" not in info:     # as libvips writes it
            info["xmp"] = info[XMP_TITLE].encode()
        for name, titles in PROFILE_TEXTS.items():
            for title in titles:
                if name not in info and title in info:
                    info[name] = profile_bytes(info[title])
        return info
    return {}


def png_chunks_of(path, kinds):
    """(kind, data) of the chunks of a PNG of some kinds, less texts read as tags."""
    with open_file(path) as file:
        return tuple((kind, data) for kind, data in png_chunks(file, kinds)
                     if not data.startswith(OTHER_TEXTS))


def hdr_transfer_of_png(source):
    """The transfer of a PNG of 16 bits in HDR, by ITU-T H.273; None for all others."""
    with open_file(source) as file:
        if file.read(25)[24:] != b"\x10":
            return None
        for _, data in png_chunks(file, {b"cICP"}):
            if len(data) > 1 and data[1] in (PQ, HLG):
                return data[1]
    return None


def png_chunks(file, wanted=None):
    """Yield (kind, data) of the chunks of an open PNG file, up to its end or a break.

    `wanted`: a set of kinds; the others are passed over. None for all.
    """
    file.seek(8)                                # the signature
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">L4s", header)
        if wanted and kind not in wanted:
            file.seek(length + 4, 1)
            continue
        data = file.read(length)
        is_whole = file.read(4) == struct.pack(">L", zlib.crc32(kind + data))
        if is_whole or kind == b"IDAT":         # the rows up to the break are good
            yield kind, data


def png_chunk(chunk):
    """(kind, data) as the bytes of a PNG's chunk."""
    kind, data = chunk
    return (struct.pack(">L", len(data)) + kind + data
            + struct.pack(">L", zlib.crc32(kind + data)))


def png_tags(tags):
    """Yield the chunks of a PNG that hold `tags`, to be put before its pixels."""
    if tags.icc_profile:
        yield png_chunk((b"iCCP", b"icc\0\0" + zlib.compress(tags.icc_profile)))
    if tags.exif:
        yield png_chunk((b"eXIf", without_title(tags.exif)))
    if tags.xmp:                                # uncompressed, in no language
        title = XMP_TITLE.encode() + bytes(5)
        yield png_chunk((b"iTXt", title + tags.xmp))
    yield from map(png_chunk, tags.chunks)


def profile_bytes(text):
    """What a raw profile holds: a line with its name, its length, then hex digits."""
    with contextlib.suppress(ValueError):
        _, _, digits = text.strip().split("\n", 2)
        data = bytes.fromhex(digits)
        for title in (b"http://ns.adobe.com/xap/1.0/\0", EXIF_TITLE):
            data = data.removeprefix(title)
        return data
    return b""


def orientation_of(info):
    """How pixels lie by the EXIF or XMP of a PIL image's `info`: 1 to 8, 1 is upright."""
    with contextlib.suppress(Exception):        # malformed tags raise many types
        if orientation := exif_orientation(info.get("exif") or b""):
            return orientation
        if match := XMP_ORIENTATION.search(info.get("xmp") or b""):
            return int(match[2])
    return 1


def exif_orientation(exif):
    """The orientation, 1 to 8, in EXIF bytes, or None; Pillow finds none behind a tag
    that is damaged."""
    exif = without_title(exif)
    with contextlib.suppress(KeyError, struct.error):
        order = ORDERS[bytes(exif[:4])]
        start, = struct.unpack_from(order + "L", exif, 4)
        for entry, tag, kind, _ in entries_of(exif, order, start):
            value, = struct.unpack_from(order + ("L" if kind == LONG else "H"), exif,
                                        entry + 8)
            if tag == Base.Orientation and value in range(1, 9):
                return value
    return None


def without_title(exif):
    """EXIF bytes without the title that JPEG puts before them, or even two."""
    while exif.startswith(EXIF_TITLE):
        exif = exif[len(EXIF_TITLE):]
    return exif


def entries_of(exif, order, start):
    """Yield (offset, tag, type, value or its offset) of a directory in EXIF bytes."""
    count, = struct.unpack_from(order + "H", exif, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, _, value = struct.unpack_from(order + "HHLL", exif, entry)
        yield entry, tag, kind, value


def image_exif(image):
    """EXIF bytes of an open PIL image; empty if there is none or it is malformed."""
    if image.format != "TIFF":
        return info_exif(image.info)
    with contextlib.suppress(Exception):        # malformed EXIF raises many types
        return directory_bytes(describing(image.getexif()))
    return b""


def info_exif(info):
    """EXIF bytes in a PIL image's `info`; empty if there is none or it is malformed."""
    with contextlib.suppress(Exception):
        return upright_exif(info["exif"])
    return b""


def upright_exif(exif):
    """EXIF bytes with orientation 1 and no preview; all else stays where it is."""
    exif = bytearray(without_title(exif))
    order = ORDERS[bytes(exif[:4])]
    start, = struct.unpack_from(order + "L", exif, 4)
    count, = struct.unpack_from(order + "H", exif, start)
    end = start + 2 + 12 * count
    for entry, tag, _, _ in entries_of(exif, order, start):
        if tag == Base.Orientation:
            struct.pack_into(order + "HLHH", exif, entry + 2, 3, 1, 1, 0)
    with contextlib.suppress(struct.error):     # nothing may follow the first directory
        preview, = struct.unpack_from(order + "L", exif, end)
        struct.pack_into(order + "L", exif, end, 0)
        if preview:
            drop_preview(exif, order, preview)
    return EXIF_TITLE + bytes(exif)


def with_sides(exif, height, width):
    """EXIF bytes that give the photo these sides, in pixels, where they give it any."""
    sides = {Base.ImageWidth: width, Base.ImageLength: height,
             Base.ExifImageWidth: width, Base.ExifImageHeight: height}
    block = bytearray(without_title(exif))
    with contextlib.suppress(KeyError, struct.error):       # what is malformed stays
        order = ORDERS[bytes(block[:4])]
        directories = list(struct.unpack_from(order + "L", block, 4))
        for start in directories:               # the first one and, within it, EXIF's
            for entry, tag, _, value in entries_of(block, order, start):
                if tag in sides:
                    struct.pack_into(order + "HLL", block, entry + 2, 4, 1, sides[tag])
                if tag == IFD.Exif and len(directories) == 1:
                    directories.append(value)
        return EXIF_TITLE + bytes(block)
    return exif


def drop_preview(exif, order, directory):
    """Take the preview that EXIF's second directory points to out of a bytearray.

    It is cut off where it comes last, as it mostly does, and else made zero, as offsets
    elsewhere may not change. `order`: "<" or ">"; `directory`: its offset.
    """
    start = length = 0
    for _, tag, _, value in entries_of(exif, order, directory):
        if tag == PREVIEW_START:
            start = value
        if tag == PREVIEW_LENGTH:
            length = value
    end = min(start + length, len(exif))
    if 0 < start < end and any(exif[end:]):
        exif[start:end] = bytes(end - start)
    elif 0 < start < end:
        del exif[start:]


def tags_for_jpeg(tags):
    """Tags that a JPEG can hold: large EXIF without the makers' notes, no large XMP."""
    if len(tags.exif) > LARGEST_JPEG_EXIF:
        smaller = directory_bytes(exif_directory(tags.exif))
        tags = tags._replace(exif=smaller or tags.exif)
    if len(tags.xmp) > LARGEST_JPEG_XMP:        # a photo is worth more than its history
        tags = tags._replace(xmp=b"")
    return tags


def iptc_segment(iptc):
    """IPTC as the segment of a JPEG; empty if there is none or it is too long."""
    if not 0 < len(iptc) <= LARGEST_JPEG_IPTC:
        return b""
    even = iptc + bytes(len(iptc) % 2)
    block = (b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HHL", IPTC, 0, len(iptc))
             + even)                            # 0: without a name
    return b"\xff\xed" + struct.pack(">H", len(block) + 2) + block


def photo_profile(profile, grey):
    """A colour profile; empty if it is cut off or not one of RGB photos (`grey`: grey)."""
    length = int.from_bytes(profile[:4], "big")
    space = b"GRAY" if grey else b"RGB "
    whole = 0 < length <= len(profile)          # some are filled up with zeros
    return profile[:length] if whole and profile[16:20] == space else b""


def upright_xmp(xmp):
    """XMP bytes with orientation 1, without previews and what else is not copied."""
    xmp = XMP_OF_MORE.sub(b"", XMP_PREVIEWS.sub(b"", xmp))
    return XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def describing(exif):
    """The tags of a PIL Exif that describe the photo, not its file, for a TIFF."""
    directory = ImageFileDirectory_v2()
    directory.update(writable({tag: exif[tag] for tag in DESCRIPTIVE & set(exif)}))
    for group in {IFD.Exif, IFD.GPSInfo} & set(exif):
        directory[group] = writable(exif.get_ifd(group), group)
    if Base.Orientation in directory:
        directory[Base.Orientation] = 1
    return directory


def writable(found, group=None):
    """Of the dictionary `found`, tag to value, what a directory of a TIFF can hold.

    A value may be of a type that Pillow reads, but does not write. `group`: of IFD.
    """
    kept = {}
    for tag, value in found.items():
        value = AsRead(value) if isinstance(value, str) else value
        alone = ImageFileDirectory_v2(group=group)
        with contextlib.suppress(Exception):
            alone[tag] = value
            alone.tobytes()
            if tag not in OFFSETS:
                kept[tag] = value
    return kept


def exif_directory(block):
    """EXIF bytes as a TIFF directory; empty if they are malformed."""
    with contextlib.suppress(Exception):
        exif = Image.Exif()
        exif.load(block)
        directory = describing(exif)
        directory.tobytes()                     # raises what writing it would
        return directory
    return ImageFileDirectory_v2()


def directory_bytes(directory):
    """A TIFF directory as EXIF bytes; empty if it has no tags."""
    buffer = io.BytesIO()
    directory.save(buffer)
    return EXIF_TITLE + buffer.getvalue() if len(directory) else b""


def dots_per_inch(info):
    """Resolution for printing in a PIL image's `info`, two numbers; () if there is none."""
    with contextlib.suppress(KeyError, TypeError, ValueError, ZeroDivisionError):
        across, down = map(float, info["dpi"])
        if 1 < across < 65535 and 1 < down < 65535:     # scanners and phones write 0, 1
            return across, down
    return ()
