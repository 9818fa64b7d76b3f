"""Baselines by name: what features are compared with, or replaced by."""

import warnings
from functools import partial

import numpy as np
from skorch.utils import to_numpy

from sgt_sklearn._statistics import FeatureStatistics
from sgt_sklearn.estimators._explainer import TokenExplainer
from sgt_sklearn.guidance import UNKNOWN_TOKEN
from sgt_sklearn.inspection._methods import METHODS

BASELINES = ("auto", "zeros", "mean", "marginal")


def check_baseline(baseline, method):
    """Refuse a baseline that is none, or that the method does not take.

    Raises
    ------
    ValueError
        If it is unknown, or the method has none.
    TypeError
        If it is no name and no array.
    """
    named = isinstance(baseline, str)
    if METHODS[method].baseline is None and not (named and baseline == "auto"):
        takers = sorted(name for name, facts in METHODS.items() if facts.baseline)
        raise ValueError(
            f"baseline must be 'auto' for method={method!r}, which has none, got "
            f"{baseline!r:.80}. Methods with a baseline are {takers}."
        )
    if named and baseline not in BASELINES:
        raise ValueError(f"baseline must be one of {BASELINES} or an array, got {baseline!r}.")
    if not named and np.asarray(baseline).dtype.kind not in "fiub":
        raise TypeError(f"baseline must be one of {BASELINES} or an array, got {baseline!r:.80}.")


def baseline_for_net(baseline, method, options, seed):
    """What `attribute_net` takes as baseline: None, an array, or a function that chooses."""
    if METHODS[method].baseline is None:
        return None
    if not isinstance(baseline, str):
        return np.asarray(baseline)
    return partial(_choose, baseline, method, options, seed)


def _choose(name, method, options, seed, explainer):
    facts = METHODS[method]
    if name == "auto":
        name = "marginal" if facts.baseline == "rows" else "mean"
        if isinstance(explainer, TokenExplainer) and name == "mean":
            return None
    x = to_numpy(explainer.samples)
    lengths = None if explainer.lengths is None else to_numpy(explainer.lengths)
    if isinstance(explainer, TokenExplainer):
        if name == "zeros" and facts.family != "perturbation":
            return None  # zeros at the embedding
        if name != "marginal":
            raise ValueError(
                f"baseline={name!r} is none for token ids and method={method!r}: use 'auto' "
                "(an embedding of zeros, or the unknown token), 'marginal' or an array of ids."
            )
        return marginal(x, lengths, UNKNOWN_TOKEN, options, seed)
    if name == "zeros":
        return np.zeros_like(x[0])
    if name == "mean":
        return "mean"
    return marginal(x, lengths, explainer.statistics.mean, options, seed)


def marginal(x, lengths, fill, options, seed):
    """Other rows of x: one for each, or a set of `n_baselines` of them.

    Where a row that ended earlier stands for a longer one, its missing steps are `fill`.
    """
    rng = np.random.RandomState(seed)
    if "n_baselines" in options:
        donors = rng.permutation(len(x))[: options["n_baselines"]]
    else:
        if len(x) < 2:
            raise ValueError(
                "baseline='marginal' needs at least two rows of X, got 1: use 'mean', or an array."
            )
        # each takes the row that follows it in a random order, which is never itself
        order = rng.permutation(len(x))
        donors = np.empty_like(order)
        donors[order] = np.roll(order, -1)
    rows = x[donors]
    if lengths is None:
        return rows
    inside = np.arange(x.shape[1]) < lengths[donors][:, None]
    inside = inside.reshape(*inside.shape, *(1,) * (x.ndim - 2))
    return np.where(inside, rows, np.asarray(fill)).astype(x.dtype)


def baseline_for_array(baseline, method, options, seed, x):
    """Baseline of rows of an array for an estimator that knows no statistics."""
    if METHODS[method].baseline is None:
        return x
    if not isinstance(baseline, str):
        baseline = np.asarray(baseline, dtype=x.dtype)
        return baseline if baseline.ndim else np.full_like(x[:1], baseline)
    if baseline == "zeros":
        return np.zeros_like(x[:1])
    if baseline == "marginal":
        return marginal(x, None, None, options, seed)
    if np.isnan(x).any():
        with warnings.catch_warnings():  # a column without any value has no mean
            warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
            return np.nanmean(x, axis=0, keepdims=True)
    return np.broadcast_to(FeatureStatistics.from_array(x).mean, x.shape[1:])[None]
