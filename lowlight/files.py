"""Photo files in and out: tags, profiles, 16 bits, HEIC, raw.

An ordinary photo is read with NumPy and Pillow alone; pyvips, pillow-heif and rawpy are
imported by the first file that needs them.
"""
import contextlib
import io
import os
import re
import struct
import tempfile
import threading
import warnings
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from lowlight.photo import TILE, enhance, mean_luma

WRITTEN = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
TIFF = {".tif", ".tiff"}
SIXTEEN_BIT_FORMATS = {".png"} | TIFF
LARGEST_SIDE = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}      # pixels
HEIC = {".heic", ".heif", ".hif"}
RAW = {".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"}
CLIPS = {".mp4", ".mov", ".mkv", ".webm"}
OTHER_CLIPS = {         # only read; the suffix of the result
    **dict.fromkeys([".m4v", ".3gp", ".3g2", ".f4v", ".qt", ".gifv"], ".mp4"),
    **dict.fromkeys([".mpg", ".mpeg", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".flv",
                     ".avi", ".divx", ".wmv", ".asf", ".ogv", ".ogm", ".dv", ".mxf",
                     ".rm", ".rmvb", ".y4m"], ".mkv")}
NO_PHOTO = {".txt", ".md", ".json", ".csv", ".db", ".ini", ".xml", ".html", ".pdf",
            ".xmp", ".aae"}                     # the last two lie beside raw and HEIC
EXTRAS = [("heic", "pillow_heif", HEIC), ("raw", "rawpy", RAW)]
Image.MAX_IMAGE_PIXELS = 100_000_000            # twice that is refused
BAND = 256                                      # rows converted at a time
QUIET = threading.Lock()                        # two threads would lose the descriptor


class Result(NamedTuple):
    """What became of one file: its megapixels, and what its owner should know."""
    megapixels: float
    note: str = ""


@contextlib.contextmanager
def whole_file(path):
    """A temporary path beside `path` that takes its place once the block succeeds."""
    path, part = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(path.suffix, ".part-", path.parent)
        os.close(handle)
        yield Path(part)
        os.chmod(part, 0o644)
        os.replace(part, path)
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({error.strerror or error}); "
                      "make room or choose another folder") from error
    finally:
        if part:
            Path(part).unlink(missing_ok=True)


@contextlib.contextmanager
def no_warnings():
    """Pillow warns of odd tags and of many pixels; neither is the user's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# Reading

@no_warnings()
def load_photo(path, depth=8):
    """Photo at `path`, RGB and upright: uint8 (H, W, 3), at `depth` 16 uint16.

    The first frame, without alpha; 8-bit files are spread over 16 bits. Raw is
    developed to sRGB with the camera's white balance and no automatic brightening, so
    that it is as dark as it was taken. Raises ValueError, naming the file and the
    remedy, for what is no whole photo, has more than 200 megapixels or needs a package
    that is missing.
    """
    path = Path(path)
    check_suffix(path)
    try:
        if path.suffix.lower() in RAW:
            return develop(path, depth)
        # Of TIFF with 16 bits Pillow misreads some kinds and refuses others.
        try_deep = depth == 16 or path.suffix.lower() in TIFF
        deep = read_sixteen_bits(path) if try_deep else None
        photo = read_eight_bits(path) if deep is None else deep
    except Image.DecompressionBombError:
        raise ValueError(f"{path}: refused, more than {2 * Image.MAX_IMAGE_PIXELS:,} "
                         "pixels; scale it down first") from None
    except Exception as error:                  # decoders raise nearly every type
        raise ValueError(f"{path}: not a readable photo ({describe(error)}); "
                         "replace it or convert it to PNG") from None
    if depth == 16 and photo.dtype == np.uint8:
        return np.multiply(photo, 257, dtype=np.uint16)
    return photo if depth == 16 or photo.dtype == np.uint8 else high_bytes(photo)


def high_bytes(photo):
    """A uint16 photo as uint8, without a copy of 16 bits."""
    levels = np.ascontiguousarray(photo, "<u2").view(np.uint8)
    return np.ascontiguousarray(levels[..., 1::2])


def check_suffix(path):
    """ValueError with the remedy if a file of this name cannot be read here."""
    suffix = path.suffix.lower()
    if suffix in CLIPS or suffix in OTHER_CLIPS:
        raise ValueError(f"{path}: a clip, not a photo; give it to the command lowlight")
    for extra, package, suffixes in EXTRAS:
        if suffix in suffixes:
            try:
                import_module(package)
            except ImportError:
                raise ValueError(f"{path}: needs one more package: pip install "
                                 f"'lowlight[{extra}]'") from None


def describe(error):
    """Type and first line of an exception; C libraries give several lines, or bytes."""
    text = error.args[0] if error.args else ""
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(error)
    return f"{type(error).__name__}: {text.strip().partition(chr(10))[0]}"


def check_pixels(width, height):
    """Pillow's own limit, for the libraries that have none."""
    if width * height > 2 * Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError


