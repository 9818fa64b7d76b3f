"""How well a model can learn from what its attributions leave."""

from dataclasses import replace

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, check_scoring, r2_score
from sklearn.utils import Bunch
from sklearn.utils.validation import check_consistent_length

from sgt_sklearn.inspection._unwrap import check_fitted
from sgt_sklearn.metrics import _resolve
from sgt_sklearn.metrics._checks import check_fractions, check_generator
from sgt_sklearn.metrics._perturbation import prepare
from sgt_sklearn.metrics._replacement import feature_means

_FRACTIONS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)


def remove_and_retrain(
    estimator,
    X_train,
    y_train,
    X_test,
    y_test,
    *,
    attributions=None,
    method="auto",
    target="predicted",
    fractions=_FRACTIONS,
    replacement="auto",
    n_draws=1,
    groups=None,
    scoring=None,
    random_state=None,
):
    """Score of models that are trained anew on data without the groups of highest attribution.

    Where the attributions name what can be learned from, less is learned without it. Unlike
    :func:`removal_curve`, no model meets data unlike those it was trained on.

    Parameters
    ----------
    estimator : estimator, pipeline or search
        The model whose attributions are measured; one that is not fitted is cloned and fitted to
        the training data. Of a pipeline the last step is trained anew, on what it sees; of a
        search that of its `best_estimator_`. It is left as it is.

    X_train : array-like of shape (n_samples, n_features) or (n_samples, ...), list or dict
        Samples to train on, as for :func:`comprehensiveness`.

    y_train : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets of `X_train`.

    X_test : array-like of shape (n_samples, n_features) or (n_samples, ...), list or dict
        Samples to score on.

    y_test : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets of `X_test`.

    attributions : tuple of two array-likes, default=None
        Attributions of `X_train` and of `X_test`, as the last step sees them. None computes them,
        of the class that the model predicts unless `target` says otherwise: labels would tell the
        class of a test sample by what is missing from it.

    method : str, default="auto"
        Attribution method, as for :func:`comprehensiveness`; ignored if `attributions` is given.

    target : "predicted" or label, default="predicted"
        Output that is attributed: the class predicted for the sample, or one class label for all
        samples; for regressors an index of the output.

    fractions : sequence of float in [0, 1], default=(0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
        Shares of the groups to replace. Of the G groups of a sample that are not padding the first
        `floor(fraction * G)` are.

    replacement : {"auto", "mean", "marginal", "unknown"} or callable, default="auto"
        What replaced cells become, as for :func:`comprehensiveness`. "auto": "unknown" for tokens,
        otherwise "mean", that of the training data, also in the test data.

    n_draws : int, default=1
        How many times replacement and random order are drawn and models trained; scores are
        averaged.

    groups : str or array-like of shape X.shape[1:], default=None
        Cells that are replaced together, as for :func:`comprehensiveness`.

    scoring : str or callable, default=None
        Higher is better: a name that scikit-learn knows or `scorer(estimator, X, y) -> float`,
        called with the model trained anew. None is the accuracy of a classifier and the R^2 of a
        regressor.

    random_state : int, RandomState instance or None, default=None
        Draws replacements and random orders. Models are trained with their own `random_state`.

    Returns
    -------
    curve : :class:`~sklearn.utils.Bunch`
        Dictionary-like, with attributes

        fractions : ndarray of shape (n_fractions,)
            The fractions as given.
        scores : ndarray of shape (n_fractions,)
            Score on the test data without the groups of highest attribution, of models trained
            without them, mean over draws.
        random_scores : ndarray of shape (n_fractions,)
            Score without as many groups in random order.
        gap : float
            Mean of `random_scores - scores`; higher is better.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or an unknown value.
    TypeError
        If an argument has the wrong type, or `estimator` lacks a method that is needed.

    See Also
    --------
    removal_curve : The same without training, at a fraction of the cost.
    parameter_randomization : Whether attributions depend on what was learned.

    Notes
    -----
    For each draw, `2 * n_fractions` models are trained (one for a fraction of 0). In both orders
    cells with equal attributions are ordered at random, and replaced cells get the same values, so
    a constant predictor and an attribution that orders nothing score 0 up to the randomness of
    training.

    What is replaced differs between samples, and where it is can itself tell the class: a model
    may learn that a column is missing from one class. Then scores stay high however good the
    attributions are [2]_.

    References
    ----------
    .. [1] Hooker, Erhan, Kindermans, Kim, "A Benchmark for Interpretability Methods in Deep Neural
       Networks", NeurIPS 2019, https://arxiv.org/abs/1806.10758.
    .. [2] Rong, Leemann, Borisov, Kasneci, Kasneci, "A Consistent and Efficient Evaluation
       Strategy for Attribution Methods", ICML 2022, https://arxiv.org/abs/2202.00449.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import train_test_split
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.metrics import remove_and_retrain
    >>> data = load_iris(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(*data, random_state=0)
    >>> net = SaliencyGuidedClassifier(max_epochs=5, random_state=0)
    >>> curve = remove_and_retrain(
    ...     net, X_train, y_train, X_test, y_test, fractions=(0.0, 0.5), random_state=0
    ... )
    >>> curve.scores.shape
    (2,)
    """
    fractions = check_fractions(fractions, zero_allowed=True)
    rng = check_generator(random_state)
    for name, y in (("y_train", y_train), ("y_test", y_test)):
        if y is None:
            raise ValueError(f"{name} must hold the targets to train and score with, got None.")
    estimator = _fitted(estimator, X_train, y_train)
    of_train, of_test = _pair(attributions)
    options = {"method": method, "target": target, "n_draws": n_draws, "groups": groups}
    options |= {"replacement": replacement, "random_state": rng}
    train = prepare(estimator, X_train, attributions=of_train, **options)
    test = prepare(estimator, X_test, attributions=of_test, **options)
    if replacement in ("auto", "mean") and not train.samples.tokens:
        # also the test data get the mean of the training data
        mean = _Constant(feature_means(train.samples.array, train.samples.valid))
        train, test = replace(train, replacement=mean), replace(test, replacement=mean)
    check_consistent_length(train.samples.array, y_train)
    check_consistent_length(test.samples.array, y_test)
    score = _scorer(train.net, scoring)
    sizes = [part.sizes(fractions, at_least=0) for part in (train, test)]
    found = []
    for draws in zip(train.draws(True), test.draws(True), strict=True):
        batches = zip(
            *(
                part.replaced(*draw, size, rows=part.n_samples)
                for part, draw, size in zip((train, test), draws, sizes, strict=True)
            ),
            strict=True,
        )
        scores = []
        for place, (of_train, of_test) in enumerate(batches):
            order, fraction = divmod(place, len(fractions))
            if order and not fractions[fraction]:
                # nothing is replaced in either order
                scores.append(scores[fraction])
                continue
            model = clone(train.net).fit(of_train, y_train)
            scores.append(float(score(model, of_test, y_test)))
        found.append(np.reshape(scores, (2, len(fractions))))
    scores = np.mean(found, axis=0)
    return Bunch(
        fractions=fractions,
        scores=scores[0],
        random_scores=scores[1],
        gap=float(np.mean(scores[1] - scores[0])),
    )


class _Constant:
    """A replacement by the same values, whatever the samples are."""

    def __init__(self, values):
        self.values = values

    def __call__(self, X, rng):
        return np.broadcast_to(self.values, X.shape)


def _fitted(estimator, X, y):
    try:
        check_fitted(estimator)
    except NotFittedError:
        return clone(estimator).fit(X, y)
    return estimator


def _pair(attributions):
    if attributions is None:
        return None, None
    if not isinstance(attributions, (tuple, list)) or len(attributions) != 2:
        raise TypeError(
            "attributions must be a tuple of those of X_train and those of X_test, got "
            f"{type(attributions).__name__}. Pass for example (of_train, of_test)."
        )
    return attributions


def _scorer(net, scoring):
    if scoring is None:
        metric = accuracy_score if _resolve.has_classes(net) else r2_score
        return lambda model, X, y: metric(y, model.predict(X))
    if not isinstance(scoring, str) and not callable(scoring):
        raise TypeError(
            "scoring must be a name that scikit-learn knows, a callable (estimator, X, y) or "
            f"None, got {type(scoring).__name__}."
        )
    return check_scoring(net, scoring)
