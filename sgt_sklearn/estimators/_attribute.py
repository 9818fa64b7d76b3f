"""Gradient explanations of a fitted net."""

from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps

import numpy as np
import torch
from skorch.utils import to_numpy

from sgt_sklearn._random import seed_from
from sgt_sklearn.attribution import SALIENCY_OUTPUTS
from sgt_sklearn.estimators._explained_net import ExplainedNet, index_of_output, input_tensors
from sgt_sklearn.estimators._explainer import Explainer, TokenExplainer
from sgt_sklearn.estimators._inputs import is_list_of_series, map_arrays, split_input

METHODS = (
    "saliency",
    "input_x_gradient",
    "integrated_gradients",
    "path_gradient",
    "smooth_grad",
)
_OPTIONS = {
    "integrated_gradients": ("n_steps",),
    "path_gradient": ("n_steps",),
    "smooth_grad": ("n_samples", "noise_level"),
}
_CELLS_PER_BATCH = 2**20


@dataclass(frozen=True)
class Attributed:
    """Attributions of a net, and what they are about.

    Parameters
    ----------
    values : ndarray of shape (n_samples, ...) or (n_samples, n_outputs, ...)
        Attributions; on padding whatever came out there.
    samples : ndarray of shape (n_samples, ...)
        What is explained, as the net gets it.
    lengths : ndarray of shape (n_samples,) or None
        Steps or tokens of each sample that are no padding.
    listed : bool
        Whether the samples were passed as a list of series.
    index : ndarray of shape (n_samples, ...) or None
        Index of the explained output of each sample; None for all, or the only one.
    outputs, baseline_outputs : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        The explained number at each sample and at its baseline, where they were asked for.
    baseline : torch.Tensor
        Baselines of the samples, as `Explainer` keeps them.
    tokens : bool
        Whether the samples are ids that the net embeds.
    output : str
        What is explained, "prediction" in a regression.
    classes : ndarray or None
        Labels of the outputs.
    """

    values: np.ndarray
    samples: np.ndarray
    lengths: np.ndarray | None
    listed: bool
    index: np.ndarray | None = None
    outputs: np.ndarray | None = None
    baseline_outputs: np.ndarray | None = None
    baseline: object = None
    tokens: bool = False
    output: str = "logit"
    classes: np.ndarray | None = None


def _outside_of_inference_mode(function):
    """Run a function outside of a caller's inference mode, in which nothing has a gradient."""

    @wraps(function)
    def run(*args, **options):
        if not torch.is_inference_mode_enabled():
            return function(*args, **options)
        with torch.inference_mode(False):
            return function(*args, **options)

    return run


