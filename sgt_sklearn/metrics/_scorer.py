"""Interpretability scorers for searches and cross-validation."""

import functools
import inspect

from sklearn import get_config
from sklearn.utils.metadata_routing import MetadataRequest

from sgt_sklearn.metrics._checks import check_flag, describe
from sgt_sklearn.metrics._comprehensiveness import comprehensiveness, comprehensiveness_gap
from sgt_sklearn.metrics._consistency import masking_consistency
from sgt_sklearn.metrics._entropy import attribution_entropy
from sgt_sklearn.metrics._infidelity import infidelity, infidelity_gap
from sgt_sklearn.metrics._kurtosis import attribution_kurtosis
from sgt_sklearn.metrics._max_sensitivity import max_sensitivity, max_sensitivity_gap
from sgt_sklearn.metrics._precision_recall import benchmark_precision_recall
from sgt_sklearn.metrics._randomization import parameter_randomization
from sgt_sklearn.metrics._relevance import (
    pointing_game,
    relevance_average_precision,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    relevance_roc_auc,
)
from sgt_sklearn.metrics._relevance_scorer import of_estimator
from sgt_sklearn.metrics._removal import removal_curve
from sgt_sklearn.metrics._retraining import remove_and_retrain
from sgt_sklearn.metrics._sparseness import gini_sparseness
from sgt_sklearn.metrics._sufficiency import sufficiency, sufficiency_gap


# `wraps` gives the scorer's function the keyword arguments of `removal_curve`
@functools.wraps(removal_curve)
def _removal_gap(estimator, X, y, **options):
    return removal_curve(estimator, X, y, **options).gap


_RELEVANCE = (
    pointing_game,
    relevance_average_precision,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    relevance_roc_auc,
)
# name: (function of estimator, X and y; the public function it stands for)
_METRICS = {
    "comprehensiveness_gap": (comprehensiveness_gap, comprehensiveness_gap),
    "neg_infidelity": (infidelity_gap, infidelity_gap),
    "neg_max_sensitivity": (max_sensitivity_gap, max_sensitivity_gap),
    "removal_gap": (_removal_gap, removal_curve),
    "sufficiency_gap": (sufficiency_gap, sufficiency_gap),
} | {metric.__name__: (of_estimator(metric), metric) for metric in _RELEVANCE}

_RAW = (
    "a measure that no model wins by ignoring its input, got {name!r}: its raw value follows the "
    "confidence and brittleness of the model, and one that ignores its input has perfect "
    "sufficiency. Use '{name}_gap', the same against a random order."
)
_BEST_WITHOUT = (
    "a measure that no model wins by ignoring its input, got {name!r}: a constant one has the "
    "best value. Use '%s', the same against a control on the same model."
)
_SPREAD = (
    "a measure that no model wins by ignoring its input, got {name!r}: one that ignores nearly "
    "all of its input can be the sparsest. Measure it beside a score, with "
    "`{name}(estimator.attribute(X, standardized=True))`, or pass a callable (estimator, X, y)."
)
_CURVES = (
    "one number, got {name!r}, which is several. Pass a callable (estimator, X, y) that picks one "
    "of them."
)
# name: (public function; what a metric must be instead)
_REFUSED = {
    "attribution_entropy": (attribution_entropy, _SPREAD),
    "attribution_kurtosis": (attribution_kurtosis, _SPREAD),
    "benchmark_precision_recall": (benchmark_precision_recall, _CURVES),
    "comprehensiveness": (comprehensiveness, _RAW),
    "gini_sparseness": (gini_sparseness, _SPREAD),
    "infidelity": (infidelity, _BEST_WITHOUT % "neg_infidelity"),
    "masking_consistency": (masking_consistency, _BEST_WITHOUT % "sufficiency_gap"),
    "max_sensitivity": (max_sensitivity, _BEST_WITHOUT % "neg_max_sensitivity"),
    "parameter_randomization": (parameter_randomization, _CURVES),
    "remove_and_retrain": (remove_and_retrain, _CURVES),
    "sufficiency": (sufficiency, _RAW),
}


