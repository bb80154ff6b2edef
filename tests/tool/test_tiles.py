"""Tiles: together they are what the network makes of the photo in one piece."""
import keras
import numpy as np
import pytest

from lowlight import cnn, export
from lowlight.network import Network
from lowlight.photo import enhance_tiles


def noise(rng, *size):
    """(dark uint8 photo, its thumbnail)"""
    photo = rng.integers(0, 80, (*size, 3)).astype(np.uint8)
    return photo, cnn.make_thumbnail(photo)


def predict(model, photo, thumbnail):
    """The model's float output for a uint8 photo, in one piece."""
    return model.predict_on_batch([photo[None] / np.float32(255), thumbnail[None],
                                   np.float32([[0, 0, 1, 1]])])[0]


def test_tiles_are_exact(rng, random_model):
    model = random_model((8, 8, 8))
    network = Network(lambda *inputs: model.predict_on_batch(list(inputs)),
                      model.get_layer("pad").multiple, export.receptive_radius(model))
    for size in ((1, 1), (23, 150), (141, 197)):
        photo, thumbnail = noise(rng, *size)
        margins = 2 * [(cnn.MARGIN, cnn.MARGIN)]
        padded = np.pad(photo, [*margins, (0, 0)], "symmetric") / np.float32(255)
        window = np.add([0, 0, 1, 1], np.array([-1, -1, 1, 1]) * cnn.MARGIN / np.tile(size, 2))
        whole = model.predict_on_batch([padded[None], thumbnail[None], np.float32([window])])
        whole = whole[0, cnn.MARGIN:-cnn.MARGIN, cnn.MARGIN:-cnn.MARGIN]
        assert whole.std() > 0.01 or size == (1, 1)
        for tile in (16, 50, 5000):
            tiled = np.full_like(whole, np.nan)
            for rows, columns, output in enhance_tiles(network, photo, thumbnail, tile):
                tiled[rows, columns] = output
            assert np.abs(tiled - whole).max() < 1 / 255 / 100, (size, tile)


@pytest.mark.parametrize("widths, blocks", [((8, 8), 2), ((8, 8, 8), 1)])
def test_the_receptive_radius_holds_and_is_not_wasteful(rng, random_model, widths, blocks):
    model, centre, side = random_model(widths, blocks), 128, 256
    radius, stride = export.receptive_radius(model), 2 ** len(widths)
    photo, thumbnail = noise(rng, side, 8)
    before, reach = predict(model, photo, thumbnail), 0
    for y in range(centre, centre + stride):            # every place within the stride
        changed = photo.copy()
        changed[y] = 255 - changed[y]
        difference = np.abs(predict(model, changed, thumbnail) - before).max(axis=(1, 2))
        rows = np.nonzero(difference)[0]
        reach = max(reach, y - rows.min(), rows.max() - y)
    assert reach <= radius <= reach + 2 * stride


def test_a_layer_that_sees_the_whole_photo_is_refused():
    photo, thumbnail = keras.Input((None, None, 3)), keras.Input((64, 64, 3))
    pooled = keras.layers.GlobalAveragePooling2D(keepdims=True)(photo)
    tint = keras.layers.GlobalAveragePooling2D(keepdims=True)(thumbnail)
    model = keras.Model([photo, thumbnail], keras.layers.Add()([photo, pooled, tint]))
    with pytest.raises(ValueError, match="may see the whole photo"):
        export.receptive_radius(model)
