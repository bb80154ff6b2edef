"""Photo files that lack some bytes at their end, or whose tags are damaged, mended in
memory as viewers do."""
import io
import re
import struct
import zlib

import numpy as np
from PIL import ImageChops
from PIL.ExifTags import Base

from lowlight.kinds import END_OF_JPEG, JPEG_START, first_directory, opened
from lowlight.photo import BAND, ceil_div
from lowlight.tags import png_chunk, png_chunks

LARGEST = 2 ** 29       # bytes of a file or its rows that are looked at
LOST_SHARE = 0.02       # of the rows, or of the bytes where rows cannot be counted
LOST_ROWS = 17          # that may be lost even so: a JPEG's row of blocks blends into one
NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")      # no pixels, no restart
FRAME_MARKERS = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
SCAN_MARKER, END_MARKER = 0xDA, 0xD9
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}               # of its types of colour
PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf"}   # and which is up
ROW_ABOVE = b"\x02"                     # PNG's filter that adds to the row above
END_IS_MISSING = "the end of the file is missing; its last rows may be wrong"
TAGS_ARE_DAMAGED = "some of its tags are damaged, and may be left out"


def mended(path):
    """(bytes, what was wrong) of the photo file `path`; None if it cannot be mended."""
    if path.stat().st_size > LARGEST:
        return None
    content = path.read_bytes()
    if bare := bare_png(content):
        return bare, TAGS_ARE_DAMAGED
    whole = completed(content)
    return whole and (whole, END_IS_MISSING)


def bare_png(content):
    """A PNG that has its end, without the tags, on which Pillow fails; None for others."""
    if not content.startswith(b"\x89PNG"):
        return None
    chunks = list(png_chunks(io.BytesIO(content)))
    if not chunks or chunks[-1][0] != b"IEND":
        return None
    kept = [chunk for chunk in chunks if chunk[0] in PIXEL_CHUNKS]
    return content[:8] + b"".join(map(png_chunk, kept))


def completed(content):
    """The bytes of a photo file with an end; None if more than that is lost."""
    if content.startswith(JPEG_START):
        return completed_jpeg(content)
    if content.startswith(b"\x89PNG"):
        return completed_png(content)
    if content.startswith((b"RIFF", b"BM")) or content[4:8] == b"ftyp" or (
            lacks_rows_of_tiff(content)):
        return content + bytes(int(LOST_SHARE * len(content)))
    return None


def lacks_rows_of_tiff(content):
    """Whether a TIFF ends within pixels that are not packed; its tags lie before them."""
    tags = first_directory(io.BytesIO(content), content[:64])
    starts = np.atleast_1d(tags.get(Base.StripOffsets, ()))
    sizes = np.atleast_1d(tags.get(Base.StripByteCounts, ()))
    return (tags.get(Base.Compression) == 1 and len(starts) == len(sizes) > 0
            and starts[-1] < len(content) < starts[-1] + sizes[-1])


def completed_jpeg(content):
    """A JPEG with its end marker; None if parts of the picture are missing."""
    content = content.rstrip(b"\0")
    if content.endswith(END_OF_JPEG):
        return None
    content = content.removesuffix(END_OF_JPEG[:1])     # half of a marker
    whole = content + END_OF_JPEG
    if not has_all_scans(whole):
        return None
    noise = np.random.default_rng(0).integers(0, 255, len(content), np.uint8)
    other = content + noise.tobytes() + END_OF_JPEG
    with opened(io.BytesIO(whole)) as image, opened(io.BytesIO(other)) as other_image:
        lost = image.height - first_different_row(image, other_image)
        return whole if lost <= max(LOST_ROWS, LOST_SHARE * image.height) else None


def first_different_row(image, other):
    """The first row in which two PIL images differ; their height if none does.

    What a JPEG shows whatever follows its break is certain; the rest is lost.
    """
    for top in range(0, image.height, BAND):
        box = (0, top, image.width, min(top + BAND, image.height))
        difference = ImageChops.difference(image.crop(box), other.crop(box))
        if difference.getbbox():
            return top + difference.getbbox()[1]
    return image.height


def has_all_scans(jpeg):
    """Whether each coefficient of each channel of a JPEG has come, to its last bit.

    A progressive JPEG that is cut in its middle shows the whole picture, but blurred.
    """
    missing_bits = {}
    at = 2
    while match := NEXT_MARKER.search(jpeg, at):
        marker, at = jpeg[match.end() - 1], match.end()
        if marker == END_MARKER:
            break
        length, = struct.unpack_from(">H", jpeg, at)
        segment = jpeg[at + 2:at + length]
        at += length
        if marker in FRAME_MARKERS:
            missing_bits = {channel: np.full(64, 16) for channel in segment[6::3]}
        if marker == SCAN_MARKER:
            first, last, precision = segment[-3:]
            for channel in segment[1:-3:2]:
                missing_bits[channel][first:last + 1] = precision & 15
    return bool(missing_bits) and not any(bits.any() for bits in missing_bits.values())


def completed_png(content):
    """A PNG with its end, lost rows like the last one; None if too many are lost."""
    chunks = list(png_chunks(io.BytesIO(content)))
    if not chunks or chunks[0][0] != b"IHDR":
        return None
    width, height, depth, colour, _, _, interlaced = struct.unpack(">LLBBBBB", chunks[0][1])
    row_bytes = 1 + ceil_div(width * depth * PNG_CHANNELS[colour], 8)
    # Interlaced rows do not come in their order.
    if interlaced or not 0 < height * row_bytes <= LARGEST:
        return None
    packed = b"".join(data for kind, data in chunks if kind == b"IDAT")
    rows = zlib.decompressobj().decompress(packed, height * row_bytes)
    lost = height - len(rows) // row_bytes
    if lost > LOST_SHARE * height:
        return None
    rows = rows[:(height - lost) * row_bytes]
    rows += lost * (ROW_ABOVE + bytes(row_bytes - 1))
    whole = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
    whole += [(b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    return content[:8] + b"".join(map(png_chunk, whole))
