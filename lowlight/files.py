"""Photo files in and out: 8 and 16 bits, alpha, grey, CMYK, HEIC, raw.

An ordinary photo is read with NumPy and Pillow alone; pyvips, pillow-heif and rawpy are
imported by the first file that needs them.
"""
import contextlib
import io
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin
from PIL.ExifTags import Base

from lowlight.hdr import HLG, PQ, hdr_to_sdr
from lowlight.kinds import (END_OF_JPEG, HEIC, JPEG_START, MAX_PIXELS, PACKAGES, RAW,
                            TIFF_STARTS, check_pixels, first_directory, is_cut_off,
                            kind_of, looks_like_clip, no_warnings, open_file, opened,
                            quiet_stderr)
from lowlight.photo import (BAND, TILE, ceil_div, colour_as_before, eight_bits, enhance,
                            mean_luma, quantise)
from lowlight.tags import (PNG_HEADER, XMP_TITLE, Tags, colour_numbers, exif_directory,
                           hdr_transfer_of_png, iptc_segment, load_tags, orientation_of,
                           png_info, png_tags, tags_for_jpeg, with_sides)

JPEG = {".jpg", ".jpeg", ".jpe", ".jfif"}
TIFF = {".tif", ".tiff"}
WRITTEN = JPEG | TIFF | {".png", ".webp", ".bmp"}
SIXTEEN_BIT_FORMATS = {".png"} | TIFF
ALPHA_FORMATS = {".png", ".webp"} | TIFF
MP_ENTRIES = 0xB002     # of JPEGs with several pictures, which phones' previews are too
SEVERAL_PICTURES = {"GIF", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"}   # formats of Pillow
GREY_MODES = {"1", "L", "LA", "La"}             # of Pillow
PREMULTIPLIED_ALPHA, STRAIGHT_ALPHA = 1, 2      # values of TIFF's tag ExtraSamples
LARGEST_SIDE = {**dict.fromkeys(JPEG, 65500), ".webp": 16383}       # pixels
LOST_END = 512          # zeros at the end of a JPEG from which on something is lost
CLIPS = {".mp4", ".mov", ".mkv", ".webm"}
OTHER_CLIPS = {         # only read; the suffix of the result
    **dict.fromkeys([".m4v", ".3gp", ".3g2", ".f4v", ".qt", ".gifv", ".lrv", ".insv",
                     ".mp4v"], ".mp4"),
    **dict.fromkeys([".mpg", ".mpeg", ".mpe", ".m2p", ".mod", ".tod", ".m1v", ".m2v",
                     ".vob", ".vro", ".ts", ".tp", ".trp", ".mts", ".m2t", ".m2ts",
                     ".flv", ".avi", ".divx", ".wmv", ".asf", ".wtv", ".ogv", ".ogm",
                     ".dv", ".mxf", ".rm", ".rmvb", ".mk3d", ".nut", ".ivf", ".mjpg",
                     ".mjpeg", ".h264", ".264", ".h265", ".265", ".hevc", ".y4m"],
                    ".mkv")}
NO_PHOTO = {".txt", ".md", ".json", ".csv", ".db", ".ini", ".xml", ".html", ".pdf",
            ".wav", ".mp3", ".m4a", ".aac", ".zip", ".rar", ".7z", ".log", ".lnk", ".url",
            ".gpx", ".doc", ".docx", ".xls", ".xlsx", ".odt", ".rtf", ".py", ".sh", ".bat",
            ".exe", ".tmp", ".part", ".crdownload", ".bak",
            ".xmp", ".pp3", ".dop", ".cos", ".cot", ".aae", ".vrd", ".on1", ".lrcat",
            ".pto",                                         # of editors
            ".thm", ".lrv", ".lrf", ".srt",                 # of cameras, beside clips
            ".bdm", ".cpi", ".mpl", ".tdt", ".tid", ".ctg"}


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

class Picture(NamedTuple):
    """What a photo file shows, upright."""
    photo: np.ndarray                   # RGB (H, W, 3), uint8 or uint16
    alpha: np.ndarray | None = None     # (H, W) of the same type; None if all is opaque
    is_grey: bool = False               # the file has a single channel of colour
    note: str = ""                      # what its owner should know

    def changed(self, change):
        """The Picture with `change`, a function of an array, applied to its pixels."""
        alpha = None if self.alpha is None else change(self.alpha)
        return self._replace(photo=change(self.photo), alpha=alpha)


def load_photo(path, depth=8):
    """Photo at `path`, RGB and upright: uint8 (H, W, 3), at `depth` 16 uint16.

    The first frame, without alpha; 8-bit files are spread over 16 bits. The content of
    a file decides its kind, not its name. Raw is developed to sRGB with the
    camera's white balance and no automatic brightening, so that it is as dark as it was
    taken. Raises ValueError, naming the file and the remedy, for what is no photo, lacks
    more than its end, has more than 200 megapixels or needs a package that is missing.
    """
    return read_picture(path, depth).photo


@no_warnings()
def read_picture(path, depth=8):
    """The photo file `path` as a Picture of `depth` bits; errors as of `load_photo`."""
    path = Path(path)
    if is_clip(path):
        raise ValueError(f"{path}: a clip, not a photo; give it to the command lowlight")
    kind = kind_of(path)
    check_package(path, kind)
    try:
        if kind == "raw":
            return develop(path, depth)
        return with_depth(read_whole_or_mended(path, kind, depth), depth)
    except Image.DecompressionBombError:
        raise ValueError(f"{path}: refused, more than {MAX_PIXELS:,} "
                         "pixels; scale it down first") from None
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file; check its name") from None
    except PermissionError:
        raise ValueError(f"{path}: may not be read; change its permissions") from None
    except MemoryError:
        raise ValueError(f"{path}: too large for the memory that is free; scale it down"
                         ) from None
    except Exception as error:                  # decoders raise nearly every type
        if looks_like_clip(path):               # phones name a clip .MP, or as its photo
            raise ValueError(f"{path}: a clip by its content; rename it, such as to "
                             f"{path.stem}.mp4, and give it to the command lowlight"
                             ) from None
        raise ValueError(f"{path}: not a readable photo ({describe(error)}); "
                         "replace it or convert it to PNG") from None


def read_whole_or_mended(path, kind, depth):
    """A Picture of 8 or 16 bits, with a note if the file is damaged."""
    try:
        if is_filled_with_zeros(path):          # libjpeg would make grey of them
            raise OSError("the end of the file is lost; zeros are in its place")
        return read_source(path, kind, depth)
    except (Image.DecompressionBombError, FileNotFoundError, PermissionError,
            MemoryError):
        raise
    except Exception:
        from lowlight.mend import mended
        found = None
        with contextlib.suppress(Exception):    # damage raises nearly every type
            found = mended(path)
        if found is None:
            raise
        content, damage = found
        picture = read_source(io.BytesIO(content), kind, depth)
        return picture._replace(note=f"{path}: {damage}")


def is_filled_with_zeros(path):
    """Whether a JPEG ends in zeros, as where a download or a rescue broke off."""
    with open(path, "rb") as file:
        if file.read(3) != JPEG_START or path.stat().st_size < LOST_END:
            return False
        file.seek(-LOST_END, os.SEEK_END)
        if any(file.read()):
            return False
        file.seek(0)
        return not file.read().rstrip(b"\0").endswith(END_OF_JPEG)      # a whole one


def read_source(source, kind, depth):
    """A Picture of the path or file object `source`: of 16 bits if it has as many."""
    deep = read_sixteen_bits(source, kind, depth)
    return read_eight_bits(source, kind) if deep is None else deep


def with_depth(picture, depth):
    """A Picture of `depth` bits; 8 are spread over 16, 16 rounded to 8."""
    if picture.photo.dtype == np.dtype(f"uint{depth}"):
        return picture
    return picture.changed(eight_bits if depth == 8 else sixteen_bits)


def sixteen_bits(photo):
    """A uint8 array spread over uint16."""
    return np.multiply(photo, 257, dtype=np.uint16)


def upright(picture, orientation):
    """A Picture turned as EXIF's `orientation`, 1 to 8, asks."""
    if orientation not in range(2, 9):
        return picture
    return picture.changed(lambda pixels: turned(pixels, orientation))


def turned(pixels, orientation):
    """An array (H, W, ...) turned as EXIF's `orientation`, 2 to 8, asks."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def is_clip(path):
    """Whether a file is a clip by its name."""
    return path.suffix.lower() in CLIPS | OTHER_CLIPS.keys()


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
    text = getattr(error, "detail", text)               # what libvips says
    line = text.strip().partition("\n")[0].partition(" <_io.")[0]      # an open file
    return f"{type(error).__name__}: {line}"


def read_eight_bits(source, kind):
    """The photo file `source` as a Picture of uint8, by Pillow."""
    with opened(source, kind) as image:
        check_channels(image)
        with quiet_stderr() if image.format == "TIFF" else contextlib.nullcontext():
            image.load()
            is_grey = image.mode in GREY_MODES or image.mode.startswith(("I", "F"))
            note = f"{source}: converted from CMYK to RGB" if image.mode == "CMYK" else ""
            picture = Picture(to_rgb(image), read_alpha(image), is_grey, note)
        if image.format in ("TIFF", "HEIF"):    # turned while they are loaded
            return picture
        # Of a PNG, Pillow has not read the tags behind the pixels.
        info = png_info(source) if image.format == "PNG" else image.info
        return upright(picture, orientation_of(info))


def check_channels(image):
    """OSError for a PSD with more channels than colours, such as saved selections.

    Pillow shifts its colours against each other.
    """
    if image.format == "PSD":
        image.fp.seek(12)
        if int.from_bytes(image.fp.read(2), "big") > len(image.getbands()):
            raise OSError("a PSD with more channels than colours")


def row_bands(image):
    """Yield (slice of rows, these rows of a PIL image): the whole takes more memory."""
    for top in range(0, image.height, BAND):
        bottom = min(top + BAND, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def to_rgb(image):
    """A PIL image of any mode as uint8 (H, W, 3); alpha is dropped, not blended."""
    white = white_level(image)
    conversion = from_cmyk(image) if image.mode == "CMYK" else None
    is_deep = image.mode.startswith(("I", "F"))
    photo = np.empty((image.height, image.width, 3), np.uint16 if is_deep else np.uint8)
    for rows, band in row_bands(image):
        if conversion:
            band = conversion.apply(band)
        photo[rows] = band_to_rgb(band, white)
    return photo


def white_level(image):
    """The level of white in a PIL image of 12, 16 or 32 bits, all of which are grey."""
    if image.mode == "F":
        largest = np.nanmax(np.asarray(image))     # of maps, NaN is no level
        if largest <= 2:                        # some go a little over their white
            return 1
        return 255 if largest <= 255 else 65535
    if image.format == "TIFF":
        return 2 ** min(image.tag_v2.get(Base.BitsPerSample, (16,))[0], 16) - 1
    return 65535


def from_cmyk(image):
    """Conversion of a CMYK image to sRGB by its colour profile; None without one."""
    from PIL import ImageCms
    with contextlib.suppress(ImageCms.PyCMSError, ImportError, KeyError, OSError,
                             TypeError):            # none, a broken one, or one of RGB
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        # Relative: the shadows stay as they print; perceptual would make them darker.
        return ImageCms.buildTransform(
            profile, ImageCms.createProfile("sRGB"), "CMYK", "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC)
    return None


def read_alpha(image):
    """Alpha of a PIL image as uint8 (H, W); None if it has none or all is opaque."""
    if not image.has_transparency_data or image.mode.startswith(("I", "F")):
        return None
    alpha = np.empty((image.height, image.width), np.uint8)
    for rows, band in row_bands(image):
        if "A" not in band.getbands():          # palettes, and one colour made clear
            band = band.convert("RGBA")
        alpha[rows] = np.asarray(band.getchannel("A"))
    return None if alpha.min() == 255 else alpha


def band_to_rgb(image, white):
    """Some rows of a PIL image as uint8 (h, W, 3); `white`: the level of white in the
    modes of 16 and 32 bits, all of which are grey."""
    if image.mode.startswith(("I", "F")):
        return quantise(np.asarray(image, np.float64) / white, np.uint16)[..., None]
    if image.mode in ("P", "PA", "LA", "La", "RGBa"):   # palettes may hold alpha
        image = image.convert("RGBA")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def read_sixteen_bits(source, kind, depth):
    """A Picture of uint16, or None if Pillow reads the file as well or better."""
    if kind == "heic":
        return read_deep_heic(source, depth)
    if kind == "avif":
        return read_deep_avif(source, depth)
    with open_file(source) as file:
        head = file.read(64)
        directory = first_directory(file, head)
    # Of TIFF with 16 bits Pillow misreads some kinds and refuses others; of PNG it takes
    # the high bytes.
    if head.startswith(TIFF_STARTS):
        extra = np.atleast_1d(directory.get(Base.ExtraSamples, 0))[0]
        orientation = directory.get(Base.Orientation) or orientation_of(
            {"xmp": directory.get(Base.XMLPacket)})
        return read_deep_scan(source, extra in (PREMULTIPLIED_ALPHA, STRAIGHT_ALPHA),
                              orientation)
    if head.startswith(b"\x89PNG") and head[24:25] == b"\x10":
        picture = read_deep_scan(source, True, orientation_of(png_info(source)))
        transfer = hdr_transfer_of_png(source)
        return in_sdr(picture, transfer, source) if picture and transfer else picture
    return None


def read_deep_heic(source, depth):
    """A HEIC photo of 10 or 12 bits as a Picture of uint16, one in HDR of uint8; None
    for others, and where `depth` asks for 8 bits. OSError if its end is lost."""
    import pillow_heif
    with open_file(source) as file:
        if is_cut_off(file):
            raise OSError("the end of the file is lost")
    image = pillow_heif.open_heif(source, convert_hdr_to_8bit=False)
    check_pixels(*image.size)
    if image.mode not in ("RGB;16", "RGBA;16"):
        return None
    colours = image.info.get("nclx_profile") or {}
    transfer = colours.get("transfer_characteristics")
    is_hdr = transfer in (PQ, HLG)      # .HIF of cameras, which else look washed out
    if depth == 8 and not is_hdr:
        return None
    picture = picture_of_samples(np.asarray(image))
    return in_sdr(picture, transfer, source) if is_hdr else picture


def read_deep_avif(source, depth):
    """As `read_deep_heic` for an AVIF photo, of which Pillow reads 8 bits."""
    _, transfer = colour_numbers(source)
    is_hdr = transfer in (PQ, HLG)
    # libvips turns it upright.
    picture = read_deep_scan(source, True, 1) if is_hdr or depth == 16 else None
    return in_sdr(picture, transfer, source) if picture and is_hdr else picture


def in_sdr(picture, transfer, source):
    """A Picture in HDR, coded by `transfer`, as one of uint8 in SDR, with a note."""
    alpha = picture.alpha
    return Picture(hdr_to_sdr(picture.photo, transfer),
                   None if alpha is None else eight_bits(alpha),
                   note=f"{source}: converted from HDR to SDR")


def picture_of_samples(samples):
    """A Picture of samples (H, W, C), uint8 or uint16: grey or RGB, alpha or none."""
    channels = samples.shape[2]
    is_grey = channels < 3
    photo = samples[..., [0, 0, 0]] if is_grey else samples[..., :3]
    alpha = samples[..., -1] if channels in (2, 4) else None
    if alpha is not None and alpha.min() == np.iinfo(alpha.dtype).max:
        alpha = None
    return Picture(np.ascontiguousarray(photo), alpha, is_grey)


def read_deep_scan(source, alpha_follows, orientation):
    """A PNG or TIFF of 16 bits, RGB or grey, as a Picture of uint16, else None.

    `alpha_follows`: whether a channel behind the colours is alpha. `orientation`: 1 to 8.
    """
    import pyvips
    with open_file(source) as file, quiet_stderr():
        try:
            image = pyvips.Image.new_from_source(vips_source(file), "", fail_on="error",
                                                 access="sequential")
        except pyvips.Error:                    # no such format; Pillow will say
            return None
        check_pixels(image.width, image.height)
        if image.format != "ushort" or image.interpretation not in ("rgb16", "grey16"):
            return None
        if max(image.width, image.height) > 100_000:    # damage, over which libvips
            return None                                 # loses hours; Pillow does not
        colours = 3 if image.interpretation == "rgb16" else 1
        has_alpha = image.bands > colours and alpha_follows
        samples = image[:colours + has_alpha].numpy()   # without channels of other use
    # NumPy gets one channel, and one pixel, without their axes.
    samples = samples.reshape(image.height, image.width, -1)
    return upright(picture_of_samples(samples), orientation)


def vips_source(file):
    """An open file for libvips: by descriptor, as a name may be in no encoding."""
    import pyvips
    if isinstance(file, io.BytesIO):
        return pyvips.Source.new_from_memory(file.getvalue())
    return pyvips.Source.new_from_descriptor(file.fileno())


def develop(path, depth):
    """The raw file `path` as a Picture in sRGB of `depth` bits, as dark as it was."""
    import rawpy
    with open(path, "rb") as file, quiet_stderr(), rawpy.imread(file) as raw:
        check_pixels(raw.sizes.raw_width, raw.sizes.raw_height)
        rows = raw.raw_image_visible
        has_end = rows[-ceil_div(len(rows), 50):].any()     # noise alone is more than 0
        samples = raw.postprocess(use_camera_wb=True, no_auto_bright=True,
                                  output_bps=depth, gamma=(2.4, 12.92))    # sRGB's curve
    note = "" if has_end else f"{path}: holds only zeros at its end, and may have lost it"
    return picture_of_samples(samples)._replace(note=note)


# Writing

@no_warnings()
def save_photo(path, photo, tags=None, quality=95, alpha=None, mode=0o666):
    """Write a photo (H, W, 3) or grey (H, W), in the format of the suffix of `path`.

    uint8 or uint16; uint16 goes into PNG and TIFF. `tags`: what `load_tags` returns; BMP
    holds only the resolution. `quality`: of JPEG and WebP. `alpha`: (H, W) of the type of
    the photo, for PNG, WebP and TIFF. `mode`: permissions, less those of the umask. The
    file is written whole or not at all. Raises ValueError where the format cannot hold
    the photo, OSError where there is no room.
    """
    path = Path(path)
    tags = tags or Tags()
    photo = np.asarray(photo)
    check_format(path, photo, alpha)
    tags = tags._replace(exif=with_sides(tags.exif, *photo.shape[:2]))
    if path.suffix.lower() == ".webp" and photo.ndim == 2:      # which has no grey
        photo = np.stack([photo] * 3, -1)
    if tags.icc_profile[16:20] != (b"GRAY" if photo.ndim == 2 else b"RGB "):
        tags = tags._replace(icc_profile=b"")
    with whole_file(path, mode) as part:
        try:
            if path.suffix.lower() in TIFF:
                write_tiff(part, photo, alpha, tags)
            elif photo.dtype == np.uint16:
                write_deep_png(part, photo, alpha, tags)
            else:
                write_image(part, photo, alpha, tags, quality)
        except ValueError as error:             # such as tags too large for JPEG
            raise ValueError(f"{path}: cannot be written ({error}); choose PNG"
                             ) from error


def check_format(path, photo, alpha):
    """ValueError with the remedy unless the format of `path` can hold such a photo."""
    suffix = path.suffix.lower()
    if suffix not in WRITTEN:
        raise ValueError(f"{path}: photos are written as JPEG, PNG, WebP, TIFF or BMP")
    if photo.dtype not in (np.uint8, np.uint16) or not (
            photo.size and (photo.ndim == 2 or photo.shape[2:] == (3,))):
        raise ValueError(f"{path}: expected a uint8 or uint16 photo (H, W, 3) or (H, W), "
                         f"got {photo.dtype} {photo.shape}")
    if alpha is not None and suffix not in ALPHA_FORMATS:
        raise ValueError(f"{path}: the format has no alpha; choose PNG, WebP or TIFF")
    if alpha is not None and (alpha.dtype, alpha.shape) != (photo.dtype, photo.shape[:2]):
        raise ValueError(f"{path}: expected alpha {photo.dtype} {photo.shape[:2]}, "
                         f"got {alpha.dtype} {alpha.shape}")
    if photo.dtype == np.uint16 and suffix not in SIXTEEN_BIT_FORMATS:
        raise ValueError(f"{path}: 16 bits go into PNG or TIFF; choose one of them")
    largest = LARGEST_SIDE.get(suffix, np.inf)
    if max(photo.shape[:2]) > largest:
        raise ValueError(f"{path}: the format ends at {largest} pixels a side; "
                         "choose PNG")


def write_image(path, photo, alpha, tags, quality):
    """Write a uint8 photo with Pillow."""
    image = Image.fromarray(photo)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    suffix = path.suffix.lower()
    tags = tags_for_jpeg(tags) if suffix in JPEG else tags
    options = {name: value for name, value in tags._asdict().items()
               if value not in (b"", ())}
    chunks, iptc = options.pop("chunks", ()), options.pop("iptc", b"")
    if suffix in JPEG:
        options["extra"] = iptc_segment(iptc)
    if suffix == ".png":
        xmp = options.pop("xmp", b"").decode(errors="replace")
        options["pnginfo"] = PngImagePlugin.PngInfo()
        if xmp:
            options["pnginfo"].add_itxt(XMP_TITLE, xmp)
        for kind, data in chunks:
            options["pnginfo"].add(kind, data)
    image.save(path, quality=quality, **options)


def write_tiff(path, photo, alpha, tags):
    """Write a TIFF of 8 or 16 bits; Pillow has no RGB of 16, libvips and tifffile no EXIF.

    The tags in a directory of Pillow, then the pixels, row by row.
    """
    height, width = photo.shape[:2]
    colours = 1 if photo.ndim == 2 else 3
    channels = colours + (alpha is not None)
    directory = exif_directory(tags.exif)
    directory.update({
        Base.ImageWidth: width, Base.ImageLength: height,
        Base.SamplesPerPixel: channels,
        Base.BitsPerSample: (8 * photo.itemsize,) * channels,
        Base.PhotometricInterpretation: 1 if colours == 1 else 2,   # grey, RGB
        Base.PlanarConfiguration: 1,                        # RGBRGB...
        Base.Compression: 1, Base.RowsPerStrip: height,     # none, one piece
        Base.StripOffsets: 0,
        Base.StripByteCounts: height * width * channels * photo.itemsize})
    if alpha is not None:
        directory[Base.ExtraSamples] = STRAIGHT_ALPHA
    if tags.dpi:
        directory[Base.XResolution], directory[Base.YResolution] = tags.dpi
        directory[Base.ResolutionUnit] = 2                      # inch
    if tags.icc_profile:
        directory[Base.InterColorProfile] = tags.icc_profile
    if tags.xmp:
        directory[Base.XMLPacket] = tags.xmp
    with open(path, "wb") as file:
        directory.save(file)
        for top in range(0, height, BAND):
            rows = photo[top:top + BAND]
            if alpha is not None:
                rows = np.dstack([rows, alpha[top:top + BAND]])
            file.write(np.ascontiguousarray(rows, rows.dtype.newbyteorder("<")))


def write_deep_png(path, photo, alpha, tags):
    """Write a uint16 photo as PNG of 16 bits with libvips."""
    import pyvips
    image = pyvips.Image.new_from_array(
        np.ascontiguousarray(photo),
        interpretation="grey16" if photo.ndim == 2 else "rgb16")
    if alpha is not None:
        image = image.bandjoin(pyvips.Image.new_from_array(np.ascontiguousarray(alpha)))
    across, down = tags.dpi or (72, 72)         # as of cameras; without it libvips writes 25.4
    image = image.copy(xres=across / 25.4, yres=down / 25.4)    # dots a millimetre
    # libvips would write EXIF of its own making, and XMP where few look for it.
    with tempfile.TemporaryFile(dir=path.parent) as pixels, open(path, "wb") as file:
        try:
            target = pyvips.Target.new_to_descriptor(pixels.fileno())
            image.write_to_target(target, ".png", keep="none")
        except pyvips.Error as error:
            raise OSError(describe(error)) from error
        pixels.seek(0)
        file.write(pixels.read(PNG_HEADER))
        file.writelines(png_tags(tags))
        shutil.copyfileobj(pixels, file)


# From file to file

def brightness_note(path, photo, brightness):
    """Empty if the photo has the mean luma asked for, else what it has instead."""
    luma = mean_luma(photo)
    if brightness is None or abs(luma - brightness) <= 0.02:
        return ""
    return (f"{path}: mean luma {luma:.2f} instead of {brightness}; its pure black "
            "and white pixels cannot change")


def pictures_note(path, kind):
    """Empty unless `path` is an animation, has several pages or is seen by two eyes."""
    with contextlib.suppress(Exception), opened(path, kind) as image:
        frames = getattr(image, "mpinfo", {}).get(MP_ENTRIES, ())   # of JPEG
        is_stereo = any("Multi-Frame" in frame["Attribute"]["MPType"] for frame in frames)
        if is_stereo or image.format in SEVERAL_PICTURES and image.is_animated:
            return f"{path}: holds several pictures; only the first is enhanced"
    return ""


def enhance_picture(network, picture, settings):
    """A Picture brightened, of `settings.depth` bits; one without colour gets none."""
    photo = enhance(network, picture.photo, settings.brightness, settings.strength,
                    settings.tile)
    photo = colour_as_before(photo, picture.photo)
    return with_depth(picture._replace(photo=photo), settings.depth)


def enhance_photo(network, path, target, settings=Settings()):
    """Enhance the photo file `path` into the file `target`: a Result.

    Alpha is kept where the format of `target` has it; a photo without colour gets none.
    """
    path, target = Path(path), Path(target)
    # The darkest levels of a raw photo, which 8 bits round away, are worth reading.
    kind = kind_of(path)
    depth = 16 if kind == "raw" else settings.depth
    picture = enhance_picture(network, read_picture(path, depth), settings)
    photo, alpha = picture.photo, picture.alpha
    tags = load_tags(path, picture.is_grey)
    notes = [picture.note, "" if kind == "raw" else pictures_note(path, kind),
             brightness_note(target, photo, settings.brightness)]
    if alpha is not None and target.suffix.lower() in WRITTEN - ALPHA_FORMATS:
        alpha = None
        notes.append(f"{target}: its transparency is lost; PNG, WebP and TIFF keep it")
    if target.suffix.lower() in JPEG and tags_for_jpeg(tags) != tags:
        notes.append(f"{target}: some tags are too large for JPEG; PNG keeps them")
    save_photo(target, photo[..., 0] if picture.is_grey else photo, tags,
               settings.quality, alpha, private_mode(path))
    return Result(photo.shape[0] * photo.shape[1] / 1e6, "; ".join(filter(None, notes)))
