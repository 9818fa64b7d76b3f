"""What is measured of a fitted model: score, confidence, gaps, and agreement with a mask."""

import functools
import inspect
from collections.abc import Mapping

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, BaggingRegressor, VotingClassifier, VotingRegressor
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline

from sgt_sklearn import metrics as _metrics
from sgt_sklearn.inspection._explain import attributions
from sgt_sklearn.inspection._methods import method_named
from sgt_sklearn.inspection._unwrap import unwrap
from sgt_sklearn.metrics import get_interpretability_scorer_names, make_interpretability_scorer
from sgt_sklearn.metrics._resolve import takes_tokens
from sgt_sklearn.model_selection._chance import chance_score
from sgt_sklearn.model_selection._relevance_masks import chance_of_relevance, masks_as_seen

CONFIDENCE = "mean_confidence"

# of a model and attributions of it
_PERTURBING = {
    "comprehensiveness_gap": _metrics.comprehensiveness_gap,
    "comprehensiveness_gap_flip": functools.partial(
        _metrics.comprehensiveness_gap, outcome="flip"
    ),
    "masking_consistency": _metrics.masking_consistency,
    "removal_gap": _metrics.removal_curve,
    "sufficiency_gap": _metrics.sufficiency_gap,
    "sufficiency_gap_flip": functools.partial(_metrics.sufficiency_gap, outcome="flip"),
}
# of attributions alone
_DESCRIBING = {
    "attribution_entropy": _metrics.attribution_entropy,
    "attribution_kurtosis": _metrics.attribution_kurtosis,
    "gini_sparseness": _metrics.gini_sparseness,
}
# of attributions and a relevance mask
_MASKED = {
    "pointing_game": _metrics.pointing_game,
    "relevance_average_precision": _metrics.relevance_average_precision,
    "relevance_mass_accuracy": _metrics.relevance_mass_accuracy,
    "relevance_rank_accuracy": _metrics.relevance_rank_accuracy,
    "relevance_roc_auc": _metrics.relevance_roc_auc,
}
_OF_ATTRIBUTIONS = (*_PERTURBING, *_DESCRIBING, *_MASKED)
# those that compute attributions of their own
_BY_SCORER = tuple(sorted({*get_interpretability_scorer_names()} - {*_OF_ATTRIBUTIONS}))
_SCORES = get_scorer_names()
_OF_PROBABILITY = ("comprehensiveness_gap", "sufficiency_gap")
# what `inspection` explains by the gradients of the nets inside
_EXPLAINED = (
    BaggingClassifier,
    BaggingRegressor,
    BaseSearchCV,
    CalibratedClassifierCV,
    Pipeline,
    TransformedTargetRegressor,
    VotingClassifier,
    VotingRegressor,
)


