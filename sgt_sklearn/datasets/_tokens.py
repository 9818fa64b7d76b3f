"""Sequences of tokens in which the tokens that tell the class are known."""

import numpy as np
from sklearn.utils import check_random_state

from sgt_sklearn.datasets._checks import check_integer

_FIRST_TOKEN = 2  # 0 is padding, 1 the unknown token


def make_relevance_tokens(
    n_samples=1000,
    *,
    n_classes=2,
    n_indicators=5,
    n_relevant=3,
    vocabulary_size=100,
    min_length=10,
    max_length=30,
    random_state=None,
):
    """Make sequences of tokens in which the relevant tokens are known.

    Each class has indicator tokens of its own; all other tokens are neutral. A sequence holds
    `n_relevant` indicators of its class at random places among neutral tokens, so that they tell
    the class and nothing else does: neither its neutral tokens, nor its length, nor the places.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of sequences, 1 or more.
    n_classes : int, default=2
        Number of classes, 2 or more.
    n_indicators : int, default=5
        Number of indicator tokens of each class, 1 or more.
    n_relevant : int, default=3
        Number of indicators in each sequence, 1 or more.
    vocabulary_size : int, default=100
        Number of token ids, the two special ones included: what the embedding of a network is
        made for. Large enough for the indicators and at least one neutral token.
    min_length : int, default=10
        Number of tokens of the shortest sequences, `n_relevant` or more.
    max_length : int, default=30
        Number of tokens of the longest sequences, `min_length` or more.
    random_state : int, RandomState instance or None, default=None
        Source of all draws. The same int gives the same bytes.

    Returns
    -------
    X : ndarray of int64, shape (n_samples, max_length)
        Token ids: 0 is padding, at the end of shorter sequences only; 1, the unknown token, does
        not occur; from 2 on the indicators, `n_indicators` for class 0, then for class 1 and so
        on; then the neutral tokens.
    y : ndarray of int64, shape (n_samples,)
        Classes 0 to ``n_classes - 1``, equally probable.
    relevance : ndarray of bool, shape (n_samples, max_length)
        True at the indicators.

    Raises
    ------
    ValueError
        If a parameter is none of the above.

    Notes
    -----
    Class and length (`min_length` to `max_length`, both included) are drawn uniformly and
    independently; the places without replacement from those of the sequence; each indicator
    uniformly from those of the class, and each other token uniformly from the neutral ones.

    Examples
    --------
    >>> from sgt_sklearn.datasets import make_relevance_tokens
    >>> X, y, relevance = make_relevance_tokens(
    ...     3,
    ...     n_indicators=2,
    ...     n_relevant=2,
    ...     vocabulary_size=12,
    ...     min_length=4,
    ...     max_length=7,
    ...     random_state=0,
    ... )
    >>> y
    array([0, 1, 1])
    >>> X
    array([[ 6,  2,  7,  3,  0,  0,  0],
           [ 9,  9,  8, 10,  4,  6,  5],
           [10,  4, 11,  6, 10,  5, 10]])
    >>> X[relevance].reshape(3, 2)
    array([[2, 3],
           [4, 5],
           [4, 5]])
    """
    n_samples = check_integer("n_samples", n_samples, 1)
    n_classes = check_integer("n_classes", n_classes, 2)
    n_indicators = check_integer("n_indicators", n_indicators, 1)
    n_relevant = check_integer("n_relevant", n_relevant, 1)
    first_neutral = _FIRST_TOKEN + n_classes * n_indicators
    vocabulary_size = check_integer(
        "vocabulary_size",
        vocabulary_size,
        first_neutral + 1,
        f" (two special ids, {n_classes} x {n_indicators} indicators, a neutral token)",
    )
    min_length = check_integer("min_length", min_length, n_relevant, " (n_relevant)")
    max_length = check_integer("max_length", max_length, min_length, " (min_length)")
    rng = check_random_state(random_state)

    y = rng.randint(n_classes, size=n_samples).astype(np.int64)
    lengths = rng.randint(min_length, max_length + 1, size=n_samples)
    valid = np.arange(max_length) < lengths[:, None]
    # the first places of a random order that has padding last
    order = np.argsort(np.where(valid, rng.uniform(size=valid.shape), np.inf), axis=1)
    relevance = np.zeros(valid.shape, dtype=bool)
    np.put_along_axis(relevance, order[:, :n_relevant], True, axis=1)
    neutral = rng.randint(first_neutral, vocabulary_size, size=valid.shape)
    indicators = _FIRST_TOKEN + y[:, None] * n_indicators
    indicators = indicators + rng.randint(n_indicators, size=valid.shape)
    X = np.where(relevance, indicators, np.where(valid, neutral, 0))
    return X, y, relevance
