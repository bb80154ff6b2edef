"""Tags of photo files: EXIF, colour profile (ICC) and XMP, for an upright photo.

EXIF of JPEG, PNG, WebP and HEIC is a block of bytes in which only the orientation is
changed, so that texts in any encoding and the notes of camera makers stay what they
were. In TIFF and raw it is mixed with tags that say how pixels lie.
"""
import contextlib
import io
import re
import struct
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from lowlight.kinds import kind_of, no_warnings, opened

DESCRIPTIVE = {
    Base.ImageDescription, Base.Make, Base.Model, Base.Orientation, Base.XResolution,
    Base.YResolution, Base.ResolutionUnit, Base.Software, Base.DateTime, Base.Artist,
    Base.Copyright, Base.DateTimeOriginal}
OFFSETS = {Base.MakerNote, IFD.Interop}         # point to places, so cannot be moved
XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>\s*))[2-8]")
XMP_OF_MORE = re.compile(rb"Container:Directory|GCamera:|hdrgm:")   # clips, gain maps


class Tags(NamedTuple):
    """What a photo file says about its photo, as bytes to write into another file."""
    exif: bytes = b""
    icc_profile: bytes = b""
    xmp: bytes = b""


class AsRead(str):
    """A text of EXIF; Pillow reads it as Latin-1, but would write only ASCII."""

    def encode(self, *_):
        return str.encode(self, "latin-1")


@no_warnings()
def load_tags(path):
    """Tags of the photo file `path` for an upright RGB photo; empty where unreadable.

    Orientation is reset, the preview is taken out, and a colour profile of grey or CMYK
    is left behind, as are the claims of phones that a clip or a gain map follows.
    """
    path = Path(path)
    with contextlib.suppress(Exception):
        if kind_of(path) == "raw":
            with open(path, "rb") as file:
                exif = Image.Exif()
                exif.load_from_fp(file)
                return Tags(directory_bytes(describing(exif)))
        with opened(path) as image:
            return Tags(image_exif(image),
                        rgb_profile(image.info.get("icc_profile") or b""),
                        upright_xmp(image.info.get("xmp") or b""))
    return Tags()


def image_exif(image):
    """EXIF bytes of an open PIL image; empty if there is none or it is malformed."""
    with contextlib.suppress(Exception):        # malformed EXIF raises many types
        if image.format == "TIFF":
            return directory_bytes(describing(image.getexif()))
        if "exif" in image.info:
            return upright_exif(image.info["exif"])
    return b""


def upright_exif(exif):
    """EXIF bytes with orientation 1 and no preview; all else stays where it is."""
    exif = bytearray(exif.removeprefix(b"Exif\0\0"))
    order = {b"II*\0": "<", b"MM\0*": ">"}[bytes(exif[:4])]
    start, = struct.unpack_from(order + "L", exif, 4)
    count, = struct.unpack_from(order + "H", exif, start)
    end = start + 2 + 12 * count
    for entry in range(start + 2, end, 12):
        if struct.unpack_from(order + "H", exif, entry) == (Base.Orientation,):
            struct.pack_into(order + "HLHH", exif, entry + 2, 3, 1, 1, 0)
    struct.pack_into(order + "L", exif, end, 0)         # where the preview would follow
    return b"Exif\0\0" + bytes(exif)


def rgb_profile(profile):
    """A colour profile; empty if it is cut off or not one of RGB photos."""
    whole = len(profile) == int.from_bytes(profile[:4], "big")
    return profile if whole and profile[16:20] == b"RGB " else b""


def upright_xmp(xmp):
    """XMP bytes with orientation 1; empty if they speak of more than one picture."""
    return b"" if XMP_OF_MORE.search(xmp) else XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def describing(exif):
    """The tags of a PIL Exif that describe the photo, not its file, for a TIFF."""
    directory = ImageFileDirectory_v2()
    directory.update({tag: as_read(exif[tag]) for tag in DESCRIPTIVE & set(exif)})
    for group in {IFD.Exif, IFD.GPSInfo} & set(exif):
        directory[group] = {tag: as_read(value) for tag, value
                            in exif.get_ifd(group).items() if tag not in OFFSETS}
    if Base.Orientation in directory:
        directory[Base.Orientation] = 1
    return directory


def exif_directory(block):
    """EXIF bytes as a TIFF directory; empty if they are malformed."""
    with contextlib.suppress(Exception):
        exif = Image.Exif()
        exif.load(block)
        directory = describing(exif)
        directory.tobytes()                     # raises what writing it would
        return directory
    return ImageFileDirectory_v2()


def as_read(value):
    """A text that is written as it was read; other values as they are."""
    return AsRead(value) if isinstance(value, str) else value


def directory_bytes(directory):
    """A TIFF directory as EXIF bytes; empty if it has no tags."""
    buffer = io.BytesIO()
    directory.save(buffer)
    return b"Exif\0\0" + buffer.getvalue() if len(directory) else b""


def dots_per_inch(exif):
    """Resolution for printing in EXIF bytes; 72, as of cameras, where none is there."""
    with contextlib.suppress(TypeError, ValueError):
        dots = float(exif_directory(exif).get(Base.XResolution))
        return dots if 0 < dots < 1e6 else 72.0
    return 72.0
