"""Tables with known relevance, against their definition and scikit-learn's generators."""

import math

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

from sgt_sklearn.datasets import make_relevance_classification, make_relevance_regression

BOTH = [make_relevance_classification, make_relevance_regression]


@pytest.mark.parametrize("make", BOTH)
def test_forms(make):
    X, y, relevance = make(30, 12, random_state=0)
    assert X.shape == relevance.shape == (30, 12)
    assert y.shape == (30,)
    assert (X.dtype, relevance.dtype) == (np.float64, bool)
    assert (relevance == (np.arange(12) < 5)).all()
    relevance[0, 0] = False  # rows are no views of one another
    assert relevance[1, 0]
    assert make(random_state=0)[0].shape == (1000, 10 if make is make_relevance_regression else 20)


@pytest.mark.parametrize("make", BOTH)
def test_same_random_state_same_bytes(make):
    one, two = make(30, random_state=4), make(30, random_state=4)
    generator = np.random.RandomState(4)
    three, onwards = make(30, random_state=generator), make(30, random_state=generator)
    for a, b, c in zip(one, two, three, strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()
    assert (one[0] != onwards[0]).all()
    assert (one[0] != make(30, random_state=5)[0]).all()


def test_classification_is_that_of_sklearn_with_rows_in_another_order():
    X, y, _ = make_relevance_classification(
        300,
        9,
        n_informative=4,
        n_classes=3,
        n_clusters_per_class=3,
        class_sep=0.7,
        flip_y=0.2,
        random_state=6,
    )
    expected, labels = make_classification(
        300,
        9,
        n_informative=4,
        n_redundant=0,
        n_classes=3,
        n_clusters_per_class=3,
        class_sep=0.7,
        flip_y=0.2,
        shuffle=False,
        random_state=6,
    )
    order, ordered = np.argsort(X[:, 0]), np.argsort(expected[:, 0])
    np.testing.assert_array_equal(X[order], expected[ordered])
    np.testing.assert_array_equal(y[order], labels[ordered])
    assert not np.array_equal(X, expected)


def test_rows_of_the_classes_are_mixed():
    _, y, _ = make_relevance_classification(1000, random_state=0)
    assert y.dtype == np.int64
    assert abs(y[:500].mean() - 0.5) < 0.1
    assert abs((y[1:] == y[:-1]).mean() - 0.5) < 0.1


def test_relevant_columns_tell_the_class_and_others_do_not():
    X, y, relevance = make_relevance_classification(1500, 40, n_informative=6, random_state=0)
    columns = relevance[0]
    assert columns.sum() == 6
    forest = RandomForestClassifier(50, random_state=0)
    assert cross_val_score(forest, X[:, columns], y, cv=3).mean() > 0.8
    chance = cross_val_score(forest, X[:, ~columns], y, cv=3).mean()
    assert abs(chance - 0.5) < 4.5 * 0.5 / math.sqrt(1500)
    noise = X[:, ~columns]
    assert np.abs(np.corrcoef(noise.T) - np.eye(34)).max() < 5 / math.sqrt(1500)
    assert np.abs(np.corrcoef(noise.T, X[:, columns].T)[:34, 34:]).max() < 5 / math.sqrt(1500)


def test_every_parameter_of_the_classification():
    def accuracy(**parameters):
        X, y, _ = make_relevance_classification(600, random_state=0, **parameters)
        forest = RandomForestClassifier(30, random_state=0)
        return cross_val_score(forest, X, y, cv=3).mean()

    assert accuracy(class_sep=4.0) > accuracy(class_sep=0.3) + 0.15
    assert accuracy(class_sep=4.0) > accuracy(class_sep=4.0, flip_y=0.5) + 0.15
    _, y, relevance = make_relevance_classification(
        999, n_informative=3, n_classes=4, random_state=0
    )
    assert np.bincount(y).min() > 200
    assert relevance[0].sum() == 3
    # by one cluster a class the labels are linear in a single column, far apart
    X, y, _ = make_relevance_classification(
        400, 2, n_informative=1, n_clusters_per_class=1, class_sep=50, flip_y=0, random_state=0
    )
    assert len(np.unique(y[X[:, 0] > 0])) == 1


def test_regression_target_is_the_formula():
    X, y, relevance = make_relevance_regression(500, 8, random_state=0)
    assert X.min() >= 0
    assert X.max() < 1
    expected = [
        10 * math.sin(math.pi * a * b) + 20 * (c - 0.5) ** 2 + 10 * d + 5 * e
        for a, b, c, d, e in X[:, relevance[0]].tolist()
    ]
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_regression_noise():
    X, clean, _ = make_relevance_regression(20_000, random_state=0)
    same, noisy, _ = make_relevance_regression(20_000, noise=3.0, random_state=0)
    np.testing.assert_array_equal(X, same)
    assert (noisy - clean).std() == pytest.approx(3, rel=4.5 / math.sqrt(40_000))


@pytest.mark.parametrize(
    ("make", "parameters", "message"),
    [
        (make_relevance_classification, {"n_samples": 0}, "n_samples must be an integer, 1"),
        (make_relevance_regression, {"n_samples": 2.0}, "n_samples must be an integer, 1"),
        (make_relevance_regression, {"n_samples": "9"}, "n_samples must be an integer, 1"),
        (make_relevance_regression, {"n_features": 4}, "n_features must be an integer, 5"),
        (
            make_relevance_classification,
            {"n_features": 4},
            r"n_features must be an integer, 5 or more \(n_informative\), got 4",
        ),
        (make_relevance_classification, {"n_informative": 0}, "n_informative must be an integer"),
        (
            make_relevance_classification,
            {"n_classes": 5, "n_informative": 3},
            r"n_informative must be 4 or more.* 5 x 2 clusters .* got 3",
        ),
        (make_relevance_classification, {"n_classes": 1}, "n_classes must be an integer, 2"),
        (
            make_relevance_classification,
            {"n_clusters_per_class": 0},
            "n_clusters_per_class must be an integer, 1",
        ),
        (make_relevance_classification, {"class_sep": -1}, "class_sep must be a finite number, 0"),
        (make_relevance_classification, {"class_sep": np.inf}, "class_sep must be a finite"),
        (make_relevance_classification, {"flip_y": 1.1}, "flip_y must be a finite number, 0 to 1"),
        (make_relevance_classification, {"flip_y": np.nan}, "flip_y must be a finite number"),
        (make_relevance_classification, {"flip_y": "all"}, "flip_y must be .* got 'all'"),
        (make_relevance_regression, {"noise": -0.1}, "noise must be a finite number, 0 or more"),
        (make_relevance_regression, {"noise": True}, "noise must be a finite number, 0 or more"),
        (make_relevance_regression, {"random_state": "seed"}, "seed"),
    ],
)
def test_bad_parameters(make, parameters, message):
    with pytest.raises(ValueError, match=message):
        make(**parameters)


def test_fewest_informative_columns_that_do():
    _, y, _ = make_relevance_classification(64, n_informative=4, n_classes=8, random_state=0)
    assert len(np.unique(y)) == 8
    with pytest.raises(ValueError, match="n_informative must be 4 or more"):
        make_relevance_classification(64, n_informative=3, n_classes=8)
