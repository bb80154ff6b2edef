"""A camera in the dark: one good photo becomes a training pair. NumPy and Pillow only.

The scene is dimmed in linear light, recorded by a sensor with shot and read noise behind a
Bayer mosaic, white-balanced, given a tone curve, rounded to 8 bits and, for half of the
photos, compressed as JPEG. The pair's bright photo is what a person would want of that
dark one: even darkness is taken away, uneven light mostly stays, night stays night.

Photos are uint8 (H, W, 3). Light is float32 (3, H, W), linear: NumPy is several times
faster where a factor of each channel meets a whole plane.
"""
import io
import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from PIL import Image

CHROMA = np.array([[0.299, 0.587, 0.114],       # RGB to YCbCr (ITU-R BT.601)
                   [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
RGB_OF_CHROMA = np.linalg.inv(CHROMA)
LINEAR_OF_LEVEL = np.where(                     # sRGB level to linear light (IEC 61966-2-1)
    np.arange(256) <= 0.04045 * 255, np.arange(256) / 255 / 12.92,
    ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4).astype(np.float32)
CURVE_STEPS = 4096                              # of the tone curve's look-up table
LIGHT_STEPS = ((np.arange(CURVE_STEPS) + 0.5) / CURVE_STEPS) ** 2   # finer where it is dark
SRGB_OF_STEP = np.where(LIGHT_STEPS <= 0.0031308, LIGHT_STEPS * 12.92, 1.055 * np.maximum(
    LIGHT_STEPS, 0.0031308) ** (1 / 2.4) - 0.055).astype(np.float32)
NORMAL_QUANTILES = np.float32([                 # one for each uint16
    NormalDist().inv_cdf((number + 0.5) / 65536) for number in range(65536)])

UNEVENNESS_KEPT = 0.85      # of uneven light, in stops, that the bright photo keeps; less
                            # of it teaches the network to see uneven light in a plain sky
SHADOW_GAIN = 1.2           # of the mean unevenness, in stops: gain of a curve for the
                            # whole photo
SPOT_LIFT = 0.5             # of the depth of the dark around a lit subject; where that
                            # stays dark, the network learns dark rings around lights
MOST_LIFT = 3.0             # stops by which a place in the shadow is lifted at most
KINDS = {"as it is": 0.125, # share of photos that are not darkened at all
         "even": 0.575,     # the same darkness everywhere
         "uneven": 0.2,     # lamps outside the frame, backlight
         "spot": 0.1}       # a well-lit subject in a dark frame
NIGHT = 0.08                # share of photos that a made night sky replaces
CELLS = 64                  # side of the thumbnail


class Lamp(NamedTuple):
    """A light in the frame."""
    y: float                # centre, as shares of height and width
    x: float
    radius: float           # as a share of height and of width
    edge: int               # 1: a core and its glow; 8: as sharp as a sign
    colour: np.ndarray      # (3,) linear light before the exposure; 1 is white
    kept: float             # factor of its light in the bright photo: a sign stays legible


class Spot(NamedTuple):
    """An ellipse of light; all else is `depth` stops darker."""
    y: float                # centre, as shares of height and width
    x: float
    height: float           # half axes, as shares of height and width
    width: float
    softness: float         # width of its border, 0.01 (hard) to 1, of the half axes
    depth: float


@dataclass(frozen=True, eq=False)
class Darkness:
    """All that is drawn for one dark photo; the default leaves a photo as it is."""
    stops: float = 0.0              # less exposure, the same everywhere
    light: np.ndarray | None = None     # grid of stops, at most 0: uneven light
    spot: Spot | None = None
    lamps: tuple[Lamp, ...] = ()
    highlights: float = 0.0         # stops by which white is brighter than it was shown
    tint: tuple = (1.0, 1.0, 1.0)   # of the light, at most 1
    balance: tuple = (1.0, 1.0, 1.0)    # gains of the white balance, after the sensor
    shot: float = 0.0               # variance of the noise: shot * signal + read
    read: float = 0.0
    grain: float = 1.0              # pixels: the noise is enlarged by so much
    power: float = 1.0              # of the tone curve, beside sRGB's own
    jpeg: int | None = None         # quality


# Places. A window is the (top, left, bottom, right) of a crop, as shares of the photo.

WHOLE = (0.0, 0.0, 1.0, 1.0)


def pixel_centres(first, last, count):
    """float32 (count,): centres of `count` pixels that fill [first, last]."""
    return (first + (np.arange(count, dtype=np.float32) + 0.5) * (last - first) / count
            ).astype(np.float32)


def centres(shape, window):
    """(rows (H, 1), columns (1, W)): places in the photo of a window's pixels."""
    top, left, bottom, right = window
    return (pixel_centres(top, bottom, shape[0])[:, None],
            pixel_centres(left, right, shape[1])[None])


def light_field(darkness, shape, window=WHOLE):
    """float32 (H, W): stops of uneven light at each pixel, at most 0; None if even."""
    field = None
    if darkness.light is not None:
        top, left, bottom, right = window
        rows, columns = darkness.light.shape
        image = Image.fromarray(darkness.light.astype(np.float32)).resize(
            shape[1::-1], Image.Resampling.BICUBIC,
            (left * columns, top * rows, right * columns, bottom * rows))
        field = np.minimum(np.asarray(image), 0)
    if darkness.spot is not None:
        spot = darkness.spot
        rows, columns = centres(shape, window)
        distance = np.sqrt(((rows - spot.y) / spot.height) ** 2
                           + ((columns - spot.x) / spot.width) ** 2)
        lit = 1 / (1 + np.exp(np.clip((distance - 1) * 6 / spot.softness, -30, 30)))
        shadow = -spot.depth * (1 - lit)
        field = shadow if field is None else field + shadow
    return field


def lifted_field(field, spot):
    """The field that stays in the bright photo: a share, lifted by MOST_LIFT at most."""
    kept = 1 - SPOT_LIFT if spot else UNEVENNESS_KEPT
    return np.minimum(field * kept, field + MOST_LIFT)


def lift_shadows(light, stops):
    """Linear light brightened by `stops` where it is dark; white stays white."""
    gain = 2.0 ** stops
    return gain * light / (1 + (gain - 1) * light)


def lamp_light(lamps, shape, window):
    """(light of the lamps, what of it the bright photo keeps), both (3, H, W)."""
    rows, columns = centres(shape, window)
    profiles = []                       # (H, W) each: a share of the lamp's light
    for lamp in lamps:
        squared = (((rows - lamp.y) / lamp.radius) ** 2
                   + ((columns - lamp.x) / lamp.radius) ** 2)
        distance = 1 + squared ** lamp.edge
        profiles.append(1 / distance / np.sqrt(distance))
    colours = np.stack([lamp.colour for lamp in lamps], axis=1)         # (3, lamps)
    kept_colours = colours * np.float32([lamp.kept for lamp in lamps])
    profiles = np.stack(profiles)
    return np.tensordot(colours, profiles, 1), np.tensordot(kept_colours, profiles, 1)


def linear_light(photo):
    """uint8 (H, W, 3) -> float32 (3, H, W): its linear light."""
    return LINEAR_OF_LEVEL.take(photo.transpose(2, 0, 1))


def sensor_light(light, darkness, field, lamps):
    """Linear light (3, H, W) of a scene -> the light that reaches the sensor, same shape.

    `field`: see `light_field`; `lamps`: light of the lamps; both may be None.
    """
    if darkness.highlights:
        whiteness = np.square(np.square(light.min(axis=0)))
        light = light * np.exp2(darkness.highlights * whiteness)
    if field is not None:
        light = light * np.exp2(field)
    if lamps is not None:
        light = light + lamps
    tint = np.float32(darkness.tint) * 2.0 ** -darkness.stops
    return light * tint[:, None, None]


def wanted_light(light, darkness, field, lamps):
    """Linear light (3, H, W) of a scene -> of it what a person would want to see."""
    if field is not None:
        light = light * np.exp2(lifted_field(field, darkness.spot))
    if darkness.light is not None:
        light = lift_shadows(light, -SHADOW_GAIN * float(darkness.light.mean()))
    if lamps is not None:
        light = light + lamps
    return light


# The sensor

# Bilinear demosaicing spreads the noise of each red and blue site over four pixels, that of
# each green one over two. So a mean over n pixels has these variances, divided by n; sites
# at its border spread out of it, as if it were wider by BORDER sites (measured).
MEAN_VARIANCE = np.float32([4, 2, 4])[:, None, None]
BORDER = 0.65
# Noise is clipped at black and at white in each pixel, before a thumbnail averages them, so
# noise makes dark cells brighter. Three values stand for the noise of all pixels in a cell;
# the variance of a pixel is the one with which the brightness is that of whole photos.
CELL_PIXELS = (-1.22, 0, 1.22)      # variance 1
PIXEL_VARIANCE = 0.45


def standard_normal(shape, rng):
    """float32 of this shape: normal noise, four times faster than the rng's own."""
    return NORMAL_QUANTILES.take(rng.integers(0, 65536, shape, np.uint16))


def demosaic_noise(mosaic):
    """Unit noise of a Bayer sensor (H, W), as bilinear demosaicing spreads it: (3, H, W).

    Red stands on even rows and columns, blue on odd ones, green between them.
    """
    height, width = mosaic.shape
    padded = np.zeros((3, height + 2, width + 2), np.float32)
    red, green, blue = padded[:, 1:-1, 1:-1]
    red[::2, ::2] = mosaic[::2, ::2]
    green[::2, 1::2] = mosaic[::2, 1::2]
    green[1::2, ::2] = mosaic[1::2, ::2]
    blue[1::2, 1::2] = mosaic[1::2, 1::2]
    around = padded[1]              # each missing green: the mean of its four neighbours
    green += (around[:-2, 1:-1] + around[2:, 1:-1]
              + around[1:-1, :-2] + around[1:-1, 2:]) / 4
    for plane, site in ((padded[0], 1), (padded[2], 2)):    # first row, column with a site
        other = 3 - site
        rows = plane[site::2]               # those with sites; then the rows between
        rows[:, other:-1:2] = (rows[:, other - 1:-2:2] + rows[:, other + 1::2]) / 2
        plane[other:-1:2] = (plane[other - 1:-2:2] + plane[other + 1::2]) / 2
    return padded[:, 1:-1, 1:-1]


def unit_noise(shape, grain, rng):
    """float32 (3, H, W): noise of variance about one a pixel of the sensor."""
    height, width = (int(np.ceil(length / grain)) for length in shape)
    noise = demosaic_noise(standard_normal((height, width), rng))
    if (height, width) == tuple(shape):
        return noise
    return np.stack([Image.fromarray(plane).resize(shape[::-1], Image.Resampling.BICUBIC)
                     for plane in noise])


def noise_deviation(light, darkness):
    """Standard deviation of the sensor's noise at linear light (3, H, W)."""
    balance = np.float32(darkness.balance)[:, None, None]
    variance = darkness.shot * balance * light
    variance += darkness.read * balance ** 2
    return np.sqrt(variance, out=variance)


def record(light, darkness, rng):
    """uint8 (H, W, 3): the photo that a camera makes of linear light (3, H, W)."""
    if darkness.shot:
        noise = noise_deviation(light, darkness)
        noise *= unit_noise(light.shape[1:], darkness.grain, rng)
        light = light + noise
    return to_photo(light, darkness.power)


@lru_cache(maxsize=8)       # a crop and its thumbnail share one
def level_table(power=1.0):
    """uint8 (CURVE_STEPS,): the level at each of LIGHT_STEPS, see `to_levels`."""
    return np.round(SRGB_OF_STEP ** power * 255).astype(np.uint8)


def to_levels(light, table):
    """Linear light, float32 of any shape, to uint8 levels by a `level_table`.

    The levels are those of sRGB, raised to the table's power on [0, 1].
    """
    step = np.clip(light, 0, 1)
    np.sqrt(step, out=step)
    step *= CURVE_STEPS - 0.01          # white is in the last step
    return table.take(step.astype(np.uint16))


def to_photo(light, power=1.0):
    """Linear light (3, H, W) to a photo, uint8 (H, W, 3); see `to_levels`."""
    table = level_table(power)
    return np.stack([to_levels(plane, table) for plane in light], axis=-1)


def compress(photo, quality):
    """A uint8 photo after JPEG compression."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def darken(photo, rng, darkness, window=WHOLE):
    """(low, normal) of a good photo, all uint8 (H, W, 3).

    `normal` is what a person would want of `low`: the photo itself where darkness is even.
    `photo` may be a crop; `window` then says where it lies in its photo. Noise comes from
    `rng`, all else from `darkness`.
    """
    light = linear_light(photo)
    field = light_field(darkness, photo.shape, window)
    lamps, kept_lamps = None, None
    if darkness.lamps:
        lamps, kept_lamps = lamp_light(darkness.lamps, photo.shape, window)
    low = record(sensor_light(light, darkness, field, lamps), darkness, rng)
    if darkness.jpeg:
        low = compress(low, darkness.jpeg)
    if field is None and lamps is None:
        return low, photo
    return low, to_photo(wanted_light(light, darkness, field, kept_lamps))


def darken_cells(cells, rng, darkness, pixels):
    """float32 (S, S, 3) in [0, 1]: the thumbnail of the photo that `darken` would make.

    `cells`: means over the good photo, uint8 (S, S, 3). The noise in each has the variance
    of a mean over so many `pixels` of the dark photo. JPEG is left out: it hardly changes
    such a mean.
    """
    field = light_field(darkness, cells.shape)
    lamps = None
    if darkness.lamps:
        lamps, _ = lamp_light(darkness.lamps, cells.shape, WHOLE)
    light = sensor_light(linear_light(cells), darkness, field, lamps)
    if darkness.shot == 0:
        return to_photo(light, darkness.power) / np.float32(255)
    deviation = noise_deviation(light, darkness)
    side = math.sqrt(pixels) / darkness.grain           # of a cell, in sites of the sensor
    mean_variance = MEAN_VARIANCE / (side + BORDER) ** 2
    light += np.sqrt(mean_variance) * deviation * standard_normal(light.shape, rng)
    deviation *= np.sqrt(np.maximum(PIXEL_VARIANCE - mean_variance, 0))
    table = level_table(darkness.power)
    total = np.zeros(light.shape, np.uint16)
    for noise in CELL_PIXELS:           # differences between the pixels of a cell
        total += to_levels(light + noise * deviation, table)
    return np.stack(total, axis=-1) / np.float32(255 * len(CELL_PIXELS))


# Draws. What varies between photos, and how much.

def draw_colour(rng):
    """Options of `vary_colour` for one photo; for one in four any hue."""
    any_hue = rng.random() < 0.25
    return {"saturation": rng.uniform(0.5, 1.8), "contrast": rng.uniform(-0.4, 0.4),
            "hue": rng.uniform(-180, 180) if any_hue else rng.normal(0, 8)}


def vary_colour(photo, saturation=1.0, hue=0.0, contrast=0.0):
    """uint8 photo (H, W, 3) -> the same in other colours.

    `saturation`: a factor; `hue`: a turn in degrees; `contrast`: -1 (flat) to 1 (S-shaped).
    """
    along = saturation * math.cos(math.radians(hue))
    across = saturation * math.sin(math.radians(hue))
    change = np.array([[1, 0, 0], [0, along, -across], [0, across, along]])
    matrix = (RGB_OF_CHROMA @ change @ CHROMA).astype(np.float32)
    planes = np.clip(matrix @ photo.reshape(-1, 3).T, 0, 255)       # (3, H * W)
    table = np.arange(256, dtype=np.float32) / 255
    table = table + contrast * (table * table * (3 - 2 * table) - table)
    table = np.round(table * 255).astype(np.uint8)
    return np.stack(table.take(planes.astype(np.uint8)), axis=-1).reshape(photo.shape)


def log_uniform(rng, low, high):
    """A number whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def draw_lamps(rng, window, stops):
    """Lamps in a window, some of them signs; for every second photo none."""
    if rng.random() < 0.5:
        return ()
    lamps = []
    for _ in range(rng.integers(1, 5)):
        sign = rng.random() < 0.4
        y, x = rng.uniform(window[0], window[2]), rng.uniform(window[1], window[3])
        radius = rng.uniform(0.01, 0.06) if sign else rng.uniform(0.001, 0.007)
        brightness = 2 ** (stops + (rng.uniform(-4, 1) if sign else rng.uniform(0, 6)))
        colour = np.float32(rng.uniform(0.2, 1, 3) * brightness)
        lamps.append(Lamp(y, x, radius, 8 if sign else 1, colour,
                          2 ** -stops if sign else 1.0))
    return tuple(lamps)


def draw_spot(rng, window):
    """A lit subject that lies at least partly in the window."""
    y, x = rng.uniform(window[0], window[2]), rng.uniform(window[1], window[3])
    height, width = log_uniform(rng, 0.04, 0.35), log_uniform(rng, 0.04, 0.35)
    return Spot(y, x, height, width, log_uniform(rng, 0.05, 3), rng.uniform(3, 8))


def draw_kind(rng, kinds):
    """One of `kinds`, each as often as KINDS says."""
    shares = np.array([KINDS[kind] for kind in kinds])
    return rng.choice(list(kinds), p=shares / shares.sum())


def draw_darkness(rng, kind, window=WHOLE):
    """A Darkness of one of KINDS; lamps and lit subjects are where `window` sees them."""
    if kind == "as it is":
        return Darkness()
    stops = rng.uniform(0, 5 if rng.random() < 0.75 else 1)
    light, spot, lamps = None, None, ()
    if kind == "uneven":
        stops = min(stops, 2.5)
        light = -rng.uniform(0, 5) * rng.random(rng.integers(2, 6, 2))
        light -= light.max()
    if kind == "spot":
        stops = 0.0 if rng.random() < 0.7 else rng.uniform(0, 2.5)
        spot = draw_spot(rng, window)
    else:
        lamps = draw_lamps(rng, window, stops)
    highlights = rng.uniform(0, stops) if rng.random() < 0.5 else 0.0
    return Darkness(stops, light, spot, lamps, highlights, **draw_sensor(rng))


def draw_sensor(rng):
    """The fields of a Darkness that belong to the camera."""
    tint = rng.normal(0, 0.08, 3)
    shot = log_uniform(rng, 2e-5, 1e-2)
    return {"tint": tuple(np.exp(tint - tint.max())),
            "balance": (rng.uniform(1.2, 2.4), 1.0, rng.uniform(1.2, 2.2)),
            "shot": shot / 2,
            "read": math.exp(2.18 * math.log(shot) + 1.20 + rng.normal(0, 0.26)) / 2,
            "grain": rng.uniform(1, 2.5) if rng.random() < 0.3 else 1.0,
            "power": rng.uniform(0.85, 1.2),
            "jpeg": int(rng.integers(60, 98)) if rng.random() < 0.5 else None}


# Night skies, which no collection of good photos has: made

def smooth_field(rng, shape, cells):
    """float32 (H, W) in [0, 1]: a random grid of `cells` a side, enlarged."""
    grid = Image.fromarray(rng.random((cells, cells), np.float32))
    return np.clip(np.asarray(grid.resize(shape[::-1], Image.Resampling.BICUBIC)), 0, 1)


def add_stars(light, rng, count):
    """Add `count` stars to linear light (3, H, W), few of them bright."""
    height, width = light.shape[1:]
    rows, columns = rng.integers(3, height - 3, count), rng.integers(3, width - 3, count)
    offsets = np.arange(-3, 4)
    squared = offsets[:, None] ** 2 + offsets[None] ** 2
    size = rng.uniform(0.5, 1.5, (count, 1, 1, 1))
    brightness = np.exp(rng.uniform(np.log(0.02), np.log(1.0), (count, 1, 1, 1)))
    colour = rng.uniform(0.7, 1, (count, 3, 1, 1)) * brightness
    stars = np.float32(colour * np.exp(-squared / (2 * size ** 2)))     # (count, 3, 7, 7)
    for y, x, star in zip(rows, columns, stars):
        light[:, y - 3:y + 4, x - 3:x + 4] += star


def add_moon(light, rng):
    """Put a moon with its spots and its glow into linear light (3, H, W)."""
    height, width = light.shape[1:]
    radius = log_uniform(rng, 4, height / 5)
    y, x = rng.uniform(0, height), rng.uniform(0, width)
    rows = np.arange(height, dtype=np.float32)[:, None] - y
    columns = np.arange(width, dtype=np.float32)[None] - x
    distance = np.sqrt(rows ** 2 + columns ** 2)
    colour = np.float32([1, rng.uniform(0.85, 1), rng.uniform(0.65, 0.95)])[:, None, None]
    glow = log_uniform(rng, 0.003, 0.05) * np.exp(distance / (-2 * radius))
    for plane, shade in zip(light, colour):
        plane += shade * glow
    rows = slice(max(0, int(y - radius) - 1), int(y + radius) + 2)      # around its disc
    columns = slice(max(0, int(x - radius) - 1), int(x + radius) + 2)
    disc = np.clip(radius - distance[rows, columns] + 0.5, 0, 1)
    spots = smooth_field(rng, disc.shape, int(max(8, 5 * disc.shape[0] / radius)))
    face = np.minimum(rng.uniform(0.4, 1.2) * (0.6 + 0.4 * spots) * colour, 1)
    light[:, rows, columns] += disc * (face - light[:, rows, columns])


def add_land(light, rng):
    """Put a dark horizon, at times with lit windows, into linear light (3, H, W)."""
    height, width = light.shape[1:]
    top = rng.uniform(0.5, 0.95) * height
    heights = rng.normal(0, 0.06 * height, int(rng.integers(4, 40)))
    if rng.random() < 0.5:          # roofs, else hills
        outline = np.repeat(heights, -(-width // len(heights)))[:width]
    else:
        outline = np.interp(np.linspace(0, len(heights), width), np.arange(len(heights)),
                            heights)
    land = np.arange(height)[:, None] > top + outline[None]
    colours = light[:, :, 0].mean(axis=1) * rng.uniform(0.05, 0.4)
    np.copyto(light, colours[:, None, None], where=land)
    if rng.random() < 0.7:
        for _ in range(rng.integers(2, 40)):
            y, x = rng.integers(int(top), height), rng.integers(0, width)
            side = rng.integers(1, 5)
            colour = np.float32([1, rng.uniform(0.6, 0.9), rng.uniform(0.3, 0.8)])
            lit = colour * rng.uniform(0.1, 1)
            light[:, y:y + side, x:x + side] = lit[:, None, None]


def night_sky(rng, shape=(320, 400)):
    """uint8 (H, W, 3): a made night sky as a person would want to see it, dark."""
    level = log_uniform(rng, 0.003, 0.025)      # linear light: levels 9 to 43
    colour = np.float32(rng.uniform((0.4, 0.5, 0.4), (1.4, 1, 1.2)))
    slope = np.linspace(1, rng.uniform(0.5, 3), shape[0], dtype=np.float32)
    light = np.empty((3, *shape), np.float32)
    light[:] = level * colour[:, None, None] * slope[:, None]
    if rng.random() < 0.4:
        clouds = smooth_field(rng, shape, int(rng.integers(3, 12)))
        light *= 1 + rng.uniform(0, 0.8) * (clouds - 0.5)
    moon, land = rng.random() < 0.5, rng.random() < 0.7
    if moon or land:
        if rng.random() < 0.7:
            add_stars(light, rng, int(log_uniform(rng, 5, 400)))
    else:               # something has to tell this sky from a plain wall in the dark
        add_stars(light, rng, int(log_uniform(rng, 150, 600)))
    if moon:
        add_moon(light, rng)
    if land:
        add_land(light, rng)
    return to_photo(light)


def draw_night(rng):
    """A Darkness for a made night: none for every second, else at most three stops."""
    stops = 0.0 if rng.random() < 0.5 else rng.uniform(0, MOST_LIFT)
    return Darkness(stops, **draw_sensor(rng))


# Pairs

def mean_cells(photo):
    """Means over CELLS x CELLS cells: uint8 (H, W, 3) -> uint8 (CELLS, CELLS, 3)."""
    return np.asarray(Image.fromarray(photo).resize((CELLS, CELLS), Image.Resampling.BOX))


def darken_whole(photo, rng):
    """(low, normal) of a whole good photo, drawn as in training, but never as it is."""
    kind = draw_kind(rng, [kind for kind in KINDS if kind != "as it is"])
    return darken(photo, rng, draw_darkness(rng, kind))


def cut_enlarged(photo, crop, rng):
    """(crop of a uint8 photo, its window); for half of them enlarged, up to three times."""
    zoom = rng.uniform(1, 3) if rng.random() < 0.5 else 1.0
    height, width = photo.shape[:2]
    zoom = max(zoom, crop / height, crop / width)
    side = min(crop / zoom, height, width)      # else rounding makes it longer
    top, left = rng.uniform(0, height - side), rng.uniform(0, width - side)
    if zoom == 1:
        top, left = int(top), int(left)
        cut = photo[top:top + crop, left:left + crop]
    else:
        margin = 4                  # pixels around it that the enlargement looks at
        rows = slice(max(0, int(top) - margin), int(top + side) + margin)
        columns = slice(max(0, int(left) - margin), int(left + side) + margin)
        y, x = top - rows.start, left - columns.start
        cut = np.asarray(Image.fromarray(photo[rows, columns]).resize(
            (crop, crop), Image.Resampling.BICUBIC, (x, y, x + side, y + side)))
    return cut, (top / height, left / width, (top + side) / height, (left + side) / width)


def darken_crop(photo, cells, crop, rng):
    """(low, normal, thumbnail, window) of a random crop of a good photo.

    `cells`: its means over CELLS x CELLS cells, uint8. Low and normal are uint8 (crop,
    crop, 3), the thumbnail float32 (CELLS, CELLS, 3) in [0, 1].
    """
    if rng.random() < NIGHT:
        photo = night_sky(rng)
        cells = mean_cells(photo)
        normal, window = cut_enlarged(photo, crop, rng)
        darkness = draw_night(rng)
    else:
        normal, window = cut_enlarged(photo, crop, rng)
        colour = draw_colour(rng)
        normal, cells = vary_colour(normal, **colour), vary_colour(cells, **colour)
        overexposed = (cells.min(axis=-1) > 0.97 * 255).mean()     # by an unknown amount
        kind = draw_kind(rng, KINDS)
        if kind == "as it is" or rng.random() < 20 * overexposed:
            return normal, normal, cells / np.float32(255), window
        darkness = draw_darkness(rng, kind, window)
    low, normal = darken(normal, rng, darkness, window)
    top, left, bottom, right = window
    pixels = (crop / CELLS) ** 2 / ((bottom - top) * (right - left))    # in a cell
    return low, normal, darken_cells(cells, rng, darkness, pixels), window