class Measures:
    """All that is asked of each model, checked before the first one is trained.

    Parameters
    ----------
    estimator : estimator
        What will be trained, unfitted.
    scoring : str, callable or None
        The score.
    metrics : "auto", list of str, or dict
        What is measured beside it.
    methods : "auto" or list of str
        Attribution methods.
    metric_params : dict or None
        Keyword arguments of the metrics that perturb.
    has_relevance : bool
        Whether there is a relevance mask.
    """

    def __init__(self, estimator, scoring, metrics, methods, metric_params, has_relevance):
        self.classifies = is_classifier(estimator)
        self.score_name, self.scorer = self._read_scoring(estimator, scoring)
        self.metrics = self._read_metrics(metrics, has_relevance)
        self.methods = _read_methods(methods)
        self.params = self._read_params(metric_params)

    def check_containers(self, containers):
        """Raise where what a net is in cannot be measured after it is fitted."""
        ours = [m for m in self.metrics.values() if isinstance(m, str) and m not in _SCORES]
        votings = [each for each in containers if isinstance(each, VotingClassifier)]
        if any(each.voting == "hard" for each in votings):
            for metric in ours:
                flips = metric.endswith("_flip") or self.params.get("outcome") == "flip"
                if metric == CONFIDENCE or (metric in _OF_PROBABILITY and not flips):
                    raise ValueError(
                        f"metrics may hold {metric!r} only for an estimator with probabilities, "
                        "got a VotingClassifier with voting='hard'. Use voting='soft', or metrics "
                        "without probabilities, such as 'sufficiency_gap_flip'."
                    )
        needing = [metric for metric in ours if metric != CONFIDENCE]
        methods = ("saliency",) if self.methods is None else self.methods
        gradient = [m for m in methods if method_named(m).family != "perturbation"]
        for container in containers:
            if needing and gradient and not isinstance(container, _EXPLAINED):
                raise TypeError(
                    "estimator must have its net in pipelines, searches and ensembles whose "
                    "gradients are known (bagging, voting, calibration, a transformed target) for "
                    f"{needing[0]!r} by {gradient[0]!r}, got {type(container).__name__}. Pass "
                    "methods=['feature_ablation'], metrics that need no attributions, or the net."
                )

    def __call__(self, model, split, seed):
        """Return values by (metric, method), "" where no method matters, and chance levels.

        The levels, by metric, are those that depend on the cells that a net sees.
        """
        X, y = split.X_test, split.y_test
        found, levels = {(self.score_name, ""): self.scorer(model, X, y)}, {}
        by_method = {}
        for label, metric in self.metrics.items():
            if callable(metric):
                found[label, ""] = metric(model, X, y)
            elif metric == CONFIDENCE:
                found[label, ""] = _confidence(model.predict_proba(X), y)
            elif metric in _OF_ATTRIBUTIONS or metric in _BY_SCORER:
                by_method[label] = metric
            else:
                found[label, ""] = get_scorer(metric)(model, X, y)
        if by_method:
            final = unwrap(model, X)
            for method in self._methods_of(final.estimator):
                of_method, levels = self._measure_method(
                    by_method, method, final, model, split, seed
                )
                found |= {(label, method): value for label, value in of_method.items()}
        return {key: float(value) for key, value in found.items()}, levels

    def chance(self, split):
        """Return the known levels of a model that knows nothing, and of gaps."""
        levels = {self.score_name: chance_score(self.scorer, self.classifies, split)}
        for label, metric in self.metrics.items():
            if callable(metric):
                continue
            if metric in _SCORES:
                scorer = functools.partial(_score_by_name, metric)
                levels[label] = chance_score(scorer, self.classifies, split)
            elif "gap" in metric:
                levels[label] = 0.0
        return {label: level for label, level in levels.items() if level is not None}

    def _measure_method(self, metrics, method, final, model, split, seed):
        """Return values and chance levels by label; attributions are computed once for all."""
        X, y = split.X_test, split.y_test
        found, levels, values, masks = {}, {}, None, None
        if not set(metrics.values()).isdisjoint(_OF_ATTRIBUTIONS):
            values = attributions(
                final.estimator,
                final.X,
                method=method,
                target="predicted",
                standardized=True,
                random_state=seed,
            )
        if not set(metrics.values()).isdisjoint(_MASKED):
            variable = final.token_encoder is not None or getattr(X, "ndim", 0) == 1
            masks = masks_as_seen(split.relevance, values, variable)
        options = {"random_state": seed} | self.params
        for label, metric in metrics.items():
            if metric in _DESCRIBING:
                found[label] = _DESCRIBING[metric](values)
            elif metric in _MASKED:
                found[label] = _MASKED[metric](values, masks)
            elif metric in _PERTURBING:
                result = _PERTURBING[metric](model, X, y, attributions=values, **options)
                found[label] = result.gap if metric == "removal_gap" else result
            else:
                scorer = make_interpretability_scorer(metric, method=method, **options)
                found[label] = scorer(model, X, y)
        if masks is not None:
            known = chance_of_relevance(values, masks)
            levels = {label: known[m] for label, m in metrics.items() if m in _MASKED}
        return found, levels

    def _methods_of(self, final):
        if self.methods is not None:
            return self.methods
        # the length of the gradient is the same for all tokens behind a mean over them
        return ("input_x_gradient",) if takes_tokens(final) else ("saliency",)

    def _read_scoring(self, estimator, scoring):
        if scoring is None:
            if not self.classifies and not is_regressor(estimator):
                raise ValueError(
                    "scoring must be given for an estimator that is neither classifier nor "
                    f"regressor, got None with {type(estimator).__name__}. Name a scorer."
                )
            scoring = "accuracy" if self.classifies else "r2"
        if isinstance(scoring, str):
            _check_scorer_name("scoring", scoring)
            return scoring, functools.partial(_score_by_name, scoring)
        if not callable(scoring):
            raise TypeError(
                "scoring must be a name that scikit-learn knows, a callable (estimator, X, y) or "
                f"None, got {scoring!r} of type {type(scoring).__name__}."
            )
        return "score", scoring

    def _read_metrics(self, metrics, has_relevance):
        if isinstance(metrics, str) and metrics == "auto":
            names = ["comprehensiveness_gap", "sufficiency_gap"]
            if self.classifies:
                names = [CONFIDENCE, *names, *(f"{name}_flip" for name in names)]
            if has_relevance:
                names.append("relevance_average_precision")
            return {name: name for name in names}
        if isinstance(metrics, str) or not isinstance(metrics, (Mapping, list, tuple)):
            raise TypeError(
                "metrics must be 'auto', a list of names, or a dict of labels to names or "
                f"callables (estimator, X, y), got {metrics!r}."
            )
        if not isinstance(metrics, Mapping):
            metrics = {name: name for name in metrics}
        for label, metric in metrics.items():
            if not isinstance(label, str) or not (isinstance(metric, str) or callable(metric)):
                raise TypeError(
                    "metrics must hold names, or labels (str) with names or callables "
                    f"(estimator, X, y), got {label!r}: {metric!r}."
                )
            if label == self.score_name:
                raise ValueError(
                    f"metrics must not repeat the score, got {label!r}, which is always measured. "
                    "Leave it out."
                )
            if isinstance(metric, str):
                self._check_name(metric, has_relevance)
        return dict(metrics)

    def _check_name(self, name, has_relevance):
        if name in _MASKED and not has_relevance:
            raise ValueError(
                f"metrics may hold {name!r} only where relevance is known, got relevance=None. "
                "Pass the mask of what is relevant, or leave this metric out."
            )
        if not self.classifies and (name == CONFIDENCE or name.endswith("_flip")):
            raise ValueError(
                f"metrics may hold {name!r} for classifiers only, got a regressor. Leave it out."
            )
        if name not in metric_names():
            _check_scorer_name("metrics", name)

    def _read_params(self, metric_params):
        params = {} if metric_params is None else metric_params
        if not isinstance(params, Mapping):
            raise TypeError(f"metric_params must be a dict or None, got {metric_params!r}.")
        for metric in self.metrics.values():
            if callable(metric):
                continue
            if metric in _BY_SCORER:
                # raises for what the metric does not know
                make_interpretability_scorer(metric, **params)
            if metric not in _PERTURBING:
                continue
            known = inspect.signature(_PERTURBING[metric]).parameters.values()
            known = {p.name for p in known if p.kind is p.KEYWORD_ONLY}
            known -= {"attributions", "method", "random_state"}
            known -= {"outcome"} if metric.endswith("_flip") else set()
            if unknown := sorted(set(params) - known):
                raise TypeError(
                    f"metric_params must hold arguments of {metric!r}, among "
                    f"{', '.join(sorted(known))}, got {', '.join(unknown)}."
                )
        return dict(params)


