"""How the score of a model falls while groups are replaced."""

import numpy as np
from sklearn.metrics import accuracy_score, check_scoring, r2_score
from sklearn.utils import Bunch
from sklearn.utils.validation import check_consistent_length

from sgt_sklearn.metrics import _resolve
from sgt_sklearn.metrics._checks import check_fractions
from sgt_sklearn.metrics._docs import with_shared_parameters
from sgt_sklearn.metrics._generators import with_generators_apart
from sgt_sklearn.metrics._perturbation import prepare

_FRACTIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@with_generators_apart
@with_shared_parameters
def removal_curve(
    estimator,
    X,
    y,
    *,
    attributions=None,
    method="auto",
    target="predicted",
    fractions=_FRACTIONS,
    replacement="auto",
    n_draws=5,
    groups=None,
    scoring=None,
    random_state=None,
):
    """Score while more and more of the groups with the highest attribution are replaced.

    Replacing goes by other rows of X, not by a constant: a map of the bright pixels wins a
    competition in which pixels become background.

    Parameters
    ----------
    {{data}}

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        True targets of X.

    {{attribution}}

    fractions : sequence of float in [0, 1], default=(0.0, 0.1, ..., 0.9)
        Shares of the groups to replace. Of the G groups of a sample that are not padding the first
        `floor(fraction * G)` are.

    {{replacement}}

    scoring : str or callable, default=None
        Higher is better: a name that scikit-learn knows or `scorer(estimator, X, y) -> float`,
        called with the last step of a pipeline and with X as that step sees it. None is the
        accuracy of a classifier and the R^2 of a regressor.

    {{random_state}}

    Returns
    -------
    curve : :class:`~sklearn.utils.Bunch`
        Dictionary-like, with attributes

        fractions : ndarray of shape (n_fractions,)
            The fractions as given.
        scores : ndarray of shape (n_fractions,)
            Score with the groups of highest attribution replaced, mean over draws.
        random_scores : ndarray of shape (n_fractions,)
            Score with as many groups replaced in random order.
        gap : float
            Mean of `random_scores - scores`; higher is better.

    Raises
    ------
    {{raises}}

    See Also
    --------
    comprehensiveness_gap : The same idea for probabilities, which needs no y.
    make_interpretability_scorer : Use the gap in a search, as "removal_gap".

    Notes
    -----
    {{gap_notes}}

    References
    ----------
    .. [1] Samek, Binder, Montavon, Lapuschkin, Mueller, "Evaluating the Visualization of What a
       Deep Neural Network Has Learned", IEEE TNNLS 28(11), 2017,
       https://arxiv.org/abs/1509.06321.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sgt_sklearn.metrics import removal_curve
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=500).fit(X, y)
    >>> curve = removal_curve(
    ...     model, X, y, attributions=model.coef_[y], fractions=(0, 0.5), random_state=0
    ... )
    >>> curve.scores.round(1)
    array([1. , 0.4])
    >>> curve.gap > 0
    True
    """
    fractions = check_fractions(fractions, zero_allowed=True)
    if y is None:
        raise ValueError("y must hold the true targets of X, got None. Pass y to score with.")
    experiment = prepare(
        estimator,
        X,
        attributions=attributions,
        method=method,
        target=target,
        replacement=replacement,
        n_draws=n_draws,
        groups=groups,
        random_state=random_state,
    )
    check_consistent_length(experiment.samples.array, y)
    sizes = experiment.sizes(fractions, at_least=0)
    score = _score_predictions if scoring is None else _score_estimator(experiment.net, scoring)
    draws = experiment.draws(with_random=True)
    scores = np.mean([score(experiment, y, *draw, sizes) for draw in draws], axis=0)
    return Bunch(
        fractions=fractions,
        scores=scores[0],
        random_scores=scores[1],
        gap=float(np.mean(scores[1] - scores[0])),
    )


def _score_predictions(experiment, y, values, ranks, sizes):
    """Return accuracy or R^2, shape (n_orders, n_sizes)."""
    metric = accuracy_score if _resolve.has_classes(experiment.net) else r2_score
    predictions = experiment.respond("predict", values, ranks, sizes)
    return [[metric(y, predicted) for predicted in of_order] for of_order in predictions]


def _score_estimator(net, scoring):
    """Return a function like `_score_predictions` for a scorer or the name of one."""
    if not isinstance(scoring, str) and not callable(scoring):
        raise TypeError(
            "scoring must be a name that scikit-learn knows, a callable (estimator, X, y) or "
            f"None, got {type(scoring).__name__}. Call removal_curve once for each scorer."
        )
    scorer = check_scoring(net, scoring)

    def score(experiment, y, values, ranks, sizes):
        batches = experiment.replaced(values, ranks, sizes, rows=experiment.n_samples)
        scores = [float(scorer(net, batch, y)) for batch in batches]
        return np.reshape(scores, (len(ranks[0]), len(sizes)))

    return score
