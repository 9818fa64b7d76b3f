"""Windows of one long series, against a loop over their definition."""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score

from sgt_sklearn.preprocessing import SlidingWindow

SIZES = list(itertools.product([1, 2, 5], [1, 2, 3, 7], [1, 2, 3, 5]))  # length, horizon, stride


def by_definition(series, target, length, horizon, stride):
    """Windows and targets of two-dimensional nested lists, step by step."""
    X, y, start = [], [], 0
    while start + length + horizon <= len(series):
        X.append([series[start + t] for t in range(length)])
        ahead = [target[start + length + h] for h in range(horizon)]
        y.append([value for step in ahead for value in step])
        start += stride
    return X, y


@pytest.mark.parametrize(("length", "horizon", "stride"), SIZES)
@pytest.mark.parametrize("n_steps", [12, 13, 29])
def test_windows_and_targets(length, horizon, stride, n_steps):
    series = np.random.default_rng(0).normal(size=(n_steps, 3))
    X, y = SlidingWindow(length, horizon, stride).make(series)
    expected_X, expected_y = by_definition(
        series.tolist(), series.tolist(), length, horizon, stride
    )
    assert X.tolist() == expected_X
    assert y.tolist() == expected_y


@pytest.mark.parametrize(("length", "horizon", "stride"), SIZES)
def test_target_times_and_last_window(length, horizon, stride):
    series = np.arange(30.0)
    windows = SlidingWindow(length, horizon, stride)
    X, y = windows.make(series)
    times = windows.target_times(series)
    first = y if horizon == 1 else y[:, 0]
    assert y.shape == ((len(X),) if horizon == 1 else (len(X), horizon))
    assert times.dtype == np.int64
    assert times.tolist() == first.tolist()
    assert times.tolist() == windows.target_times(30).tolist()
    assert windows.last(series)[0, :, 0].tolist() == list(range(30 - length, 30))
    assert windows.last(series[-length:]).shape == (1, length, 1)


@pytest.mark.parametrize(
    ("columns", "positions"),
    [(0, [0]), (-1, [2]), ([2, 0], [2, 0]), ("b", [1]), (["c", 0], [2, 0]), (np.int64(1), [1])],
)
@pytest.mark.parametrize("horizon", [1, 2])
def test_target_columns(columns, positions, horizon):
    frame = pd.DataFrame(
        np.random.default_rng(0).normal(size=(10, 3)),
        columns=["a", "b", "c"],
        index=pd.date_range("2020-01-01", periods=10),
    )
    windows = SlidingWindow(4, horizon, target_columns=columns)
    X, y = windows.make(frame)
    values = frame.to_numpy()
    expected_X, expected_y = by_definition(
        values.tolist(), values[:, positions].tolist(), 4, horizon, 1
    )
    assert X.tolist() == expected_X
    assert y.reshape(len(X), -1).tolist() == expected_y
    assert y.ndim == (1 if len(expected_y[0]) == 1 else 2)
    assert frame.index[windows.target_times(frame)][0] == pd.Timestamp("2020-01-05")


def test_order_of_several_targets():
    series = np.array([[10 * t, 10 * t + 1] for t in range(6)])
    _, y = SlidingWindow(3, horizon=3).make(series)
    assert y.tolist() == [[30, 31, 40, 41, 50, 51]]
    assert y.reshape(len(y), 3, 2)[0, 1].tolist() == [40, 41]


def test_separate_target():
    rng = np.random.default_rng(0)
    series, target = rng.normal(size=(15, 2)), rng.normal(size=15)
    X, y = SlidingWindow(4, horizon=2, stride=3).make(series, target)
    expected_X, expected_y = by_definition(series.tolist(), target[:, None].tolist(), 4, 2, 3)
    assert X.tolist() == expected_X
    assert y.tolist() == expected_y


@pytest.mark.parametrize(
    "target",
    [
        np.arange(6),
        np.array(["up", "down", "up", "up", "down", "up"]),
        pd.Series(["up", "down", "up", "up", "down", "up"]),
        np.array([True, False, True, True, False, True]),
    ],
    ids=["integers", "strings", "pandas", "booleans"],
)
def test_labels_keep_their_type(target):
    _, y = SlidingWindow(2).make(np.zeros(6), target)
    assert y.dtype.kind == np.asarray(target).dtype.kind
    assert y.tolist() == list(target)[2:]


@pytest.mark.parametrize(
    ("given", "made"),
    [("float32", "float32"), ("float64", "float64"), ("int16", "float64"), ("bool", "float64")],
)
def test_type_of_windows(given, made):
    X, y = SlidingWindow(2).make(np.ones(5, dtype=given))
    assert X.dtype == y.dtype == made


def test_nullable_columns():
    frame = pd.DataFrame({"a": pd.array([1, 2, 3, 4], dtype="Int64"), "b": [0.5, 1.5, 2.5, 3.5]})
    X, _ = SlidingWindow(2).make(frame)
    assert X[0].tolist() == [[1.0, 0.5], [2.0, 1.5]]