def open_image(path):
    """A PIL image of the file `path`, not yet decoded."""
    if path.suffix.lower() in HEIC:
        import pillow_heif
        pillow_heif.register_heif_opener()
    return Image.open(path)


def read_eight_bits(path):
    """The photo file `path` as uint8 (H, W, 3), upright, by Pillow."""
    with open_image(path) as image:
        with quiet_stderr() if image.format == "TIFF" else contextlib.nullcontext():
            image.load()
            with contextlib.suppress(Exception):    # malformed tags cost no photo
                ImageOps.exif_transpose(image, in_place=True)
            return to_rgb(image)


def to_rgb(image):
    """A PIL image of any mode as uint8 (H, W, 3); alpha is dropped, not blended."""
    largest = 255
    if image.mode.startswith(("I", "F")):       # 16-bit and 32-bit grey
        unit = image.mode == "F" and image.getextrema()[1] <= 1
        largest = 1 if unit else 65535
    photo = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, BAND):    # at once, it takes thrice the memory
        band = image.crop((0, top, image.width, min(top + BAND, image.height)))
        photo[top:top + BAND] = band_to_rgb(band, largest)
    return photo


def band_to_rgb(image, largest):
    """Some rows of a PIL image as uint8 (h, W, 3); `largest`: what white is in grey."""
    if image.mode.startswith(("I", "F")):
        grey = np.clip(np.asarray(image, np.float64) / largest * 255, 0, 255)
        return grey.round()[..., None]
    if image.mode in ("P", "PA", "LA", "La", "RGBa"):   # palettes may hold alpha
        image = image.convert("RGBA")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def read_sixteen_bits(path):
    """uint16 (H, W, 3), upright, or None if the file has no more than 8 bits."""
    if path.suffix.lower() in HEIC:
        return read_deep_heic(path)
    if path.suffix.lower() in SIXTEEN_BIT_FORMATS:
        return read_deep_scan(path)
    return None


def read_deep_heic(path):
    """A HEIC photo of 10 or 12 bits as uint16 (H, W, 3), else None."""
    import pillow_heif
    if not pillow_heif.is_supported(path):      # a JPEG by another name
        return None
    image = pillow_heif.open_heif(path, convert_hdr_to_8bit=False)
    check_pixels(*image.size)
    if image.mode not in ("RGB;16", "RGBA;16"):
        return None
    return np.ascontiguousarray(np.asarray(image)[..., :3])


def read_deep_scan(path):
    """A PNG or TIFF of 16 bits, RGB or grey, as uint16 (H, W, 3), else None."""
    import pyvips
    # By descriptor, as a name may be in no encoding.
    with open(path, "rb") as file, quiet_stderr():
        try:
            image = pyvips.Image.new_from_source(
                pyvips.Source.new_from_descriptor(file.fileno()), "",
                access="sequential", fail_on="error")
        except pyvips.Error:                    # no such format; Pillow will say
            return None
        check_pixels(image.width, image.height)
        if image.format != "ushort" or image.interpretation not in ("rgb16", "grey16"):
            return None
        if max(image.width, image.height) > 100_000:    # damage, over which libvips
            return None                                 # loses hours; Pillow does not
        image = image[:3] if image.bands >= 3 else image[0].bandjoin([image[0]] * 2)
        if image.get_typeof("orientation") and image.get("orientation") > 1:
            image = image.copy_memory().autorot()       # turning needs all rows at once
        return image.numpy()


def develop(path, depth):
    """The raw file `path` as sRGB (H, W, 3) of `depth` bits, as dark as it was."""
    import rawpy
    with open(path, "rb") as file, quiet_stderr(), rawpy.imread(file) as raw:
        check_pixels(raw.sizes.raw_width, raw.sizes.raw_height)
        return raw.postprocess(use_camera_wb=True, no_auto_bright=True,
                               output_bps=depth, gamma=(2.4, 12.92))    # sRGB's curve


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


# Tags. EXIF of JPEG, PNG, WebP and HEIC is a block of bytes in which only the
# orientation is changed, so that texts in any encoding and the notes of camera makers
# stay what they were. In TIFF and raw it is mixed with tags that say how pixels lie.

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
        if path.suffix.lower() in RAW:
            with open(path, "rb") as file:
                exif = Image.Exif()
                exif.load_from_fp(file)
                return Tags(directory_bytes(describing(exif)))
        with open_image(path) as image:
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


# Writing

@no_warnings()
def save_photo(path, photo, tags=None, quality=95):
    """Write a photo (H, W, 3), uint8 or uint16, in the format of the suffix of `path`.

    uint16 goes into PNG and TIFF. `tags`: what `load_tags` returns; BMP holds none.
    `quality`: of JPEG and WebP. The file is written whole or not at all. Raises
    ValueError where the format cannot hold the photo, OSError where there is no room.
    """
    path, tags = Path(path), tags or Tags()
    check_format(path, photo)
    with whole_file(path) as part:
        try:
            write = (write_tiff if path.suffix.lower() in TIFF
                     else write_deep_png if photo.dtype == np.uint16 else write_image)
            write(part, photo, tags, quality)
        except ValueError as error:             # such as tags too large for JPEG
            raise ValueError(f"{path}: cannot be written ({error}); choose PNG"
                             ) from error


