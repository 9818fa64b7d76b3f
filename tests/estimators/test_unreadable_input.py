"""Errors about X say first what is wrong, with the column, and then what to do."""

import operator
import re
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from scipy import sparse
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.utils.fixes import parse_version

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.estimators._unreadable import check_no_dates
from tests.estimators.bad_input import ESTIMATORS, X, make, targets_for

N = len(X)
SHAPES = re.escape("(n_samples, n_features), (n_samples, n_timesteps, n_features) or")
FRAME = pd.DataFrame(X, columns=["age", "income", "size", "noise"])
CITIES = np.resize(["Lima", "Oslo", "Rome"], N)
DAYS = pd.date_range("2020-01-01", periods=N)
MIXED = FRAME.assign(city=CITIES, member=np.resize(["yes", "no"], N))
ENCODE = re.escape(
    "in one pipeline: make_column_transformer((OneHotEncoder(sparse_output=False), ['city'"
)


def with_value(value, column="income", rows=(7, 3), dtype=None):
    frame = FRAME.astype({column: dtype or FRAME[column].dtype}).copy()
    for row in rows:
        frame.iat[row, list(frame).index(column)] = value
    return frame


def objects(value):
    array = X.astype(object)
    array[5, 2] = value
    return array


def message(error, data, estimator=SaliencyGuidedClassifier, **params):
    with pytest.raises(error) as caught:
        make(estimator, max_epochs=1, **params).fit(data, targets_for(estimator))
    assert type(caught.value) is error
    return str(caught.value)


TEXTS = {
    "frame": (MIXED, r"^X must be numbers, but columns 'city', 'member' hold texts: could not"),
    "categories": (
        FRAME.assign(city=pd.Categorical(CITIES)),
        r"^X must be numbers, but column 'city' holds texts: .* float: 'Lima'\. .*" + ENCODE,
    ),
    "array of texts": (MIXED.to_numpy().astype(str), "^X must be numbers, but columns 4, 5 hold"),
    "array of objects": (MIXED.to_numpy(), "columns 4, 5 hold texts: could not convert string to"),
    "lists": (MIXED.to_numpy().tolist(), r"\(OneHotEncoder\(sparse_output=False\), \[4, 5\]\)"),
    "one text in a column": (objects("n/a"), r"column 2 holds texts: .* float: 'n/a'\."),
    "many": (
        pd.DataFrame({f"c{i}": CITIES for i in range(7)}),
        r"columns 'c0', 'c1', 'c2', 'c3', 'c4' and 2 more hold texts.*'c4', \.\.\.\]\)",
    ),
    "texts alone": (CITIES, r"holds texts: .*TokenEncoder\(\) .*module='text_cnn'"),
    "series of texts": (pd.Series(CITIES), r"Expected a 2-dimensional container|TokenEncoder"),
}


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_named_by_column_with_the_encoder(estimator, name):
    data, pattern = TEXTS[name]
    assert re.search(pattern, message(ValueError, data, estimator))


def test_the_encoder_that_the_message_names_works():
    text = message(ValueError, MIXED)
    written = re.search(r"make_column_transformer\(.*'passthrough'\)", text).group()
    encoder = eval(
        written,
        {"make_column_transformer": make_column_transformer, "OneHotEncoder": OneHotEncoder},
    )
    net = make(SaliencyGuidedClassifier, max_epochs=1)
    make_pipeline(encoder, net).fit(MIXED, targets_for(SaliencyGuidedClassifier))
    assert net.n_features_in_ == 4 + 3 + 2


DATES = {
    "with numbers": (FRAME.assign(day=DAYS), r"but column 'day' holds datetime64\[\w\w\]\. Turn"),
    "alone": (pd.DataFrame({"day": DAYS, "end": DAYS}), r"columns 'day', 'end' hold datetime64"),
    "with a zone": (FRAME.assign(day=DAYS.tz_localize("UTC")), r"column 'day' holds datetime64"),
    "durations": (FRAME.assign(lasted=DAYS - DAYS[0]), r"column 'lasted' holds timedelta64"),
    "array": (np.tile(DAYS.to_numpy()[:, None], (1, 2)), r"got an array of datetime64\[\w\w\]\."),
    "objects": (objects(date(2020, 1, 2)), r"column 2 holds values such as .*date\(2020, 1, 2\)"),
    "stamps": (objects(DAYS[0]), r"column 2 holds values such as Timestamp\('2020-01-01"),
    "periods of time": (objects(timedelta(days=1)), r"column 2 holds values such as .*timedelta"),
}


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", DATES)
def test_dates_are_named_by_column(estimator, name):
    data, pattern = DATES[name]
    text = message(TypeError, data, estimator)
    assert re.match("X must be numbers", text)
    assert re.search(pattern, text)
    assert text.endswith(
        "Turn dates into numbers before: parts such as .dt.month, or days since a start, "
        "(dates - start).dt.days; durations by .dt.total_seconds()."
    )


