"""The public padding, against a loop; its errors are tested with the forms of series."""

import numpy as np
import pytest

from sgt_sklearn.preprocessing import pad_series

LENGTHS = [2, 4, 1]
SERIES = [np.random.default_rng(i).normal(size=(n, 3)) for i, n in enumerate(LENGTHS)]


def padded_with(value):
    X = np.full((3, 4, 3), value)
    for row, x in zip(X, SERIES, strict=True):
        row[: len(x)] = x
    return X


@pytest.mark.parametrize(
    "X",
    [SERIES, padded_with(np.nan), {"X": padded_with(7.0), "lengths": LENGTHS}],
    ids=["list", "NaN", "dict"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_form(X, dtype):
    found = pad_series(X, dtype=dtype)
    assert set(found) == {"X", "lengths"}
    assert found["X"].dtype == dtype
    assert found["lengths"].dtype == np.int64
    assert found["lengths"].tolist() == LENGTHS
    assert (found["X"] == padded_with(0.0).astype(dtype)).all()


def test_lengths_come_also_without_padding():
    X = np.ones((2, 3, 1), dtype=np.float32)
    found = pad_series(X)
    assert found["lengths"].tolist() == [3, 3]
    assert (found["X"] == X).all()
    assert pad_series(X.astype(float))["X"].dtype == np.float32


def test_of_itself():
    once = pad_series(SERIES)
    twice = pad_series(once)
    assert (once["X"] == twice["X"]).all()
    assert (once["lengths"] == twice["lengths"]).all()


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([np.zeros((2, 3)), np.zeros((2, 2))], "features"),
        ([np.zeros((2, 3)), np.zeros((0, 3))], "at least one step"),
        ({"X": np.zeros((2, 3, 1)), "lengths": [1, 4]}, "1 to 3, got 1 to 4"),
        (np.zeros((2, 3)), "shape"),
        (np.array([[[np.nan], [1.0]]]), "must be finite inside each series"),
    ],
    ids=["features", "no step", "lengths", "2-d", "NaN inside"],
)
def test_bad_input(X, message):
    with pytest.raises(ValueError, match=message):
        pad_series(X)
