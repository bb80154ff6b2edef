"""What kind of file a photo is, and its opening by Pillow."""
import contextlib
import os
import threading
import warnings

from PIL import Image

HEIC = {".heic", ".heif", ".hif"}
RAW = {".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"}
MAX_PIXELS = 200_000_000        # more is taken for an attack; phones make up to this
LIMIT = threading.RLock()       # Pillow's limit belongs to the program that imports us
QUIET = threading.Lock()        # two threads would lose the descriptor


def check_pixels(width, height):
    """Image.DecompressionBombError for more than MAX_PIXELS, as Pillow raises it."""
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError


@contextlib.contextmanager
def opened(path):
    """The file `path` as a PIL image, not yet decoded, under our limit of pixels."""
    with LIMIT, no_warnings():
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2        # Pillow refuses twice as much
        try:
            with open_image(path) as image:
                check_pixels(*image.size)
                yield image
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def open_image(path):
    """A PIL image of the file `path`, not yet decoded."""
    if path.suffix.lower() in HEIC:
        import pillow_heif
        pillow_heif.register_heif_opener()
    return Image.open(path)


@contextlib.contextmanager
def no_warnings():
    """Pillow warns of odd tags and of many pixels; neither is the user's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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
