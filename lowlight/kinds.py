"""What kind of file a photo is, by its content, and its opening by Pillow."""
import contextlib
import os
import threading
import warnings
from pathlib import Path

from PIL import Image
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2

HEIC = {".heic", ".heif", ".hif"}
RAW = {     # what LibRaw reads, by the suffixes of its cameras
    ".3fr", ".arw", ".bay", ".cap", ".cr2", ".cr3", ".crw", ".dc2", ".dcr", ".dcs",
    ".dng", ".drf", ".erf", ".fff", ".gpr", ".iiq", ".k25", ".kc2", ".kdc", ".mdc",
    ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".ori", ".pef", ".ptx", ".raf",
    ".raw", ".rw2", ".rwl", ".rwz", ".sr2", ".srf", ".srw", ".x3f"}
PACKAGES = {"heic": "pillow_heif", "raw": "rawpy"}      # that read a kind of file
MAX_PIXELS = 200_000_000        # more is taken for an attack; phones make up to this
LIMIT = threading.RLock()       # Pillow's limit belongs to the program that imports us
QUIET = threading.Lock()        # two threads would lose the descriptor

# How files begin, and JPEGs end.
JPEG_START, END_OF_JPEG = b"\xff\xd8\xff", b"\xff\xd9"
PHOTO_STARTS = (JPEG_START, b"\x89PNG", b"GIF8", b"RIFF")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")          # the last two: BigTIFF
RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"\0MRM", b"FOVb",
              b"II\x1a\0\0\0HEAPCCDR", b"II*\0\x10\0\0\0CR")
CLIP_STARTS = (b"\x1aE\xdf\xa3", b"FLV", b"OggS", b"\0\0\1\xba")     # MKV, WebM; MPEG
PHASE_ONE = (b"IIII", b"MMMM")              # bytes 8 to 12 of what is TIFF otherwise
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

# Tags and values of TIFF directories in which a sensor's pixels lie.
CFA_PATTERN, DNG_VERSION = 33422, 50706
SENSOR_PHOTOMETRIC = {32803, 34892}         # one colour a pixel; linear DNG
SENSOR_COMPRESSION = {32767, 34713, 65535}  # Sony, Nikon, Pentax
MAX_DIRECTORIES = 50                        # of a TIFF that are looked at


@contextlib.contextmanager
def no_warnings():
    """Pillow warns of odd tags and of many pixels; neither is the user's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@no_warnings()
def kind_of(path):
    """"heic", "avif", "raw" or, for all else, "other": what the file `path` holds.

    The name decides only where the content says nothing, and for TIFF under the name of
    a raw file, in which the first picture is a preview.
    """
    suffix = path.suffix.lower()
    with contextlib.suppress(OSError), open(path, "rb") as file:
        head = file.read(64)
        if head[4:8] == b"ftyp":
            return kind_of_brands(head)
        if head.startswith(PHOTO_STARTS):
            return "other"
        if head.startswith(RAW_STARTS) or holds_sensor(file, head):
            return "raw"
    if suffix in RAW:
        return "raw"
    return "heic" if suffix in HEIC else "other"


def kind_of_brands(head):
    """The kind of a file whose first box, of type ftyp, begins the bytes `head`."""
    brands = {head[start:start + 4] for start in range(8, len(head), 4)}
    if head[8:12] == b"crx ":
        return "raw"
    if brands & {b"avif", b"avis"}:
        return "avif"
    return "heic" if brands & HEIC_BRANDS else "other"


def is_cut_off(file):
    """Whether an open HEIC file ends within its pixels, which a box called mdat holds.

    libheif does not say so: the tiles that are lost become green.
    """
    start, end = 0, file.seek(0, os.SEEK_END)
    while start < end:
        file.seek(start)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:                         # a long box: it follows in 8 bytes
            length = int.from_bytes(header[8:], "big")
        start += length or end - start          # none: up to the end
        if header[4:8] == b"mdat" and start > end:
            return True
    return False


def is_jpeg(path):
    """Whether the file `path`, if there is one, begins as a JPEG does."""
    if not os.path.isfile(path):
        return False
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(3) == JPEG_START
    return False


def looks_like_clip(path):
    """Whether a file that is no photo begins as clips do, whatever its name."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        head = file.read(64)
        is_mp4 = head[4:8] == b"ftyp" and kind_of_brands(head) == "other"
        return is_mp4 or head.startswith(CLIP_STARTS) or head[8:12] == b"AVI "
    return False


def holds_sensor(file, head):
    """Whether an open file that begins with `head` is a TIFF with a sensor's pixels, or
    one whose first picture is but a preview."""
    if not head.startswith(TIFF_STARTS):
        return False
    if head[8:12] in PHASE_ONE:
        return True
    with contextlib.suppress(Exception):    # malformed directories raise many types
        directories = list(tiff_directories(file, head))
        is_preview = directories[0].get(Base.NewSubfileType, 0) & 1
        return bool(is_preview and directories[1:]) or any(map(is_of_sensor, directories))
    return False


def tiff_directories(file, head):
    """Yield the directories of an open TIFF file, those within others as well."""
    header = head[:16] if b"+" in head[:4] else head[:8]
    offsets, seen = [ImageFileDirectory_v2(header).next], {0}
    while offsets and len(seen) <= MAX_DIRECTORIES:
        offset = offsets.pop(0)
        if offset not in seen:
            seen.add(offset)
            directory = ImageFileDirectory_v2(header)
            file.seek(offset)
            directory.load(file)
            yield directory
            inner = directory.get(Base.SubIFDs, ())
            offsets += inner if isinstance(inner, tuple) else (inner,)
            offsets.append(directory.next)


@no_warnings()
def first_directory(file, head):
    """The first directory of an open TIFF file; empty for others and malformed ones."""
    if head.startswith(TIFF_STARTS):
        with contextlib.suppress(Exception):
            return next(tiff_directories(file, head), {})
    return {}


def is_of_sensor(directory):
    """Whether a TIFF directory describes pixels as a sensor gives them."""
    return (CFA_PATTERN in directory or DNG_VERSION in directory
            or directory.get(Base.PhotometricInterpretation) in SENSOR_PHOTOMETRIC
            or directory.get(Base.Compression) in SENSOR_COMPRESSION)


def check_pixels(width, height):
    """Image.DecompressionBombError for more than MAX_PIXELS, as Pillow raises it."""
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError


@contextlib.contextmanager
def opened(source, kind="other"):
    """A PIL image, not yet decoded, under our limit of pixels.

    `source`: path or file object; `kind`: as of `kind_of`, "heic" or "other".
    """
    with LIMIT, no_warnings():
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2        # Pillow refuses twice as much
        try:
            # By file object: what Pillow maps by name it does not turn, but garbles.
            with open_file(source) as file, open_image(file, kind) as image:
                check_pixels(*image.size)
                yield image
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def open_file(source):
    """A path opened for reading; a file object at its beginning, to be left open."""
    if isinstance(source, Path):
        return open(source, "rb")
    source.seek(0)
    return contextlib.nullcontext(source)


def open_image(file, kind):
    """A PIL image of an open file, not yet decoded."""
    if kind == "heic":
        import pillow_heif                  # registered nowhere, so of no effect elsewhere
        return pillow_heif.HeifImageFile(file)
    return Image.open(file)


@contextlib.contextmanager
def quiet_stderr():
    """Send file descriptor 2 to nowhere: C libraries print there what they raise."""
    with QUIET, open(os.devnull, "wb") as nowhere:
        saved = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
