#!/usr/bin/env python3
"""Average the weights of several states of one training.

    export PYTHONPATH=.
    python weights/average.py OUT.keras ONE.keras 0.3 OTHER.keras 0.7

States of one training have much in common, so their mean works, and often better than each
(Wortsman et al., Model soups, 2022). The shares should add up to 1.
"""
import sys

from lowlight import cnn

target, *rest = sys.argv[1:]
models = [cnn.load_model(path) for path in rest[::2]]
shares = [float(text) for text in rest[1::2]]
if abs(sum(shares) - 1) > 0.01 or len(shares) != len(models):
    raise SystemExit("give each file a share; together they are 1")
states = zip(*[model.get_weights() for model in models])
models[0].set_weights([sum(share * array for share, array in zip(shares, arrays))
                       for arrays in states])
models[0].save(target)
