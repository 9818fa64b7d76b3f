"""Small nets whose fits are killed and resumed."""

import numpy as np
from skorch import NeuralNet, NeuralNetRegressor
from torch import nn

from sgt_sklearn import SaliencyGuidedMixin
from sgt_sklearn.callbacks import ResumableCheckpoint
from tests.callbacks.killing import TARGETS, X, assert_same, kill_at, killed, outcome, seed_globals

Y = TARGETS.astype(np.float32)[:, None]


class GuidedNet(SaliencyGuidedMixin, NeuralNetRegressor):
    pass


def net_of(folder, callbacks=(), cls=GuidedNet, **params):
    """A small net whose state is to survive; `folder` None is for the fit in one go."""
    if folder is not None:
        callbacks = [*callbacks, ("resume", ResumableCheckpoint(folder / "fit.ckpt"))]
    defaults = {
        "module": nn.Linear(4, 1),
        "max_epochs": 5,
        "batch_size": 8,
        "lr": 0.05,
        "train_split": None,
        "iterator_train__shuffle": True,
        "random_state": 0,
        "verbose": 0,
        "callbacks": list(callbacks),
    }
    return cls(**defaults | params)


def check_resumes(build, folder, data=(X, Y), step=18):
    """Kill a fit in a step (of 25), run it again, and compare with a fit in one go."""
    data = data if callable(data) else lambda data=data: data

    def fit(folder):
        seed_globals()
        return build(folder).fit(*data())

    expected = outcome(fit(None))

    def life():
        kill_at(NeuralNet, "train_step", step)
        fit(folder)

    assert killed(life)
    net = fit(folder)
    assert_same(expected, outcome(net))
    return net


class Named:
    """No data."""
