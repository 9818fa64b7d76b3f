"""An explanation as a data frame."""

import sys

import numpy as np
import pandas as pd
import pytest

from tests.inspection.explanation_cases import RNG, images, make, series, table, tokens


def test_frame_of_table():
    expected = pd.DataFrame({"word": [1.0, 3], "size": [-2.0, 0], "count": [0.5, -0.5]})
    pd.testing.assert_frame_equal(table().to_frame(), expected)
    pd.testing.assert_frame_equal(
        table(index=["x", "y"]).to_frame(), expected.set_axis(["x", "y"])
    )
    assert make(np.ones((1, 2))).to_frame().columns.tolist() == ["x0", "x1"]


def test_frame_of_all_outputs_of_a_table():
    values = RNG.standard_normal((2, 3, 4))
    explanation = make(values, np.zeros((2, 4)), target="all", classes=["a", "b", "c"])
    frame = explanation.to_frame()
    assert frame.columns.names == ["target", "feature"]
    for i, label in enumerate("abc"):
        np.testing.assert_array_equal(frame[label], values[:, i])


def test_frame_of_series_leaves_padding_out():
    explanation = series(feature_names=["a", "b"], index=["first", "second"])
    frame = explanation.to_frame()
    assert frame.columns.tolist() == ["sample", "step", "feature", "datum", "value"]
    assert len(frame) == 3 * 2 + 1 * 2
    for row in frame.itertuples():
        i, f = ["first", "second"].index(row.sample), "ab".index(row.feature)
        assert row.value == explanation.values[i, row.step, f]
        assert row.datum == explanation.data[i, row.step, f]


def test_frame_of_images():
    explanation = images()
    frame = explanation.to_frame()
    assert frame.columns.tolist() == ["sample", "channel", "row", "column", "datum", "value"]
    keys = ["sample", "channel", "row", "column"]
    back = frame.sort_values(keys)
    np.testing.assert_array_equal(back["value"].to_numpy(), explanation.values.ravel())
    np.testing.assert_array_equal(back["datum"].to_numpy(), explanation.data.ravel())


def test_frame_of_tokens():
    frame = tokens().to_frame()
    assert frame.to_dict("list") == {
        "sample": [0, 0, 0, 1, 1],
        "position": [0, 1, 2, 0, 1],
        "token": ["good", "film", "good", "bad", "film"],
        "value": [1.0, 0.0, -3.0, -2.0, 0.5],
    }


def test_frame_of_all_outputs_of_tokens():
    values = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    explanation = make(values, [["a", "b"]], "tokens", target="all", classes=["no", "yes"])
    frame = explanation.to_frame()
    assert frame.columns.tolist() == ["sample", "target", "position", "token", "value"]
    assert frame["target"].tolist() == ["no", "no", "yes", "yes"]
    assert frame["value"].tolist() == [1, 2, 3, 4]


def test_frame_of_other_data():
    values = RNG.standard_normal((2, 2, 2, 2, 2))
    frame = make(values, kind="other").to_frame()
    assert frame.columns[:2].tolist() == ["sample", "axis_1"]
    np.testing.assert_array_equal(frame["value"], values.ravel())


def test_frame_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        table().to_frame()
