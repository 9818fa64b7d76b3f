"""Processes that are killed at a chosen place, and nets to do that to."""

import os
import random
import signal
import sys
import traceback
import warnings
from collections import Counter

import numpy as np
import torch
from skorch import NeuralNetBinaryClassifier
from skorch.callbacks import Checkpoint, EarlyStopping, EpochScoring, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.callbacks import ResumableCheckpoint

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 4)).astype(np.float32)
TARGETS = X @ [1.0, 2.0, 0.0, 0.0] + 0.3 * RNG.standard_normal(40)
LABELS = np.array(["a", "b", "c"])[np.digitize(TARGETS, [-0.7, 0.7])]
BINARY = (TARGETS > 0).astype(np.float32)
WEIGHTS = RNG.integers(1, 4, 40)
N_BATCHES = 5


class Noisy(nn.Module):
    """Batch norm, dropout, and a buffer that a state dict leaves out."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 1)
        )
        self.register_buffer("n_steps", torch.zeros(1), persistent=False)

    def forward(self, x):
        if self.training:
            self.n_steps += 1
        return self.layers(x) + 0.01 * torch.sin(self.n_steps)


class GuidedBinary(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    pass


def one_cycle(folder):
    schedule = LRScheduler(
        torch.optim.lr_scheduler.OneCycleLR,
        max_lr=0.1,
        total_steps=5 * N_BATCHES,
        step_every="batch",
    )
    return SaliencyGuidedClassifier(
        max_epochs=5, module__dropout=0.3, callbacks=[schedule], random_state=0
    )


def early_stopping(folder):
    # the seventh of nine epochs is the last, and the fourth the best
    return SaliencyGuidedRegressor(
        max_epochs=9,
        lr=0.1,
        train_split=ValidSplit(0.3, random_state=None, stratified=False),
        callbacks=[
            ("train_r2", EpochScoring("r2", lower_is_better=False, on_train=True)),
            ("stop", EarlyStopping(patience=3, load_best=True)),
        ],
    )


def ramp(folder):
    return GuidedBinary(
        Noisy,
        max_epochs=6,
        lr=0.05,
        optimizer=torch.optim.RMSprop,
        optimizer__momentum=0.9,
        iterator_train__shuffle=True,
        train_split=None,
        mask_order="sampled",
        mask_schedule="ramp",
        mask_fill="marginal",
        verbose=0,
    )


def guidance_off(folder):
    return SaliencyGuidedClassifier(
        max_epochs=5,
        consistency_weight=0.0,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        lr=0.5,
        train_split=ValidSplit(4),
        module__dropout=0.3,
        class_weight="balanced",
        callbacks=[
            ("plateau", LRScheduler("ReduceLROnPlateau", monitor="valid_loss", patience=0)),
            ("best", Checkpoint(dirname=folder / "best", f_history=None, load_best=True)),
        ],
        random_state=np.random.RandomState(3),
    )


CASES = {
    "one cycle": (one_cycle, LABELS, {}),
    "early stopping": (early_stopping, TARGETS, {}),
    "ramp": (ramp, BINARY, {}),
    "weighted ramp": (ramp, BINARY, {"sample_weight": WEIGHTS}),
    "guidance off": (guidance_off, LABELS, {}),
}


def make(case, folder, checkpoint=True, device="cpu", **params):
    """Build an estimator of a case with batches of 8 rows; resumable unless told otherwise."""
    build, y, fit_params = CASES[case]
    estimator = build(folder).set_params(batch_size=8, device=device)
    if checkpoint:
        keeper = ResumableCheckpoint(folder / "fit.ckpt", **params)
        # before the others, which shows that its place in the list does not matter
        estimator.callbacks = [("resume", keeper), *(estimator.callbacks or [])]
    return estimator, y, fit_params


def fit(case, folder, seed=0, **params):
    """Fit a case as a script does that seeds the global generators."""
    estimator, y, fit_params = make(case, folder, **params)
    seed_globals(seed)
    return estimator.fit(X, y, **fit_params)


def seed_globals(seed=0):
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def outcome(net):
    """All that two equal fits have in common."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    schedules = [c.lr_scheduler_.state_dict() for _, c in net.callbacks_ if is_schedule(c)]
    stops = [c for _, c in net.callbacks_ if isinstance(c, EarlyStopping)]
    return {
        "module": net.module_.state_dict(),
        "buffers": dict(net.module_.named_buffers()),
        "optimizer": net.optimizer_.state_dict(),
        "schedules": schedules,
        "stops": [(c.misses_, c.best_epoch_, c.dynamic_threshold_) for c in stops],
        "best": [c.best_model_weights_ for c in stops],
        "history": [without_duration(epoch) for epoch in net.history],
        "generators": [python, numpy, torch.get_rng_state()],
        "generators of the net": net._generator_states_,
        "predictions": net.predict(X),
        "importances": getattr(net, "feature_importances_", None),
    }


def weights(net):
    return plain(net.module_.state_dict())


def is_schedule(callback):
    return isinstance(callback, LRScheduler)


def without_duration(epoch):
    return {key: value for key, value in epoch.items() if key != "dur"}


def assert_same(one, other):
    """Compare two outcomes bitwise."""
    for name in one:
        np.testing.assert_equal(plain(other[name]), plain(one[name]), err_msg=name)


def plain(value):
    if isinstance(value, torch.Tensor):
        return value.cpu().numpy()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


# killing


def killed(function):
    """Run a function in a forked process that something in it is to kill."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        # a fork beside threads; the child uses none of them
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            function()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(owner, name, call, before=None, after=False):
    """Have the process killed in a call of a function, counted from 1."""
    original, counts = getattr(owner, name), Counter()

    def wrapper(*args, **kwargs):
        counts["calls"] += 1
        if counts["calls"] != call:
            return original(*args, **kwargs)
        if before is not None:
            before(*args)
        if after:
            original(*args, **kwargs)
        kill()

    setattr(owner, name, wrapper)


def halve(descriptor):
    os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
