"""Temporal saliency rescaling against loops over single cells, on a numpy estimator."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from sgt_sklearn._series import padded
from sgt_sklearn.inspection import temporal_saliency_rescaling
from tests.inspection.slow_rescaling import slow_rescaling

RNG = np.random.default_rng(0)
SERIES = RNG.standard_normal((6, 9, 4))
LENGTHS = np.array([9, 4, 1, 7, 2, 5])
RAGGED = [x[:length] for x, length in zip(SERIES, LENGTHS, strict=True)]
WEIGHTS = RNG.standard_normal((3, 4))


def gradient(x, weights):
    """Gradient of ``tanh(w . sum of x over steps) + sum of (w . x[t]) ** 3`` for one series."""
    total = np.tanh(x.sum(axis=0) @ weights)
    inner = x @ weights
    return (1 - total**2) * weights + 3 * inner[:, None] ** 2 * weights


def by_sample(X, labels):
    """What an estimator does: any form of series in, the same form out."""
    array, lengths = padded(X, dtype=np.float64)
    if lengths is None:
        return np.array([gradient(x, WEIGHTS[c]) for x, c in zip(array, labels, strict=True)])
    values = np.full(array.shape, np.nan)
    for row, x, length, label in zip(values, array, lengths, labels, strict=True):
        row[:length] = gradient(x[:length], WEIGHTS[label])
    return values


class Classifier(ClassifierMixin, BaseEstimator):
    """Classes "a", "b", "c" by the largest of three nonlinear scores."""

    classes_ = np.array(["a", "b", "c"])

    def __init__(self):
        self.calls_ = []

    def predict(self, X):
        array, lengths = padded(X, dtype=np.float64)
        lengths = np.full(len(array), array.shape[1]) if lengths is None else lengths
        scores = [
            np.tanh(x[:n].sum(axis=0) @ WEIGHTS.T) + ((x[:n] @ WEIGHTS.T) ** 3).sum(axis=0)
            for x, n in zip(array, lengths, strict=True)
        ]
        return self.classes_[np.argmax(scores, axis=1)]

    def attribute(self, X, *, method, target, factor=1.0, **options):
        self.calls_.append((len(X["X"] if isinstance(X, dict) else X), target, options))
        return factor * by_sample(X, np.searchsorted(self.classes_, target))


class Regressor(RegressorMixin, BaseEstimator):
    def attribute(self, X, *, method, target):
        assert isinstance(target, str) and target == "predicted"
        return by_sample(X, np.zeros(len(X["X"] if isinstance(X, dict) else X), dtype=int))


def slow(X, labels, baseline=0.0, quantile=0.55):
    return [
        np.array(
            slow_rescaling(
                lambda values, label=label: gradient(np.array(values), WEIGHTS[label]).tolist(),
                x.tolist(),
                np.broadcast_to(baseline, x.shape).tolist(),
                quantile,
            )
        )
        for x, label in zip(X, labels, strict=True)
    ]


def predicted(X):
    return np.searchsorted(Classifier.classes_, Classifier().predict(X))


@pytest.mark.parametrize("quantile", [0.55, 0.0, 0.3, 1.0, 1])
def test_equals_the_slow_loop(quantile):
    expected = slow(SERIES, predicted(SERIES), quantile=quantile)
    values = temporal_saliency_rescaling(Classifier(), SERIES, quantile=quantile)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)
    assert values.shape == SERIES.shape
    assert values.min() >= 0 and values.max() <= 1


@pytest.mark.parametrize(
    "baseline",
    [0.7, [0.1, 0.2, 0.3, 0.4], RNG.standard_normal((9, 1)), RNG.standard_normal((9, 4))],
    ids=["number", "feature", "step", "cell"],
)
def test_baselines(baseline):
    expected = slow(SERIES, predicted(SERIES), baseline)
    values = temporal_saliency_rescaling(Classifier(), SERIES, baseline=baseline)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)


def test_the_largest_possible_quantile_tells_no_features_apart():
    values = temporal_saliency_rescaling(Classifier(), SERIES, quantile=1.0)
    assert (values == values[:, :, :1]).all()
    np.testing.assert_allclose(values.max(axis=(1, 2)), 0.1)


# which output is explained


def test_the_predicted_class_is_that_of_the_series_and_not_of_its_copies():
    net = Classifier()
    labels = net.predict(SERIES)
    hidden = SERIES.copy()
    hidden[:, :3] = 0.0
    assert (net.predict(hidden) != labels).any()
    temporal_saliency_rescaling(net, SERIES, batch_size=1)
    seen = np.concatenate([target for _, target, _ in net.calls_])
    # every copy of a sample comes before the first of the next one within each round
    n_steps = SERIES.shape[1]
    assert (seen[:6] == labels).all()
    assert (seen[6 : 6 + 6 * n_steps] == np.repeat(labels, n_steps)).all()
    above = (len(seen) - 6 - 6 * n_steps) // 6
    assert (seen[6 + 6 * n_steps :] == np.repeat(labels, above)).all()


@pytest.mark.parametrize("target", ["b", ["a", "c", "b", "b", "a", "c"]])
def test_labels_as_target(target):
    codes = np.searchsorted(Classifier.classes_, np.broadcast_to(target, 6))
    values = temporal_saliency_rescaling(Classifier(), SERIES, target=target)
    np.testing.assert_allclose(values, slow(SERIES, codes), rtol=0, atol=1e-12)
    assert np.abs(values - slow(SERIES, predicted(SERIES))).max() > 0.01


def test_regressor():
    values = temporal_saliency_rescaling(Regressor(), SERIES)
    np.testing.assert_allclose(values, slow(SERIES, np.zeros(6, dtype=int)), rtol=0, atol=1e-12)


def test_function_as_method():
    seen = []

    def method(X, target):
        seen.append(target)
        return by_sample(X, target)

    codes = predicted(SERIES)
    values = temporal_saliency_rescaling(None, SERIES, method=method, target=codes, batch_size=6)
    np.testing.assert_allclose(values, slow(SERIES, codes), rtol=0, atol=1e-12)
    assert (seen[0] == codes).all()
    labels = temporal_saliency_rescaling(
        Classifier(),
        SERIES,
        method=lambda X, target: by_sample(X, np.searchsorted(Classifier.classes_, target)),
    )
    assert (labels == values).all()


def test_options_and_baseline_go_to_the_estimator():
    net = Classifier()
    plain = temporal_saliency_rescaling(net, SERIES)
    assert all(options == {} for _, _, options in net.calls_)
    net = Classifier()
    options = {"n_steps": 7, "output": "margin"}
    values = temporal_saliency_rescaling(net, SERIES, factor=-3.0, **options)
    np.testing.assert_allclose(values, plain, rtol=0, atol=1e-12)
    assert all(seen == options for _, _, seen in net.calls_)
    net = Classifier()
    temporal_saliency_rescaling(net, RAGGED, baseline=[1.0, 2.0, 3.0, 4.0], batch_size=5)
    for n_rows, _, seen in net.calls_:
        assert n_rows <= 5 and seen["batch_size"] == 5
        assert (seen["baseline"] == [1.0, 2.0, 3.0, 4.0]).all()
        assert seen["baseline"].ndim == 2


# batches


@pytest.mark.parametrize("X", [SERIES, RAGGED], ids=["equal", "ragged"])
@pytest.mark.parametrize("batch_size", [1, 7, 10_000])
def test_batches_change_nothing_and_none_is_larger(X, batch_size):
    net = Classifier()
    values = temporal_saliency_rescaling(net, X, batch_size=batch_size)
    expected = slow(X, predicted(X))
    for value, one in zip(values, expected, strict=True):
        np.testing.assert_allclose(value, one, rtol=0, atol=1e-12)
    assert max(n_rows for n_rows, _, _ in net.calls_) <= batch_size


def test_passes_of_long_series_are_small():
    sizes = []

    def method(X, target):
        sizes.append(X.size)
        return np.cumsum(X**2, axis=1)

    X = RNG.standard_normal((1, 3000, 2)).astype(np.float32)
    temporal_saliency_rescaling(None, X, method=method, target=0, quantile=1.0)
    assert len(sizes) > 2 and max(sizes) <= 2**19


# series of unequal length


def forms(dtype=np.float64):
    ended = SERIES.astype(dtype)
    ended[np.arange(9) >= LENGTHS[:, None]] = np.nan
    garbage = SERIES.astype(dtype)
    garbage[np.arange(9) >= LENGTHS[:, None]] = 1e30
    return {
        "list": [x.astype(dtype) for x in RAGGED],
        "objects": np.array([*RAGGED, None], dtype=object)[:-1],
        "trailing NaN": ended,
        "dict": {"X": garbage, "lengths": LENGTHS},
        "dict of NaN": {"X": ended, "lengths": LENGTHS},
    }


@pytest.mark.parametrize("form", forms())
def test_series_of_unequal_length_are_explained_as_if_alone(form):
    X = forms()[form]
    values = temporal_saliency_rescaling(Classifier(), X)
    expected = slow(RAGGED, predicted(RAGGED))
    if form in ("list", "objects"):
        assert isinstance(values, list)
    else:
        assert values.shape == SERIES.shape
        assert (np.isnan(values) == (np.arange(9) >= LENGTHS[:, None])[:, :, None]).all()
    for value, one, x in zip(values, expected, RAGGED, strict=True):
        np.testing.assert_allclose(value[: len(x)], one, rtol=0, atol=1e-12)
        alone = temporal_saliency_rescaling(Classifier(), x[None])[0]
        np.testing.assert_allclose(value[: len(x)], alone, rtol=0, atol=1e-12)


def test_series_of_equal_length_in_a_list():
    values = temporal_saliency_rescaling(Classifier(), list(SERIES))
    assert isinstance(values, list)
    assert (np.array(values) == temporal_saliency_rescaling(Classifier(), SERIES)).all()


def test_lengths_that_are_given_are_passed_on():
    def method(X, target):
        assert (X["lengths"] == 9).all() and X["lengths"].dtype == np.int64
        return by_sample(X["X"], target)

    codes = predicted(SERIES)
    X = {"X": SERIES, "lengths": np.full(6, 9)}
    values = temporal_saliency_rescaling(None, X, method=method, target=codes)
    np.testing.assert_allclose(values, slow(SERIES, codes), rtol=0, atol=1e-12)


def test_copies_are_as_they_came_but_for_the_hidden_cells():
    seen = []

    def method(X, target):
        seen.append(X)
        return np.cumsum(X["X"] ** 2, axis=1)

    X = forms(np.float32)["dict"]
    temporal_saliency_rescaling(None, X, method=method, target=0, baseline=9.0, batch_size=1)
    array, lengths = padded(X)
    changed = []
    for call in seen:
        copy, length = call["X"][0], call["lengths"][0]
        assert copy.dtype == np.float32 and copy.shape == (length, 4)
        same = [
            i
            for i in np.flatnonzero(lengths == length)
            if ((copy == array[i, :length]) | (copy == 9.0)).all()
        ]
        assert len(same) == 1
        changed.append((same[0], (copy == 9.0).sum()))
    assert changed[:6] == [(i, 0) for i in range(6)]
    steps = [(i, 4) for i in range(6) for _ in range(LENGTHS[i])]
    assert changed[6 : 6 + len(steps)] == steps
    assert {n_hidden for _, n_hidden in changed[6 + len(steps) :]} == {1}


def test_steps_of_padding_do_not_enter_the_quantile():
    # of 3 steps, .55 lets one through; with 6 more of 0 it would be all three
    X = {"X": np.concatenate([SERIES[:2], SERIES[:2]], axis=1), "lengths": [3, 18]}
    values = temporal_saliency_rescaling(Classifier(), X, quantile=0.55)
    told_apart = (values[0, :3] != values[0, :3, :1]).any(axis=1)
    assert told_apart.sum() == 1


# scores without a range


def test_nothing_reacts():
    values = temporal_saliency_rescaling(
        None, SERIES, method=lambda X, target: np.full(X.shape, 0.3), target=0
    )
    assert (values == 0).all()


def test_rounding_is_no_reaction():
    def method(X, target):
        noise = np.random.default_rng(len(X)).standard_normal(X.shape)
        return (1 + 1e-7 * noise).astype(np.float32)

    values = temporal_saliency_rescaling(None, SERIES, method=method, target=0)
    assert (values == 0).all()


def test_all_steps_react_alike():
    # each step's gradient depends on that step only, and all steps are the same
    X = np.tile([[[1.0, 2.0]]], (1, 5, 1))
    values = temporal_saliency_rescaling(None, X, method=lambda X, target: 2 * X, target=0)
    np.testing.assert_allclose(values, 0.1)


def test_one_feature_is_explained_by_its_steps_alone():
    X = np.array([[1.0, 2.0, 4.0, 3.0]]).reshape(1, 4, 1)
    values = temporal_saliency_rescaling(None, X, method=lambda X, target: X, target=0)
    # scores 1, 2, 4, 3 scale to 0, 1/3, 1, 2/3; the quantile .55 lies at 2.65 of 1 to 4
    np.testing.assert_allclose(values[0, :, 0], [0.0, 0.1 / 3, 1.0, 2 / 3])


def test_one_step():
    X = SERIES[:, :1]
    values = temporal_saliency_rescaling(Classifier(), X)
    np.testing.assert_allclose(values, 0.1)
    np.testing.assert_allclose(values, slow(X, predicted(X)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
def test_numbers_of_the_copies(dtype):
    seen = set()

    def method(X, target):
        seen.add(X.dtype)
        return X**2

    X = np.round(4 * SERIES).astype(dtype)
    values = temporal_saliency_rescaling(None, X, method=method, target=0)
    assert seen == {np.dtype(np.float64 if dtype == np.float64 else np.float32)}
    assert values.dtype == np.float64


# bad input


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (SERIES[0], r"X must be an array of shape \(n_samples, n_timesteps, n_features\).*\[None"),
        (np.where(np.arange(4) == 1, np.nan, SERIES), "X must be finite inside each series"),
        ([RAGGED[0], np.zeros((0, 4))], "at least one step, got length 0 at position 1"),
        ([RAGGED[0], np.zeros((3, 5))], "same number of features"),
        ({"X": SERIES, "lengths": [10, 1, 1, 1, 1, 1]}, r'X\["lengths"\].* 1 to 9, got 1 to 10'),
        ([], "at least one series"),
    ],
)
def test_bad_series(X, match):
    with pytest.raises(ValueError, match=match):
        temporal_saliency_rescaling(Classifier(), X)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"quantile": "half"}, TypeError, "quantile must be a number in .* got 'half'"),
        ({"quantile": True}, TypeError, "quantile must be a number"),
        ({"quantile": 55}, ValueError, r"quantile must be a number in \[0, 1\], got 55"),
        ({"quantile": np.nan}, ValueError, "quantile must be a number"),
        ({"batch_size": 0}, ValueError, "batch_size must be an int of at least 1, got 0"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be an int of at least 1, got 2.0"),
        ({"batch_size": True}, TypeError, "batch_size must be an int"),
        ({"baseline": np.zeros(3)}, ValueError, r"baseline must broadcast .*\(9, 4\).*\(3,\)"),
        ({"baseline": np.zeros((6, 9, 4))}, ValueError, "baseline must broadcast"),
        ({"baseline": np.inf}, ValueError, "baseline must hold finite real numbers, got inf"),
        ({"baseline": "mean"}, ValueError, "baseline must hold finite real numbers, got 'mean'"),
        ({"target": "all"}, ValueError, "target must be .* got 'all'. Call once a label"),
        ({"target": ["a", "b"]}, ValueError, r"target must be .*\(6,\), got \['a', 'b'\]"),
        (
            {"method": lambda X, target: X, "output": "margin"},
            TypeError,
            r"options are for a method .* got \['output'\]",
        ),
        (
            {"method": lambda X, target: X[:, 0]},
            ValueError,
            r"method must return real attributions .*\(6, 9, 4\), got float64 of shape \(6, 4\)",
        ),
        ({"method": lambda X, target: X * 1j}, ValueError, "method must return real attributions"),
        (
            {"method": lambda X, target: np.where(X[3, 1, 0] == X, np.nan, X)},
            ValueError,
            "method must return finite attributions, got NaN or infinity for sample 3",
        ),
    ],
)
def test_bad_options(options, error, match):
    with pytest.raises(error, match=match):
        temporal_saliency_rescaling(Classifier(), SERIES, **options)


def test_infinity_in_the_attributions_of_a_masked_copy():
    def method(X, target):
        return np.where((X == 0).any(axis=(1, 2), keepdims=True) & (X[:, :1] == X), np.inf, X)

    with pytest.raises(ValueError, match="finite attributions, got NaN or infinity for sample 0"):
        temporal_saliency_rescaling(None, SERIES, method=method, target=0)


def test_estimators_that_cannot_explain():
    with pytest.raises(TypeError, match=r"`predict` or `attribute`, got object; or pass a funct"):
        temporal_saliency_rescaling(object(), SERIES, target=0)
    for neither in (None, object()):
        with pytest.raises(ValueError, match="neither a classifier nor a regressor"):
            temporal_saliency_rescaling(neither, SERIES, method=lambda X, target: X)

    class PerStep(Classifier):
        def predict(self, X):
            return np.full((6, 9), 2)

    with pytest.raises(ValueError, match=r"one label a sample .* shape \(6, 9\)"):
        temporal_saliency_rescaling(PerStep(), SERIES)
