"""An estimator and data to check it on, and what the checks share."""

import inspect
import math

import numpy as np
import torch
from sklearn.base import clone, is_classifier, is_regressor
from torch import nn

from sgt_sklearn.testing._samples import (
    KINDS,
    Series,
    Tokens,
    make_samples,
    read_samples,
    same_array,
)

_SEED = 0


class Case:
    """An estimator, never fitted itself, and data.

    Parameters
    ----------
    estimator : SaliencyGuidedMixin
        The estimator that is checked.
    X, y : array-like, list, dict or None
        Data that it can be fitted on; None makes data of `kind`.
    kind : {"tabular", "image", "series", "ragged", "tokens"}
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
        self.estimator = estimator
        if X is None:
            if kind not in KINDS:
                raise ValueError(f"kind must be one of {sorted(KINDS)}, got {kind!r}.")
            if (kind == "tokens") != self._takes_tokens:
                raise ValueError(
                    "kind must be 'tokens' for modules of tokens (given by name as 'text_cnn', or "
                    f"with embedding= naming the submodule), and only there, got {kind!r} for "
                    f"module={estimator.module!r} with embedding={estimator.embedding!r}."
                )
            self.samples = make_samples(kind, self.names_module)
            y = _make_targets(estimator, self.samples.cells)
        else:
            self.samples = read_samples(X, named=self.names_module, tokens=self._takes_tokens)
        self.y = np.asarray(y)
        self.n_groups = self.count_groups(self.labels(estimator.feature_groups)).max()
        if self.n_groups < 2:
            raise ValueError(
                "X must have at least 2 groups of features to hide one and show one, got "
                f"{self.n_groups}."
            )
        # three batches an epoch, the last of them smaller
        self.batch_size = math.ceil(len(self.samples) / 3) + 1
        self._shared = None

    @property
    def X(self):
        """The data as they are passed to the estimator."""
        return self.samples.X

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
    def _takes_tokens(self):
        module, embedding = self.estimator.module, self.estimator.embedding
        named = isinstance(module, str) and module.startswith("text_")
        return named or not (isinstance(embedding, str) and embedding == "auto")

    @property
    def has_tokens(self):
        """Whether X holds tokens."""
        return isinstance(self.samples, Tokens)

    @property
    def has_series(self):
        """Whether X holds series."""
        return isinstance(self.samples, Series) or self.samples.array.ndim == 3

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
        estimator.fit(self.samples.copy(), self.y.copy())
        return estimator

    def fitted(self):
        """A fitted clone that checks share, trained anew once one of them has changed it."""
        if self._shared is None or not self._shared.put_back():
            self._shared = _Fitted(self.fit())
        return self._shared.estimator

    def labels(self, feature_groups):
        """Labels of the groups of one sample, as the documentation defines them."""
        shape = self.samples.array.shape[1:]
        cells = np.arange(math.prod(shape)).reshape(shape)
        if not isinstance(feature_groups, str):
            return np.unique(np.asarray(feature_groups), return_inverse=True)[1].reshape(shape)
        if feature_groups == "pixel" or (feature_groups == "auto" and len(shape) == 3):
            return np.broadcast_to(cells[0], shape)
        if feature_groups == "feature" and len(shape) == 2:
            return np.broadcast_to(np.arange(shape[1]), shape)
        if feature_groups == "time":
            return np.broadcast_to(np.arange(shape[0])[:, None], shape)
        return cells  # those of "time_then_feature" are cells, too, hidden in another order

    def count_groups(self, labels):
        """Number of groups in each sample that are not padding as a whole."""
        return np.array([len(np.unique(labels[valid])) for valid in self.samples.valid])


class _Fitted:
    """A fitted estimator, and what its fit left."""

    def __init__(self, estimator):
        self.estimator = estimator
        modules = [m for m in vars(estimator).values() if isinstance(m, nn.Module)]
        self.modes = [(part, part.training) for module in modules for part in module.modules()]
        self.attributes, self.values = dict(vars(estimator)), self._values()
        self.n_epochs = len(estimator.history)

    def put_back(self):
        """Undo what predictions do to modes; return whether all else is as the fit left it."""
        for part, training in self.modes:
            part.training = training
        attributes = vars(self.estimator)
        return (
            attributes.keys() == self.attributes.keys()
            and all(attributes[name] is value for name, value in self.attributes.items())
            and not differing(self._values(), self.values)
            and len(self.estimator.history) == self.n_epochs
        )

    def _values(self):
        attributes = vars(self.estimator).items()
        arrays = {name: value.copy() for name, value in attributes if type(value) is np.ndarray}
        return weights(self.estimator) | arrays


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


def same_values(one, other):
    """Whether two arrays, or lists of arrays, are bitwise the same."""
    if isinstance(one, list) or isinstance(other, list):
        return (
            type(one) is type(other)
            and len(one) == len(other)
            and all(map(same_values, one, other))
        )
    return same_array(np.asarray(one), np.asarray(other))


def expect_close(values, expected, what, *, rtol=1e-4, scale=None):
    """Raise unless predictions or attributions are the same up to rounding at their scale."""
    expect(
        values.shape == expected.shape,
        f"the shape {expected.shape} of {what}",
        f"shape {values.shape}",
    )
    if expected.dtype.kind not in "fc":
        expect(np.array_equal(values, expected), f"the same values of {what}", "others")
        return
    atol = 1e-5 * (max(1.0, np.abs(expected).max(initial=0)) if scale is None else scale)
    expect(
        np.allclose(values, expected, rtol=rtol, atol=atol),
        f"the same values of {what}",
        f"a difference of {np.abs(values - expected).max():.2g}",
    )


def rows_of(values):
    """Predictions as an array with one row a sample."""
    values = np.asarray(values)
    return values.reshape(len(values), -1)


def _make_targets(estimator, cells):
    """Targets that depend on the first cells of each sample."""
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
