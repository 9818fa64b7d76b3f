"""Interpretability scorers for searches and cross-validation."""

import functools
import inspect

from sgt_sklearn.metrics._checks import describe
from sgt_sklearn.metrics._comprehensiveness import comprehensiveness, comprehensiveness_gap
from sgt_sklearn.metrics._precision_recall import benchmark_precision_recall
from sgt_sklearn.metrics._relevance import (
    pointing_game,
    relevance_average_precision,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    relevance_roc_auc,
)
from sgt_sklearn.metrics._removal import removal_curve
from sgt_sklearn.metrics._sparseness import gini_sparseness
from sgt_sklearn.metrics._sufficiency import sufficiency, sufficiency_gap


# `wraps` gives the scorer's function the keyword arguments of `removal_curve`
@functools.wraps(removal_curve)
def _removal_gap(estimator, X, y, **options):
    return removal_curve(estimator, X, y, **options).gap


# name: (function of estimator, X and y; the public function it stands for)
_METRICS = {
    "comprehensiveness_gap": (comprehensiveness_gap, comprehensiveness_gap),
    "removal_gap": (_removal_gap, removal_curve),
    "sufficiency_gap": (sufficiency_gap, sufficiency_gap),
}

_RAW = (
    "a measure that a useless model cannot win, got {name!r}: its raw value follows the "
    "confidence and brittleness of the model, and one that ignores its input has perfect "
    "sufficiency. Use '{name}_gap', the same against a random order."
)
_SPARSE = (
    "a measure that a useless model cannot win, got {name!r}: a model that ignores nearly all of "
    "its input can be the sparsest. Measure it beside a score, with "
    "`{name}(estimator.attribute(X, standardized=True))`, or pass a callable (estimator, X, y)."
)
_MASKED = (
    "computable from the estimator, X and y, got {name!r}, which needs a relevance mask. Pass a "
    "callable (estimator, X, y) that knows the mask."
)
# name: (public function; what a metric must be instead)
_REFUSED = {
    "benchmark_precision_recall": (benchmark_precision_recall, _MASKED),
    "comprehensiveness": (comprehensiveness, _RAW),
    "gini_sparseness": (gini_sparseness, _SPARSE),
    "pointing_game": (pointing_game, _MASKED),
    "relevance_average_precision": (relevance_average_precision, _MASKED),
    "relevance_mass_accuracy": (relevance_mass_accuracy, _MASKED),
    "relevance_rank_accuracy": (relevance_rank_accuracy, _MASKED),
    "relevance_roc_auc": (relevance_roc_auc, _MASKED),
    "sufficiency": (sufficiency, _RAW),
}


def get_interpretability_scorer_names():
    """Names of the interpretability scorers.

    Returns
    -------
    list of str
        Names that :func:`get_interpretability_scorer` and :func:`make_interpretability_scorer`
        accept, sorted.

    See Also
    --------
    get_interpretability_scorer : The scorer of a name.
    make_interpretability_scorer : A scorer with parameters of your own.

    Examples
    --------
    >>> from sgt_sklearn.metrics import get_interpretability_scorer_names
    >>> get_interpretability_scorer_names()
    ['comprehensiveness_gap', 'removal_gap', 'sufficiency_gap']
    """
    return sorted(_METRICS)


def get_interpretability_scorer(name):
    """Scorer of a name, with the defaults of its metric and `random_state=0`.

    Parameters
    ----------
    name : str
        One of :func:`get_interpretability_scorer_names`.

    Returns
    -------
    callable
        `scorer(estimator, X, y=None) -> float`, higher is better.

    Raises
    ------
    ValueError
        If no scorer has that name.
    TypeError
        If `name` is not a string.

    See Also
    --------
    make_interpretability_scorer : A scorer with parameters of your own.

    Examples
    --------
    >>> from sgt_sklearn.metrics import get_interpretability_scorer
    >>> get_interpretability_scorer("removal_gap")
    make_interpretability_scorer('removal_gap', random_state=0)
    """
    if not isinstance(name, str):
        raise TypeError(
            f"name must be one of {_listed()}, got {describe(name)} of type "
            f"{type(name).__name__}. Use make_interpretability_scorer for a function."
        )
    return make_interpretability_scorer(name)


