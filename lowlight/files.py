"""Photo files in and out: 8 and 16 bits, HEIC, raw.

An ordinary photo is read with NumPy and Pillow alone; pyvips, pillow-heif and rawpy are
imported by the first file that needs them.
"""
import contextlib
import os
import secrets
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin
from PIL.ExifTags import Base

from lowlight.kinds import (HEIC, MAX_PIXELS, PACKAGES, RAW, check_pixels, kind_of,
                            TIFF_STARTS, no_warnings, opened, quiet_stderr)
from lowlight.photo import BAND, TILE, eight_bits, enhance, mean_luma, quantise
from lowlight.tags import Tags, dots_per_inch, exif_directory, load_tags

WRITTEN = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
TIFF = {".tif", ".tiff"}
SIXTEEN_BIT_FORMATS = {".png"} | TIFF
LARGEST_SIDE = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}      # pixels
CLIPS = {".mp4", ".mov", ".mkv", ".webm"}
OTHER_CLIPS = {".avi", ".m4v", ".3gp", ".mts", ".wmv", ".gifv"}
NO_PHOTO = {".txt", ".md", ".json", ".csv", ".db", ".ini", ".xml", ".html", ".pdf",
            ".xmp", ".aae"}                     # the last two lie beside raw and HEIC


class Result(NamedTuple):
    """What became of one file: its megapixels, and what its owner should know."""
    megapixels: float
    note: str = ""


@dataclass(frozen=True)
class Settings:
    """How a photo file is enhanced; the first three as in `lowlight.enhance`."""
    brightness: float | None = None
    strength: float = 1.0
    tile: int = TILE
    depth: int = 8              # bits a channel of the result: 8 or 16
    quality: int = 95           # of JPEG and WebP, 1 to 100


@contextlib.contextmanager
def whole_file(path, mode=0o666):
    """A temporary path beside `path` that takes its place once the block succeeds.

    `mode`: permissions of the file; the umask takes away from them, as from all files.
    """
    path, part = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unused = path.with_name(f".part-{secrets.token_hex(8)}{path.suffix}")
        os.close(os.open(unused, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        part = unused
        yield part
        os.replace(part, path)
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({error.strerror or error}); "
                      "make room or choose another folder") from error
    finally:
        if part:
            part.unlink(missing_ok=True)


def private_mode(path):
    """Permissions of a file made from `path`: no others read it than may read `path`."""
    return 0o600 | (Path(path).stat().st_mode & 0o666)


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
    kind = kind_of(path)
    check_package(path, kind)
    try:
        if kind == "raw":
            return develop(path, depth)
        deep = read_sixteen_bits(path, kind, depth)
        photo = read_eight_bits(path) if deep is None else deep
    except Image.DecompressionBombError:
        raise ValueError(f"{path}: refused, more than {MAX_PIXELS:,} "
                         "pixels; scale it down first") from None
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file; check its name") from None
    except PermissionError:
        raise ValueError(f"{path}: may not be read; change its permissions") from None
    except Exception as error:                  # decoders raise nearly every type
        raise ValueError(f"{path}: not a readable photo ({describe(error)}); "
                         "replace it or convert it to PNG") from None
    if depth == 16 and photo.dtype == np.uint8:
        return np.multiply(photo, 257, dtype=np.uint16)
    return photo if depth == 16 or photo.dtype == np.uint8 else eight_bits(photo)


def check_suffix(path):
    """ValueError with the remedy if a file of this name cannot be read here."""
    suffix = path.suffix.lower()
    if suffix in OTHER_CLIPS:
        raise ValueError(f"{path}: clips are read as MP4, MOV, MKV or WebM; convert it")


def check_package(path, kind):
    """ValueError with the remedy if the package that reads this kind is missing."""
    if kind in PACKAGES:
        try:
            import_module(PACKAGES[kind])
        except ImportError:
            raise ValueError(f"{path}: needs one more package: pip install "
                             f"'lowlight[{kind}]'") from None


def describe(error):
    """Type and first line of an exception; C libraries give several lines, or bytes."""
    text = error.args[0] if error.args else ""
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(error)
    return f"{type(error).__name__}: {text.strip().partition(chr(10))[0]}"


def read_eight_bits(path):
    """The photo file `path` as uint8 (H, W, 3), upright, by Pillow."""
    with opened(path) as image:
        with quiet_stderr() if image.format == "TIFF" else contextlib.nullcontext():
            image.load()
            with contextlib.suppress(Exception):    # malformed tags cost no photo
                ImageOps.exif_transpose(image, in_place=True)
            return to_rgb(image)


def to_rgb(image):
    """A PIL image of any mode as uint8 (H, W, 3); alpha is dropped, not blended."""
    unit = image.mode == "F" and image.getextrema()[1] <= 1
    white = 1 if unit else 65535                # of 16-bit and 32-bit grey
    photo = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, BAND):    # at once, it takes thrice the memory
        band = image.crop((0, top, image.width, min(top + BAND, image.height)))
        photo[top:top + BAND] = band_to_rgb(band, white)
    return photo