def test_windows_are_copies():
    series = np.zeros(10)
    windows = SlidingWindow(3)
    X, y = windows.make(series)
    last = windows.last(series)
    for result in (X, y, last):
        result += 1
    assert (series == 0).all()
    assert (X == 1).all()


@pytest.mark.parametrize(("length", "horizon", "stride"), SIZES)
@pytest.mark.parametrize("sizes", [{}, {"max_train_size": 4}, {"test_size": 2}])
def test_no_training_target_reaches_a_test_target(length, horizon, stride, sizes):
    # values are positions in time
    series = np.arange(80.0)
    windows = SlidingWindow(length, horizon, stride)
    X, y = windows.make(series)
    y = y.reshape(len(y), -1)
    splitter = windows.time_series_split(3, **sizes)
    n_splits = 0
    for train, test in splitter.split(X):
        n_splits += 1
        assert y[train].max() < y[test].min()
        # the window after the training windows would reach in: no more is left out than must be
        if "max_train_size" not in sizes:
            assert y[train.max() + 1].max() >= y[test].min()
        assert len(train) <= sizes.get("max_train_size", len(X))
        assert len(test) == sizes.get("test_size", len(X) // 4)
    assert n_splits == 3


def test_splitter_in_cross_validation():
    steps = np.arange(200.0)
    series = np.stack([np.sin(steps / 3), np.cos(steps / 5)], axis=1)
    windows = SlidingWindow(8, horizon=3, target_columns=0)
    X, y = windows.make(series)
    scores = cross_val_score(
        LinearRegression(), X.reshape(len(X), -1), y, cv=windows.time_series_split(4)
    )
    # two sines follow a linear recurrence
    assert scores.min() > 0.999


def test_parameters_and_clone():
    windows = SlidingWindow(4, 2, stride=3, target_columns=[0])
    assert clone(windows).get_params() == {
        "length": 4,
        "horizon": 2,
        "stride": 3,
        "target_columns": [0],
    }


@pytest.mark.parametrize("value", [0, -1, 1.0, "3", None, True])
@pytest.mark.parametrize("name", ["length", "horizon", "stride"])
def test_bad_sizes(name, value):
    windows = SlidingWindow(**{"length": 2, name: value})
    message = f"{name} must be an integer of at least 1, got {value!r}"
    for call in (
        lambda: windows.make(np.zeros(9)),
        lambda: windows.last(np.zeros(9)),
        lambda: windows.target_times(9),
        lambda: windows.time_series_split(),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_too_few_steps():
    windows = SlidingWindow(4, horizon=3)
    message = "at least length \\+ horizon = 4 \\+ 3 = 7 steps, got 6"
    for call in (lambda: windows.make(np.zeros(6)), lambda: windows.target_times(6)):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match="at least 4 steps \\(length\\), got 3"):
        windows.last(np.zeros(3))
    assert len(windows.make(np.zeros(7))[0]) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["series", "target"])
def test_missing_values(name, bad):
    values = {"series": np.zeros((20, 2)), "target": np.zeros((20, 2))}
    values[name][[7, 12], 1] = bad
    message = f"{name} must be finite, got {bad} at step 7 of 20, column 1 \\(2 steps in all\\)"
    with pytest.raises(ValueError, match=message):
        SlidingWindow(3).make(**values)


def test_missing_labels():
    target = np.array(["up", None, "down", np.nan, "up", "up"], dtype=object)
    with pytest.raises(ValueError, match="target must be finite, got None at step 1 of 6"):
        SlidingWindow(2).make(np.zeros(6), target)


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (np.zeros((2, 9, 3)), r"series must be one series .* got shape \(2, 9, 3\).*one by one"),
        (np.zeros(()), r"got shape \(\)"),
        (np.zeros((0, 2)), r"at least one step, got shape \(0, 2\)"),
        (np.zeros((9, 0)), r"got shape \(9, 0\)"),
        (np.array(["a"] * 9), "series must hold real numbers, got <U1"),
        (np.zeros(9, dtype=complex), "series must hold real numbers, got complex128"),
        (pd.DataFrame({"a": range(9), "b": ["x"] * 9}), "series must hold real numbers, got obj"),
    ],
    ids=["3-d", "0-d", "no steps", "no columns", "strings", "complex", "mixed frame"],
)
def test_bad_series(series, message):
    with pytest.raises(ValueError, match=message):
        SlidingWindow(3).make(series)


@pytest.mark.parametrize(
    ("columns", "got"),
    [(3, "3"), (-4, "-4"), ("z", "'z'"), ([0, 1.5], "1.5"), ([True], "True"), ([], "none")],
)
def test_bad_target_columns(columns, got):
    frame = pd.DataFrame(np.zeros((9, 3)), columns=["a", "b", "c"])
    with pytest.raises(ValueError, match=f"target_columns must .* got {got}"):
        SlidingWindow(3, target_columns=columns).make(frame)


def test_bad_target():
    with pytest.raises(ValueError, match="a row for each of the 9 steps of the series, got 8"):
        SlidingWindow(3).make(np.zeros(9), np.zeros(8))
    with pytest.raises(ValueError, match="target_columns must be None where target is given"):
        SlidingWindow(3, target_columns=0).make(np.zeros(9), np.zeros(9))