def make_interpretability_scorer(metric, **kwargs):
    """Scorer `(estimator, X, y=None) -> float` of an interpretability metric.

    For `scoring` of :class:`~sklearn.model_selection.GridSearchCV`,
    :func:`~sklearn.model_selection.cross_validate` and their kind, alone or beside others in a
    dict. Higher is better for all of them.

    Parameters
    ----------
    metric : str or callable
        A name of :func:`get_interpretability_scorer_names`, the function of this module behind
        it (:func:`removal_curve` stands for its gap), or a function of your own,
        `metric(estimator, X, y, **kwargs) -> float`.

    **kwargs : dict
        Keyword arguments of the metric, for example `fractions`, `outcome="flip"` or `groups`.
        `random_state` is 0 unless given, so that a search draws the same replacements and random
        orders for all candidates of a split and repeats exactly; pass None for fresh draws. A
        function of your own gets what you give and nothing else.

    Returns
    -------
    callable
        The scorer. It can be pickled if `metric` can.

    Raises
    ------
    ValueError
        If no scorer has that name, or the metric cannot rank models: raw comprehensiveness and
        sufficiency, sparseness, and measures that need a relevance mask.
    TypeError
        If `metric` is neither a string nor callable, or the metric does not know a keyword.

    See Also
    --------
    comprehensiveness_gap : Parameters of "comprehensiveness_gap".
    sufficiency_gap : Parameters of "sufficiency_gap".
    removal_curve : Parameters of "removal_gap".

    Notes
    -----
    A constant predictor scores 0 with every named scorer. :func:`gini_sparseness` is none of them:
    a model that ignores nearly all of its input can be the sparsest.

    Examples
    --------
    >>> from sgt_sklearn.metrics import make_interpretability_scorer
    >>> make_interpretability_scorer("sufficiency_gap", outcome="flip")
    make_interpretability_scorer('sufficiency_gap', outcome='flip', random_state=0)
    """
    if not isinstance(metric, str) and not callable(metric):
        raise TypeError(
            f"metric must be one of {_listed()} or a callable (estimator, X, y), got "
            f"{describe(metric)} of type {type(metric).__name__}."
        )
    name = metric if isinstance(metric, str) else _name_of(metric)
    if name is None:
        return _InterpretabilityScorer(metric, kwargs)
    if name in _REFUSED:
        raise ValueError(f"metric must be {_REFUSED[name][1].format(name=name)}")
    if name not in _METRICS:
        raise ValueError(
            f"metric must be one of {_listed()} or a callable (estimator, X, y), got {name!r}."
        )
    options = _options(name)
    unknown = sorted(set(kwargs) - set(options))
    if unknown:
        raise TypeError(
            f"kwargs of {name!r} must be among {', '.join(options)}, got {', '.join(unknown)}."
        )
    return _InterpretabilityScorer(name, {"random_state": 0} | kwargs)


class _InterpretabilityScorer:
    """A metric and its options, called with an estimator and data."""

    def __init__(self, metric, options):
        self._metric = metric
        self._options = options

    def __call__(self, estimator, X, y=None):
        metric = self._metric
        function = _METRICS[metric][0] if isinstance(metric, str) else metric
        return float(function(estimator, X, y, **self._options))

    def __repr__(self):
        metric = self._metric
        shown = repr(metric) if isinstance(metric, str) else getattr(metric, "__name__", metric)
        options = [f"{name}={value!r}" for name, value in sorted(self._options.items())]
        return f"make_interpretability_scorer({', '.join([str(shown), *options])})"


def _name_of(function):
    """Return the name that stands for a function of this package, None for any other."""
    named = [(name, entry[1]) for name, entry in _METRICS.items()]
    named += [(name, entry[0]) for name, entry in _REFUSED.items()]
    return next((name for name, known in named if known is function), None)


def _options(name):
    """Return the keyword arguments of a scorer of that name."""
    parameters = inspect.signature(_METRICS[name][0]).parameters.values()
    # attributions belong to fixed samples, a scorer meets others at each call
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "attributions"]


def _listed():
    return ", ".join(repr(name) for name in get_interpretability_scorer_names())
