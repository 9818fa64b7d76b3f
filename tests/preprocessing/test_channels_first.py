"""Series of other libraries, against series built cell by cell."""

import builtins

import numpy as np
import pandas as pd
import pytest

from sgt_sklearn.preprocessing import from_channels_first, pad_series, to_channels_first

EQUAL, UNEQUAL = [5, 5, 5, 5], [3, 6, 1, 4]


def make_series(lengths, n_channels=2, seed=0):
    """Series as the estimators take them, (n_timesteps_i, n_features)."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, n_channels)) for length in lengths]


def numpy3d(series):
    n_channels, length = series[0].shape[1], max(map(len, series))
    X = np.full((len(series), n_channels, length), np.nan)
    for i, x in enumerate(series):
        for t in range(len(x)):
            for channel in range(n_channels):
                X[i, channel, t] = x[t, channel]
    return X


def np_list(series):
    return [np.array([[row[c] for row in x] for c in range(x.shape[1])]) for x in series]


def object_array(series):
    X = np.empty(len(series), dtype=object)
    X[:] = np_list(series)
    return X


def multiindex(series, names=None):
    rows, index = [], []
    for i, x in enumerate(series):
        for t, row in enumerate(x):
            rows.append(list(row))
            index.append((i if names is None else names[i], t))
    return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(index))


def dated_multiindex(series):
    frame = multiindex(series, names=[f"s{9 - i}" for i in range(len(series))])
    times = pd.Timestamp("2020-01-01") + pd.to_timedelta(frame.index.get_level_values(1), "D")
    frame.index = pd.MultiIndex.from_arrays([frame.index.get_level_values(0), times])
    return frame


def nested(series, cell=pd.Series):
    n_channels = series[0].shape[1]
    return pd.DataFrame(
        {f"var_{c}": [cell([row[c] for row in x]) for x in series] for c in range(n_channels)}
    )


FORMS = {
    "np-list": np_list,
    "tuple": lambda series: tuple(np_list(series)),
    "object array": object_array,
    "pd-multiindex": multiindex,
    "pd-multiindex, dates": dated_multiindex,
    "nested_univ": nested,
    "nested_univ, arrays": lambda series: nested(series, np.array),
}


def assert_same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert (a == b).all()


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_equal_lengths_become_one_array(form, n_channels):
    series = make_series(EQUAL, n_channels)
    found = from_channels_first(FORMS[form](series))
    assert isinstance(found, np.ndarray)
    assert_same(found, series)


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_unequal_lengths_become_a_list(form, n_channels):
    series = make_series(UNEQUAL, n_channels)
    found = from_channels_first(FORMS[form](series))
    assert isinstance(found, list)
    assert_same(found, series)
    # a form that the estimators take
    assert pad_series(found)["lengths"].tolist() == UNEQUAL


@pytest.mark.parametrize("lengths", [EQUAL, UNEQUAL])
def test_frames_of_either_library(lengths):
    series = make_series(lengths)
    of_sktime = [pd.DataFrame(x, columns=["a", "b"]) for x in series]
    of_aeon = [pd.DataFrame(x) for x in np_list(series)]
    assert_same(from_channels_first(of_sktime, frame_rows="time"), series)
    assert_same(from_channels_first(of_aeon, frame_rows="channel"), series)
    with pytest.raises(ValueError, match='"channel" for those of aeon, "time" for those of sk'):
        from_channels_first(of_aeon)


def test_array():
    series = make_series(EQUAL, 3)
    found = from_channels_first(numpy3d(series))
    assert_same(found, series)
    assert found.flags.c_contiguous


def test_array_with_trailing_nan():
    series = make_series(UNEQUAL, 3)
    found = pad_series(from_channels_first(numpy3d(series)), dtype=np.float64)
    assert found["lengths"].tolist() == UNEQUAL
    assert_same([x[:n] for x, n in zip(found["X"], UNEQUAL, strict=True)], series)


@pytest.mark.parametrize("wide", [np.asarray, pd.DataFrame], ids=["numpy2D", "pd-wide"])
def test_one_channel(wide):
    values = np.arange(12.0).reshape(3, 4)
    found = from_channels_first(wide(values))
    assert found.shape == (3, 4, 1)
    assert (found[:, :, 0] == values).all()


def test_list_of_one_channel():
    found = from_channels_first([np.arange(3.0), np.arange(5.0)])
    assert [x[:, 0].tolist() for x in found] == [[0, 1, 2], [0, 1, 2, 3, 4]]


def test_series_of_a_multiindex_come_in_the_order_of_their_first_rows():
    series = make_series(UNEQUAL)
    frame = multiindex(series, names=["d", "b", "c", "a"])
    by_time = frame.sort_index(level=1, sort_remaining=False, kind="stable")
    assert by_time.index[0][0] == "d"
    assert by_time.index[1][0] == "b"
    assert_same(from_channels_first(by_time), series)


def test_nullable_columns():
    frame = multiindex(make_series(EQUAL)).round().astype("Int64")
    assert_same(from_channels_first(frame), [x.round() for x in make_series(EQUAL)])


@pytest.mark.parametrize("form", ["array", "list", "frame", "wide"])
def test_results_are_copies(form):
    X = {
        "array": np.zeros((2, 1, 3)),
        "list": [np.zeros((1, 3)), np.zeros((1, 4))],
        "frame": nested([np.zeros((3, 1)), np.zeros((4, 1))], np.array),
        "wide": np.zeros((2, 3)),
    }[form]
    for x in from_channels_first(X):
        x += 1
    for x in X.iloc[:, 0] if form == "frame" else X:
        assert not np.any(x)


@pytest.mark.parametrize("lengths", [EQUAL, UNEQUAL])
def test_there_and_back(lengths):
    series = make_series(lengths, 3)
    assert_same(to_channels_first(series), np_list(series))
    assert_same(to_channels_first(pad_series(series, dtype=np.float64)), np_list(series))
    assert_same(from_channels_first(to_channels_first(series)), series)


def test_the_way_back_copies():
    X = [np.zeros((3, 1)), np.zeros((4, 1))]
    for x in [*to_channels_first(X), *to_channels_first(np.stack(X[:1]))]:
        x += 1
    assert not any(x.any() for x in X)


def test_array_there_and_back():
    series = make_series(EQUAL, 3)
    found = to_channels_first(np.stack(series))
    assert isinstance(found, np.ndarray)
    assert_same(found, numpy3d(series))


def test_pandas_is_not_imported(monkeypatch):
    before = builtins.__import__

    def no_pandas(name, *args, **kwargs):
        if name.split(".")[0] == "pandas":
            raise ImportError(name)
        return before(name, *args, **kwargs)

    frame = multiindex(make_series(UNEQUAL))
    monkeypatch.setattr(builtins, "__import__", no_pandas)
    assert len(from_channels_first(frame)) == len(UNEQUAL)


UNSORTED = multiindex(make_series([3, 3])).iloc[[0, 2, 1, 3, 4, 5]]
UNEVEN = nested(make_series([3, 3]))
UNEVEN.iat[1, 1] = pd.Series([1.0, 2.0])
THREE_LEVELS = pd.DataFrame(
    {"a": [0.0, 1.0]}, index=pd.MultiIndex.from_tuples([(0, 0, 0), (0, 0, 1)])
)
LONG = pd.DataFrame(
    {"case_id": [0, 0], "dim_id": [0, 0], "reading_id": [0, 1], "value": [0.5, 1.5]}
)
BAD = {
    "4-d": (np.zeros((2, 3, 4, 5)), r"X must be .*got shape \(2, 3, 4, 5\)"),
    "1-d": (np.zeros(3), r"got shape \(3,\)"),
    "text": (np.array([["a", "b"]]), "X must hold real numbers, got <U1"),
    "empty list": ([], "got no series"),
    "empty frame": (multiindex(make_series([3])).iloc[:0], "got no series"),
    "list of 3-d": ([np.zeros((2, 3)), np.zeros((1, 2, 3))], r"X\[1\] must have shape"),
    "words in a list": ([np.zeros((2, 3)), np.array([["a"]])], r"X\[1\] must hold real numbers"),
    "channels": (
        [np.zeros((9, 2)), np.zeros((7, 2))],
        "got 9 at position 0 and 7 at position 1. Arrays of shape .* need no conversion",
    ),
    "times": (UNSORTED, "times of each series in rising order, got another order for series 0"),
    "repeated times": (multiindex(make_series([3, 3])).iloc[[0, 1, 1, 3]], "rising order"),
    "cells": (UNEVEN, r"those of one row equally long, got shapes \[\(3,\), \(2,\)\] in row 1"),
    "levels": (THREE_LEVELS, "an index of two levels .* got 3"),
    "pd-long": (LONG, 'must not be of the form "pd-long"'),
    "frame of words": (pd.DataFrame({"a": ["x", "y"]}), "could not convert"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    X, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        from_channels_first(X)


def test_bad_frame_rows():
    with pytest.raises(ValueError, match='frame_rows must be "channel", "time" or None, got 0'):
        from_channels_first([pd.DataFrame([[0.0]])], frame_rows=0)
    for X in (np.zeros((2, 3, 4)), [np.zeros((2, 3))], multiindex(make_series([3]))):
        with pytest.raises(ValueError, match="frame_rows is for a list of frames, got 'time'"):
            from_channels_first(X, frame_rows="time")


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 3)), r"X must have shape \(n_samples, n_timesteps, n_features\).*\(2, 3\)"),
        ([np.zeros((2, 3)), np.zeros(3)], r"X\[1\] must have shape .* got \(3,\)"),
        ({"X": np.zeros((2, 3, 1))}, r"keys \"X\" and \"lengths\", got \['X'\]"),
    ],
    ids=["2-d", "list", "dict"],
)
def test_bad_input_of_the_way_back(X, message):
    with pytest.raises(ValueError, match=message):
        to_channels_first(X)
