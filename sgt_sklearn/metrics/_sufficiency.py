"""Whether the groups that its attributions name suffice for a prediction."""

from sgt_sklearn.metrics._changes import FRACTIONS, prediction_changes
from sgt_sklearn.metrics._docs import with_shared_parameters


@with_shared_parameters
def sufficiency(
    estimator,
    X,
    y=None,
    *,
    attributions=None,
    method="auto",
    target="predicted",
    fractions=FRACTIONS,
    replacement="auto",
    n_draws=5,
    groups=None,
    outcome="probability",
    random_state=None,
):
    """Loss of the prediction when only the groups with the highest attribution are kept.

    Lower means that the named groups suffice for the prediction. A model that hardly reacts to its
    input wins: compare models by :func:`sufficiency_gap`.

    Parameters
    ----------
    {{data}}

    {{y}}

    {{attribution}}

    {{fractions}}

    {{replacement}}

    {{outcome}}

    {{random_state}}

    Returns
    -------
    float
        Mean over fractions, samples and draws of the drop of the target's probability, in [-1, 1];
        of the absolute change of the regression output in standard deviations of y; or of the
        share of changed predictions.

    Raises
    ------
    {{raises}}

    See Also
    --------
    sufficiency_gap : The same, compared with a random order on the same model.
    comprehensiveness : Replaces the named groups instead.

    References
    ----------
    {{eraser}}

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sgt_sklearn.metrics import sufficiency
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=500).fit(X, y)
    >>> attributions = model.coef_[model.predict(X)]
    >>> value = sufficiency(model, X, attributions=attributions, random_state=0)
    >>> round(value, 1)
    0.2
    """
    changes = prediction_changes(
        estimator,
        X,
        y,
        keep=True,
        with_random=False,
        attributions=attributions,
        method=method,
        target=target,
        fractions=fractions,
        replacement=replacement,
        n_draws=n_draws,
        groups=groups,
        outcome=outcome,
        random_state=random_state,
    )
    return float(changes[:, 0].mean())


@with_shared_parameters
def sufficiency_gap(
    estimator,
    X,
    y=None,
    *,
    attributions=None,
    method="auto",
    target="predicted",
    fractions=FRACTIONS,
    replacement="auto",
    n_draws=5,
    groups=None,
    outcome="probability",
    random_state=None,
):
    """Sufficiency below that of a random order of the groups on the same model.

    Higher is better: keeping only the groups that the attribution names changes the prediction
    less than keeping as many at random.

    Parameters
    ----------
    {{data}}

    {{y}}

    {{attribution}}

    {{fractions}}

    {{replacement}}

    {{outcome}}

    {{random_state}}

    Returns
    -------
    float
        Sufficiency of a random order minus that of the order by attribution, in the units of
        :func:`sufficiency`. At or below 0 the attribution names nothing of use.

    Raises
    ------
    {{raises}}

    See Also
    --------
    comprehensiveness_gap : Whether the prediction needs the named groups.
    make_interpretability_scorer : Use the gap in a search or in cross-validation.

    Notes
    -----
    {{gap_notes}}

    References
    ----------
    {{eraser}}

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sgt_sklearn.metrics import sufficiency_gap
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=500).fit(X, y)
    >>> attributions = model.coef_[model.predict(X)]
    >>> value = sufficiency_gap(model, X, attributions=attributions, random_state=0)
    >>> round(value, 1)
    0.2
    """
    changes = prediction_changes(
        estimator,
        X,
        y,
        keep=True,
        with_random=True,
        attributions=attributions,
        method=method,
        target=target,
        fractions=fractions,
        replacement=replacement,
        n_draws=n_draws,
        groups=groups,
        outcome=outcome,
        random_state=random_state,
    )
    return float((changes[:, 1] - changes[:, 0]).mean())
