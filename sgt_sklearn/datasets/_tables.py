"""Tables whose relevant columns are known."""

import numpy as np
from sklearn.datasets import make_classification, make_friedman1
from sklearn.utils import check_random_state, shuffle

from sgt_sklearn.datasets._checks import check_integer, check_number

_FRIEDMAN_COLUMNS = 5


def make_relevance_classification(
    n_samples=1000,
    n_features=20,
    *,
    n_informative=5,
    n_classes=2,
    n_clusters_per_class=2,
    class_sep=1.0,
    flip_y=0.01,
    random_state=None,
):
    """Make a classification table in which the relevant columns are known.

    :func:`sklearn.datasets.make_classification` with informative and random columns only: there
    are none whose relevance depends on the point of view, as combinations or copies of others.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows, 1 or more.
    n_features : int, default=20
        Number of columns, `n_informative` or more.
    n_informative : int, default=5
        Number of relevant columns; they are the first. 1 or more, and large enough that
        ``2 ** n_informative >= n_classes * n_clusters_per_class``.
    n_classes : int, default=2
        Number of classes, 2 or more.
    n_clusters_per_class : int, default=2
        Number of Gaussian clusters of each class, at corners of a hypercube. 1 or more.
    class_sep : float, default=1.0
        Half the side of the hypercube, 0 or more.
    flip_y : float, default=0.01
        Share of rows whose class is drawn at random, 0 to 1.
    random_state : int, RandomState instance or None, default=None
        Source of all draws. The same int gives the same bytes.

    Returns
    -------
    X : ndarray of float64, shape (n_samples, n_features)
        The table: informative columns first, rows in random order.
    y : ndarray of int64, shape (n_samples,)
        Classes 0 to ``n_classes - 1``.
    relevance : ndarray of bool, shape (n_samples, n_features)
        True in the informative columns.

    Raises
    ------
    ValueError
        If a parameter is none of the above.

    See Also
    --------
    make_relevance_regression : The same for a number to predict.

    Examples
    --------
    >>> from sgt_sklearn.datasets import make_relevance_classification
    >>> X, y, relevance = make_relevance_classification(100, 6, n_informative=3, random_state=0)
    >>> relevance[0].tolist()
    [True, True, True, False, False, False]
    """
    n_samples = check_integer("n_samples", n_samples, 1)
    n_informative = check_integer("n_informative", n_informative, 1)
    n_classes = check_integer("n_classes", n_classes, 2)
    n_clusters = check_integer("n_clusters_per_class", n_clusters_per_class, 1)
    n_features = check_integer("n_features", n_features, n_informative, " (n_informative)")
    class_sep = check_number("class_sep", class_sep, 0)
    flip_y = check_number("flip_y", flip_y, 0, 1)
    if n_classes * n_clusters > 2**n_informative:
        raise ValueError(
            f"n_informative must be {(n_classes * n_clusters - 1).bit_length()} or more, so that "
            f"each of the {n_classes} x {n_clusters} clusters (n_classes x n_clusters_per_class) "
            f"has a corner of its own, got {n_informative}."
        )
    rng = check_random_state(random_state)
    # its own shuffling would also permute the columns, and not tell how
    X, y = make_classification(
        n_samples,
        n_features,
        n_informative=n_informative,
        n_redundant=0,
        n_classes=n_classes,
        n_clusters_per_class=n_clusters,
        class_sep=class_sep,
        flip_y=flip_y,
        shuffle=False,
        random_state=rng,
    )
    X, y = shuffle(X, y, random_state=rng)
    return X, y.astype(np.int64), _first_columns(X.shape, n_informative)


def make_relevance_regression(n_samples=1000, n_features=10, *, noise=0.0, random_state=None):
    """Make a regression table in which the relevant columns are known.

    :func:`sklearn.datasets.make_friedman1`: of uniform columns, the first five make the target,
    ``10 sin(pi x0 x1) + 20 (x2 - .5) ** 2 + 10 x3 + 5 x4 + noise * N(0, 1)``.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows, 1 or more.
    n_features : int, default=10
        Number of columns, 5 or more.
    noise : float, default=0.0
        Standard deviation of the noise on the target, 0 or more, in units of y.
    random_state : int, RandomState instance or None, default=None
        Source of all draws. The same int gives the same bytes.

    Returns
    -------
    X : ndarray of float64, shape (n_samples, n_features)
        The table, uniform in [0, 1).
    y : ndarray of float64, shape (n_samples,)
        The target.
    relevance : ndarray of bool, shape (n_samples, n_features)
        True in the first five columns.

    Raises
    ------
    ValueError
        If a parameter is none of the above.

    See Also
    --------
    make_relevance_classification : The same for classes.

    Examples
    --------
    >>> from sgt_sklearn.datasets import make_relevance_regression
    >>> X, y, relevance = make_relevance_regression(100, 7, random_state=0)
    >>> relevance[0].tolist()
    [True, True, True, True, True, False, False]
    """
    n_samples = check_integer("n_samples", n_samples, 1)
    n_features = check_integer("n_features", n_features, _FRIEDMAN_COLUMNS)
    noise = check_number("noise", noise, 0)
    X, y = make_friedman1(n_samples, n_features, noise=noise, random_state=random_state)
    return X, y, _first_columns(X.shape, _FRIEDMAN_COLUMNS)


def _first_columns(shape, n):
    relevance = np.zeros(shape, dtype=bool)
    relevance[:, :n] = True
    return relevance
