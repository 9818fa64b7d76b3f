"""Series in any form become one array and lengths."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgt_sklearn._series import is_ragged, padded, unpadded

RNG = np.random.default_rng(0)
SERIES = [RNG.normal(size=(n, 3)).astype(np.float32) for n in (4, 2, 6)]
LENGTHS = [4, 2, 6]


def in_one_array(fill):
    array = np.full((3, 6, 3), fill, dtype=np.float32)
    for row, x in zip(array, SERIES, strict=True):
        row[: len(x)] = x
    return array


def objects():
    array = np.empty(3, dtype=object)
    array[:] = SERIES
    return array


FORMS = {
    "list": SERIES,
    "tuple": tuple(SERIES),
    "objects": objects(),
    "nested lists": [x.tolist() for x in SERIES],
    "trailing NaN": in_one_array(np.nan),
    "dict": {"X": in_one_array(0), "lengths": np.array(LENGTHS)},
    "dict with garbage behind": {"X": in_one_array(np.inf), "lengths": np.array(LENGTHS, "uint8")},
    "longer than needed": {
        "X": np.pad(in_one_array(7), ((0, 0), (0, 2), (0, 0))),
        "lengths": LENGTHS,
    },
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_series(name):
    array, lengths = padded(FORMS[name])
    assert array.dtype == np.float32
    assert lengths.dtype == np.int64
    assert lengths.tolist() == LENGTHS
    for row, x in zip(array, SERIES, strict=True):
        np.testing.assert_array_equal(row[: len(x)], x)
        assert not row[len(x) :].any()
    for one, x in zip(unpadded(array, lengths), SERIES, strict=True):
        np.testing.assert_array_equal(one, x)


@pytest.mark.parametrize("as_objects", [False, True])
def test_series_of_one_length_have_no_padding(as_objects):
    X = RNG.normal(size=(4, 5, 2))
    array, lengths = padded(X.astype(object) if as_objects else X, dtype=np.float64)
    np.testing.assert_array_equal(array, X)
    assert lengths is None
    array, lengths = padded(list(X), dtype=np.float64)
    np.testing.assert_array_equal(array, X)
    assert lengths is None


def test_a_feature_that_is_nan_at_the_end_is_no_padding():
    X = in_one_array(np.nan)
    X[1, 2:, 0] = 0.0
    with pytest.raises(
        ValueError, match=r"finite inside each series, got NaN or infinity in se.* 1"
    ):
        padded(X)


def changed(**entries):
    return {"X": in_one_array(0), "lengths": np.array(LENGTHS)} | entries


BAD = {
    "no series": ([], "at least one series, got an empty list"),
    "one array": (np.ones((4, 3)), r"got shape \(4, 3\).*X\[:, :, None\]"),
    "no steps": (
        [np.ones((0, 3)), np.ones((2, 3))],
        "at least one step, got length 0 at position 0",
    ),
    "all NaN": (np.full((2, 4, 3), np.nan), "at least one step, got length 0 at position 0"),
    "other features": ([np.ones((2, 3)), np.ones((2, 4))], r"\(2, 3\) at position 0 and \(2, 4\)"),
    "NaN inside": ([np.ones((2, 3)), np.full((2, 3), np.nan)], "NaN or infinity in series 1"),
    "infinity": (np.full((2, 4, 3), np.inf), "NaN or infinity in series 0"),
    "text": ([[["a"]], [["b"]]], "real numbers"),
    "complex": (np.ones((2, 4, 3), dtype=complex), "real numbers"),
    "no features": (np.ones((2, 4, 0)), r"got shape \(2, 4, 0\)"),
    "other keys": ({"X": np.ones((2, 4, 3)), "length": [1, 2]}, 'keys "X" and "lengths"'),
    "float lengths": (changed(lengths=np.array([4.0, 2.0, 6.0])), "one integer a series"),
    "too few lengths": (changed(lengths=[4, 2]), r"one integer a series.*got shape \(2,\)"),
    "too long": (changed(lengths=[4, 2, 7]), "1 to 6, got 2 to 7"),
    "negative": (changed(lengths=[4, -2, 6]), "1 to 6, got -2 to 6"),
    "zero": (changed(lengths=[4, 0, 6]), "at least one step, got length 0 at position 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_series_are_refused(name):
    X, message = BAD[name]
    with pytest.raises(ValueError, match=f"^X.*{message}"):
        padded(X)


def test_the_name_is_that_of_the_caller():
    with pytest.raises(ValueError, match=re.escape("series must hold at least one series")):
        padded([], name="series")


def test_what_is_ragged():
    assert all(is_ragged(FORMS[name]) for name in FORMS if name != "trailing NaN")
    assert not is_ragged(FORMS["trailing NaN"])
    assert not is_ragged([[1.0, 2.0], [3.0, 4.0]])
    assert not is_ragged({"X": 1})
    assert not is_ragged([])


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    n_features=st.integers(1, 3),
    extra=st.integers(0, 3),
)
def test_padding_and_cutting_are_inverse(lengths, n_features, extra):
    series = [RNG.normal(size=(n, n_features)) for n in lengths]
    array, found = padded(series, dtype=np.float64)
    found = np.full(len(lengths), array.shape[1]) if found is None else found
    assert found.tolist() == lengths
    wider = np.pad(array, ((0, 0), (0, extra), (0, 0)), constant_values=np.nan)
    again, found = padded({"X": wider, "lengths": found}, dtype=np.float64)
    found = np.full(len(lengths), again.shape[1]) if found is None else found
    for one, x in zip(unpadded(again, found), series, strict=True):
        np.testing.assert_array_equal(one, x)
