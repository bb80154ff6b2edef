"""Photos as arrays: thumbnail, exact tiles, strength and brightness. NumPy only."""
import numpy as np

LUMA = np.array([0.299, 0.587, 0.114])      # weights of R, G, B: ITU-R BT.601
TILE = 896                                  # pixels a side: 48 megapixels within 1 GB
MARGIN = 32                                 # as in the notebook: mirrored around a photo
BAND = 256                                  # rows converted at a time


def ceil_div(number, divisor):
    """number / divisor, rounded up to an integer."""
    return -(-number // divisor)


def quantise(photo, dtype):
    """Float in [0, 1] to uint8 or uint16, rounded and clipped."""
    return np.round(np.clip(photo, 0, 1) * np.iinfo(dtype).max).astype(dtype)


def eight_bits(photo):
    """A uint16 photo rounded to uint8: 257 levels of 16 bits become one."""
    rounded = np.empty(photo.shape, np.uint8)
    for top in range(0, len(photo), BAND):      # at once, it takes 6 bytes a sample more
        band = photo[top:top + BAND].astype(np.uint32)
        rounded[top:top + BAND] = (band + 128) // 257
    return rounded


def make_thumbnail(photo, side=64):
    """Means over a grid: uint8 or uint16 (H, W, 3) -> float32 (side, side, 3) in [0, 1].

    Never rounded to the levels of the photo, of which a dark one has few. The same as
    `make_thumbnail` of the notebook, which decides what the network was trained on.
    """
    def edges(length):
        start = np.arange(side) * length // side        # a short photo repeats pixels
        return start, np.maximum(np.diff(start, append=length), 1)
    (rows, heights), (columns, widths) = map(edges, photo.shape[:2])
    sums = np.stack([np.add.reduceat(photo[row:row + height].sum(0, np.uint32), columns)
                     for row, height in zip(rows, heights)])
    largest = np.iinfo(photo.dtype).max * heights[:, None, None] * widths[:, None]
    return (sums / largest).astype(np.float32)


# Tiles. Each window is cut out with a margin of at least the receptive radius of the
# network, so that its inner part is computed from exactly the pixels that the whole photo
# would have offered. All windows of a photo have one size, which a runtime plans once.

def window_sizes(length, tile, margin, multiple):
    """Sizes of 1, 2, 3, ... equal windows that cover one axis, outer edges without margin."""
    padded = ceil_div(length, multiple) * multiple
    counts = np.arange(1, ceil_div(padded, max(tile, multiple)) + 2)
    share = ceil_div(np.maximum(padded - 2 * margin, 0), counts)
    return np.minimum(ceil_div(share, multiple) * multiple + 2 * margin, padded)


def cut_windows(length, size, margin, multiple):
    """[(start, first used, end of used), ...] of windows of `size` along one axis."""
    padded = ceil_div(length, multiple) * multiple
    starts = [0]
    while starts[-1] + size < padded:           # neighbours share two margins
        starts.append(min(starts[-1] + size - 2 * margin, padded - size))
    ends = [start + margin for start in starts[1:]] + [length]
    return list(zip(starts, [0, *ends], ends))


def plan_windows(shape, tile, margin, multiple):
    """(rows, columns), each (size, windows): the cheapest cover of a photo of `shape`.

    No window has more pixels than a square tile with its margins.
    """
    heights, widths = (window_sizes(length, tile, margin, multiple) for length in shape)
    area = np.multiply.outer(heights, widths)
    counts = np.multiply.outer(np.arange(len(heights)) + 1, np.arange(len(widths)) + 1)
    cost = np.where(area <= (tile + 2 * margin) ** 2, area * counts, np.inf)
    row, column = np.unravel_index(np.argmin(cost), cost.shape)
    return [(size, cut_windows(length, size, margin, multiple)) for length, size in
            zip(shape, (int(heights[row]), int(widths[column])))]


def mirrored(start, count, length):
    """Indices into an axis of `length` of `count` pixels from `start` on, where the axis
    has MARGIN mirrored pixels at either end, and the last one is repeated after that."""
    index = np.arange(start, start + count)
    index = (np.minimum(index, length + 2 * MARGIN - 1) - MARGIN) % (2 * length)
    return np.minimum(index, 2 * length - 1 - index)


def inner_part(start, first, end, length):
    """(slice of the photo, slice of the window) of a window of the photo with its MARGIN.

    `start`: where the window begins; `first`, `end`: what is used of it.
    """
    first, end = np.clip([first, end], MARGIN, length + MARGIN)
    return slice(first - MARGIN, end - MARGIN), slice(first - start, end - start)


def enhance_tiles(network, photo, thumbnail, tile=TILE):
    """Yield (rows, columns, float32 output) for each tile of a photo (H, W, 3).

    `network`: see `lowlight.load`. The outputs are not clipped; together they equal the
    output for the photo in one piece, MARGIN mirrored pixels around it.
    """
    multiple, shape = network.multiple, photo.shape[:2]
    margin = ceil_div(network.radius, multiple) * multiple
    tile = ceil_div(max(tile, 1), multiple) * multiple
    (height, down), (width, along) = plan_windows(
        [length + 2 * MARGIN for length in shape], tile, margin, multiple)
    for y, *used in down:
        rows, inner_rows = inner_part(y, *used, shape[0])
        for x, *used in along:
            columns, inner_columns = inner_part(x, *used, shape[1])
            pixels = photo[mirrored(y, height, shape[0])[:, None],
                           mirrored(x, width, shape[1])].astype(np.float32)
            pixels /= np.iinfo(photo.dtype).max
            window = np.subtract([y, x, y + height, x + width], MARGIN) / np.tile(shape, 2)
            output = network(pixels, thumbnail, window)
            yield rows, columns, output[inner_rows, inner_columns]


def is_colourless(photo):
    """Whether the channels of a photo (H, W, 3) are equal in every pixel."""
    for top in range(0, len(photo), BAND):
        red, green, blue = np.moveaxis(photo[top:top + BAND], -1, 0)
        if not (np.array_equal(red, green) and np.array_equal(red, blue)):
            return False
    return True


def grey_of(photo):
    """Luma (H, W) of a photo (H, W, 3), rounded to the type of the photo."""
    grey = np.empty(photo.shape[:2], photo.dtype)
    for top in range(0, len(photo), BAND):
        grey[top:top + BAND] = np.round(photo[top:top + BAND] @ LUMA)
    return grey


def colour_as_before(photo, before):
    """The photo (H, W, 3), without colour where the photo `before` it has none."""
    if not is_colourless(before):
        return photo
    return np.broadcast_to(grey_of(photo)[..., None], photo.shape)


def mean_luma(photo):
    """Mean luma of a uint8 or uint16 photo in [0, 1] (ITU-R BT.601)."""
    return photo.mean((0, 1)) @ LUMA / np.iinfo(photo.dtype).max


def power_curve(exponent, dtype):
    """Look-up table: level ** exponent on [0, 1], for each level of `dtype`."""
    levels = np.iinfo(dtype).max + 1
    return quantise((np.arange(levels) / (levels - 1)) ** exponent, dtype)


def brightness_exponent(photo, brightness):
    """Exponent of the power curve that gives a photo the mean luma `brightness`."""
    check_brightness(brightness)
    levels = np.iinfo(photo.dtype).max + 1
    shares = np.zeros((3, levels))
    for top in range(0, len(photo), BAND):      # bincount takes 8 bytes a pixel
        for channel in range(3):
            shares[channel] += np.bincount(photo[top:top + BAND, :, channel].ravel(),
                                           minlength=levels)
    shares /= photo[..., 0].size
    low, high = np.log(0.02), np.log(50)        # exponent: the larger, the darker
    for _ in range(30):
        middle = (low + high) / 2
        curve = power_curve(np.exp(middle), photo.dtype) / (levels - 1)
        if LUMA @ shares @ curve > brightness:
            low = middle
        else:
            high = middle
    return np.exp((low + high) / 2)


def as_photo(photo):
    """A photo, Pillow's too, as an array; ValueError unless it is one of RGB."""
    photo = np.asarray(photo)
    if (photo.dtype not in (np.uint8, np.uint16) or photo.shape[2:] != (3,)
            or not photo.size):
        raise ValueError("expected a uint8 or uint16 photo (H, W, 3), "
                         f"got {photo.dtype} {photo.shape}")
    return photo


def check_brightness(brightness):
    """ValueError for a mean luma that no photo can be given."""
    if not 0 < brightness < 1:
        raise ValueError(f"brightness {brightness}: must lie between 0 and 1")


def set_brightness(photo, brightness):
    """A photo with mean luma `brightness` in (0, 1), by one power curve.

    Monotone in `brightness`. Pixels of pure black and white stay what they are, so a
    photo that has many of them comes as near as they allow: see `mean_luma`. Raises
    ValueError for other types, shapes or ranges.
    """
    photo = as_photo(photo)
    return power_curve(brightness_exponent(photo, brightness), photo.dtype)[photo]


def enhance(network, photo, brightness=None, strength=1.0, tile=TILE):
    """Brighten a photo (H, W, 3) of any size, uint8 or uint16: the same shape and type.

    `network`: what `lowlight.load` returns. `strength`: 1 is the network's photo, 0 the
    photo as it was, between them a mix. `brightness`: mean luma in (0, 1) of the result;
    None leaves it to the network. `tile`: pixels a side worked on at a time; it bounds the
    memory and changes nothing else. Raises ValueError for other types, shapes or ranges.
    """
    photo = as_photo(photo)
    if brightness is not None:
        check_brightness(brightness)
    if not 0 <= strength <= 1:
        raise ValueError(f"strength {strength}: must lie between 0 and 1")
    result = np.empty_like(photo)
    for rows, columns, output in enhance_tiles(network, photo, make_thumbnail(photo), tile):
        if strength < 1:
            before = photo[rows, columns] / np.float32(np.iinfo(photo.dtype).max)
            output = before + strength * (np.clip(output, 0, 1) - before)
        result[rows, columns] = quantise(output, photo.dtype)
    return result if brightness is None else set_brightness(result, brightness)
