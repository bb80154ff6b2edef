"""The exact state of a training run: saved at the start of each epoch, taken up again.

Keras' `BackupAndRestore` keeps weights and optimizer, but not the counters of callbacks that
wait for progress, and it writes two files, which a cut between them leaves unequal. A run
resumed from a `TrainingState` ends with the history and the weights of one never cut.
"""
import json
import os
from pathlib import Path

import keras
import numpy as np

COUNTERS = ("wait", "best", "best_epoch", "cooldown_counter")


class TrainingState(keras.callbacks.Callback):
    """Saves to `folder`/state.npz all that decides the rest of a run.

    That is the weights, the optimizer, the history and the counters of `callbacks`. The
    file appears only when it is complete, and the one before it is kept. `settings`: what
    must be the same when the run goes on, anything that JSON can hold.
    """

    def __init__(self, folder, callbacks, settings):
        super().__init__()
        self.history = Path(folder, "history.csv")
        self.path = Path(folder, "state.npz")
        self.path_before = Path(folder, "state-before.npz")
        self.callbacks, self.settings = callbacks, json.loads(json.dumps(settings))
        self.saved_counters = []

    def on_train_begin(self, logs=None):
        for callback, counters in zip(self.callbacks, self.saved_counters):
            for name, value in counters.items():        # they have just reset themselves
                setattr(callback, name, value)

    def on_epoch_begin(self, epoch, logs=None):
        counters = [{name: getattr(callback, name) for name in COUNTERS
                     if hasattr(callback, name)} for callback in self.callbacks]
        text = json.dumps({"epoch": epoch, "counters": counters, "settings": self.settings,
                           "history": self.history.read_text()}, default=float)
        variables = self.model.variables + self.model.optimizer.variables
        arrays = [keras.ops.convert_to_numpy(variable) for variable in variables]
        part = self.path.with_suffix(".part")
        with open(part, "wb") as file:
            np.savez(file, *arrays, text=text)
        if self.path.exists():
            os.replace(self.path, self.path_before)     # should the new one be torn
        os.replace(part, self.path)

    def restore(self, model):
        """Set a compiled model back to the saved state; returns the epoch to go on at.

        0 where nothing was saved. ValueError where neither file fits this run.
        """
        model.optimizer.build(model.trainable_variables)
        problems = []
        for path in (self.path, self.path_before):
            if not path.exists():
                continue
            try:
                epoch = self.load(path, model)
            except Exception as error:      # NumPy and zipfile raise many types
                problems.append(f"{path}: not of a run with these pairs and settings "
                                f"({error!r}); remove it or set RESUME = False")
            else:
                print(*problems, f"resuming {path.name}, epoch {epoch + 1}", sep="\n")
                return epoch
        if problems:
            raise ValueError(problems[0])
        return 0

    def load(self, path, model):
        """Read one state file; returns its epoch."""
        with np.load(path) as file:
            text = json.loads(str(file["text"]))
            if text["settings"] != self.settings:
                raise KeyError("other settings")
            epoch, counters, history = text["epoch"], text["counters"], text["history"]
            variables = model.variables + model.optimizer.variables
            for number, variable in enumerate(variables):
                variable.assign(file[f"arr_{number}"])
        self.saved_counters = counters
        self.history.write_text(history)    # without the row of an epoch that was cut
        return epoch