def test_a_fitted_net_names_columns_too():
    net = make(SaliencyGuidedClassifier, max_epochs=1)
    net.fit(FRAME, targets_for(SaliencyGuidedClassifier))
    for method in ("predict", "attribute"):
        with pytest.raises(ValueError, match=r"^Input X contains NaN\. Column 'income' holds it"):
            getattr(net, method)(with_value(np.nan))
        with pytest.raises(ValueError, match=r"^X must be numbers, but column 'age' holds texts"):
            getattr(net, method)(FRAME.assign(age=CITIES))
        with pytest.raises(TypeError, match="column 'age' holds datetime64"):
            getattr(net, method)(FRAME.assign(age=DAYS))


NAN = "Input X contains NaN. "
INFINITE = "Input X contains infinity or a value too large for dtype('float32'). "
NOT_FINITE = {
    "NaN": (
        with_value(np.nan),
        NAN + "Column 'income' holds it, in 2 of 40 rows, first in row 3.",
    ),
    "None": (with_value(None, dtype=object), NAN + "Column 'income' holds it, in 2 of 40 rows"),
    "NA": (with_value(pd.NA, dtype="Float64"), NAN + "Column 'income' holds it, in 2 of 40 rows"),
    "array": (with_value(np.nan).to_numpy(), NAN + "Column 1 holds it, in 2 of 40 rows"),
    "list": (with_value(np.nan).to_numpy().tolist(), NAN + "Column 1 holds it, in 2 of 40 rows"),
    "tensor": (torch.tensor(with_value(np.nan).to_numpy()), NAN + "Column 1 holds it, in 2"),
    "all": (FRAME * np.nan, NAN + "Columns 'age', 'income', 'size', 'noise' hold it, in 40 of 40"),
    "infinity": (with_value(-np.inf), INFINITE + "Column 'income' holds it, in 2 of 40 rows"),
    "large": (with_value(1e300, dtype=float), INFINITE + "Column 'income' holds it, in 2 of 40"),
}


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", NOT_FINITE)
def test_values_that_are_not_finite_are_named_by_column(estimator, name):
    data, start = NOT_FINITE[name]
    text = message(ValueError, data, estimator)
    assert text.startswith(start)
    assert ("SimpleImputer()" in text) == (start.startswith(NAN))
    assert "HistGradientBoosting" not in text


def test_nan_beside_infinity_is_named_alone():
    data = with_value(np.nan)
    data.iat[0, 3] = np.inf
    assert "Column 'income' holds it, in 2 of 40 rows, first in row 3." in message(
        ValueError, data
    )


def test_the_imputer_that_the_message_names_works():
    net = make(SaliencyGuidedClassifier, max_epochs=1)
    make_pipeline(SimpleImputer(), net).fit(
        with_value(np.nan), targets_for(SaliencyGuidedClassifier)
    )


def test_images_name_the_sample():
    images = np.zeros((N, 1, 4, 4))
    images[[5, 9], 0, 2, 2] = np.nan
    assert message(ValueError, images).startswith(
        "Input X contains NaN. It is in 2 of 40 samples, first in X[5]."
    )


# shapes and names


