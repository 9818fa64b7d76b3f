"""Scores of a model's attributions against known relevance."""

import functools

import numpy as np

from sgt_sklearn.inspection._explain import explain
from sgt_sklearn.inspection._unwrap import unwrap
from sgt_sklearn.metrics import _resolve


def of_estimator(metric):
    """Return a function of an estimator for a metric of attributions and relevance."""

    @functools.wraps(metric)
    def score(
        estimator,
        X,
        y=None,
        *,
        relevance=None,
        method="auto",
        target="predicted",
        random_state=None,
    ):
        if relevance is None:
            raise ValueError(
                "relevance must be a mask of the cells that matter, got None. Request it with "
                f'make_interpretability_scorer("{metric.__name__}").set_score_request('
                "relevance=True) and pass params={'relevance': mask} to cross_validate, or "
                "relevance=mask to fit of a search; or give one mask for all samples as keyword "
                "of make_interpretability_scorer."
            )
        if isinstance(method, str) and method == "auto":
            final = unwrap(estimator, X)
            tokens = final.token_encoder is not None or _resolve.takes_tokens(final.estimator)
            method = _resolve.default_method(tokens)
        explanation = explain(
            estimator,
            X,
            method=method,
            target=target,
            standardized=True,
            random_state=random_state,
        )
        return metric(_like(relevance, explanation), relevance)

    # that of `metric` would be found otherwise
    del score.__wrapped__
    return score


def _like(relevance, explanation):
    """Return attributions in the form of masks: a list for a list, where samples differ."""
    values, lengths = explanation.values, explanation.lengths
    objects = isinstance(relevance, np.ndarray) and relevance.dtype.kind == "O"
    listed = objects or isinstance(relevance, (list, tuple))
    if lengths is None or not listed or len(set(np.asarray(lengths).tolist())) == 1:
        return values
    return [row[:n] for row, n in zip(values, lengths, strict=True)]
