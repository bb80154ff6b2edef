#!/usr/bin/env python3
"""Brighten photos, clips and folders of them: python enhance.py INPUT ... --out DIR

All logic is in lowlight.py; this file reads the command line and reports.
"""
import argparse
import contextlib
import sys
import time
from pathlib import Path

from tqdm import tqdm

import lowlight


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="a photo, a clip (mp4, mov, mkv, webm) or a folder")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--weights", metavar="FILE", help="a .keras file that CNN.ipynb trained",
                        default=Path(__file__).resolve().parent / "weights" / "lowlight.keras")
    parser.add_argument("--brightness", type=float, metavar="X",
                        help="mean luma wanted, between 0 and 1 (default: as the model likes)")
    parser.add_argument("--tile", type=int, default=768, metavar="N",
                        help="pixels a side worked on at a time (default 768): less memory or "
                             "more speed, the same result")
    parser.add_argument("--format", choices=("jpg", "png", "webp", "tif"),
                        help="of the results (default: that of the photo)")
    parser.add_argument("--depth", type=int, choices=(8, 16), default=8,
                        help="bits a channel of photos; 16 makes PNG or TIFF (default 8)")
    parser.add_argument("--quality", type=int, default=95, help="of JPEG and WebP (default 95)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing results")
    options = parser.parse_args(arguments)
    if options.depth == 16 and options.format in ("jpg", "webp"):
        parser.error(f"--format {options.format} cannot hold --depth 16; take png or tif")
    if options.brightness is not None and not 0 < options.brightness < 1:
        parser.error(f"--brightness {options.brightness}: must lie between 0 and 1")
    return options


class Report:
    """A progress bar of files that shows the megapixels a second, frames of clips included."""

    def __init__(self, files):
        self.start, self.megapixels = time.perf_counter(), 0.0
        self.seen = self.failed = 0
        self.bar = tqdm(total=files, unit="file")

    def seconds(self):
        return time.perf_counter() - self.start

    def frame(self, megapixels):
        """One more photo, or frame of a clip, is done."""
        self.megapixels += megapixels
        self.bar.set_postfix_str(f"{self.megapixels / self.seconds():.2f} MP/s")

    def file(self, result):
        """One more file is done: `result` is Done or what went wrong."""
        self.seen += 1
        if isinstance(result, Exception):
            self.failed += 1
            self.bar.write(f"error: {result}", file=sys.stderr)
        elif result.note:
            self.bar.write(f"note: {result.note}", file=sys.stderr)
        self.bar.update()


def find(options):
    """What to enhance; not what an earlier call has put into a folder inside the input."""
    named = [Path(one).expanduser().resolve() for one in options.inputs]
    made = Path(options.out).resolve()

    def earlier(path):
        inputs = [one for one in named if one in (path, *path.parents)]
        return made in path.parents and not any(made in (one, *one.parents) for one in inputs)
    return [(path, below) for path, below in lowlight.find_photos(options.inputs)
            if not earlier(path.resolve())]


def main(arguments=None):
    """Enhance what the command line names; returns the exit status, 1 if a file failed."""
    options = parse(arguments)
    try:
        model = lowlight.load_model(options.weights)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = find(options)
    if not found:
        print("error: no photo found in " + ", ".join(options.inputs), file=sys.stderr)
        return 1
    report = Report(len(found))
    with report.bar, contextlib.suppress(KeyboardInterrupt):    # what is done stays
        for _, _, result in lowlight.enhance_files(
                model, found, options.out, options.format and "." + options.format,
                options.overwrite, options.depth, brightness=options.brightness,
                tile=options.tile, quality=options.quality, told=report.frame):
            report.file(result)
    done = report.seen - report.failed
    print(f"{done} files, {report.megapixels:.1f} megapixels in "
          f"{report.seconds():.1f} s; {report.failed} failed; results in {options.out}")
    if report.seen < len(found):
        print(f"stopped; {len(found) - report.seen} files are left", file=sys.stderr)
    return int(done < len(found))


if __name__ == "__main__":
    sys.exit(main())