@pytest.mark.parametrize(
    ("data", "start"),
    [
        (X[:, 0], "Expected 2D array, got 1D array instead"),
        (FRAME["age"], "Expected a 2-dimensional container but got <class 'pandas.Series'>"),
        (3.0, "Expected 2D array, got scalar array instead"),
        ([[1.0, 2.0], [3.0]] * (N // 2), "setting an array element with a sequence"),
    ],
    ids=["one axis", "series", "scalar", "rows of unequal length"],
)
def test_shapes_are_named_where_the_shape_is_the_problem(data, start):
    text = message(ValueError, data)
    assert text.startswith(start)
    assert re.search(rf"X must be of shape {SHAPES}", text)


@pytest.mark.parametrize("data", [None, "table.csv"])
def test_what_is_no_array_at_all(data):
    text = message(ValueError, data)
    assert re.fullmatch(rf"X must be of shape {SHAPES} .*, got {data!r}\.", text)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    ("change", "start", "end"),
    [
        (
            lambda frame: frame[["income", "age", "size", "noise"]],
            "The feature names should match those that were passed during fit.\nFeature names "
            "must be in the same order",
            "Pass X[estimator.feature_names_in_].",
        ),
        (
            lambda frame: frame.rename(columns={"age": "Age"}),
            "The feature names should match those that were passed during fit.\nFeature names "
            "unseen at fit time:\n- Age",
            "- age",
        ),
        (lambda frame: frame[["age", "size"]], "The feature names should match", "- noise"),
        (lambda frame: frame.to_numpy()[:, :3], "X has 3 features, but ", "4 features as input."),
        (lambda frame: frame[:0], "Found array with 0 sample(s) (shape=(0, 4))", "came before."),
    ],
    ids=["order", "renamed", "missing", "fewer", "no rows"],
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_names_and_rows_at_predict(estimator, change, start, end):
    net = make(estimator, max_epochs=1).fit(FRAME, targets_for(estimator))
    with pytest.raises(ValueError) as caught:
        net.predict(change(FRAME))
    text = str(caught.value).rstrip()
    assert text.startswith(start)
    assert text.endswith(end)
    assert "n_timesteps" not in text


def test_the_order_that_the_message_names_works():
    net = make(SaliencyGuidedClassifier, max_epochs=1)
    net.fit(FRAME, targets_for(SaliencyGuidedClassifier))
    shuffled = FRAME[["income", "age", "size", "noise"]]
    np.testing.assert_array_equal(net.predict(shuffled[net.feature_names_in_]), net.predict(FRAME))


@pytest.mark.parametrize("data", [FRAME[[]], X[:, :0]])
def test_no_columns(data):
    text = message(ValueError, data)
    assert text.startswith("Found array with 0 feature(s) (shape=(40, 0)) while a minimum of 1")


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"), reason="older ones take them"
)
def test_columns_of_one_name():
    with pytest.raises(ValueError, match=r"^Expected unique column names, got:\n- 'age' 2 times"):
        make(SaliencyGuidedRegressor).fit(
            FRAME[["age", "age", "size"]], targets_for(SaliencyGuidedRegressor)
        )


# sparse


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
@pytest.mark.parametrize("module", ["auto", "mlp", "tcn", "text_bag"])
def test_sparse_input_names_what_makes_it_dense(kind, module):
    text = message(TypeError, kind(X), module=module)
    assert text.startswith(f"X must be dense, but sparse data was passed, a {kind.__name__}.")
    for way in ("OneHotEncoder(sparse_output=False)", "sparse_threshold=0", "X.toarray()"):
        assert way in text


def test_sparse_input_of_a_fitted_net():
    net = make(SaliencyGuidedClassifier, max_epochs=1)
    net.fit(X, targets_for(SaliencyGuidedClassifier))
    for method in ("predict", "attribute"):
        with pytest.raises(TypeError, match="X must be dense, but sparse data was passed"):
            getattr(net, method)(sparse.csr_matrix(X))


@pytest.mark.parametrize(
    "steps",
    [
        [OneHotEncoder(sparse_output=False)],
        [ColumnTransformer([("code", OneHotEncoder(), ["city"])], sparse_threshold=0)],
        [
            OneHotEncoder(),
            FunctionTransformer(operator.methodcaller("toarray"), accept_sparse=True),
        ],
    ],
    ids=["encoder", "column transformer", "function"],
)
def test_the_ways_that_the_message_names_work(steps):
    data, y = pd.DataFrame({"city": CITIES}), targets_for(SaliencyGuidedClassifier)
    with pytest.raises(TypeError, match="X must be dense"):
        make_pipeline(OneHotEncoder(), SaliencyGuidedClassifier()).fit(data, y)
    pipeline = make_pipeline(*steps, make(SaliencyGuidedClassifier, max_epochs=1)).fit(data, y)
    assert pipeline[-1].n_features_in_ == 3


class ForeignFrame:
    """A data frame whose types have no `kind`, as those of polars have none."""

    columns = ("a",)
    dtypes = (object(),)


def test_types_of_other_frames_are_no_dates():
    check_no_dates(ForeignFrame())
