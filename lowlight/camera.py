"""A camera in the dark: one good photo becomes a training pair. NumPy and Pillow only.

The scene is dimmed in linear light, recorded by a sensor with shot and read noise behind a
Bayer mosaic, white-balanced, given a tone curve, rounded to 8 bits and, for half of the
photos, compressed as JPEG. The pair's bright photo is what a person would want of that
dark one: even darkness is taken away, uneven light mostly stays, night stays night.
"""
import io
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

CHROMA = np.array([[0.299, 0.587, 0.114],       # RGB to YCbCr (ITU-R BT.601)
                   [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
LINEAR_OF_LEVEL = np.where(                     # sRGB level to linear light (IEC 61966-2-1)
    np.arange(256) <= 0.04045 * 255, np.arange(256) / 255 / 12.92,
    ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4).astype(np.float32)
CURVE_STEPS = 4096                              # of the tone curve's look-up table
LIGHT_STEPS = np.linspace(0, 1, CURVE_STEPS) ** 2           # finer where it is dark
SRGB_OF_STEP = np.where(LIGHT_STEPS <= 0.0031308, LIGHT_STEPS * 12.92, 1.055 * np.maximum(
    LIGHT_STEPS, 0.0031308) ** (1 / 2.4) - 0.055)

UNEVENNESS_KEPT = 0.9      # of uneven light, in stops, that the bright photo keeps; less
                            # of it teaches the network to see uneven light in a plain sky
SHADOW_GAIN = 0.7           # of the mean unevenness, in stops: gain of a curve for all places
MOST_LIFT = 3.0             # stops by which a place in the shadow is lifted at most
KINDS = {"as it is": 0.125, # share of photos that are not darkened at all
         "even": 0.575,     # the same darkness everywhere
         "uneven": 0.2,     # lamps outside the frame, backlight
         "spot": 0.1}       # a well-lit subject in a dark frame
NIGHT = 0.08                # share of photos that a made night sky replaces


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
    """float32 (H, W, 1): stops of uneven light at each pixel, at most 0; None if even."""
    field = None
    if darkness.light is not None:
        top, left, bottom, right = window
        rows, columns = darkness.light.shape
        image = Image.fromarray(darkness.light.astype(np.float32)).resize(
            shape[1::-1], Image.Resampling.BICUBIC,
            (left * columns, top * rows, right * columns, bottom * rows))
        field = np.minimum(np.asarray(image), 0)[..., None]
    if darkness.spot is not None:
        spot = darkness.spot
        rows, columns = centres(shape, window)
        distance = np.sqrt(((rows - spot.y) / spot.height) ** 2
                           + ((columns - spot.x) / spot.width) ** 2)
        lit = 1 / (1 + np.exp(np.clip((distance - 1) * 6 / spot.softness, -30, 30)))
        shadow = (-spot.depth * (1 - lit))[..., None].astype(np.float32)
        field = shadow if field is None else field + shadow
    return field


def lifted_field(field):
    """What of a light field a person would keep: a share of it, or all but MOST_LIFT."""
    return np.minimum(field * np.float32(UNEVENNESS_KEPT), field + np.float32(MOST_LIFT))


def lift_shadows(light, stops):
    """Linear light brightened by `stops` where it is dark; white stays white."""
    gain = np.float32(2.0 ** stops)
    return gain * light / (1 + (gain - 1) * light)


def add_lamps(lit, wanted, lamps, window):
    """(lit, wanted) with the light of the lamps; both linear, (H, W, 3)."""
    rows, columns = centres(lit.shape, window)
    for lamp in lamps:
        squared = ((rows - lamp.y) ** 2 + (columns - lamp.x) ** 2) / lamp.radius ** 2
        light = ((1 + squared ** lamp.edge) ** -1.5)[..., None] * lamp.colour
        lit, wanted = lit + light, wanted + light * np.float32(lamp.kept)
    return lit, wanted


# The sensor

def demosaic_noise(mosaic):
    """Unit noise of a Bayer sensor (H, W), as bilinear demosaicing spreads it: (H, W, 3).

    Red stands on even rows and columns, blue on odd ones, green between them.
    """
    height, width = mosaic.shape
    padded = np.zeros((3, height + 2, width + 2), np.float32)
    inner = padded[:, 1:-1, 1:-1]
    inner[0, ::2, ::2] = mosaic[::2, ::2]
    inner[1, ::2, 1::2] = mosaic[::2, 1::2]
    inner[1, 1::2, ::2] = mosaic[1::2, ::2]
    inner[2, 1::2, 1::2] = mosaic[1::2, 1::2]
    noise = np.empty((height, width, 3), np.float32)
    for channel in (0, 2):      # the mean of two or of four neighbours, or the pixel's own
        plane = padded[channel]
        along = plane[:, 1:-1] + (plane[:, :-2] + plane[:, 2:]) / 2
        noise[..., channel] = along[1:-1] + (along[:-2] + along[2:]) / 2
    green = padded[1]
    noise[..., 1] = green[1:-1, 1:-1] + (
        green[:-2, 1:-1] + green[2:, 1:-1] + green[1:-1, :-2] + green[1:-1, 2:]) / 4
    return noise


def unit_noise(shape, grain, rng):
    """float32 (H, W, 3): noise of variance about one a pixel of the sensor."""
    height, width = (int(np.ceil(length / grain)) for length in shape[:2])
    noise = demosaic_noise(rng.standard_normal((height, width), np.float32))
    if (height, width) == tuple(shape[:2]):
        return noise
    planes = [Image.fromarray(noise[..., channel]).resize(
        shape[1::-1], Image.Resampling.BICUBIC) for channel in range(3)]
    return np.stack(planes, axis=-1)


def record(light, darkness, rng):
    """uint8 (H, W, 3): the photo that a camera makes of linear light (H, W, 3)."""
    if darkness.shot:
        balance = np.array(darkness.balance, np.float32)
        deviation = np.sqrt(darkness.shot * balance * light + darkness.read * balance ** 2)
        light = light + deviation * unit_noise(light.shape, darkness.grain, rng)
    return to_levels(light, darkness.power)


def darkest_channel(photo):
    """(H, W, 3) -> (H, W): the least of the three."""
    return np.minimum(np.minimum(photo[..., 0], photo[..., 1]), photo[..., 2])


def to_levels(light, power=1.0):
    """Linear light to uint8 levels of sRGB, these raised to `power` on [0, 1]."""
    table = np.round(SRGB_OF_STEP ** power * 255).astype(np.uint8)
    index = np.sqrt(np.clip(light, 0, 1)) * np.float32(CURVE_STEPS - 1) + np.float32(0.5)
    return table[index.astype(np.uint16)]


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
    field = light_field(darkness, photo.shape, window)
    light = LINEAR_OF_LEVEL[photo]
    if darkness.highlights:
        whiteness = np.square(np.square(darkest_channel(light)))[..., None]
        lit = light * np.exp2(np.float32(darkness.highlights) * whiteness)
    else:
        lit = light
    if field is not None:
        lit, light = lit * np.exp2(field), light * np.exp2(lifted_field(field))
    if darkness.light is not None:
        light = lift_shadows(light, -SHADOW_GAIN * float(darkness.light.mean()))
    if darkness.lamps:
        lit, light = add_lamps(lit, light, darkness.lamps, window)
    tint = np.array(darkness.tint, np.float32) * np.float32(2.0 ** -darkness.stops)
    low = record(lit * tint, darkness, rng)
    if darkness.jpeg:
        low = compress(low, darkness.jpeg)
    even = field is None and not darkness.lamps
    return low, photo if even else to_levels(light)


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
    turn = saturation * np.exp(1j * np.deg2rad(hue))
    change = np.diag([1, turn.real, turn.real])
    change[1, 2], change[2, 1] = -turn.imag, turn.imag
    matrix = np.linalg.solve(CHROMA, change @ CHROMA).astype(np.float32)
    photo = np.clip(photo @ matrix.T, 0, 255)
    table = np.arange(256, dtype=np.float32) / 255
    table = table + np.float32(contrast) * (table * table * (3 - 2 * table) - table)
    return np.round(table * 255).astype(np.uint8)[photo.astype(np.uint8)]


def log_uniform(rng, low, high):
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


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
        stops = rng.uniform(0, 0.4) if rng.random() < 0.7 else rng.uniform(0.4, 2.5)
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
            "shot": shot / 2, "read": np.exp(
                2.18 * np.log(shot) + 1.20 + rng.normal(0, 0.26)) / 2,
            "grain": rng.uniform(1, 2.5) if rng.random() < 0.3 else 1.0,
            "power": rng.uniform(0.85, 1.2),
            "jpeg": int(rng.integers(60, 98)) if rng.random() < 0.5 else None}


# Night skies, which no collection of good photos has: made

def smooth_field(rng, shape, cells):
    """float32 (H, W) in [0, 1]: a random grid of `cells` a side, enlarged."""
    grid = Image.fromarray(rng.random((cells, cells), np.float32))
    return np.clip(np.asarray(grid.resize(shape[::-1], Image.Resampling.BICUBIC)), 0, 1)


def add_stars(light, rng, count):
    """Add `count` stars to linear light (H, W, 3), few of them bright."""
    height, width = light.shape[:2]
    offsets = np.arange(-3, 4)
    squared = offsets[:, None] ** 2 + offsets[None] ** 2
    for _ in range(count):
        y, x = rng.integers(3, height - 3), rng.integers(3, width - 3)
        size = rng.uniform(0.5, 1.5)
        shape = np.exp(-squared / (2 * size ** 2))[..., None]
        colour = rng.uniform(0.7, 1, 3) * log_uniform(rng, 0.02, 1.0)
        light[y - 3:y + 4, x - 3:x + 4] += np.float32(shape * colour)


def add_moon(light, rng):
    """Put a moon with its spots and its glow into linear light (H, W, 3)."""
    height, width = light.shape[:2]
    radius = log_uniform(rng, 4, height / 5)
    y, x = rng.uniform(0, height), rng.uniform(0, width)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    distance = np.hypot(rows - y, columns - x)
    disc = np.clip(radius - distance + 0.5, 0, 1)[..., None]
    spots = 0.5 + 0.5 * smooth_field(rng, (height, width), int(max(8, 5 * height / radius)))
    colour = np.float32([1, rng.uniform(0.85, 1), rng.uniform(0.65, 0.95)])
    face = np.float32(rng.uniform(0.4, 0.95)) * spots[..., None] * colour
    glow = np.float32(log_uniform(rng, 0.003, 0.05)) * np.exp(-distance / (2 * radius))
    light += glow[..., None] * colour
    light += disc * (face - light)


def add_land(light, rng):
    """Put a dark horizon, at times with lit windows, into linear light (H, W, 3)."""
    height, width = light.shape[:2]
    top = rng.uniform(0.5, 0.95) * height
    heights = rng.normal(0, 0.06 * height, int(rng.integers(4, 40)))
    if rng.random() < 0.5:          # roofs, else hills
        outline = np.repeat(heights, -(-width // len(heights)))[:width]
    else:
        outline = np.interp(np.linspace(0, len(heights), width), np.arange(len(heights)),
                            heights)
    land = np.arange(height)[:, None] > top + outline[None]
    light[land] = light[:, :1].mean((0, 1)) * np.float32(rng.uniform(0.05, 0.4))
    if rng.random() < 0.5:
        for _ in range(rng.integers(2, 40)):
            y, x = rng.integers(int(top), height), rng.integers(0, width)
            side = rng.integers(1, 5)
            colour = np.float32([1, rng.uniform(0.6, 0.9), rng.uniform(0.3, 0.8)])
            light[y:y + side, x:x + side] = colour * np.float32(rng.uniform(0.1, 1))


def night_sky(rng, shape=(320, 400)):
    """uint8 (H, W, 3): a made night sky as a person would want to see it, dark."""
    level = log_uniform(rng, 0.003, 0.025)      # linear light: levels 9 to 43
    colour = np.float32(rng.uniform((0.4, 0.5, 0.6), (1, 0.9, 1.2)))
    light = np.full((*shape, 3), level, np.float32) * colour
    slope = np.linspace(1, rng.uniform(0.5, 3), shape[0], dtype=np.float32)
    light *= slope[:, None, None]
    clouds = rng.uniform(0, 0.8) if rng.random() < 0.4 else 0.0
    field = smooth_field(rng, shape, int(rng.integers(3, 12)))
    light *= 1 + np.float32(clouds) * (field[..., None] - np.float32(0.5))
    if rng.random() < 0.7:
        add_stars(light, rng, int(log_uniform(rng, 5, 400)))
    if rng.random() < 0.35:
        add_moon(light, rng)
    if rng.random() < 0.5:
        add_land(light, rng)
    return to_levels(light)


def draw_night(rng):
    """A Darkness for a made night: at most three stops, for every third next to none."""
    stops = rng.uniform(0, 0.3) if rng.random() < 1 / 3 else rng.uniform(0, MOST_LIFT)
    return Darkness(stops, **draw_sensor(rng))


# Pairs

def load_with_cells(path, side=128):
    """(uint8 photo at `path`, its means over side x side cells): see `darken_crop`."""
    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image).convert("RGB")
        cells = image.resize((side, side), Image.Resampling.BOX)
    return np.asarray(image), np.asarray(cells)


def darken_whole(photo, rng):
    """(low, normal) of a whole good photo, drawn as in training, but never as it is."""
    kind = draw_kind(rng, [kind for kind in KINDS if kind != "as it is"])
    return darken(photo, rng, draw_darkness(rng, kind))


def cut_enlarged(photo, crop, rng):
    """(crop of a uint8 photo, its window); for half of them enlarged, up to three times."""
    zoom = rng.uniform(1, 3) if rng.random() < 0.5 else 1.0
    height, width = photo.shape[:2]
    zoom = max(zoom, crop / height, crop / width)
    side = crop / zoom
    top, left = rng.uniform(0, height - side), rng.uniform(0, width - side)
    if zoom == 1:
        top, left = int(top), int(left)
    margin = 4                      # pixels around it that the enlargement looks at
    rows = slice(max(0, int(top) - margin), int(top + side) + margin)
    columns = slice(max(0, int(left) - margin), int(left + side) + margin)
    y, x = top - rows.start, left - columns.start
    cut = Image.fromarray(photo[rows, columns]).resize(
        (crop, crop), Image.Resampling.BICUBIC, (x, y, x + side, y + side))
    window = (top / height, left / width, (top + side) / height, (left + side) / width)
    return np.asarray(cut), window


def darken_crop(photo, cells, crop, rng):
    """(low, normal, thumbnail, window) of a random crop of a good photo.

    `cells`: means over the photo, uint8, of twice the side of the thumbnail: so the noise
    in it is averaged, as in a real one. Low and normal are uint8 (crop, crop, 3), the
    thumbnail float32 in [0, 1].
    """
    if rng.random() < NIGHT:
        photo = night_sky(rng)
        side = cells.shape[0]
        cells = np.asarray(Image.fromarray(photo).resize((side, side), Image.Resampling.BOX))
        normal, window = cut_enlarged(photo, crop, rng)
        darkness = draw_night(rng)
    else:
        normal, window = cut_enlarged(photo, crop, rng)
        colour = draw_colour(rng)
        normal, cells = vary_colour(normal, **colour), vary_colour(cells, **colour)
        overexposed = (darkest_channel(cells) > 0.97 * 255).mean()   # it cannot be told how much
        as_it_is = rng.random() < 20 * overexposed
        kind = "as it is" if as_it_is else draw_kind(rng, KINDS)
        darkness = draw_darkness(rng, kind, window)
    low, normal = darken(normal, rng, darkness, window)
    dark_cells, _ = darken(cells, rng, darkness)
    rows = dark_cells[::2].astype(np.float32) + dark_cells[1::2]
    thumbnail = (rows[:, ::2] + rows[:, 1::2]) / np.float32(4 * 255)
    return low, normal, thumbnail, window
