#!/usr/bin/env python3
"""The network against peers rebuilt from their papers: speed, quality for equal time.

    python benchmarks/peers.py DATASET {lowlight,unet,zero-dce} [--minutes 20] [--csv FILE]

One process for each, so that none inherits the memory of another. All train with the
same crops, loss, optimizer and shape of schedule on LOL's training pairs of
weights/split.json and are scored on whole validation photos. Time is that of the
processor, two cores for so many minutes, so that what else the machine does counts for
nobody; it begins after the first step, which compiles. The peers learn at 3e-4, which
was not tuned; this network at its own 5e-4. Zero-DCE's own loss needs no bright photos;
here it has them, which is to its advantage.
"""
import argparse
import time
from functools import partial

import numpy as np
import recipe
from common import add_row, markdown_head, markdown_row
from recipe import cnn, keras

from lowlight.cnn import layers


def two_convolutions(x, width):
    """The block of U-Net: (B, H, W, C) -> (B, H, W, width)."""
    for _ in range(2):
        x = layers.Conv2D(width, 3, padding="same", activation="relu",
                          kernel_initializer="he_normal")(x)
    return x


def unet(widths=(64, 128, 256, 512, 1024)):
    """U-Net of Ronneberger et al. (2015), padded convolutions, for RGB in and out."""
    inputs = [keras.Input((None, None, 3)), keras.Input((64, 64, 3)), keras.Input((4,))]
    photo = inputs[0]
    x, skips = cnn.PadToMultiple(16, dtype="float32", name="pad")(photo), []
    for width in widths:
        if skips:
            x = layers.MaxPooling2D()(x)
        x = two_convolutions(x, width)
        skips.append(x)
    skips.pop()
    for width in reversed(widths[:-1]):
        x = layers.Conv2DTranspose(width, 2, strides=2)(x)
        x = two_convolutions(layers.Concatenate()([skips.pop(), x]), width)
    x = layers.Conv2D(3, 1, dtype="float32")(x)
    return keras.Model(inputs, cnn.CropLike(dtype="float32")([x, photo]))


def zero_dce(width=32, iterations=8):
    """Zero-DCE of Guo et al. (2020): seven convolutions, eight curves x + a (x^2 - x)."""
    inputs = [keras.Input((None, None, 3)), keras.Input((64, 64, 3)), keras.Input((4,))]
    photo = inputs[0]
    x, outputs = photo, []
    for number in range(6):
        if number > 3:
            x = layers.Concatenate()([outputs[6 - number], x])
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        outputs.append(x)
    x = layers.Concatenate()([outputs[0], x])
    curves = layers.Conv2D(3 * iterations, 3, padding="same", activation="tanh",
                           dtype="float32")(x)
    result = photo
    for number in range(iterations):
        a = curves[..., 3 * number:3 * number + 3]
        result = result + a * (result ** 2 - result)
    return keras.Model(inputs, result)


NETWORKS = {"lowlight": (cnn.build_model, 5e-4), "unet": (unet, 3e-4),
            "zero-dce": (zero_dce, 3e-4)}


class Deadline(keras.callbacks.Callback):
    """Stops after `seconds` of processor time; the rate rises for 5 %, then a cosine."""

    def __init__(self, seconds, rate):
        super().__init__()
        self.seconds, self.rate, self.start = seconds, rate, None

    def on_train_batch_begin(self, batch, logs=None):
        spent = (time.process_time() - self.start) / self.seconds if self.start else 0
        cosine = 0.01 + 0.99 * np.cos(np.pi / 2 * min(spent, 1)) ** 2
        self.model.optimizer.learning_rate = self.rate * cosine * min(1, 0.01 + 20 * spent)

    def on_train_batch_end(self, batch, logs=None):
        self.start = self.start or time.process_time()      # the first step compiled
        if time.process_time() - self.start >= self.seconds:
            self.model.stop_training = True


def seconds_a_megapixel(model, size=(400, 600), repeats=7):
    """Median seconds for one photo of `size` in one piece, per megapixel."""
    batch = [np.full((1, *shape, 3), 0.1, np.float32) for shape in (size, (64, 64))]
    batch.append(np.float32([[0, 0, 1, 1]]))
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        model.predict_on_batch(batch)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:])) / (size[0] * size[1] / 1e6)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="folder of LOL's pairs")
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--photos", type=int, help="at most so many validation photos")
    parser.add_argument("--csv", help="file to which the row is added")
    options = parser.parse_args()
    train, validation, _ = recipe.frozen_split(options.dataset)
    keras.utils.set_random_seed(0)
    build, rate = NETWORKS[options.network]
    model = build()
    line = {"network": options.network, **recipe.size(model),      # before it is compiled
            "s / MP": f"{seconds_a_megapixel(model):.2f}", "minutes": options.minutes}
    cnn.compile_model(model, "l1_ssim", rate, average=20)       # a large network makes few steps
    model.fit(cnn.PairSequence([cnn.PairCrops(train)], steps=200), epochs=10 ** 4, shuffle=False,
              verbose=0, callbacks=[Deadline(2 * 60 * options.minutes, rate)])
    means = recipe.score(partial(cnn.brighten, model), validation[:options.photos])
    line |= {"steps": int(model.optimizer.iterations), **recipe.rounded(means)}
    markdown_head(list(line))
    markdown_row(line.values())
    if options.csv:
        add_row(options.csv, line)


if __name__ == "__main__":
    main()
