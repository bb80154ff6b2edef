"""The command: `lowlight INPUT ...` brightens photos, clips and folders of them."""
import argparse
import contextlib
import glob
import os
import signal
import sys
import time
from pathlib import Path

from tqdm import tqdm

from lowlight import __version__, files, kinds, network
from lowlight.photo import TILE

MADE = "-bright"        # what the name of a result ends with where no folder is given
# With these --out names a file, no folder.
FILE_SUFFIXES = (files.WRITTEN | files.CLIPS | files.OTHER_CLIPS.keys() | files.HEIC
                 | files.RAW | {".gif", ".avif", ".jxl", ".jp2", ".psd"})
# What systems keep beside photos: Synology, QNAP, Windows, macOS, Linux.
SYSTEM_NAMES = {"@eadir", "#recycle", "#snapshot", "@tmp", "@recycle", "$recycle.bin",
                "system volume information", "__macosx", "icon\r", "lost+found"}
EXAMPLES = """examples:
  lowlight night.jpg                        writes night-bright.jpg beside it
  lowlight photos/ clip.mp4 --out bright    a folder and a clip into the folder bright
  lowlight night.png --out bright.jpg       one photo into that file
  lowlight night.nef --depth 16             a raw photo as TIFF of 16 bits
  lowlight night.jpg --brightness 0.4 --strength 0.7 --out softer

The exit status is 0 if all is done, 1 if a file failed, 2 if the command was wrong.
"""


def parse(arguments):
    """The options of the command line; exits with status 2 if they are wrong."""
    parser = argparse.ArgumentParser(
        "lowlight", description="Brighten dark photos and clips, of any size.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", type=place,
        help="a photo, a clip (mp4, mov, mkv, webm, avi, ...) or a folder")
    add("--out", metavar="PLACE", type=place, help="folder for the results, or the file "
        "for a single one (default: beside each input, as NAME-bright)")
    add("--weights", metavar="FILE", type=place, help=".onnx, or .keras as CNN.ipynb "
        "writes it (default: the released weights)")
    add("--brightness", metavar="X", type=share(open_ends=True),
        help="mean luma of the result, between 0 and 1 (default: as the network decides)")
    add("--strength", metavar="X", type=share(), default=1.0,
        help="from 0, the photo as it was, to 1, all that the network does (default)")
    add("--overwrite", action="store_true", help="replace results that exist")
    add("--format", choices=("jpg", "png", "webp", "tif"), type=short_format,
        help="of photos (default: that of the photo; JPEG for raw and HEIC)")
    add("--depth", type=int, choices=(8, 16), default=8,
        help="bits a channel of photos; 16 makes PNG or TIFF (default: 8)")
    add("--quality", metavar="Q", type=int, choices=range(1, 101), default=95,
        help="of JPEG and WebP, 1 to 100 (default: 95; a WebP without loss stays so)")
    add("--tile", metavar="N", type=int, default=TILE, help="pixels a side worked on at "
        f"a time (default: {TILE}): less memory or more speed, the same result")
    add("--version", action="version", version=__version__)
    options = parser.parse_args(arguments)
    if options.depth == 16 and options.format in ("jpg", "webp"):
        parser.error(f"--format {options.format} cannot hold --depth 16; take png or tif")
    return options