def check_format(path, photo):
    """ValueError with the remedy unless the format of `path` can hold such a photo."""
    suffix = path.suffix.lower()
    if suffix not in WRITTEN:
        raise ValueError(f"{path}: photos are written as JPEG, PNG, WebP, TIFF or BMP")
    if photo.dtype not in (np.uint8, np.uint16) or photo.shape[2:] != (3,):
        raise ValueError(f"{path}: expected a uint8 or uint16 photo (H, W, 3), "
                         f"got {photo.dtype} {photo.shape}")
    if photo.dtype == np.uint16 and suffix not in SIXTEEN_BIT_FORMATS:
        raise ValueError(f"{path}: 16 bits go into PNG or TIFF; choose one of them")
    largest = LARGEST_SIDE.get(suffix, np.inf)
    if max(photo.shape) > largest:
        raise ValueError(f"{path}: the format ends at {largest} pixels a side; "
                         "choose PNG")


def write_image(path, photo, tags, quality):
    """Write a uint8 photo with Pillow."""
    options = {name: value for name, value in tags._asdict().items() if value}
    if path.suffix.lower() == ".png":
        xmp = options.pop("xmp", b"").decode(errors="replace")
        options["pnginfo"] = PngImagePlugin.PngInfo()
        if xmp:
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp)
    if path.suffix.lower() == ".bmp":           # holds no tags
        options = {}
    Image.fromarray(photo).save(path, quality=quality, **options)


def write_tiff(path, photo, tags, _):
    """Write a TIFF of 8 or 16 bits; Pillow has no RGB of 16, and libvips no EXIF."""
    height, width, channels = photo.shape
    directory = exif_directory(tags.exif)
    directory.update({
        Base.ImageWidth: width, Base.ImageLength: height,
        Base.SamplesPerPixel: channels,
        Base.BitsPerSample: (8 * photo.itemsize,) * channels,
        Base.PhotometricInterpretation: 2, Base.PlanarConfiguration: 1,     # RGBRGB...
        Base.Compression: 1, Base.RowsPerStrip: height,     # none, one piece
        Base.StripOffsets: 0, Base.StripByteCounts: photo.nbytes})
    if tags.icc_profile:
        directory[Base.InterColorProfile] = tags.icc_profile
    if tags.xmp:
        directory[Base.XMLPacket] = tags.xmp
    with open(path, "wb") as file:
        directory.save(file)
        file.write(np.ascontiguousarray(photo, photo.dtype.newbyteorder("<")))


def write_deep_png(path, photo, tags, _):
    """Write a uint16 photo as PNG of 16 bits with libvips."""
    import pyvips
    image = pyvips.Image.new_from_array(np.ascontiguousarray(photo),
                                        interpretation="rgb16")
    dots = dots_per_inch(tags.exif) / 25.4      # a millimetre; libvips writes 1 else
    image = image.copy(xres=dots, yres=dots)
    for name, value in zip(("exif-data", "icc-profile-data", "xmp-data"), tags):
        if value:
            image.set_type(pyvips.GValue.blob_type, name, value)
    try:
        with open(path, "wb") as file:
            target = pyvips.Target.new_to_descriptor(file.fileno())
            image.write_to_target(target, ".png")
    except pyvips.Error as error:
        if not tags.icc_profile:
            raise OSError(describe(error)) from error
        # libpng, which readers use as well, refuses some profiles.
        write_deep_png(path, photo, tags._replace(icc_profile=b""), _)


def dots_per_inch(exif):
    """Resolution for printing in EXIF bytes; 72, as of cameras, where none is there."""
    with contextlib.suppress(TypeError, ValueError):
        dots = float(exif_directory(exif).get(Base.XResolution))
        return dots if 0 < dots < 1e6 else 72.0
    return 72.0


# From file to file

def brightness_note(path, photo, brightness):
    """Empty if the photo has the mean luma asked for, else what it has instead."""
    luma = mean_luma(photo)
    if brightness is None or abs(luma - brightness) <= 0.02:
        return ""
    return (f"{path}: mean luma {luma:.2f} instead of {brightness}; more is not to be "
            "had from its pure black and white")


def enhance_photo(network, path, target, brightness=None, strength=1.0, tile=TILE,
                  depth=8, quality=95):
    """Enhance the photo file `path` into the file `target`; returns its Result.

    `depth`: bits a channel, 8 or 16. The rest as in `lowlight.enhance`, `save_photo`.
    """
    # The darkest levels of a raw photo, which 8 bits round away, are worth reading.
    photo = load_photo(path, 16 if Path(path).suffix.lower() in RAW else depth)
    photo = enhance(network, photo, brightness, strength, tile)
    if depth == 8 and photo.dtype == np.uint16:
        photo = ((np.arange(65536) + 128) // 257).astype(np.uint8)[photo]
    save_photo(target, photo, load_tags(path), quality)
    return Result(photo.shape[0] * photo.shape[1] / 1e6,
                  brightness_note(target, photo, brightness))
