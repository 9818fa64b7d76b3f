"""Time series with known relevance, against their definition."""

import math

import numpy as np
import pytest

from sgt_sklearn.datasets import (
    TIME_SERIES_KINDS,
    TIME_SERIES_PROCESSES,
    make_relevance_time_series,
)

# written out from the definition: size and start as (time, feature)
FIXED = {
    "middle": ((30, 30), (10, 10)),
    "small_middle": ((14, 14), (18, 18)),
    "rare_time": ((6, 40), (22, 5)),
    "rare_feature": ((40, 6), (5, 22)),
}
MOVING = {
    "moving_middle": (30, 30),
    "moving_small_middle": (15, 15),
    "moving_rare_time": (6, 40),
    "moving_rare_feature": (40, 6),
}
POSITIONAL = {"positional_time": 0, "positional_feature": 1}
N = 2000


@pytest.fixture(scope="module", params=TIME_SERIES_KINDS)
def drawn(request):
    """One large draw of each kind: (kind, X, y, relevance)."""
    return request.param, *make_relevance_time_series(request.param, n_samples=N, random_state=5)


def corners(relevance):
    """First and last covered position of each sample and axis, found by looking at every cell."""
    first, last = [], []
    for mask in relevance:
        cells = np.argwhere(mask)
        first.append(cells.min(axis=0))
        last.append(cells.max(axis=0))
    return np.array(first), np.array(last)


def shift_of(kind, y):
    return np.ones(len(y)) if kind in POSITIONAL else np.where(y == 1, 1.0, -1.0)


def test_names():
    assert set(TIME_SERIES_KINDS) == {*FIXED, *MOVING, *POSITIONAL}
    assert set(TIME_SERIES_PROCESSES) == {
        *("gaussian", "harmonic", "gaussian_process", "pseudo_periodic", "autoregressive"),
        *("continuous_autoregressive", "narma"),
    }


def test_forms_and_balance(drawn):
    _, X, y, relevance = drawn
    assert X.shape == relevance.shape == (N, 50, 50)
    assert (X.dtype, y.dtype, relevance.dtype) == (np.float64, np.int64, bool)
    assert set(np.unique(y)) == {0, 1}
    assert abs(y.mean() - 0.5) < 4.5 * 0.5 / math.sqrt(N)


def test_place_and_size(drawn):
    kind, _, y, relevance = drawn
    first, last = corners(relevance)
    size = last - first + 1
    assert (relevance.sum(axis=(1, 2)) == size.prod(axis=1)).all()  # a full box
    if kind in FIXED:
        assert (size == FIXED[kind][0]).all()
        assert (first == FIXED[kind][1]).all()
    elif kind in MOVING:
        assert (size == MOVING[kind]).all()
        for axis in (0, 1):
            assert_uniform(first[:, axis], 50 - MOVING[kind][axis], y)
        assert abs(np.corrcoef(first.T)[0, 1]) < 4.5 / math.sqrt(N)
    else:
        axis = POSITIONAL[kind]
        assert (size == 20).all()
        assert (first[:, axis] == np.where(y == 1, 1, 29)).all()
        assert_uniform(first[:, 1 - axis], 30, y)


def assert_uniform(starts, upper, y):
    """Starts take each of 0 .. upper - 1 equally often, whatever the class."""
    assert (starts.min(), starts.max()) == (0, upper - 1)
    for group in (starts, starts[y == 0], starts[y == 1]):
        counts = np.bincount(group, minlength=upper)
        chi2 = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
        assert chi2 < upper - 1 + 4.5 * math.sqrt(2 * (upper - 1))


def test_gaussian_cells(drawn):
    kind, X, y, relevance = drawn
    assert_normal(X[~relevance], 0)
    for label in (0, 1):
        inside = X[y == label][relevance[y == label]]
        assert_normal(inside, 1 if kind in POSITIONAL else (-1, 1)[label])


def assert_normal(values, mean):
    z, centred = math.sqrt(values.size), values - mean
    squares = centred * centred  # numpy's powers above 2 take twenty times as long
    assert abs(values.mean() - mean) * z < 4.5
    assert abs(values.std() - 1) * z * math.sqrt(2) < 4.5
    assert abs((squares * centred).mean()) * z / math.sqrt(15) < 4.5
    assert abs((squares * squares).mean() - 3) * z / math.sqrt(96) < 4.5


def test_what_is_left_without_the_box_says_nothing_about_the_class(drawn):
    kind, X, y, relevance = drawn
    rest = X - shift_of(kind, y)[:, None, None] * relevance
    difference = rest[y == 1].mean(axis=0) - rest[y == 0].mean(axis=0)
    assert np.abs(difference).max() * math.sqrt(N) / 2 < 5.5


@pytest.mark.parametrize("process", TIME_SERIES_PROCESSES)
@pytest.mark.parametrize("kind", FIXED)
def test_classes_differ_by_two_in_the_box_and_nowhere_else(kind, process):
    X, y, relevance = make_relevance_time_series(kind, process, 1000, random_state=1)
    difference = X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)
    error = np.sqrt(
        X[y == 1].var(axis=0) / (y == 1).sum() + X[y == 0].var(axis=0) / (y == 0).sum()
    )
    z = (difference - 2 * relevance[0]) / error
    # in correlated processes neighbours deviate together, so that the largest is smaller yet
    assert np.abs(z).max() < 5.5


@pytest.mark.parametrize("process", TIME_SERIES_PROCESSES)
def test_boxes_are_added_to_the_process(process):
    """Draws of two kinds with fixed boxes differ by the boxes alone."""
    X, y, relevance = make_relevance_time_series("middle", process, 50, random_state=2)
    other, same_y, smaller = make_relevance_time_series(
        "small_middle", process, 50, random_state=2
    )
    np.testing.assert_array_equal(y, same_y)
    label = shift_of("middle", y)[:, None, None]
    np.testing.assert_allclose(X - other, label * (relevance & ~smaller), atol=1e-12)


