"""One training on several machines, on JAX: every process feeds its part of each batch.

Start the same run on each machine, with a shared folder for OUTPUT, and with

    export KERAS_BACKEND=jax KERAS_DISTRIBUTION_JOB_ADDRESSES=first-host:12345
    export KERAS_DISTRIBUTION_NUM_PROCESSES=4 KERAS_DISTRIBUTION_PROCESS_ID=0   # 0 to 3

On Slurm, one task a node, the last two are $SLURM_NTASKS and $SLURM_PROCID, and the first
host is $(scontrol show hostnames | head -1). In an Indexed Job of Kubernetes the number of
the process is $JOB_COMPLETION_INDEX. On TPU VMs, JOB_ADDRESSES stays empty and the others
unset: JAX finds its peers. None of the three has been tried.
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
