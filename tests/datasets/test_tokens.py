"""Token sequences with known relevance, against their definition."""

import math

import numpy as np
import pytest

from sgt_sklearn.datasets import make_relevance_tokens

N = 6000
OPTIONS = {
    "n_classes": 3,
    "n_indicators": 4,
    "n_relevant": 2,
    "vocabulary_size": 30,
    "min_length": 3,
    "max_length": 9,
}
FIRST_NEUTRAL = 2 + 3 * 4


@pytest.fixture(scope="module")
def drawn():
    return make_relevance_tokens(N, random_state=0, **OPTIONS)


def lengths_of(X):
    return (X != 0).sum(axis=1)


def assert_uniform(values, low, high):
    """Each of low .. high - 1 is equally frequent."""
    assert (values.min(), values.max()) == (low, high - 1)
    counts = np.bincount(values - low, minlength=high - low)
    chi2 = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    freedom = high - low - 1
    assert chi2 < freedom + 5 * math.sqrt(2 * freedom)


def test_each_sequence(drawn):
    X, y, relevance = drawn
    assert X.shape == relevance.shape == (N, 9)
    assert (X.dtype, y.dtype, relevance.dtype) == (np.int64, np.int64, bool)
    for tokens, label, relevant in zip(X.tolist(), y.tolist(), relevance.tolist(), strict=True):
        length = next((i for i, token in enumerate(tokens) if token == 0), 9)
        assert all(token == 0 for token in tokens[length:])  # trailing only
        assert all(token >= 2 for token in tokens[:length])
        indicators = range(2 + 4 * label, 2 + 4 * (label + 1))
        assert [token in indicators for token in tokens] == relevant
        assert sum(relevant) == 2
        others = [token for token, r in zip(tokens[:length], relevant, strict=False) if not r]
        assert all(FIRST_NEUTRAL <= token < 30 for token in others)


def test_draws_are_uniform(drawn):
    X, y, relevance = drawn
    assert_uniform(y, 0, 3)
    assert_uniform(lengths_of(X), 3, 10)
    assert_uniform(X[relevance], 2, FIRST_NEUTRAL)
    assert_uniform(X[(X != 0) & ~relevance], FIRST_NEUTRAL, 30)
    for length in (3, 6, 9):
        rows = lengths_of(X) == length
        first, second = np.sort(np.nonzero(relevance[rows])[1].reshape(-1, 2)).T
        pairs = first * length + second
        counts = np.unique(pairs, return_counts=True)[1]
        assert len(counts) == math.comb(length, 2)
        chi2 = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
        assert chi2 < len(counts) - 1 + 5 * math.sqrt(2 * len(counts))


def test_only_relevant_tokens_depend_on_the_class(drawn):
    X, y, relevance = drawn
    for values in (lengths_of(X), relevance.argmax(axis=1), np.where(relevance, 0, X).max(axis=1)):
        means = [values[y == label].mean() for label in range(3)]
        error = values.std() * math.sqrt(2 / (N / 3))
        assert np.ptp(means) < 4.5 * error
    # the two indicators of a sequence are drawn independently
    pairs = X[relevance].reshape(-1, 2) - 2 - 4 * y[:, None]
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 4.5 / math.sqrt(N)


def test_defaults():
    X, y, relevance = make_relevance_tokens(random_state=0)
    assert X.shape == (1000, 30)
    assert X.max() == 99
    assert (lengths_of(X).min(), lengths_of(X).max()) == (10, 30)
    assert (relevance.sum(axis=1) == 3).all()
    assert set(np.unique(X[relevance & (y == 0)[:, None]])) == set(range(2, 7))
    assert set(np.unique(X[relevance & (y == 1)[:, None]])) == set(range(7, 12))


def test_smallest():
    X, y, relevance = make_relevance_tokens(
        1,
        n_indicators=1,
        n_relevant=1,
        vocabulary_size=5,
        min_length=1,
        max_length=1,
        random_state=0,
    )
    assert X.tolist() == [[2 + y[0]]]
    assert relevance.all()


def test_same_random_state_same_bytes():
    one, two = (make_relevance_tokens(40, random_state=4) for _ in range(2))
    generator = np.random.RandomState(4)
    three, onwards = (make_relevance_tokens(40, random_state=generator) for _ in range(2))
    for a, b, c in zip(one, two, three, strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()
    assert not np.array_equal(one[0], onwards[0])
    assert not np.array_equal(one[0], make_relevance_tokens(40, random_state=5)[0])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_samples": 0}, r"n_samples must be an integer, 1 or more, got 0"),
        ({"n_samples": 1.0}, r"n_samples must be an integer, 1 or more, got 1.0"),
        ({"n_classes": 1}, r"n_classes must be an integer, 2 or more"),
        ({"n_indicators": 0}, r"n_indicators must be an integer, 1 or more"),
        ({"n_relevant": 0}, r"n_relevant must be an integer, 1 or more"),
        ({"vocabulary_size": 12}, r"vocabulary_size must be .* 13 or more .* 2 x 5 .* got 12"),
        ({"min_length": 2}, r"min_length must be .* 3 or more \(n_relevant\), got 2"),
        ({"max_length": 9}, r"max_length must be .* 10 or more \(min_length\), got 9"),
        ({"max_length": None}, r"max_length must be .* got None"),
        ({"random_state": "seed"}, "seed"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_relevance_tokens(**parameters)
