"""What an explanation keeps, how it names it, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.inspection import Explanation, explain
from sgt_sklearn.inspection._explanation_checks import distinct
from tests.inspection.explanation_cases import RNG, images, make, series, table, tokens


def test_values_and_data_are_kept():
    explanation = table(target=["yes", "no"])
    assert explanation.shape == (2, 3) and len(explanation) == 2
    assert explanation.values.dtype == float
    assert explanation.data[0].tolist() == ["a", 1.5, 2]
    assert explanation.target.tolist() == ["yes", "no"]
    assert explanation.feature_names == ["word", "size", "count"]


def test_float32_stays():
    values = np.ones((2, 3), dtype=np.float32)
    kept = Explanation(values, data=values, kind="tabular", method="m", output="logit")
    assert kept.values is values


def test_rows_of_words_and_numbers_keep_their_types():
    explanation = make([[1.0, 2.0]], [["basic", 30]])
    assert explanation.data.tolist() == [["basic", 30]]


def test_list_of_series_is_padded():
    explanation = series()
    assert explanation.shape == (2, 3, 2)
    assert explanation.lengths.tolist() == [3, 1]
    np.testing.assert_array_equal(explanation.values[1], [[10, -20], [np.nan] * 2, [np.nan] * 2])
    np.testing.assert_array_equal(explanation.data[1], [[2, 2], [np.nan] * 2, [np.nan] * 2])


def test_list_of_equal_series_is_one_array():
    explanation = make([np.ones((3, 2))] * 2, [np.ones((3, 2))] * 2, "series")
    assert explanation.shape == (2, 3, 2) and explanation.lengths is None


def test_tokens_are_padded():
    explanation = tokens()
    assert explanation.data.tolist() == [["good", "film", "good"], ["bad", "film", ""]]
    np.testing.assert_array_equal(explanation.values[1], [-2, 0.5, np.nan])
    ids = make([[1.0, 2.0], [3.0]], [[5, 6], [7]], "tokens")
    assert ids.data.tolist() == [[5, 6], [7, 0]]


@pytest.mark.parametrize("kind", ["series", "tokens"])
def test_trailing_nan_is_padding(kind):
    values = np.array([[1.0, 2.0, np.nan], [1.0, 2.0, 3.0]])
    values = values[:, :, None] if kind == "series" else values
    assert make(values, np.ones(values.shape), kind).lengths.tolist() == [2, 3]


def test_values_behind_the_end_become_nan():
    values = np.ones((2, 3, 1))
    explanation = make(values, values, "series", lengths=[2, 3])
    np.testing.assert_array_equal(explanation.values[0, :, 0], [1, 1, np.nan])
    assert values.sum() == 6  # the caller's array is untouched


def test_list_of_series_for_all_outputs():
    values = [np.ones((2, 3, 1)), np.full((2, 1, 1), 2.0)]
    explanation = make(values, [np.ones((3, 1)), np.ones((1, 1))], "series", target="all")
    assert explanation.shape == (2, 2, 3, 1) and explanation.classes == [0, 1]
    assert explanation.lengths.tolist() == [3, 1]
    np.testing.assert_array_equal(explanation.values[1, :, :, 0], [[2, np.nan, np.nan]] * 2)


def test_data_frame_gives_names_and_index():
    X = pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=["x", "y"])
    explanation = make(np.ones((2, 2)), X)
    assert explanation.feature_names == ["a", "b"]
    assert explanation.to_frame().index.tolist() == ["x", "y"]


@pytest.mark.parametrize("labels", [[5, 4, 3], [0, 1, 2], ["a", "b", "c"]])
def test_index_goes_by_position(labels):
    names = pd.Series(["p", "q", "r"], index=labels)
    explanation = make(np.arange(6.0).reshape(3, 2), index=names)
    assert list(explanation[0].index) == ["p"]
    assert list(explanation[1:][0].index) == ["q"]
    assert list(explanation[[True, False, True]].index) == ["p", "r"]
    assert explanation[[2, 0]].to_frame().index.tolist() == ["r", "p"]


def test_index_of_pandas_is_kept():
    index = pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["group", "number"])
    part = make(np.ones((2, 2)), index=index)[1]
    pd.testing.assert_index_equal(part.to_frame().index, index[[1]])


@pytest.mark.parametrize(
    "columns, index, message",
    [
        (["b", "a"], ["x", "y"], r"the columns of data .* got \['b', 'a'\]"),
        (["a", "c"], ["x", "y"], "the columns of data"),
        (["a", "b"], ["y", "x"], r"the index of data .* got \['y', 'x'\]"),
        (["a", "b"], [0, 1], "values.loc"),
    ],
)
def test_frames_of_other_labels(columns, index, message):
    data = pd.DataFrame([[1, 2], [3, 4]], columns=["a", "b"], index=["x", "y"])
    values = pd.DataFrame([[0.1, 0.2], [0.3, 0.4]], columns=columns, index=index)
    with pytest.raises(ValueError, match=message):
        make_of_frame(values, data)


def make_of_frame(values, data, **params):
    params = {"kind": "tabular", "method": "m", "output": "logit"} | params
    return Explanation(values, data=data, **params)


def test_frames_of_the_same_labels():
    data = pd.DataFrame([[1, 2], [3, 4]], columns=["a", "b"], index=["x", "y"])
    values = data / 10
    for explanation in (make_of_frame(values, data), make_of_frame(values, data.to_numpy())):
        pd.testing.assert_frame_equal(explanation.to_frame(), values)
    renamed = make_of_frame(values, data, feature_names=["c", "d"], index=[7, 8])
    assert renamed.to_frame().columns.tolist() == ["c", "d"]
    assert renamed.to_frame().index.tolist() == [7, 8]


@pytest.mark.parametrize("kind", ["tabular", "series", "image"])
def test_names_come_once(kind):
    values = np.ones({"tabular": (2, 3), "series": (2, 4, 3), "image": (2, 3, 4, 4)}[kind])
    with pytest.raises(ValueError, match=r"must differ from each other, .* \['a'\]"):
        make(values, kind=kind, feature_names=["a", "b", "a"])
    frame = pd.DataFrame(np.ones((1, 2)), columns=[1, "1"])
    with pytest.raises(ValueError, match=r"\['1'\]"):
        make_of_frame(np.ones((1, 2)), frame)


def test_distinct():
    assert distinct(None) is None
    assert distinct(["b", "a"]) == ["b", "a"]
    assert distinct(["a", "a", "a (2)", "b", "a"]) == ["a", "a (3)", "a (2)", "b", "a (4)"]


def test_names_of_steps_that_come_twice():
    # both "a" with "b_c" and "a_b" with "c" become "a_b_c"
    X = pd.DataFrame({"a": ["b_c", "d"] * 6, "a_b": ["c", "x", "c"] * 4})
    net = SaliencyGuidedClassifier(max_epochs=1, random_state=0)
    pipeline = make_pipeline(OneHotEncoder(sparse_output=False), net).fit(X, [0, 1] * 6)
    explanation = explain(pipeline, X[:3], fold=False)
    assert explanation.feature_names == ["a_b_c", "a_d", "a_b_c (2)", "a_b_x"]
    assert len(explanation.top()) == 4
    folded = explain(pipeline, X[:3], method="input_x_gradient")
    assert folded.feature_names == ["a", "a_b"]
    # columns of one name would be summed
    with pytest.raises(ValueError, match=r"must differ from each other, .* \['p'\]"):
        explain(pipeline, X[:3], method="input_x_gradient", feature_names=["p", "p"])


# ---- what was explained


def test_delta():
    values = np.array([[1.0, 2.0], [3.0, 4.5]])
    explanation = make(values, explained_output=[4.0, 9.0], baseline_output=[1.0, 1.0])
    np.testing.assert_allclose(explanation.delta, [0.0, 0.5])
    assert make(values, explained_output=[4.0, 9.0]).delta is None


def test_delta_leaves_padding_out():
    explanation = series(explained_output=[3.0, -9.0], baseline_output=[0.0, 0.0])
    np.testing.assert_allclose(explanation.delta, [3 - (15 - 12), -9 + 10])


def test_delta_of_all_outputs():
    values = RNG.standard_normal((2, 3, 4))
    at_x, at_baseline = RNG.standard_normal((2, 2, 3))
    explanation = make(
        values,
        np.zeros((2, 4)),
        target="all",
        classes=["a", "b", "c"],
        explained_output=at_x,
        baseline_output=at_baseline,
    )
    np.testing.assert_allclose(explanation.delta, at_x - at_baseline - values.sum(2))
    one = explanation.for_target("b")
    np.testing.assert_allclose(one.delta, explanation.delta[:, 1])
    assert one.target.tolist() == ["b", "b"] and one.classes is None
    np.testing.assert_array_equal(one.values, values[:, 1])


@pytest.mark.parametrize(
    "params, text",
    [
        ({}, "2 samples x 3 features by saliency, logit of class 1"),
        ({"target": "yes"}, "logit of 'yes'"),
        ({"target": [0, 1], "output": "log_proba"}, "log probability of each sample's target"),
        ({"target": None}, "by saliency, prediction"),
        ({"target": 2, "output": "prediction"}, "prediction of output 2"),
        ({"temporal_rescaling": True}, "by saliency with temporal rescaling"),
    ],
)
def test_repr(params, text):
    assert text in repr(table(**params))


def test_repr_of_kinds():
    assert "2 samples x up to 3 steps x 2 features" in repr(series())
    assert "2 samples x 3 channels x 4 x 5 pixels" in repr(images())
    assert "1 sample x 3 tokens" in repr(tokens()[0])
    assert "of shape (2, 2, 2)" in repr(make(np.ones((1, 2, 2, 2)), kind="other"))
    assert "of each of 4 outputs" in repr(make(np.ones((2, 4, 3)), np.ones((2, 3)), target="all"))


# ---- bad input


@pytest.mark.parametrize(
    "params, message",
    [
        ({"kind": "table"}, "kind must be one of"),
        ({"kind": "series"}, r"shape \(n_samples, n_timesteps, n_features\)"),
        ({"data": np.ones((2, 4))}, r"values must have the shape of data \(2, 4\), got .*2, 3"),
        ({"data": np.ones((2, 0)), "values": np.ones((2, 0))}, "at least one cell"),
        ({"target": "all"}, r"shape \(2, n_outputs, 3\) with target='all'"),
        ({"classes": ["a"]}, "classes name the outputs with target='all'"),
        ({"target": [1, 2, 3]}, r"one label a sample, shape \(2,\)"),
        ({"explained_output": [1.0]}, r"explained_output must be numbers of shape \(2,\)"),
        ({"baseline_output": ["a", "b"]}, "baseline_output must be numbers"),
        ({"feature_names": ["a"]}, "each of the 3 columns"),
        ({"index": [1]}, "index must name the 2 samples"),
        ({"index": [[1, 2], [3, 4]]}, r"one name a sample, shape \(2,\), got shape \(2, 2\)"),
        ({"lengths": [1, 2]}, "lengths are for series and tokens"),
        ({"values": np.array([[1, 2, np.nan]] * 2)}, "finite inside each sample"),
        ({"values": np.array([[1, 2, 3], [1, 2, np.inf]])}, "infinity in sample 1"),
    ],
)
def test_bad_arguments(params, message):
    params = {"values": np.ones((2, 3)), "data": np.ones((2, 3)), "kind": "tabular"} | params
    with pytest.raises(ValueError, match=message):
        make(**params)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"lengths": [1, 4]}, "lengths must be from 1 to 3"),
        ({"lengths": [1.0, 2.0]}, "one integer a sample"),
        ({"lengths": [1]}, "one integer a sample"),
        ({"values": np.array([[[1.0], [np.nan], [1.0]]] * 2)}, "finite inside each sample"),
        ({"values": np.array([[[1.0]] * 3, [[np.nan]] * 3])}, "NaN only in sample 1"),
        ({"feature_names": ["a", "b"]}, "each of the 1 features"),
        ({"values": [np.ones((2, 1)), np.ones((3, 2))]}, "differ in their number of steps only"),
    ],
)
def test_bad_series(params, message):
    params = {"values": np.ones((2, 3, 1)), "data": np.ones((2, 3, 1)), "kind": "series"} | params
    with pytest.raises(ValueError, match=message):
        make(**params)


def test_bad_types():
    with pytest.raises(TypeError, match="values must be real numbers"):
        make([["a"]], np.ones((1, 1)))
    with pytest.raises(TypeError, match="feature_names must be a list"):
        make(np.ones((1, 3)), feature_names="abc")
    with pytest.raises(TypeError, match="method must be a str"):
        make(np.ones((1, 3)), method=None)
    with pytest.raises(ValueError, match="got them with kind='tokens'"):
        tokens(feature_names=["a", "b", "c"])
    with pytest.raises(ValueError, match="must name the 2 outputs"):
        make(np.ones((1, 2, 3)), np.ones((1, 3)), target="all", classes=["a"])


def test_for_target_of_unknown_or_one_output():
    explanation = make(np.ones((2, 2, 3)), np.ones((2, 3)), target="all", classes=["a", "b"])
    with pytest.raises(ValueError, match=r"one of \['a', 'b'\], got 'c'"):
        explanation.for_target("c")
    with pytest.raises(ValueError, match="explanation of all outputs"):
        table().for_target(1)