@_outside_of_inference_mode
def attribute_net(
    net,
    X,
    *,
    method,
    target="predicted",
    output="logit",
    baseline=None,
    batch_size=None,
    options=None,
    standardized=False,
    random_state=None,
    explainers=(Explainer, TokenExplainer),
    with_outputs=(),
):
    """Explain a skorch net, ours or any other.

    Parameters
    ----------
    net : fitted skorch.NeuralNet
        The net.
    X : array-like of shape (n_samples, ...)
        Inputs, as for its `predict`.
    method, target, output, batch_size, standardized, random_state
        As for :meth:`AttributionMixin.attribute`.
    baseline : array-like that broadcasts to X, "mean", callable or None, default=None
        As for :meth:`AttributionMixin.attribute`; "mean" is the mean of X where that of training
        is not known. A callable chooses one when it is given the explainer.
    options : dict, default=None
        Options of the method, all of them.
    explainers : tuple of two classes, default=(Explainer, TokenExplainer)
        What explains floating-point input, and tokens.
    with_outputs : collection of {"input", "baseline"}, default=()
        Where to compute the explained numbers too; at the input they are also there if they cost
        nothing.

    Returns
    -------
    Attributed
        The attributions.
    """
    plain, of_tokens = explainers
    view = ExplainedNet(net, copied=plain.copied, inner=plain.inner)
    inputs = map_arrays(_normal, view.tensors(X))
    view.check_entries(inputs)
    x, _ = split_input(inputs, view.guided_input)
    embedding = view.embedding(x)
    settings = (view, method, output, options or {}, batch_size)
    explain = plain(*settings) if embedding is None else of_tokens(embedding, *settings)
    explain.settle(inputs, x, baseline)
    if random_state is not None:
        explain.seed(seed_from(random_state))
    target = _check_target(target, len(x))
    explain.rows = batch_size or max(1, min(1024, _CELLS_PER_BATCH // explain.n_cells(x)))
    rows = len(x) if explain.whole else max(1, explain.rows // explain.copies)
    values, index, outputs, baseline_outputs = None, [], [], []
    with view.unguided():
        for start in range(0, len(x), rows):
            part = slice(start, start + rows)
            batch = map_arrays(lambda data, part=part: data[part], inputs)
            wanted = target[part] if isinstance(target, np.ndarray) else target
            found, scalars, logits = explain(batch, wanted, part)
            if values is None:
                values = np.empty((len(x), *found.shape[1:]), found.dtype)
            values[part] = found
            if not explain.every and scalars[0].index is not None:
                found = to_numpy(scalars[0].index)
                index.append(found.reshape(-1) if found.size == len(found) else found)
            if not with_outputs:
                continue
            explained = explain.explained
            if logits is not None or "input" in with_outputs:
                outputs.append(explain.outputs(explained, scalars, logits))
            if "baseline" in with_outputs:
                baseline_outputs.append(explain.baseline_outputs(explained, scalars))
    if standardized:
        values = explain.standardized(values)
    lengths = None if explain.lengths is None else to_numpy(explain.lengths)
    # of a list, a module of the user's gets the entries as its arguments
    listed = is_list_of_series(X) and not isinstance(inputs, tuple)
    return Attributed(
        values,
        to_numpy(x),
        lengths,
        listed,
        *(np.concatenate(each) if each else None for each in (index, outputs, baseline_outputs)),
        explain.baseline,
        embedding is not None,
        "prediction" if view.likelihood == "gaussian" else output,
        view.classes,
    )


def _normal(tensor):
    """A tensor that can have a gradient, though one of inference mode may come in."""
    is_inference = isinstance(tensor, torch.Tensor) and tensor.is_inference()
    return tensor.clone() if is_inference else tensor


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
        options = {"n_steps": n_steps, "n_samples": n_samples}
        check_counts(**options, batch_size=batch_size)
        options["noise_level"] = noise_level
        found = attribute_net(
            self,
            X,
            method=method,
            target=target,
            output=output,
            baseline=baseline,
            batch_size=batch_size,
            options={name: options[name] for name in _OPTIONS.get(method, ())},
            standardized=standardized,
            random_state=random_state,
        )
        return in_form(found, per_output=isinstance(target, str) and target == "all")

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
        return input_tensors(X, self._module_dtype_)

    def _label_index(self, label):
        """Index of the output that a label names."""
        return index_of_output(label)

    def _output_scale(self):
        """Units of y of each output, or None where outputs have none."""
        return None


def check_counts(**counts):
    """Refuse options that are no integers of at least 1; `batch_size` may be None."""
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


def in_form(found, *, per_output):
    """Attributions in the form of X: NaN on padding, or a list of those of each series alone."""
    values, lengths = found.values, found.lengths
    if lengths is None:
        return list(values) if found.listed else values
    time = 2 if per_output else 1
    if found.listed:
        places = (slice(None),) * (time - 1)
        return [row[(*places, slice(n))].copy() for row, n in zip(values, lengths, strict=True)]
    without_padding(values, lengths, time)
    return values


def without_padding(values, lengths, time):
    """Write NaN on padding, `time` being the axis of steps or tokens."""
    padding = np.arange(values.shape[time]) >= lengths[:, None]
    np.moveaxis(values, time, 1)[padding] = np.nan