def band_to_rgb(image, white):
    """Some rows of a PIL image as uint8 (h, W, 3); `white`: the level of white in the
    modes of 16 and 32 bits, all of which are grey."""
    if image.mode.startswith(("I", "F")):
        return quantise(np.asarray(image, np.float64) / white, np.uint8)[..., None]
    if image.mode in ("P", "PA", "LA", "La", "RGBa"):   # palettes may hold alpha
        image = image.convert("RGBA")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def read_sixteen_bits(path, kind, depth):
    """uint16 (H, W, 3), upright, or None if Pillow reads the file as well or better."""
    if kind == "heic":
        return read_deep_heic(path) if depth == 16 else None
    with open(path, "rb") as file:
        head = file.read(4)
    # Of TIFF with 16 bits Pillow misreads some kinds and refuses others.
    if head in TIFF_STARTS or (head == b"\x89PNG" and depth == 16):
        return read_deep_scan(path)
    return None


def read_deep_heic(path):
    """A HEIC photo of 10 or 12 bits as uint16 (H, W, 3), else None."""
    import pillow_heif
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


# Writing

@no_warnings()
def save_photo(path, photo, tags=None, quality=95, mode=0o666):
    """Write a photo (H, W, 3), uint8 or uint16, in the format of the suffix of `path`.

    uint16 goes into PNG and TIFF. `tags`: what `load_tags` returns; BMP holds none.
    `quality`: of JPEG and WebP. `mode`: permissions, less those of the umask. The file is written whole or not at all. Raises
    ValueError where the format cannot hold the photo, OSError where there is no room.
    """
    path, tags = Path(path), tags or Tags()
    check_format(path, photo)
    with whole_file(path, mode) as part:
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


# From file to file

def brightness_note(path, photo, brightness):
    """Empty if the photo has the mean luma asked for, else what it has instead."""
    luma = mean_luma(photo)
    if brightness is None or abs(luma - brightness) <= 0.02:
        return ""
    return (f"{path}: mean luma {luma:.2f} instead of {brightness}; more is not to be "
            "had from its pure black and white")


def enhance_photo(network, path, target, settings=Settings()):
    """Enhance the photo file `path` into the file `target`: a Result."""
    # The darkest levels of a raw photo, which 8 bits round away, are worth reading.
    is_raw = kind_of(Path(path)) == "raw"
    photo = load_photo(path, 16 if is_raw else settings.depth)
    photo = enhance(network, photo, settings.brightness, settings.strength,
                    settings.tile)
    if settings.depth == 8 and photo.dtype == np.uint16:
        photo = eight_bits(photo)
    save_photo(target, photo, load_tags(path), settings.quality, private_mode(path))
    return Result(photo.shape[0] * photo.shape[1] / 1e6,
                  brightness_note(target, photo, settings.brightness))
