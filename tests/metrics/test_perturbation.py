"""What replaced samples look like, seen through a scorer that is handed them."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sgt_sklearn import metrics
from sgt_sklearn.metrics import (
    comprehensiveness,
    comprehensiveness_gap,
    removal_curve,
    sufficiency,
    sufficiency_gap,
)


@pytest.fixture
def replaced(doubles):
    """Return a function from X and options to X with all groups replaced, one array a draw."""

    def replace(X, *, fraction=1.0, attributions=None, **options):
        y = np.arange(len(X)) % 2
        model = doubles.LinearSoftmax(np.zeros((2, X[0].size))).fit(X, y)
        seen = []

        def scorer(net, samples, y):
            seen.append(np.array(samples))
            return 0.0

        attributions = np.ones_like(X) if attributions is None else attributions
        options = {"attributions": attributions, "fractions": [fraction]} | options
        removal_curve(model, X, y, scoring=scorer, **options)
        return seen[::2]

    return replace


def row_numbers(shape, dtype=np.float64):
    """Return X whose cells hold the number of their row."""
    X = np.arange(shape[0], dtype=dtype).reshape(-1, *[1] * (len(shape) - 1))
    return np.tile(X, (1, *shape[1:]))


@pytest.mark.parametrize("shape", [(9, 6), (5, 4, 3), (6, 2, 3, 3), (2, 7)])
def test_marginal_takes_each_cell_from_another_row(replaced, shape):
    X = row_numbers(shape)
    draws = replaced(X, n_draws=40, random_state=0)
    assert all((draw != X).all() for draw in draws)
    donors = np.stack(draws)
    assert set(donors.ravel()) == set(range(shape[0]))
    # rows before and after the sample are drawn equally often
    for i in range(shape[0]):
        counts = np.bincount(donors[:, i].astype(int).ravel(), minlength=shape[0])
        expected = donors[:, i].size / (shape[0] - 1)
        others = np.delete(counts, i)
        assert np.abs(others - expected).max() < 5 * np.sqrt(expected)


def test_marginal_keeps_the_column(replaced):
    X = np.random.default_rng(0).standard_normal((20, 5))
    for draw in replaced(X, random_state=0):
        assert all(set(draw[:, j]) <= set(X[:, j]) for j in range(5))


def test_one_donor_serves_a_group(replaced):
    X = row_numbers((8, 2, 3, 3))
    pixels = np.tile(np.arange(9).reshape(1, 3, 3), (2, 1, 1))
    for draw in replaced(X, groups=pixels, random_state=0):
        assert (draw[:, 0] == draw[:, 1]).all()
        assert len(np.unique(draw[0, 0])) > 1


@pytest.mark.parametrize(
    ("shape", "axes"), [((9, 6), (0,)), ((5, 4, 3), (0, 1)), ((6, 2, 3, 3), (0, 2, 3))]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_mean_of_the_feature(replaced, shape, axes, dtype):
    X = (10 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    (draw,) = replaced(X, replacement="mean", n_draws=1)
    expected = np.broadcast_to(X.astype(float).mean(axis=axes, keepdims=True), shape)
    np.testing.assert_allclose(draw, expected, rtol=1e-6, atol=1e-6)
    assert draw.dtype == (np.float32 if dtype is np.float32 else np.float64)


def test_callable_gets_a_copy_and_the_generator(replaced):
    X = np.random.default_rng(0).standard_normal((6, 3))
    original = X.copy()

    def replacement(samples, rng):
        samples[:] = 0
        return samples + rng.randint(1, 1000)

    first, second = replaced(X, replacement=replacement, n_draws=2, random_state=0)
    assert (first == first[0, 0]).all()
    assert first[0, 0] != second[0, 0]
    assert np.array_equal(X, original)


def test_replaced_samples_keep_their_dtype(replaced):
    for dtype in (np.float32, np.int64, np.uint8):
        (draw,) = replaced(row_numbers((5, 4), dtype), n_draws=1)
        assert draw.dtype == dtype


@pytest.mark.parametrize("n_groups", [1, 3, 10, 30, 784])
@pytest.mark.parametrize("fraction", [0, 0.1, 0.3, 0.5, 0.7, 1])
def test_exactly_k_groups_are_replaced_under_ties(replaced, n_groups, fraction):
    X = row_numbers((3, n_groups))
    for draw in replaced(X, fraction=fraction, n_draws=2, random_state=0):
        k = round(fraction * n_groups * 10) // 10
        assert ((draw != X).sum(axis=1) == k).all()


def test_a_group_is_ranked_by_the_mean_of_its_members(replaced):
    X = row_numbers((4, 5))
    attributions = np.tile([-3.0, 3.0, 1.0, 4.0, 1.0], (4, 1))
    # means: a = 3, b = 2 (of 1, 4, 1); sums would put b first
    groups = ["a", "a", "b", "b", "b"]
    (draw,) = replaced(X, fraction=0.5, attributions=attributions, groups=groups, n_draws=1)
    assert ((draw != X) == [True, True, False, False, False]).all()


def test_names_of_groups_do_not_matter(softmax, table):
    X, _ = table
    value = sufficiency_gap(softmax, X, groups=[0, 0, 1, 1, 2, 2], random_state=0)
    assert sufficiency_gap(softmax, X, groups=[-5, -5, 7, 7, 90, 90], random_state=0) == value
    words = ["colour", "colour", "size", "size", "weight", "weight"]
    assert sufficiency_gap(softmax, X, groups=words, random_state=0) == value
    objects = np.array(words, dtype=object)
    assert sufficiency_gap(softmax, X, groups=objects, random_state=0) == value
    assert sufficiency_gap(softmax, X, random_state=0) != value


def test_groups_of_the_estimator(softmax, table):
    X, _ = table
    single = comprehensiveness(softmax, X, random_state=0)
    grouped = comprehensiveness(softmax, X, groups=[0, 0, 1, 1, 2, 2], random_state=0)
    softmax.feature_groups_ = np.array([0, 0, 1, 1, 2, 2])
    assert comprehensiveness(softmax, X, random_state=0) == grouped
    assert comprehensiveness(softmax, X, groups=range(6), random_state=0) == single
    softmax.feature_groups_ = None
    assert comprehensiveness(softmax, X, random_state=0) == single
    softmax.feature_groups_ = np.arange(5)
    with pytest.raises(ValueError, match=r"estimator.feature_groups_ must hold one label"):
        comprehensiveness(softmax, X)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"groups": [0, 1]}, ValueError, r"groups must .* = \(6,\) .* got shape \(2,\)"),
        ({"groups": np.zeros((60, 6), int)}, ValueError, r"got shape \(60, 6\)"),
        ({"groups": np.zeros(6)}, TypeError, "groups must hold integer or string labels"),
        ({"groups": [None] * 6}, TypeError, "got dtype object"),
        (
            {"replacement": "blur"},
            ValueError,
            "one of 'auto', 'marginal', 'mean', 'unknown' or a callable .* 'blur'",
        ),
        ({"replacement": 0.0}, TypeError, "replacement must be .* got 0.0 of type float"),
        ({"replacement": lambda X, rng: X[:1]}, ValueError, r"\(60, 6\), got \(1, 6\)"),
        ({"replacement": lambda X, rng: X * np.nan}, ValueError, "replacement must be finite"),
        ({"replacement": lambda X, rng: None}, TypeError, "replacement must be an array"),
        ({"n_draws": 0}, ValueError, "n_draws must be an integer >= 1, got 0"),
        ({"n_draws": 1.5}, TypeError, "n_draws must be an integer >= 1, got 1.5 of type float"),
        ({"n_draws": True}, TypeError, "n_draws must"),
        ({"fractions": []}, ValueError, "fractions must be a non-empty"),
        ({"fractions": 0.3}, ValueError, "fractions must be a non-empty"),
        ({"fractions": [0.1, 1.1]}, ValueError, r"numbers in \(0, 1\], got \[0.1, 1.1\]"),
        ({"fractions": [0.0]}, ValueError, r"\(0, 1\]"),
        ({"fractions": [np.nan]}, ValueError, "fractions must be finite"),
        ({"fractions": "all"}, TypeError, "fractions must be a sequence"),
        ({"fractions": ["a"]}, TypeError, "fractions must be an array of real numbers"),
        ({"random_state": "zero"}, ValueError, "cannot be used to seed"),
        ({"outcome": "margin"}, ValueError, "one of 'probability', 'flip', got 'margin'"),
        ({"outcome": None}, TypeError, "outcome must be one of 'probability', 'flip', got None"),
        ({"target": 7}, ValueError, r"a known label, one of \[0, 1, 2\], got 7"),
        ({"target": "all"}, ValueError, "a known label.* got 'all'"),
        ({"target": [0, 1]}, ValueError, r"one for each of the 60 samples .* shape \(2,\)"),
        ({"target": np.full(60, 3)}, ValueError, "got 3"),
        ({"attributions": np.ones((60, 5))}, ValueError, r"\(60, 6\), got \(60, 5\)"),
        ({"attributions": np.full((60, 6), np.nan)}, ValueError, "attributions must be finite"),
    ],
)
def test_bad_options(softmax, table, options, error, match):
    X, _ = table
    options = {"attributions": np.ones_like(X)} | options
    with pytest.raises(error, match=match):
        comprehensiveness(softmax, X, **options)


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (np.ones(6), ValueError, "Expected 2D array"),
        (np.empty((0, 6)), ValueError, r"0 sample\(s\)"),
        (np.full((3, 6), np.nan), ValueError, "Input X contains NaN"),
        (np.full((3, 6), np.inf), ValueError, "Input X contains infinity"),
        (np.ones((3, 6), complex), ValueError, "Complex data not supported"),
        ([["a"] * 6] * 3, ValueError, "string"),
        ({"X": np.ones((3, 6))}, TypeError, "X must be an array-like .* got a dict"),
        (np.ones((1, 6)), ValueError, 'X must have at least 2 samples for replacement="marg'),
    ],
)
def test_bad_X(softmax, X, error, match):
    with pytest.raises(error, match=match):
        comprehensiveness(softmax, X)


def test_mean_and_callable_work_with_one_sample(softmax, table):
    one = table[0][:1]
    assert np.isfinite(comprehensiveness(softmax, one, replacement="mean"))
    assert np.isfinite(comprehensiveness(softmax, one, replacement=lambda X, rng: X + 1))


def test_flip_needs_a_classifier(doubles, table):
    model = doubles.LinearRegressor(np.ones(6)).fit(*table)
    with pytest.raises(ValueError, match='outcome must be "probability" for a regressor'):
        comprehensiveness(model, table[0], outcome="flip")


def test_integer_X_of_a_sklearn_classifier():
    X = np.random.default_rng(0).integers(0, 9, (40, 4))
    y = X[:, 0] > 4
    model = LogisticRegression().fit(X, y)
    coef = np.broadcast_to(model.coef_, X.shape)
    for replacement in ("marginal", "mean"):
        options = {"attributions": coef, "replacement": replacement, "random_state": 0}
        assert sufficiency_gap(model, X, **options) > 0.05


@pytest.mark.parametrize(
    ("name", "shape", "labels"),
    [
        ("cell", (6,), np.arange(6)),
        ("feature", (6,), np.arange(6)),
        ("cell", (4, 3), np.arange(12).reshape(4, 3)),
        ("time", (4, 3), np.repeat(np.arange(4), 3).reshape(4, 3)),
        ("feature", (4, 3), np.tile(np.arange(3), (4, 1))),
        ("cell", (2, 3, 3), np.arange(18).reshape(2, 3, 3)),
        ("pixel", (2, 3, 3), np.tile(np.arange(9).reshape(1, 3, 3), (2, 1, 1))),
    ],
)
def test_groups_by_name(doubles, name, shape, labels):
    X = np.random.default_rng(0).standard_normal((12, *shape))
    model = doubles.LinearSoftmax().fit(X, np.arange(12) % 2)
    value = comprehensiveness(model, X, groups=labels, random_state=0)
    assert comprehensiveness(model, X, groups=name, random_state=0) == value
    # the name that the estimator was given goes before the labels of its training
    model.feature_groups, model.feature_groups_ = name, np.zeros(shape, int)
    assert comprehensiveness(model, X, random_state=0) == value


@pytest.mark.parametrize(
    ("name", "shape"),
    [("time", (6,)), ("pixel", (6,)), ("pixel", (4, 3)), ("token", (4, 3)), ("time", (2, 3, 3))],
)
def test_names_of_groups_that_do_not_fit(doubles, name, shape):
    X = np.random.default_rng(0).standard_normal((8, *shape))
    model = doubles.LinearSoftmax().fit(X, np.arange(8) % 2)
    with pytest.raises(ValueError, match=f"groups '{name}' does not fit samples of shape"):
        comprehensiveness(model, X, groups=name)


CLASS_TARGETS = ["a", 0.5, np.array(["a", "b"] * 6)]
MEASURES = [
    comprehensiveness,
    comprehensiveness_gap,
    sufficiency,
    sufficiency_gap,
    removal_curve,
    metrics.masking_consistency,
    metrics.infidelity,
    metrics.infidelity_gap,
    metrics.max_sensitivity,
    metrics.max_sensitivity_gap,
]


@pytest.mark.parametrize("target", CLASS_TARGETS, ids=["label", "number", "labels"])
@pytest.mark.parametrize("metric", MEASURES)
def test_class_targets_are_refused_for_regressors(doubles, metric, target):
    X = np.random.default_rng(0).standard_normal((12, 3))
    y = X[:, 0]
    regressor = doubles.LinearRegressor([1.0, 2.0, 0.0]).fit(X, y)
    match = "index of an output .* for a regressor, got .* class labels are for classifiers"
    with pytest.raises(ValueError, match=match):
        metric(regressor, X, y, target=target)
    if "sensitivity" not in metric.__name__:
        with pytest.raises(ValueError, match=match):
            metric(regressor, X, y, target=target, attributions=X)


@pytest.mark.parametrize("metric", MEASURES)
def test_unknown_labels_are_refused_for_classifiers(softmax, table, metric):
    X, y = table
    with pytest.raises(ValueError, match=r"a known label, one of \[0, 1, 2\], got 7"):
        metric(softmax, X, y, target=7)