def metric_names():
    """Names of metrics that are not scorers of scikit-learn, sorted."""
    return sorted((CONFIDENCE, *_OF_ATTRIBUTIONS, *_BY_SCORER))


def _read_methods(methods):
    if isinstance(methods, str):
        if methods == "auto":
            return None
        methods = [methods]
    listed = isinstance(methods, (list, tuple)) and len(methods) > 0
    if not listed or not all(isinstance(method, str) for method in methods):
        raise TypeError(
            "methods must be 'auto', the name of an attribution method or a non-empty list of "
            f"names, got {methods!r}."
        )
    for method in methods:
        method_named(method)
    return tuple(dict.fromkeys(methods))


def _check_scorer_name(parameter, name):
    if name not in get_scorer_names():
        raise ValueError(
            f"{parameter} must be a name that scikit-learn knows"
            + (f" or one of {', '.join(metric_names())}" if parameter == "metrics" else "")
            + f", got {name!r}."
        )


def _score_by_name(name, model, X, y):
    return get_scorer(name)(model, X, y)


def _confidence(probabilities, y):
    """Return the mean probability of what is predicted; of several labels, of each of them."""
    if np.ndim(y) > 1:
        return np.mean(np.maximum(probabilities, 1 - probabilities))
    return np.mean(np.max(probabilities, axis=1))
