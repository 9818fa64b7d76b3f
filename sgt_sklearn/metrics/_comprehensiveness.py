"""Whether a prediction needs the groups that its attributions name."""

from sgt_sklearn.metrics._changes import FRACTIONS, prediction_changes
from sgt_sklearn.metrics._docs import with_shared_parameters


@with_shared_parameters
def comprehensiveness(
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
    """Loss of the prediction when the groups with the highest attribution are replaced.

    Higher means that the named groups matter more. The value also grows with the confidence and
    the brittleness of the model: compare models by :func:`comprehensiveness_gap`.

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
    comprehensiveness_gap : The same, compared with a random order on the same model.
    sufficiency : Replaces all other groups instead.

    References
    ----------
    {{eraser}}

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sgt_sklearn.metrics import comprehensiveness
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=500).fit(X, y)
    >>> attributions = model.coef_[model.predict(X)]
    >>> value = comprehensiveness(model, X, attributions=attributions, random_state=0)
    >>> round(value, 1)
    0.4
    """
    changes = prediction_changes(
        estimator,
        X,
        y,
        keep=False,
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
def comprehensiveness_gap(
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
    """Comprehensiveness above that of a random order of the groups on the same model.

    Higher is better: replacing the groups that the attribution names changes the prediction more
    than replacing as many at random.

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
        Comprehensiveness of the order by attribution minus that of a random order, in the units
        of :func:`comprehensiveness`. At or below 0 the attribution names nothing of use.

    Raises
    ------
    {{raises}}

    See Also
    --------
    sufficiency_gap : Whether the named groups suffice for the prediction.
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
    >>> from sgt_sklearn.metrics import comprehensiveness_gap
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=500).fit(X, y)
    >>> attributions = model.coef_[model.predict(X)]
    >>> value = comprehensiveness_gap(model, X, attributions=attributions, random_state=0)
    >>> round(value, 1)
    0.2
    """
    changes = prediction_changes(
        estimator,
        X,
        y,
        keep=False,
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
    return float((changes[:, 0] - changes[:, 1]).mean())
