#!/usr/bin/env python3
"""The network against two peers rebuilt from their papers: speed, and quality for equal time.

    python benchmarks/peers.py DATASET {lowlight,unet,zero-dce} [--minutes 20] [--csv FILE]

One process for each, so that none inherits the memory of another. All train with the same
crops, loss, optimizer and shape of schedule on the training pairs of the scene-disjoint
split and are scored on whole validation photos. Time is that of the processor, two cores
for so many minutes, so that what else the machine does counts for nobody. The peers learn
at 3e-4, which was not tuned; this network at its own 1e-3. Zero-DCE's own loss needs no
bright photos; here it has them, which is to its advantage.
"""
import argparse
import csv
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import keras  # noqa: E402
import numpy as np  # noqa: E402
from ablation import FULL  # noqa: E402
from keras import layers  # noqa: E402

import lowlight as ll  # noqa: E402


def unet(widths=(64, 128, 256, 512, 1024)):
    """U-Net of Ronneberger et al. (2015), padded convolutions, for RGB in and out."""
    photo, thumbnail = keras.Input((None, None, 3)), keras.Input((64, 64, 3))
    x, skips = ll.PadToMultiple(16, name="pad")(photo), []
    for width in widths:
        if skips:
            x = layers.MaxPooling2D()(x)
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", activation="relu",
                              kernel_initializer="he_normal")(x)
        skips.append(x)
    skips.pop()
    for width in reversed(widths[:-1]):
        x = layers.Conv2DTranspose(width, 2, strides=2)(x)
        x = layers.Concatenate()([skips.pop(), x])
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", activation="relu",
                              kernel_initializer="he_normal")(x)
    x = layers.Conv2D(3, 1, dtype="float32")(x)
    return keras.Model([photo, thumbnail], ll.CropLike(dtype="float32")([x, photo]))


def zero_dce(width=32, iterations=8):
    """Zero-DCE of Guo et al. (2020): seven convolutions, eight curves x + a (x^2 - x)."""
    photo, thumbnail = keras.Input((None, None, 3)), keras.Input((64, 64, 3))
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
    return keras.Model([photo, thumbnail], result)


MODELS = {"lowlight": ll.build_model, "unet": unet, "zero-dce": zero_dce}


class Deadline(keras.callbacks.Callback):
    """Stops after `seconds` of processor time; the rate rises for 5 % of it, then a cosine."""

    def __init__(self, seconds, rate):
        super().__init__()
        self.seconds, self.rate = seconds, rate

    def on_train_begin(self, logs=None):
        self.start = time.process_time()

    def on_train_batch_begin(self, batch, logs=None):
        spent = (time.process_time() - self.start) / self.seconds
        cosine = 0.01 + 0.99 * np.cos(np.pi / 2 * min(spent, 1)) ** 2
        self.model.optimizer.learning_rate = self.rate * cosine * min(1, 0.01 + 20 * spent)

    def on_train_batch_end(self, batch, logs=None):
        if time.process_time() - self.start >= self.seconds:
            self.model.stop_training = True


def seconds_a_megapixel(model, size=(400, 600), repeats=7):
    """Median seconds for one photo of `size` in one piece, per megapixel."""
    batch = [np.full((1, *size, 3), 0.1, np.float32), np.full((1, 64, 64, 3), 0.1, np.float32)]
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        np.asarray(model.predict_on_batch(batch))
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:])) / (size[0] * size[1] / 1e6)


def score(model, store):
    """Mean PSNR, SSIM and PSNR with GT-mean over the photos of a PhotoStore, in one piece."""
    rows = []
    for index in range(len(store.pairs)):
        low, normal, thumbnail = store[index]
        batch = [low[None] / np.float32(255), thumbnail[None]]
        image = ll.as_uint8(np.asarray(model.predict_on_batch(batch)[0]))
        rows.append(list(ll.scores(normal, image).values()))
    return np.mean(rows, axis=0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("network", choices=MODELS)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--csv", default="peers.csv")
    options = parser.parse_args()
    pairs, validation, _ = ll.split_pairs(ll.find_pairs(options.dataset))
    keras.utils.set_random_seed(0)
    model = MODELS[options.network]()
    speed = seconds_a_megapixel(model)
    sequence = ll.PairSequence(pairs, 128, 8, 200, 0, gamma=FULL["gamma"])
    rate = 1e-3 if options.network == "lowlight" else 3e-4
    model.compile(loss=ll.l1_ssim, optimizer=keras.optimizers.Adam(
        rate, global_clipnorm=1.0, use_ema=True,
        ema_momentum=0.9))                      # a large network makes few steps
    model.fit(sequence, epochs=10 ** 4, shuffle=False, verbose=0, callbacks=[
        ll.KeepMemory(), Deadline(2 * 60 * options.minutes, rate)])
    psnr, ssim, gt_mean = score(model, ll.PhotoStore(validation))
    line = {"network": options.network, "parameters": model.count_params(),
            "gmac": f"{ll.count_macs(model) / 1e9:.2f}", "seconds_a_megapixel": f"{speed:.2f}",
            "minutes": options.minutes, "steps": int(model.optimizer.iterations),
            "psnr": f"{psnr:.2f}", "ssim": f"{ssim:.3f}", "psnr_gt_mean": f"{gt_mean:.2f}"}
    with open(options.csv, "a", newline="") as file:
        table = csv.DictWriter(file, line)
        if file.tell() == 0:
            table.writeheader()
        table.writerow(line)
    print(line)


if __name__ == "__main__":
    main()