def get_interpretability_scorer_names(*, relevance=None):
    """Names of the interpretability scorers.

    Parameters
    ----------
    relevance : bool, default=None
        Whether to list those that need a mask of known relevance (True) or those that need none
        (False); None lists all.

    Returns
    -------
    list of str
        Names that :func:`get_interpretability_scorer` and :func:`make_interpretability_scorer`
        accept, sorted.

    Raises
    ------
    TypeError
        If `relevance` is neither None nor a boolean.

    See Also
    --------
    get_interpretability_scorer : The scorer of a name.
    make_interpretability_scorer : A scorer with parameters of your own.

    Examples
    --------
    >>> from sgt_sklearn.metrics import get_interpretability_scorer_names
    >>> get_interpretability_scorer_names()
    ['comprehensiveness_gap', 'neg_infidelity', 'neg_max_sensitivity', 'pointing_game',
     'relevance_average_precision', 'relevance_mass_accuracy', 'relevance_rank_accuracy',
     'relevance_roc_auc', 'removal_gap', 'sufficiency_gap']
    >>> get_interpretability_scorer_names(relevance=False)
    ['comprehensiveness_gap', 'neg_infidelity', 'neg_max_sensitivity', 'removal_gap',
     'sufficiency_gap']
    """
    if relevance is not None:
        relevance = check_flag(relevance, "relevance")
    masked = {metric.__name__ for metric in _RELEVANCE}
    return sorted(name for name in _METRICS if relevance in (None, name in masked))


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
        function of your own gets what you give and nothing else. Of the names that need known
        relevance: `method`, `target`, `random_state` and, where one mask serves all samples,
        `relevance`.

    Returns
    -------
    callable
        The scorer. It can be pickled if `metric` can. Masks that differ between samples reach it
        by metadata routing: `scorer.set_score_request(relevance=True)`, and then
        `cross_validate(..., params={"relevance": relevance})` or
        `GridSearchCV(...).fit(X, y, relevance=relevance)`.

    Raises
    ------
    ValueError
        If no scorer has that name, or the metric cannot rank models as one that ignores its input
        can win: raw comprehensiveness, sufficiency, infidelity, sensitivity and consistency, and
        how attributions are spread; or as it is no single number.
    TypeError
        If `metric` is neither a string nor callable, or the metric does not know a keyword.

    See Also
    --------
    comprehensiveness_gap : Parameters of "comprehensiveness_gap".
    sufficiency_gap : Parameters of "sufficiency_gap".
    removal_curve : Parameters of "removal_gap".
    infidelity_gap : Parameters of "neg_infidelity".
    max_sensitivity_gap : Parameters of "neg_max_sensitivity".

    Notes
    -----
    A constant predictor scores 0 with every named scorer that needs no known relevance. With the
    others it scores chance, but for "relevance_mass_accuracy", where it scores 0: attributions
    that are all 0 have no mass. "neg_infidelity" and "neg_max_sensitivity" are the negatives of
    infidelity and sensitivity above those of permuted attributions: the bare negatives are
    largest, 0, for a constant predictor. :func:`gini_sparseness` is no scorer: a model that
    ignores nearly all of its input can be the sparsest.

    What ignores its input wins none of them, but what was fitted to noise does not ignore it.
    "removal_gap" alone needs true targets, and is about 0 for a model of permuted labels. The
    other gaps do not know whether predictions are right; "neg_infidelity" and
    "neg_max_sensitivity" grow with the steepness of the model, and are often best for one that has
    fitted noise (see :func:`infidelity_gap`). Use them beside a score:
    :func:`~sgt_sklearn.model_selection.one_standard_error_refit` chooses by a gap only among the
    settings that score as well as the best.

    Relevance is compared with :func:`sgt_sklearn.inspection.explain` of the estimator,
    standardised and, in a pipeline, folded onto the original columns: a mask has the shape of its
    values. For texts and series of unequal length it is a list of masks, or an array with False on
    padding.

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
        self._requested = {}

    def __call__(self, estimator, X, y=None, **metadata):
        """Score; `metadata` are what was requested, such as `relevance`."""
        metric = self._metric
        unknown = sorted(set(metadata) - set(self._metadata()))
        if unknown:
            raise TypeError(
                f"{self!r} takes no metadata but {', '.join(self._metadata()) or 'none'}, got "
                f"{', '.join(unknown)}."
            )
        function = _METRICS[metric][0] if isinstance(metric, str) else metric
        return float(function(estimator, X, y, **self._options | metadata))

    def set_score_request(self, **requests):
        """Say which metadata scikit-learn is to pass on, as for scorers of scikit-learn.

        Parameters
        ----------
        **requests : True, False, None or str
            `relevance=True`, or the name under which the mask is passed.

        Returns
        -------
        self : scorer
            The scorer itself.
        """
        if not get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                "set_score_request needs metadata routing, which is off. Enable it with "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        unknown = sorted(set(requests) - set(self._metadata()))
        if unknown:
            raise TypeError(
                f"{self!r} takes no metadata but {', '.join(self._metadata()) or 'none'}, got a "
                f"request for {', '.join(unknown)}."
            )
        self._requested = dict(requests)
        return self

    def get_metadata_routing(self):
        """Return what is requested, a :class:`sklearn.utils.metadata_routing.MetadataRequest`."""
        request = MetadataRequest(owner=self)
        for name in self._metadata():
            request.score.add_request(param=name, alias=self._requested.get(name))
        return request

    def _metadata(self):
        """Return the names of the arguments that belong to the samples."""
        if isinstance(self._metric, str):
            return ["relevance"] if "relevance" in _options(self._metric) else []
        try:
            parameters = list(inspect.signature(self._metric).parameters.values())
        except (TypeError, ValueError):
            # a callable that does not tell
            return []
        named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return [p.name for p in parameters[3:] if p.kind in named]

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
