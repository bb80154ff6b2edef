#!/usr/bin/env python3
"""Save a model so that older versions of Keras open it too, in two steps.

    export PYTHONPATH=.
    python weights/portable.py model.keras model.npz    # with the Keras that trained it
    python weights/portable.py model.npz model.keras    # with Keras 3.10, TensorFlow 2.18

What Keras 3.15 saves opens neither in 3.10 nor in 3.13; what 3.10 saves opens in all.
Only for networks of the notebook's default WIDTHS and BLOCKS.
"""
import sys

import numpy as np

from lowlight import cnn

source, target = sys.argv[1:]
if source.endswith(".keras"):
    np.savez(target, *cnn.load_model(source).get_weights())
else:
    model = cnn.build_model()
    with np.load(source) as arrays:
        model.set_weights([arrays[f"arr_{n}"] for n in range(len(arrays.files))])
    model.save(target)
