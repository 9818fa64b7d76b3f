"""Gradient explanations of a fitted net."""

from contextlib import contextmanager

import numpy as np
import torch
from skorch.dataset import get_len
from skorch.utils import to_numpy

from sgt_sklearn._random import seed_from
from sgt_sklearn.attribution import SALIENCY_OUTPUTS
from sgt_sklearn.estimators._explainer import Explainer, TokenExplainer
from sgt_sklearn.estimators._inputs import (
    as_columns,
    is_list_of_series,
    map_arrays,
    split_input,
    writable,
)
from sgt_sklearn.estimators._tokens import embedding_of

METHODS = (
    "saliency",
    "input_x_gradient",
    "integrated_gradients",
    "path_gradient",
    "smooth_grad",
)
# gradients, in output units per input unit; the others are in output units already
_GRADIENTS = ("saliency", "path_gradient", "smooth_grad")
_CELLS_PER_BATCH = 2**20


class AttributionMixin:
    """Adds ``attribute`` to a skorch net."""

    def attribute(
        self,
        X,
        *,
        method="saliency",
        target="predicted",
        output="logit",
        baseline=None,
        batch_size=None,
        n_steps=50,
        n_samples=25,
        noise_level=0.1,
        standardized=False,
        random_state=None,
    ):
        """Explain the net's output by its gradient with respect to the input.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs, as for `predict`. Of a dict, tuple or DataFrame, what `guided_input` names is
            explained. Tokens are explained at their embedding: "saliency", "path_gradient" and
            "smooth_grad" are the Euclidean norm of the gradient there, "input_x_gradient" and
            "integrated_gradients" its sum over the dimensions.
        method : {"saliency", "input_x_gradient", "integrated_gradients", "path_gradient", \
"smooth_grad"}, default="saliency"
            See :mod:`sgt_sklearn.attribution`. Values are signed.
        target : "predicted", "all", label or array-like of shape (n_samples,), default="predicted"
            Classification: the label(s) whose output is explained. Regression: the index of the
            output; "predicted" is the only output, or the sum of the standardised outputs.
        output : {"logit", "log_proba", "margin"}, default="logit"
            Classification: what is explained of the target; "margin" is its logit minus the mean
            logit.
        baseline : array-like that broadcasts to X, default=None
            Start of the path of "integrated_gradients" and "path_gradient"; None is the training
            mean of each feature (of each channel of images), 0 where it is unknown, and for tokens
            an embedding of zeros.
        batch_size : int, default=None
            Rows a pass; None fits it to the size of a row. Memory is that of one batch.
        n_steps : int, default=50
            Points on the path.
        n_samples : int, default=25
            Noisy copies for "smooth_grad".
        noise_level : float, default=0.1
            Noise of "smooth_grad" in standard deviations of each feature; for tokens, of the
            numbers in their embedding.
        standardized : bool, default=False
            Multiply gradients (saliency, path_gradient, smooth_grad) by the standard deviation of
            each feature in training, so that features in different units compare.
        random_state : int, RandomState instance or None, default=None
            Seed of the noise of "smooth_grad", which is drawn batch by batch.

        Returns
        -------
        ndarray of the shape of X, or (n_samples, n_outputs, ...) for ``target="all"``
            Attributions in units of y (classification: of the logit) per unit of X;
            input_x_gradient and integrated_gradients in units of y. NaN where X is padding; of
            series in a list, a list of arrays.

        Raises
        ------
        NotFittedError
            If the net is not fitted.
        ValueError
            If a name or label is unknown, or shapes do not fit.
        TypeError
            If X is not one floating-point array, or the module has no gradient path to it.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sgt_sklearn import SaliencyGuidedClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> net = SaliencyGuidedClassifier(max_epochs=2, random_state=0).fit(X, y)
        >>> net.attribute(X[:5], method="integrated_gradients").shape
        (5, 4)
        """
        self.check_is_fitted()
        if method not in METHODS:
            raise ValueError(f"method must be one of {METHODS}, got {method!r}.")
        if output not in SALIENCY_OUTPUTS:
            raise ValueError(f"output must be one of {SALIENCY_OUTPUTS}, got {output!r}.")
        _check_counts(n_steps=n_steps, n_samples=n_samples, batch_size=batch_size)
        inputs = self._attribution_input(X)
        x, _ = split_input(inputs, self.guided_input)
        explain = _explainer(self, x, method, output, n_steps, n_samples)
        lengths = explain.lengths(inputs, x)
        explain.settle(x, noise_level, baseline)
        if random_state is not None:
            explain.seed(seed_from(random_state))
        target = _check_target(target, len(x))
        rows = batch_size or max(1, min(1024, _CELLS_PER_BATCH // explain.n_cells(x)))
        values = []
        with self._unguided():
            for start in range(0, len(x), rows):
                part = slice(start, start + rows)
                values.append(
                    explain(
                        map_arrays(lambda data, part=part: data[part], inputs),
                        target[part] if isinstance(target, np.ndarray) else target,
                        part,
                    )
                )
        values = np.concatenate(values)
        if standardized and method in _GRADIENTS:
            values = explain.standardized(values)
        time = 2 if isinstance(target, str) and target == "all" else 1
        # of a list, a module of the user's gets the entries as its arguments
        as_list = is_list_of_series(X) and not isinstance(inputs, tuple)
        return _without_padding(values, lengths, time, as_list)

    @contextmanager
    def _unguided(self):
        """Inside, the net's passes are none of a training step that may be under way."""
        guidance = self._guidance_
        if guidance is None:
            yield
            return
        self._guidance_ = None
        try:
            yield
        finally:
            self._guidance_ = guidance

    def _attribution_input(self, X):
        """Tensors, floating-point ones in the dtype of the module."""
        X = as_columns(X)
        if not isinstance(X, (np.ndarray, torch.Tensor, dict, tuple)):
            raise TypeError(
                "X must be one array or tensor to be explained, or a dict or tuple of them, got "
                f"{type(X).__name__}."
            )
        if get_len(X) == 0:
            raise ValueError("X must have at least one row, got 0 rows.")
        return self._cast(map_arrays(lambda data: torch.as_tensor(writable(data)), X))

    def _label_index(self, label):
        """Index of the output that a label names."""
        if isinstance(label, (bool, np.bool_)) or not isinstance(label, (int, np.integer)):
            raise ValueError(
                "target must be 'predicted', 'all' or the indices of outputs (this net has no "
                f"labels of its own), got {label!r}."
            )
        return int(label)

    def _output_scale(self):
        """Units of y of each output, or None where outputs have none."""
        return None


def _check_counts(**counts):
    for name, value in counts.items():
        if name == "batch_size" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be an int of at least 1, got {value!r}.")
        if value < 1:
            raise ValueError(f"{name} must be an int of at least 1, got {value!r}.")


def _check_target(target, n_samples):
    if isinstance(target, str) and target in ("predicted", "all"):
        return target
    target = np.asarray(target)
    if target.ndim == 0:
        return np.repeat(target, n_samples)
    if target.shape != (n_samples,):
        raise ValueError(
            "target must be 'predicted', 'all', a label, or one label a row, shape "
            f"({n_samples},), got shape {target.shape}."
        )
    return target


def _explainer(net, x, *settings):
    embedding = embedding_of(net, x)
    if embedding is None:
        return Explainer(net, *settings)
    return TokenExplainer(embedding, net, *settings)


def _without_padding(values, lengths, time, as_list):
    """Attributions with NaN on padding, or as a list of those of each series alone."""
    if lengths is None:
        return list(values) if as_list else values
    lengths = to_numpy(lengths)
    if as_list:
        places = (slice(None),) * (time - 1)
        return [row[(*places, slice(n))].copy() for row, n in zip(values, lengths, strict=True)]
    padding = np.arange(values.shape[time]) >= lengths[:, None]
    np.moveaxis(values, time, 1)[padding] = np.nan
    return values
