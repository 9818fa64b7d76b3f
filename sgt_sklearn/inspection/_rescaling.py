"""Temporal saliency rescaling: which steps matter, then which features at those steps."""

import numbers
from collections.abc import Mapping

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from sgt_sklearn._series import is_ragged, padded, unpadded
from sgt_sklearn.estimators._attribute import check_counts
from sgt_sklearn.inspection._explained import explainer
from sgt_sklearn.inspection._unwrap import unwrap

# Passes of this size were the fastest on a CPU.
_CELLS_PER_BATCH = 320_000
_PHI_ELSEWHERE = 0.1
# Attributions of a batch and of a row alone differ by rounding, of this many units at most.
_ROUNDING = 16


def temporal_saliency_rescaling(
    estimator,
    X,
    *,
    method="saliency",
    target="predicted",
    baseline=None,
    quantile=0.55,
    batch_size=None,
    **options,
):
    r"""Relevance of each step and feature of series, from how an attribution reacts to hiding it.

    Gradient explanations of series often name the right steps or the right features and blur the
    other axis. Rescaling asks first how much the attribution changes when a whole step is hidden,
    then, at the steps that matter most, how much it changes when one feature is.

    Parameters
    ----------
    estimator : fitted estimator
        A net, a pipeline or search that ends in one, or any other estimator that `method` explains
        (see :func:`explain`).

    X : array-like of shape (n_samples, n_timesteps, n_features), list, or dict
        Series. Those of unequal length as a list of arrays of shape (n_timesteps_i, n_features),
        as an array with trailing steps of NaN, or as a dict of "X" and "lengths".

    method : str or callable, default="saliency"
        The attribution that is rescaled: a name that :func:`explain` takes, or a function
        `(X, target)` that returns attributions of the shape of X. It gets an array of masked
        copies (of series of unequal length the dict of "X" and "lengths"), and one label a copy
        ("predicted" for regressors, rows of the indicator matrix for multilabel classifiers).

    target : "predicted", label or array-like of shape (n_samples,), default="predicted"
        Output that is explained. "predicted" is the class predicted for the series as it is, also
        for its masked copies; for regressors as in `estimator.attribute`.

    baseline : array-like that broadcasts to (n_timesteps, n_features), default=None
        What hidden cells become, and the start of the path of methods that take one. None is the
        mean of each feature in training, 0 where `estimator` does not know it. The paper takes 0.

    quantile : float in [0, 1], default=0.55
        Features are told apart at steps whose score is above this quantile of the steps' scores.

    batch_size : int, default=None
        Masked copies a pass; None fits it to the size of a series. Beside arrays of the size of X,
        memory is that of one pass.

    **options
        Passed on to the method, such as `output` and `n_steps`. `standardized=True`
        makes features in different units comparable.

    Returns
    -------
    ndarray of the shape of X, or list of ndarray for a list
        Relevance, in [0, 1]. Steps of padding are NaN.

    Raises
    ------
    ValueError
        If X is no series, an argument has an unknown value or wrong shape, or attributions are not
        finite.
    TypeError
        If `estimator` has no gradients and the method needs them, or an argument has the wrong
        type.

    See Also
    --------
    sgt_sklearn.metrics.benchmark_precision_recall : Scores it where the truth is known.

    Notes
    -----
    With the attribution :math:`A`, signed as it is, and the series :math:`x^{\setminus t}` in
    which all features of step :math:`t` are at the baseline,

    .. math:: D_t = \sum |A(x) - A(x^{\setminus t})|, \qquad
              \Delta_t = \frac{D_t - \min D}{\max D - \min D}.

    At steps with :math:`\Delta_t` above its quantile, :math:`\phi_{t,f}` is the same quantity for
    single cells, scaled over the features of the step; at the others it is 0.1. The result is
    :math:`\Delta_t \phi_{t,f}`.

    Scores that are all equal cannot be scaled: they become 1, and 0 where hiding changes nothing,
    so series of one feature are explained by their steps alone. Scores count as equal if they
    differ by less than the rounding of the attributions.

    A series needs :math:`1 + T + .45\,T F` attributions at the default quantile. Methods that draw
    noise draw it anew for every copy, so that every step seems to matter a little.

    References
    ----------
    .. [1] Ismail, Gunady, Corrada Bravo, Feizi, "Benchmarking Deep Learning Interpretability in
       Time Series Predictions", NeurIPS 2020, https://arxiv.org/abs/2010.13924.

    Examples
    --------
    Only the product of the features at step 2 counts, so its gradient reacts to that step alone.

    >>> import numpy as np
    >>> from sgt_sklearn.inspection import temporal_saliency_rescaling
    >>> def gradient_of_product(X, target):
    ...     values = np.zeros_like(X)
    ...     values[:, 2, 0], values[:, 2, 1] = X[:, 2, 1], X[:, 2, 0]
    ...     return values
    >>> X = np.full((1, 4, 3), 2.0)
    >>> temporal_saliency_rescaling(None, X, method=gradient_of_product, target=0)[0]
    array([[0., 0., 0.],
           [0., 0., 0.],
           [1., 1., 0.],
           [0., 0., 0.]])
    """
    _check_quantile(quantile)
    check_counts(batch_size=batch_size)
    if isinstance(estimator, (Pipeline, FrozenEstimator)) or hasattr(estimator, "best_index_"):
        final = unwrap(estimator, X)
        estimator, X = final.estimator, final.X
    series, lengths = padded(X, dtype=_float_dtype(X))
    if lengths is None and isinstance(X, Mapping):
        # a module of the user's may insist on them
        lengths = np.full(len(series), series.shape[1])
    hidden = _check_baseline(baseline, series, estimator)
    if batch_size is not None and not callable(method):
        options["batch_size"] = batch_size
    start = None if baseline is None else hidden
    explain = explainer(estimator, X, len(series), method, target, start, options)
    rows = batch_size or max(1, min(1024, _CELLS_PER_BATCH // series[0].size))
    relevance = _rescaled(_Reactions(explain, series, lengths, hidden, rows), quantile)
    if is_ragged(X) and not isinstance(X, Mapping):
        n_steps = np.full(len(series), series.shape[1]) if lengths is None else lengths
        return unpadded(relevance, n_steps)
    return relevance


class _Reactions:
    """How much the attributions of series change when parts of them are hidden."""

    def __init__(self, explain, series, lengths, hidden, rows):
        self.explain, self.series, self.lengths = explain, series, lengths
        self.hidden, self.rows = hidden, rows
        n_samples, n_steps, _ = series.shape
        self.inside = np.ones((n_samples, n_steps), dtype=bool)
        if lengths is not None:
            self.inside = np.arange(n_steps) < lengths[:, None]
        self.original = np.zeros(series.shape)
        for part in self._parts(n_samples):
            values = self._explain(series[part], part)
            self.original[part, : values.shape[1]] = values
        total = self._sums_inside(self.original.copy(), slice(None))
        self.rounding = _ROUNDING * np.finfo(values.dtype).eps * total

    def of_steps(self, samples, steps):
        """Sums of the changes when step `steps[k]` of sample `samples[k]` is hidden."""
        return self._sums(len(samples), lambda k: (samples[k], steps[k]))

    def of_cells(self, samples, steps):
        """Sums of the changes when one feature of those steps is hidden, a column for each."""
        n_features = self.series.shape[2]

        def place(k):
            row, feature = np.divmod(k, n_features)
            return samples[row], steps[row], feature

        return self._sums(len(samples) * n_features, place).reshape(-1, n_features)

    def _sums(self, n_copies, place):
        """Sums of the changes of copies, of which `place` tells the sample and what is hidden."""
        sums = np.empty(n_copies)
        for part in self._parts(n_copies):
            of, *cells = place(np.arange(part.start, part.stop))
            copies = self.series[of]
            copies[np.arange(len(of)), *cells] = self.hidden[tuple(cells)]
            values = self._explain(copies, of)
            change = self.original[of, : values.shape[1]]
            change -= values
            sums[part] = self._sums_inside(change, of)
        return sums

    def _sums_inside(self, values, of):
        """Sums of absolute values over the cells of each series, padding left out."""
        np.abs(values, out=values)
        if self.lengths is not None:
            values[~self.inside[of, : values.shape[1]]] = 0.0
        sums = values.sum(axis=(1, 2))
        if not np.isfinite(sums).all():
            raise ValueError(
                "method must return finite attributions, got NaN or infinity for sample "
                f"{np.arange(len(self.series))[of][~np.isfinite(sums)][0]} or a masked copy of "
                "it. Check the weights of the net and the scale of X."
            )
        return sums

    def _explain(self, copies, of):
        if self.lengths is None:
            return self.explain(copies, None, of)
        lengths = self.lengths[of]
        return self.explain(copies[:, : lengths.max()], lengths, of)

    def _parts(self, n_copies):
        for start in range(0, n_copies, self.rows):
            yield slice(start, min(start + self.rows, n_copies))


def _rescaled(reactions, quantile):
    """Relevance from reactions, shape (n_samples, n_timesteps, n_features)."""
    inside, rounding = reactions.inside, reactions.rounding
    scores = np.full(inside.shape, np.nan)
    scores[inside] = reactions.of_steps(*np.nonzero(inside))
    scores = _min_max(scores, rounding)
    threshold = np.nanquantile(scores, quantile, axis=1)
    above = scores > threshold[:, None]
    phi = np.full(reactions.series.shape, _PHI_ELSEWHERE)
    samples, steps = np.nonzero(above)
    phi[above] = _min_max(reactions.of_cells(samples, steps), rounding[samples])
    return scores[:, :, None] * phi


def _min_max(scores, rounding):
    """Rows scaled to [0, 1]; rows without a range become 1, or 0 where they are all 0."""
    if not len(scores):
        return scores
    low, high = np.nanmin(scores, axis=1), np.nanmax(scores, axis=1)
    equal = high - low <= rounding
    width = np.where(equal, 1.0, high - low)[:, None]
    level = np.where(high > rounding, 1.0, 0.0)[:, None]
    # zero times the scores keeps the NaN of padding
    return np.where(equal[:, None], 0 * scores + level, (scores - low[:, None]) / width)


def _float_dtype(X):
    """Floating-point type of X, float32 where it has none."""
    first = X["X"] if isinstance(X, Mapping) and "X" in X else X
    if is_ragged(first):
        first = first[0]
    dtype = getattr(first, "dtype", None)
    return np.float64 if str(dtype) in ("float64", "torch.float64") else np.float32


def _check_baseline(baseline, series, estimator):
    """What hidden cells become, shape (n_timesteps, n_features)."""
    if baseline is None:
        # the same as the default baseline of `estimator.attribute`
        statistics = getattr(estimator, "_statistics_", None)
        baseline = 0.0 if statistics is None else statistics.mean
    array = np.asarray(baseline)
    shape = series.shape[1:]
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise ValueError(f"baseline must hold finite real numbers, got {baseline!r}.")
    try:
        return np.broadcast_to(array, shape).astype(series.dtype)
    except ValueError as error:
        raise ValueError(
            f"baseline must broadcast to (n_timesteps, n_features), {shape}, got shape "
            f"{array.shape}. Pass a number, or one value a feature."
        ) from error


def _check_quantile(quantile):
    number = isinstance(quantile, numbers.Real) and not isinstance(quantile, bool)
    if not number:
        raise TypeError(f"quantile must be a number in [0, 1], got {quantile!r}.")
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile must be a number in [0, 1], got {quantile!r}.")
