"""An estimator and data to check it on, and what the checks share."""

import inspect
import math

import numpy as np
import torch
from sklearn.base import clone, is_classifier, is_regressor
from torch import nn

KINDS = {"tabular": (48, 6), "image": (36, 2, 6, 6)}
_SEED = 0


class Case:
    """An estimator, never fitted itself, and data.

    Parameters
    ----------
    estimator : SaliencyGuidedMixin
        The estimator that is checked.
    X, y : ndarray or None
        Data that it can be fitted on; None makes data of `kind`.
    kind : {"tabular", "image"}
        Kind of the data that are made.
    """

    def __init__(self, estimator, X, y, kind):
        if inspect.isclass(estimator) or not hasattr(estimator, "get_guidance_params"):
            raise TypeError(
                "estimator must be an instance of a class with SaliencyGuidedMixin before the net "
                f"class, got {estimator!r:.80}."
            )
        if (X is None) != (y is None):
            raise ValueError("X and y must be given together, got one of them.")
        if X is None:
            if kind not in KINDS:
                raise ValueError(f"kind must be one of {sorted(KINDS)}, got {kind!r}.")
            X = _make_inputs(KINDS[kind])
            y = _make_targets(estimator, X)
        self.estimator, self.X, self.y = estimator, np.asarray(X), np.asarray(y)
        if self.X.ndim < 2 or self.X.dtype.kind != "f" or len(self.X) < 12:
            raise ValueError(
                "X must be one floating-point array of at least 12 samples, got shape "
                f"{self.X.shape} and dtype {self.X.dtype}."
            )
        self.labels = _labels(estimator.feature_groups, self.X)
        self.n_groups = len(np.unique(self.labels))
        if self.n_groups < 2:
            raise ValueError(
                "X must have at least 2 groups of features to hide one and show one, got "
                f"{self.n_groups}."
            )
        # three batches an epoch, the last of them smaller
        self.batch_size = math.ceil(len(self.X) / 3) + 1

    @property
    def name(self):
        """Class of the estimator."""
        return type(self.estimator).__name__

    @property
    def takes_weights(self):
        """Whether `fit` takes sample weights."""
        return "sample_weight" in inspect.signature(self.estimator.fit).parameters

    @property
    def names_module(self):
        """Whether the network is given by name, so that the estimator validates its input."""
        return isinstance(self.estimator.module, str)

    @property
    def keeps_history(self):
        """Whether the callbacks that write the history run."""
        return self.estimator.callbacks != "disable"

    @property
    def kind_of_target(self):
        """What `attribute` can be asked for by label: "class", "number" or None."""
        if is_classifier(self.estimator):
            return "class"
        if is_regressor(self.estimator) or criterion_is(self.estimator, nn.MSELoss):
            return "number"
        return None

    def make(self, **params):
        """A clone of the estimator that trains for 2 epochs and hides half of the groups."""
        settings = {
            "max_epochs": 2,
            "batch_size": self.batch_size,
            "verbose": 0,
            "warm_start": False,
            "random_state": _SEED,
            "consistency_weight": 1.0,
            "mask_fraction": max(0.5, 1 / self.n_groups),
            "mask_schedule": "constant",
        }
        return clone(self.estimator).set_params(**settings | params)

    def fit(self, **params):
        """A fitted clone."""
        estimator = self.make(**params)
        estimator.fit(self.X.copy(), self.y.copy())
        return estimator


def criterion_is(estimator, kinds):
    """Whether the criterion is one of some classes, or an instance of one."""
    criterion = estimator.criterion
    if inspect.isclass(criterion):
        return issubclass(criterion, kinds)
    return isinstance(criterion, kinds)


def expect(condition, expected, got):
    """Raise AssertionError unless the condition holds."""
    if not condition:
        raise AssertionError(f"expected {expected}, got {got}")


def weights(estimator):
    """Arrays of all parameters and buffers of a fitted net."""
    arrays = {name: value.detach().cpu() for name, value in estimator.get_all_learnable_params()}
    module = getattr(estimator, "module_", None)
    if isinstance(module, nn.Module):
        arrays |= {f"module_.{name}": value.cpu() for name, value in module.state_dict().items()}
    return {name: value.numpy().copy() for name, value in arrays.items() if torch.is_tensor(value)}


def differing(one, other):
    """Names of the arrays that are not bitwise the same."""
    names = sorted(set(one) | set(other))
    return [n for n in names if n not in one or n not in other or not same_array(one[n], other[n])]


def expect_same_net(one, other, what):
    """Raise unless two sets of weights are bitwise the same."""
    names = differing(one, other)
    expect(not names, f"bitwise the same parameters {what}", f"other values of {names[:4]}")


def same_array(one, other):
    """Whether two arrays are bitwise the same."""
    return (
        one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()
    )


def rows_of(values):
    """Predictions as an array with one row a sample."""
    values = np.asarray(values)
    return values.reshape(len(values), -1)


def _make_inputs(shape):
    rng = np.random.default_rng(_SEED)
    return rng.normal(size=shape).astype(np.float32)


def _make_targets(estimator, X):
    """Targets that depend on the first cells of each sample."""
    cells = X.reshape(len(X), -1)
    if criterion_is(estimator, (nn.BCEWithLogitsLoss, nn.BCELoss)):
        return (cells[:, 0] > cells[:, 1]).astype(np.float32)
    if is_classifier(estimator):
        return cells[:, :3].argmax(axis=1).astype(np.int64)
    if not is_regressor(estimator):
        raise ValueError(
            f"X and y must be given for {type(estimator).__name__}, which is neither a classifier "
            "nor a regressor: what it is fitted on is not known."
        )
    y = (cells[:, 0] - 2 * cells[:, 1]).astype(np.float32)
    return y if isinstance(estimator.module, str) else y[:, None]


def _labels(feature_groups, X):
    """Labels of the groups of one sample, as the documentation defines them."""
    shape = X.shape[1:]
    if not isinstance(feature_groups, str):
        return np.unique(np.asarray(feature_groups), return_inverse=True)[1].reshape(shape)
    if feature_groups == "pixel" or (feature_groups == "auto" and X.ndim == 4):
        return np.broadcast_to(np.arange(int(np.prod(shape[1:]))).reshape(shape[1:]), shape)
    if feature_groups == "feature" and X.ndim == 3:
        return np.broadcast_to(np.arange(shape[1]), shape)
    return np.arange(int(np.prod(shape))).reshape(shape)