def place(text):
    """A type of argparse: a path; "" would be the current folder, and is a mistake."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name; the folder here is called .")
    return Path(os.path.expanduser(text))       # a shell leaves the ~ in --out=~/x


def short_format(text):
    """A type of argparse: a format as its suffix is written here, as jpg for JPEG."""
    return {"jpeg": "jpg", "tiff": "tif"}.get(text.lower(), text.lower())


def share(open_ends=False):
    """A type of argparse: a number from 0 to 1, without these two if `open_ends`."""
    def number(text):
        value = float(text)
        if not 0 <= value <= 1 or open_ends and value in (0, 1):
            raise argparse.ArgumentTypeError(f"{text}: must lie between 0 and 1")
        return value
    return number


def names_file(out):
    """Whether `out` of the command line is the file of one result, not a folder."""
    return bool(out and out.suffix.lower() in FILE_SUFFIXES and not os.path.isdir(out))


def out_error(options, found):
    """What is wrong with --out where it names a file; empty if nothing is."""
    if not names_file(options.out):
        return ""
    suffix = options.out.suffix.lower()
    if len(found) > 1 or any(map(os.path.isdir, options.inputs)):
        return f"--out {options.out}: is one file for several results; name a folder"
    if suffix not in files.WRITTEN | files.CLIPS:
        return (f"--out {options.out}: photos are written as JPEG, PNG, WebP, TIFF or BMP, "
                "clips as MP4, MOV, MKV or WebM")
    kind = "jpg" if suffix in files.JPEG else short_format(suffix[1:])
    if options.format and suffix in files.WRITTEN and kind != options.format:
        return f"--out {options.out}: contradicts --format {options.format}"
    if options.depth == 16 and suffix in files.WRITTEN - files.SIXTEEN_BIT_FORMATS:
        return f"--out {options.out}: cannot hold --depth 16; take .png or .tif"
    return ""


def passed_over(path):
    """Whether a path within a folder is hidden, a note or a leftover of some system."""
    return (path.suffix.lower() in files.NO_PHOTO
            # Of Windows, seen from Linux; what ExifTool and editors keep of a change.
            or path.name.endswith((":Zone.Identifier", "_original", "~"))
            or any(part.startswith(".") or part.lower() in SYSTEM_NAMES
                   for part in path.parts))


def expand_wildcards(path):
    """[path], or what it matches: the shells of Windows leave * and ? to the command."""
    if os.path.lexists(path) or not set("*?[") & set(str(path)):
        return [path]                           # a file may well be called [1].png
    pattern = str(path)
    if os.path.isdir(path.parent):              # and a folder [2026]
        pattern = os.path.join(glob.escape(str(path.parent)), path.name)
    matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]
    return [match for match in matches if not passed_over(Path(match.name))] or [path]


def find_inputs(inputs, out=None):
    """[(path, path below the result folder)] of photos and clips, also in folders.

    Wildcards are expanded, and what is named twice is found once. In folders, hidden
    files, notes, leftovers of systems and what an earlier call has made are passed over;
    among names, as of *.jpg, what an earlier call has made of another of them.
    A folder that may not be listed is found as if it were a photo, to be reported.
    """
    found, paths = [], []
    for path in inputs:
        paths += expand_wildcards(path)
    for path in paths:
        if not os.path.isdir(path) or is_locked(path):
            found.append((path, Path(path.name)))
            continue
        if len(paths) > 1 and out and real(path) == real(out):
            continue                            # * names it in a second call
        below_out = out and real(out) not in (real(path), *real(path).parents)
        for one in sorted(path.rglob("*")):
            inside = one.relative_to(path)
            made = (real(out) in real(one).parents if below_out
                    else out is None and one.stem.endswith(MADE))
            if ((os.path.isfile(one) or is_locked(one)) and not made
                    and not passed_over(inside)):
                found.append((one, inside))
    if out is None:
        made = {os.path.splitext(path)[0] + MADE for path, _ in found}
        found = [(path, below) for path, below in found
                 if os.path.splitext(path)[0] not in made]
    return list({os.path.abspath(path): (path, below) for path, below in found}.values())


def real(path):
    """A path without links; unlike Path.resolve, it takes links that form a circle."""
    return Path(os.path.realpath(path))


def is_locked(path):
    """Whether `path` is a folder that may not be listed."""
    return os.path.isdir(path) and not os.access(path, os.R_OK | os.X_OK)


def result_suffix(path, kind=None, depth=8):
    """The suffix of the result of `path`; `kind`: of photos, "jpg" and so on, or None."""
    suffix = path.suffix.lower()
    writable = files.WRITTEN if depth == 8 else files.SIXTEEN_BIT_FORMATS
    if suffix in files.CLIPS or (suffix in writable and not kind):
        return path.suffix
    if suffix in files.OTHER_CLIPS:
        return files.OTHER_CLIPS[suffix]
    if kind:
        return f".{kind}"
    if suffix in files.RAW | files.HEIC:
        return ".jpg" if depth == 8 else ".tif"
    if depth == 8 and kinds.is_jpeg(path):      # .mpo, .jpg_large, no suffix at all
        return ".jpg"
    return ".png"


def identity(path):
    """Device and inode of a file, None if there is none: 1.JPG may be 1.jpg."""
    with contextlib.suppress(OSError):
        status = os.stat(path)
        return status.st_dev, status.st_ino
    return None


def result_path(path, below, options, taken):
    """Where the result of `path` goes; neither its name nor its identity is in `taken`."""
    if names_file(options.out):
        return options.out
    suffix = result_suffix(path, options.format, options.depth)
    target = (options.out / below.with_suffix(suffix) if options.out
              else path.with_name(f"{path.stem}{MADE}{suffix}"))
    again = suffix if options.out else MADE         # MADE: a later call knows it by that
    while target in taken or identity(target) in taken:     # 1.nef beside 1.JPG
        target = target.with_name(f"{target.stem}{again}{suffix}")
    return target


def enhance_file(loaded, path, target, options, on_frame):
    """Enhance one photo or clip; `on_frame` gets the megapixels of each frame."""
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise ValueError(f"{path}: a pipe or a device; save what comes from it as a file")
    if files.is_clip(path):
        from lowlight.clips import enhance_clip
        return enhance_clip(loaded, path, target, options.brightness, options.strength,
                            options.tile, on_frame)
    settings = files.Settings(options.brightness, options.strength, options.tile,
                              options.depth, options.quality)
    result = files.enhance_photo(loaded, path, target, settings)
    on_frame(result.megapixels)
    return result


def enhance_files(loaded, found, options, on_frame=lambda megapixels: None):
    """Enhance what `find_inputs` found; yields a files.Result or an error for each.

    The error is a ValueError or OSError that names file and remedy.
    """
    taken = set()
    originals = {real(path) for path, _ in found}
    for path, below in found:
        target = result_path(path, below, options, taken)
        taken.add(target)
        try:
            if real(target) in originals:
                raise ValueError(f"{path}: would replace {target}; choose another folder")
            if os.path.exists(target) and not options.overwrite:    # any length of name
                raise ValueError(f"{target}: exists; move it or add --overwrite")
            result = enhance_file(loaded, path, target, options, on_frame)
            taken.add(identity(target) or target)
            yield result
        except (ValueError, OSError) as error:
            yield error
        except Exception as error:              # costs no other file; such as no memory
            yield ValueError(f"{path}: failed ({files.describe(error)}); leave it out")


def open_closed_streams():
    """What is printed leads nowhere where a stream is closed, as under pythonw."""
    for name in ("stdin", "stdout", "stderr"):      # each takes the lowest descriptor
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+"))


def stop_as_by_ctrl_c():
    """Let `kill` and a closed terminal end the work as Ctrl-C does, which tidies up."""
    for name in ("SIGTERM", "SIGHUP"):              # Windows has only the first
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) == signal.SIG_DFL:   # nohup ignores it
            with contextlib.suppress(ValueError):                   # in a thread
                signal.signal(number, signal.default_int_handler)


def print_line(text):
    """Print `text`; no reader, no room and a narrow encoding are no errors of the work."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")          # or Python complains at its end


