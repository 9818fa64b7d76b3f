"""Slices, means and the largest values of an explanation."""

import numpy as np
import pandas as pd
import pytest

from tests.inspection.explanation_cases import RNG, images, make, series, table, tokens


@pytest.mark.parametrize(
    "item, rows",
    [
        (1, [1]),
        (-1, [1]),
        (np.int64(0), [0]),
        (slice(1, None), [1]),
        ([1, 0], [1, 0]),
        ([True, False], [0]),
        (np.array([], dtype=int), []),
    ],
)
def test_indexing(item, rows):
    explanation = table(
        target=["yes", "no"],
        explained_output=[4.0, 9.0],
        baseline_output=[1.0, 2.0],
        baseline=np.arange(6).reshape(2, 3),
        index=["x", "y"],
    )
    part = explanation[item]
    assert len(part) == len(rows)
    np.testing.assert_array_equal(part.values, explanation.values[rows])
    np.testing.assert_array_equal(part.data, explanation.data[rows])
    assert part.target.tolist() == [["yes", "no"][i] for i in rows]
    np.testing.assert_array_equal(part.baseline, np.arange(6).reshape(2, 3)[rows])
    np.testing.assert_allclose(part.delta, explanation.delta[rows])
    assert list(part.index) == [["x", "y"][i] for i in rows]
    assert part.feature_names == explanation.feature_names


def test_indexing_series_keeps_width_and_lengths():
    part = series()[1]
    assert part.shape == (1, 3, 2) and part.lengths.tolist() == [1]


def test_baselines_of_no_sample_stay():
    assert make(np.ones((2, 2)), baseline=[1.0, 2.0])[0].baseline == [1.0, 2.0]
    rows = np.ones((2, 2))
    for method in ("gradient_shap", "deep_lift_shap"):
        assert make(rows, baseline=rows, method=method)[0].baseline is rows


def test_a_baseline_for_each_sample_is_sliced():
    rows = np.arange(4.0).reshape(2, 2)
    for method in ("kernel_shap", "shapley_value_sampling", "integrated_gradients"):
        part = make(np.ones((2, 2)), baseline=rows, method=method)[1]
        np.testing.assert_array_equal(part.baseline, rows[[1]])


def test_iteration_gives_samples():
    assert [part.values.tolist() for part in table()] == [[[1, -2, 0.5]], [[3, 0, -0.5]]]


@pytest.mark.parametrize(
    "item, error, message",
    [
        (2, IndexError, "sample 2 is out of bounds"),
        (-3, IndexError, "out of bounds"),
        ([True], IndexError, "must have 2 entries"),
        ("word", TypeError, "indexed by samples"),
        ((0, 1), None, None),
        (1.5, TypeError, "indexed by samples"),
    ],
)
def test_bad_index(item, error, message):
    if error is None:
        assert len(table()[item]) == 2
        return
    with pytest.raises(error, match=message):
        table()[item]


# ---- summaries


def test_mean_abs():
    np.testing.assert_allclose(table().mean_abs(), [2, 1, 0.5])
    explanation = images()
    np.testing.assert_allclose(explanation.mean_abs(), np.abs(explanation.values).mean(0))


def test_mean_abs_of_series_counts_those_that_reach_the_step():
    np.testing.assert_allclose(series().mean_abs(), [[6, 10.5], [0, 1], [2, 3]])


def test_mean_abs_of_all_outputs():
    values = RNG.standard_normal((5, 3, 4))
    explanation = make(values, np.zeros((5, 4)), target="all")
    np.testing.assert_allclose(explanation.mean_abs(), np.abs(values).mean(0))


def test_mean_abs_of_tokens():
    found = tokens().mean_abs()
    assert list(found.items()) == [("bad", 2.0), ("good", 2.0), ("film", 0.25)]
    explanation = make(
        np.array([[[1.0, 2.0]], [[3.0, 4.0]]]).transpose(1, 0, 2),
        [["a", "b"]],
        "tokens",
        target="all",
        classes=["no", "yes"],
    )
    assert explanation.mean_abs() == {"no": {"b": 2.0, "a": 1.0}, "yes": {"b": 4.0, "a": 3.0}}


@pytest.mark.parametrize(
    "explanation",
    [
        table(),
        series(),
        images(),
        tokens(),
        make(np.ones((1, 2, 2, 2)), kind="other"),
        make(np.ones((1, 2, 3)), np.ones((1, 3)), target="all"),
        make([[[1.0, 2.0]] * 2], [["a", "b"]], "tokens", target="all"),
    ],
)
def test_no_samples(explanation):
    none = explanation[[]]
    pd.testing.assert_index_equal(none.to_frame().columns, explanation.to_frame().columns)
    assert len(none.to_frame()) == 0
    assert none[[]].shape == none.shape == (0, *explanation.shape[1:])
    if explanation.kind != "tokens":
        assert np.isnan(none.mean_abs()).all()
    elif explanation.classes is None:
        assert none.mean_abs() == none.top() == {}
    if explanation.kind in ("tabular", "series", "image") and explanation.classes is None:
        assert none.top().keys() == explanation.top().keys()
        assert np.isnan(list(none.top().values())).all()


def test_top():
    assert table().top(2) == {"word": 2.0, "size": 1.0}
    assert tokens().top(1) == {"bad": 2.0}
    # over the four cells of each feature that are no padding
    assert series(feature_names=["a", "b"]).top() == {"b": 6.25, "a": 3.5}
    explanation = images()
    means = pd.Series(np.abs(explanation.values).mean((0, 2, 3)))
    expected = means.sort_values(ascending=False)
    assert list(explanation.top()) == [f"channel {i}" for i in expected.index]
    np.testing.assert_allclose(list(explanation.top().values()), expected)


def test_top_needs_one_output():
    explanation = make(np.ones((2, 2, 3)), np.ones((2, 3)), target="all", classes=["a", "b"])
    with pytest.raises(ValueError, match=r"for_target\('a'\)"):
        explanation.top()
    with pytest.raises(ValueError, match="kind 'other'"):
        make(np.ones((1, 2, 2)), kind="other").top()
