"""Write before_after.jpg: photos without a partner, by the released weights and the tool.

The sample photos of scikit-image and scikit-learn, which the released weights were not
trained on, darkened by the camera model of the package; above what the camera saw,
below what `lowlight` makes of it, as large as the photos are shown.
"""
from pathlib import Path

import numpy as np
from PIL import Image

import lowlight
from lowlight import camera
from lowlight.cnn import load_photo, sample_photos

GAP, HEIGHT = 8, 300                        # pixels
SCENES = {                                  # light: a grid of stops
    "astronaut.png": {"stops": 2, "light": [[0, -1, -3], [0, -1, -4]], "shot": 1e-3},
    "china.jpg": {"stops": 3.5, "tint": (1, 0.8, 0.55), "shot": 8e-4, "jpeg": 90},
    "coffee.png": {"stops": 2, "light": [[-4, -3, -1], [-3, -1, 0]], "shot": 1e-3},
    "chelsea.png": {"stops": 4, "tint": (0.7, 0.85, 1), "shot": 5e-4},
    "motorcycle_left.png": {"stops": 1.5, "light": [[0, -2], [-3, -4]], "shot": 1e-3,
                            "jpeg": 80}}


def main():
    network, rng, columns = lowlight.load(), np.random.default_rng(0), []
    paths = {path.name: path for path in sample_photos()}
    for name, options in SCENES.items():
        if "light" in options:
            options["light"] = np.array(options["light"], float)
        darkness = camera.Darkness(balance=(2.0, 1.0, 1.6), read=1e-6, **options)
        dark, _ = camera.darken(load_photo(paths[name]), rng, darkness)
        pair = np.vstack([dark, lowlight.enhance(network, dark)])
        width = round(pair.shape[1] * 2 * HEIGHT / pair.shape[0])
        columns.append(Image.fromarray(pair).resize((width, 2 * HEIGHT),
                                                    Image.Resampling.LANCZOS))
    sheet = Image.new("RGB", (sum(one.width + GAP for one in columns) - GAP, 2 * HEIGHT),
                      "white")
    left = 0
    for column in columns:
        sheet.paste(column, (left, 0))
        left += column.width + GAP
    sheet.save(Path(__file__).with_suffix(".jpg"), quality=88)


if __name__ == "__main__":
    main()
