"""One training on several machines, on JAX: every process feeds its part of each batch.

Start the same run on each machine with KERAS_DISTRIBUTION_JOB_ADDRESSES,
KERAS_DISTRIBUTION_NUM_PROCESSES and KERAS_DISTRIBUTION_PROCESS_ID set; see the README.
"""
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import keras


class Place(NamedTuple):
    """Where a process stands among all of them."""
    number: int         # from 0
    count: int          # of processes
    devices: int        # of this process


def join():
    """Meet the other processes, and share the model among them; returns the Place.

    To be called before the backend computes anything. ValueError on another backend than
    JAX, the only one on which this works with Keras 3.
    """
    if keras.backend.backend() != "jax":
        raise ValueError("several machines need JAX: set KERAS_BACKEND=jax")
    keras.distribution.initialize()
    import jax
    if jax.device_count() > 1:
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(auto_shard_dataset=False))
    return Place(jax.process_index(), jax.process_count(), jax.local_device_count())


def output_folder(folder, place, resume):
    """The folder that a process writes to.

    The first one writes for all. The others write to a copy that is thrown away; where the
    run is resumed, it begins with what the first one has saved.
    """
    if place.number == 0:
        return Path(folder)
    own = Path(tempfile.mkdtemp())
    if resume and Path(folder).exists():
        shutil.copytree(folder, own, dirs_exist_ok=True)
    return own