@pytest.mark.parametrize("process", TIME_SERIES_PROCESSES)
@pytest.mark.parametrize("kind", [*MOVING, *POSITIONAL])
def test_moving_boxes_in_every_process(kind, process):
    """Inside a box the mean is above that of the same cells of other samples by the shift."""
    X, y, relevance = make_relevance_time_series(kind, process, 600, random_state=3)
    rest = X - shift_of(kind, y)[:, None, None] * relevance
    cells = rest.mean(axis=0)
    gap = [(rest[i] - cells)[relevance[i]].mean() for i in range(len(X))]
    # one signal a feature or one for all: samples are independent in any case
    assert abs(np.mean(gap)) < 4.5 * np.std(gap) / math.sqrt(len(X))
    raw = [(X[i] - cells)[relevance[i]].mean() * shift_of(kind, y)[i] for i in range(len(X))]
    assert np.mean(raw) == pytest.approx(1, abs=4.5 * np.std(raw) / math.sqrt(len(X)))


def test_autoregressive_autocorrelation_of_the_returned_series():
    X, _, relevance = make_relevance_time_series(
        "rare_time", "autoregressive", 1000, random_state=0
    )
    X = X[:, :, ~relevance[0].any(axis=0)]  # features without a box
    variance = 0.25 * (1 - 0.81 ** np.arange(1, 51)) / (1 - 0.81)
    step = np.arange(50)
    expected = 0.9 ** np.abs(step[:, None] - step) * variance[np.minimum(step[:, None], step)]
    expected += 0.09 * np.eye(50)
    series = X.transpose(0, 2, 1).reshape(-1, 50)
    found = series.T @ series / len(series)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.abs((found - expected) / scale).max() < 5.5 * math.sqrt(2 / len(series))


def test_harmonic_features_share_the_signal_and_differ_by_noise():
    X, _, relevance = make_relevance_time_series("rare_feature", "harmonic", 200, random_state=0)
    X = X[:, :, ~relevance[0].any(axis=0)]
    within = X.var(axis=2, ddof=1).mean()
    assert within == pytest.approx(0.09, rel=4.5 * math.sqrt(2 / X.size))
    signal = X.mean(axis=2)
    assert np.abs(signal).max() < 1 + 5 * 0.3 / math.sqrt(X.shape[2])
    # the times are irregular and of each sample: no step has a sign of its own
    assert np.abs(signal[:, 5:45].mean(axis=0)).max() < 0.35
    assert (signal**2).mean() == pytest.approx(0.5 + 0.09 / X.shape[2], abs=0.03)


@pytest.mark.parametrize("process", TIME_SERIES_PROCESSES)
@pytest.mark.parametrize("kind", ["rare_time", "moving_middle", "positional_feature"])
def test_same_random_state_same_bytes(kind, process):
    one = make_relevance_time_series(kind, process, 6, random_state=11)
    two = make_relevance_time_series(kind, process, 6, random_state=11)
    generator = np.random.RandomState(11)
    three = make_relevance_time_series(kind, process, 6, random_state=generator)
    onwards = make_relevance_time_series(kind, process, 6, random_state=generator)
    other = make_relevance_time_series(kind, process, 6, random_state=12)
    for a, b, c in zip(one, two, three, strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()
    assert (one[0] != onwards[0]).all()
    assert (one[0] != other[0]).all()


def test_none_draws_from_the_global_generator():
    np.random.seed(3)  # noqa: NPY002
    X, _, _ = make_relevance_time_series(n_samples=2)
    again, _, _ = make_relevance_time_series(n_samples=2)
    expected, _, _ = make_relevance_time_series(n_samples=2, random_state=3)
    np.testing.assert_array_equal(X, expected)
    assert (again != X).all()


def test_defaults():
    X, y, relevance = make_relevance_time_series(random_state=0)
    named = make_relevance_time_series("rare_time", "gaussian", 1000, 0)
    for a, b in zip((X, y, relevance), named, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n_samples", [1, np.int32(2)])
def test_few_samples(n_samples):
    X, y, relevance = make_relevance_time_series(n_samples=n_samples, random_state=0)
    assert X.shape == relevance.shape == (n_samples, 50, 50)
    assert y.shape == (n_samples,)


@pytest.mark.parametrize("bad", ["rare", "RARE_TIME", "", None, 3, ["middle"]])
def test_unknown_kind(bad):
    with pytest.raises(ValueError, match=r"^kind must be one of") as error:
        make_relevance_time_series(bad)
    assert all(kind in str(error.value) for kind in TIME_SERIES_KINDS)
    assert repr(bad) in str(error.value)


@pytest.mark.parametrize("bad", ["gauss", None, 0, ("gaussian",)])
def test_unknown_process(bad):
    with pytest.raises(ValueError, match=r"^process must be one of") as error:
        make_relevance_time_series(process=bad)
    assert all(process in str(error.value) for process in TIME_SERIES_PROCESSES)
    assert repr(bad) in str(error.value)


@pytest.mark.parametrize("bad", [0, -1, 2.0, 1.5, "10", None, True, np.nan, [3]])
def test_bad_number_of_samples(bad):
    with pytest.raises(ValueError, match=r"^n_samples must be an integer, 1 or more, got "):
        make_relevance_time_series(n_samples=bad)


@pytest.mark.parametrize("bad", ["seed", -1, 0.5])
def test_bad_random_state(bad):
    with pytest.raises(ValueError):
        make_relevance_time_series(n_samples=1, random_state=bad)
