#!/usr/bin/env python3
"""Harm done to photos without truth: alarms, clouds, and another result at another size.

    python benchmarks/harm.py FOLDER [--weights FILE] [--csv FILE] [--sheet worst.jpg]
    python benchmarks/harm.py FOLDER --method {input,gamma,clahe}
    python benchmarks/harm.py FOLDER --method RESULTS    # a folder, the same file names
    python benchmarks/harm.py FOLDER --test         # of CLEAN photos: the test tenth

A photo is harmed if one of five measures passes its limit (set on failures seen; LOL's
own bright photos raise 3 alarms in 122). Photos of mean luma 0.4 or more should come back
as they were: the dB between photo and result say how nearly. Clouds: how much the gain
changes where the photo is flat; above 0.5 a person sees one. Size: dB between the result
for a photo and for the same photo two and three times as large, scaled down again; not
for a folder of results. The range is that of the network's output before it is clipped
to [0, 1]. Photos are scaled to at most 640 pixels a side first. Without --weights and
--method: the released weights.
"""
import argparse
import csv
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from common import markdown_head, markdown_row
from PIL import Image, ImageDraw, ImageOps
from scipy import ndimage

import lowlight
from lowlight.files import WRITTEN
from lowlight.photo import LUMA, enhance_tiles, make_thumbnail, mean_luma, quantise