def main(arguments=None):
    """Enhance what the command line names; returns the exit status."""
    open_closed_streams()
    stop_as_by_ctrl_c()
    try:
        return work(parse(arguments))
    except KeyboardInterrupt:                   # before the first file
        print("stopped; nothing is done yet", file=sys.stderr)
        return 1


def work(options):
    """Enhance what the options name; returns the exit status."""
    try:
        loaded = network.load(options.weights)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = find_inputs(options.inputs, options.out)
    if not found:
        print("error: no photo found in " + ", ".join(map(str, options.inputs)),
              file=sys.stderr)
        return 1
    if error := out_error(options, found):
        print(f"error: {error}", file=sys.stderr)
        return 2
    start = time.perf_counter()
    done = failed = 0
    megapixels = 0.0
    bar = tqdm(total=len(found), unit="file", disable=None)     # silent in a pipe

    def on_frame(size):
        nonlocal megapixels
        megapixels += size
        bar.set_postfix_str(f"{megapixels / (time.perf_counter() - start):.2f} MP/s")

    with bar, contextlib.suppress(KeyboardInterrupt):       # what is done stays
        for result in enhance_files(loaded, found, options, on_frame):
            if isinstance(result, Exception):
                failed += 1
                tqdm.write(f"error: {result}", file=sys.stderr)
            else:
                done += 1
                if result.note:
                    tqdm.write(f"note: {result.note}", file=sys.stderr)
            bar.update()
    print_line(f"{done} files, {megapixels:.1f} megapixels in "
               f"{time.perf_counter() - start:.1f} s; {failed} failed; "
               f"results: {options.out or 'beside the inputs'}")
    if done + failed < len(found):
        print(f"stopped; {len(found) - done - failed} files are left", file=sys.stderr)
    return int(done < len(found))
