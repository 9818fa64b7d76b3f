"""Fits that are interrupted in a step."""

import os
import signal
from pathlib import Path

import pytest
from skorch import NeuralNetRegressor
from skorch.callbacks import Callback
from torch import nn

from sgt_sklearn import SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.callbacks import ResumableCheckpoint
from tests.callbacks.killing import TARGETS, X


class GuidedNet(SaliencyGuidedMixin, NeuralNetRegressor):
    pass


class StepError(Exception):
    """Ends a fit as an error of the user's would."""


class Trip(Callback):
    """Interrupts a fit in a step, once."""

    armed = False  # of the class, and so no parameter of the estimator

    def __init__(self, how=None):
        self.how = how

    def on_train_begin(self, net, **kwargs):
        self.n_ = 0

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.n_ += 1
        if self.n_ == 8 and Trip.armed:
            Trip.armed = False
            trip(self.how)


def trip(how):
    if how == "error":
        raise StepError
    if how == "stop":
        raise KeyboardInterrupt
    os.kill(os.getpid(), signal.SIGINT)


def make(
    path, how="error", cls=SaliencyGuidedRegressor, callbacks=(), every=1, keep=False, **params
):
    resume = ResumableCheckpoint(path, every=every, keep=keep)
    callbacks = [("resume", resume), ("trip", Trip(how)), *callbacks]
    params = {"max_epochs": 4, "batch_size": 10, "random_state": 0, "device": "cpu"} | params
    return cls(callbacks=callbacks, **params)


def interrupt(path, X=X, y=TARGETS, **params):
    """Leave the checkpoint of a fit that was interrupted in its second epoch."""
    net = make(path, **params)
    Trip.armed = True
    with pytest.raises(StepError):
        net.fit(X, y)
    assert Path(path).is_file()
    return net


OTHER = X.copy()
OTHER[17, 2] += 1e-6


class FirstNet(nn.Module):
    def __init__(self, n_features=4):
        super().__init__()
        self.layer = nn.Linear(n_features, 1)

    def forward(self, x):
        return self.layer(x)