CHROMA = np.array([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
LIMITS = {"lattice": 2.0, "order": 0.29, "angle": 26.0, "saturation": 0.07,
          "white": 0.16}
RAW_RANGE = (-0.5, 1.8)                     # beyond: a warning
BRIGHT = 0.4                                # mean luma of a photo that needs no help
LONGEST = 640                               # pixels of the longer side
FACTORS = (2, 3)                            # by which a photo is enlarged for its size
MOST_DECIBELS = 60.0                        # where photo and result are all but equal
COLUMNS = ["method", "photos", "harmed", *LIMITS, "well lit",
           "came back at (median, mean dB)", "mean luma", "clouds, mean and worst",
           "size, mean and worst (dB)", "range before clipping", "out of range"]


# The five measures, of uint8 photos (H, W, 3) of at least 16 pixels a side

def blocks(photo, side=16):
    """(H, W, ...) -> (H // side, side, W // side, side, ...), the rest cut off."""
    rows, columns = (length // side for length in photo.shape[:2])
    photo = photo[:rows * side, :columns * side]
    return photo.reshape(rows, side, columns, side, *photo.shape[2:])


def phase_variance(photo):
    """Variance between the 16 x 16 phases of the fine detail over that by chance: F."""
    luma = photo @ LUMA
    detail = luma - ndimage.uniform_filter(luma, 5, mode="nearest")
    tiles = blocks(detail)
    means = tiles.mean((0, 2))                                  # (16, 16)
    return tiles.shape[0] * tiles.shape[2] * means.var() / (detail.var() + 0.001)


def lattice(photo, result):
    """How much stronger a pattern of 2, 4, 8 or 16 pixels stands in the result."""
    return phase_variance(result) / (phase_variance(photo) + 1)


def lightness_order(photo, result, samples=50):
    """Share of pairs of places whose order of lightness differs (LOE, Wang 2013)."""
    orders = []
    for image in (photo, result):
        light = ndimage.maximum_filter(image.max(-1), 15, mode="nearest")
        rows, columns = (np.linspace(0, length - 1, min(samples, length)).astype(int)
                         for length in light.shape)
        light = light[rows[:, None], columns].ravel()
        orders.append(light[:, None] >= light)
    return np.mean(orders[0] != orders[1])


def colour_angle(photo, result, darkest=8):
    """Degrees between the colours of 16 x 16 blocks: 95th percentile."""
    before, after = (blocks(image).mean((1, 3)).reshape(-1, 3)
                     for image in (photo, result))
    lit = np.minimum(before.max(1), after.max(1)) >= darkest
    if not lit.any():
        return 0.0
    before, after = before[lit], after[lit]
    cosine = (before * after).sum(1) / (np.linalg.norm(before, axis=1)
                                        * np.linalg.norm(after, axis=1))
    return np.rad2deg(np.percentile(np.arccos(cosine.clip(-1, 1)), 95))


def share_saturated(photo):
    """Share of pixels with |Cb| or |Cr| above 64 of 128 (full-range BT.601)."""
    return (np.abs(photo @ CHROMA.T).max(-1) > 64).mean()


def share_white(photo):
    """Share of pixels whose darkest channel is 254 or 255."""
    return (photo.min(-1) >= 254).mean()


def harm(photo, result):
    """The five measures by name, as in LIMITS."""
    return {"lattice": lattice(photo, result), "order": lightness_order(photo, result),
            "angle": colour_angle(photo, result),
            "saturation": share_saturated(result) - share_saturated(photo),
            "white": share_white(result) - share_white(photo)}


def log_luma(photo, sigma):
    """Blurred brightness of a uint8 photo in stops: (H, W)."""
    return ndimage.gaussian_filter(2.2 * np.log2(photo @ LUMA + 3), sigma, mode="nearest")


def slope(field, unit):
    """Length of the gradient of a field (H, W), a `unit` of pixels."""
    return np.hypot(*np.gradient(field)) * unit


def clouds(photo, result):
    """How much the gain changes where the photo is flat: stops per 5 % of its short side.

    The 98th percentile over places where the blurred photo is all but flat and not black.
    Above 0.5 a person sees a cloud.
    """
    short = min(photo.shape[:2])
    before, after = (log_luma(image, 0.02 * short) for image in (photo, result))
    flat = (slope(before, 0.05 * short) < 0.15) & (2 ** (before / 2.2) - 3 > 3)
    if flat.sum() < 100:
        return 0.0
    return np.percentile(slope(after - before, 0.05 * short)[flat], 98)


def size_agreement(brighten, photo, result):
    """dB between the result for a photo and that for the same photo enlarged, the least.

    `brighten`: function (photo) -> output. The larger result is scaled down first.
    """
    image, found = Image.fromarray(photo), []
    for factor in FACTORS:
        large = image.resize((image.width * factor, image.height * factor),
                             Image.Resampling.BICUBIC)
        bright = Image.fromarray(quantise(brighten(np.asarray(large)), np.uint8))
        found.append(decibels(result, np.asarray(bright.resize(
            image.size, Image.Resampling.BOX))))
    return min(found)


def severity(row):
    """The worst of the measures in units of its limit."""
    return max(row[name] / limit for name, limit in LIMITS.items())


# What is measured: a function (path, photo) -> output, float, in [0, 1] where it is sane

def network_output(network, photo):
    """The float output, not clipped, of a `lowlight.load` network for a uint8 photo."""
    output = np.empty(photo.shape, np.float32)
    for rows, columns, part in enhance_tiles(network, photo, make_thumbnail(photo)):
        output[rows, columns] = part
    return output


def clahe(photo):
    """Adaptive histogram equalisation of a uint8 photo, float in [0, 1]."""
    from skimage import exposure
    return exposure.equalize_adapthist(photo)


PLAIN = {"input": lambda photo: photo / 255, "gamma": lambda photo: (photo / 255) ** 0.4,
         "clahe": clahe}


def method_called(name, weights):
    """The function (path, photo) -> output of the method `name`, else of `weights`."""
    if name is None:
        network = lowlight.load(weights)
        return lambda path, photo: network_output(network, photo)
    if name in PLAIN:
        return lambda path, photo: PLAIN[name](photo)
    results = {path.stem: path for path in find_photos(name)}

    def read_result(path, photo):
        if path.stem not in results:
            raise SystemExit(f"{name}: no result for {path.name}")
        result = Image.fromarray(read_photo(results[path.stem]))
        return np.array(result.resize(photo.shape[1::-1])) / 255
    return read_result


def find_photos(folder):
    """Paths of the photos right inside `folder`, by name."""
    return sorted(path for path in Path(folder).iterdir()
                  if path.suffix.lower() in WRITTEN)


def is_for_test(path):
    """Whether a photo right inside CLEAN belongs to its test tenth: see `find_clean`."""
    return zlib.crc32(path.name.encode()) % 10 == 1


def read_photo(path):
    """The uint8 photo (H, W, 3) at `path`, at most LONGEST pixels a side."""
    photo = lowlight.load_photo(path)
    if max(photo.shape) <= LONGEST:
        return photo
    return np.array(ImageOps.contain(Image.fromarray(photo), (LONGEST, LONGEST),
                                     Image.Resampling.LANCZOS))


# The rows and what they say

def decibels(photo, result):
    """PSNR of two uint8 photos, inf if they are equal."""
    error = np.mean((photo.astype(float) - result) ** 2)
    return 10 * np.log10(255 ** 2 / error) if error else np.inf


def measure(name, photo, output, brighten=None):
    """One row: measures, alarms, mean luma, dB and the range before clipping.

    `brighten`: function (photo) -> output; without it, there is no size.
    """
    result = quantise(output, np.uint8)
    row = harm(photo, result)
    alarms = [name for name, limit in LIMITS.items() if row[name] > limit]
    return {"name": name, "alarms": " ".join(alarms), **row,
            "luma before": mean_luma(photo), "luma after": mean_luma(result),
            "dB": decibels(photo, result), "clouds": clouds(photo, result),
            "size": size_agreement(brighten, photo, result) if brighten else np.nan,
            "lowest": float(output.min()),
            "highest": float(output.max())}


def summarise(rows):
    """The values of COLUMNS after the first, of a list of rows."""
    back = [min(row["dB"], MOST_DECIBELS) for row in rows if row["luma before"] >= BRIGHT]
    clouds, sizes = (np.array([row[column] for row in rows])
                     for column in ("clouds", "size"))
    lumas = [np.mean([row[column] for row in rows])
             for column in ("luma before", "luma after")]
    lowest, highest = (np.array([row[column] for row in rows])
                       for column in ("lowest", "highest"))
    return [len(rows), sum(row["alarms"] != "" for row in rows),
            *(sum(name in row["alarms"].split() for row in rows) for name in LIMITS),
            len(back), f"{np.median(back):.1f}, {np.mean(back):.1f}" if back else "-",
            "{:.3f} to {:.3f}".format(*lumas), f"{clouds.mean():.3f}, {clouds.max():.2f}",
            f"{np.minimum(sizes, MOST_DECIBELS).mean():.1f}, {sizes.min():.1f}",
            f"{lowest.min():.2f} to {highest.max():.2f}",
            int(((lowest < RAW_RANGE[0]) | (highest > RAW_RANGE[1])).sum())]


def before_and_after(brighten, row, path):
    """(text, photo, result) of a row, for the contact sheet."""
    photo = read_photo(path)
    return (f"{row['name']}  {row['alarms']}", photo,
            quantise(brighten(path, photo), np.uint8))


def contact_sheet(shown, columns=3, width=320, height=240):
    """An image of (text, photo, result) triples: before and after, text above."""
    rows = -(-len(shown) // columns)
    sheet = Image.new("RGB", (columns * 2 * width, rows * (height + 16)), "white")
    for number, (text, *photos) in enumerate(shown):
        top, left = number // columns * (height + 16), number % columns * 2 * width
        ImageDraw.Draw(sheet).text((left + 2, top + 2), text, fill="black")
        for place, photo in enumerate(photos):
            picture = ImageOps.contain(Image.fromarray(photo), (width, height))
            sheet.paste(picture, (left + place * width, top + 16))
    return sheet


def write_table(path, rows):
    """A CSV file with a row a photo."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="photos without truth")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--weights", help=".onnx or .keras (default: the released weights)")
    what.add_argument("--method", help="input, gamma, clahe, or a folder of results")
    parser.add_argument("--test", action="store_true", help="the test tenth only")
    parser.add_argument("--csv", type=Path, help="a row for each photo")
    parser.add_argument("--sheet", type=Path, help="the worst, before and after")
    parser.add_argument("--worst", type=int, default=12, help="photos on the sheet")
    options = parser.parse_args()
    brighten, rows, paths = method_called(options.method, options.weights), [], {}
    folder_of_results = options.method and options.method not in PLAIN
    for path in find_photos(options.folder):
        if options.test and not is_for_test(path):
            continue
        photo = read_photo(path)
        alone = None if folder_of_results else partial(brighten, path)
        rows.append(measure(path.name, photo, brighten(path, photo), alone))
        paths[path.name] = path
    if not rows:
        raise SystemExit(f"{options.folder}: no photos")
    rows.sort(key=severity, reverse=True)
    markdown_head(COLUMNS)
    markdown_row([options.method or options.weights or "released", *summarise(rows)])
    for row in rows:
        if row["alarms"]:
            print(f"- {row['name']}: " + ", ".join(
                f"{name} {row[name]:.3g}" for name in row["alarms"].split()))
    if options.csv:
        write_table(options.csv, rows)
    if options.sheet:
        worst = [(row, paths[row["name"]]) for row in rows[:options.worst]]
        contact_sheet([before_and_after(brighten, *one) for one in worst]).save(
            options.sheet)


if __name__ == "__main__":
    main()
