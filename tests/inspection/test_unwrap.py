"""Pipelines, searches and frozen estimators lead to the last predictor and its columns."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from sgt_sklearn.inspection._unwrap import unwrap
from sgt_sklearn.preprocessing import TokenEncoder

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 3))
Y = (X[:, 0] > 0).astype(int)
FRAME = pd.DataFrame({"size": X[:, 0], "colour": RNG.choice(["red", "blue"], 30)})


def transformer():
    encoder = OneHotEncoder(sparse_output=False)
    return make_column_transformer((encoder, ["colour"]), (StandardScaler(), ["size"]))


def test_an_estimator_is_its_own_end():
    model = LogisticRegression().fit(X, Y)
    final = unwrap(model, X)
    assert final.estimator is model and final.X is X and final.originals is X
    assert (final.feature_names, final.groups, final.token_encoder) == (None, None, None)
    names = unwrap(LogisticRegression().fit(FRAME[["size"]], Y), FRAME[["size"]]).feature_names
    assert names == ["size"]


def test_columns_and_the_ones_they_come_from():
    steps = transformer()
    inner = make_pipeline(
        FunctionTransformer(feature_names_out="one-to-one"), LogisticRegression()
    )
    search = GridSearchCV(inner, {"logisticregression__C": [1.0]}, cv=2)
    for last in (LogisticRegression(), inner, search):
        pipeline = make_pipeline(steps, "passthrough", last).fit(FRAME, Y)
        for estimator in (pipeline, FrozenEstimator(pipeline)):
            final = unwrap(estimator, FRAME)
            assert isinstance(final.estimator, LogisticRegression)
            np.testing.assert_allclose(final.X, pipeline[:1].transform(FRAME))
            assert final.originals is FRAME and final.original_names == ["size", "colour"]
            assert final.feature_names == [
                "onehotencoder__colour_blue",
                "onehotencoder__colour_red",
                "standardscaler__size",
            ]
            assert final.groups.tolist() == ["colour", "colour", "size"]
        # of an array the names are those of training
        with pytest.raises(ValueError, match="columns"):
            unwrap(pipeline, FRAME.to_numpy())
        renamed = unwrap(pipeline, FRAME, ["g", "c"])
        assert renamed.groups.tolist() == ["c", "c", "g"]
        assert renamed.original_names == ["g", "c"]


def test_steps_that_tell_nothing():
    silent = FunctionTransformer(lambda X: np.asarray(X)[:, [2, 0]])
    final = unwrap(make_pipeline(silent, LogisticRegression()).fit(X, Y), X)
    assert final.feature_names is None and final.groups is None

    class Broken(StandardScaler):
        def get_feature_names_out(self, input_features=None):
            raise RuntimeError("no names here")

    final = unwrap(make_pipeline(Broken(), LogisticRegression()).fit(X, Y), X)
    assert final.feature_names is None and final.groups is None
    # anonymous columns have the names that feature_groups gives them
    final = unwrap(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y), X)
    assert final.groups.tolist() == final.original_names == ["x0", "x1", "x2"]


def test_texts():
    encoder = TokenEncoder()
    counts = FunctionTransformer(lambda ids: np.asarray(ids)[:, :1])
    texts = ["good film", "bad film"] * 3
    pipeline = make_pipeline(encoder, counts, LogisticRegression()).fit(texts, [0, 1] * 3)
    final = unwrap(pipeline, texts)
    assert final.token_encoder is pipeline[0]
    assert final.feature_names is None and final.groups is None


def test_steps_of_pipelines_among_the_steps():
    inner = make_pipeline(FrozenEstimator(TokenEncoder().fit(["good film", "bad film"])))
    pipeline = make_pipeline(inner, "passthrough", LogisticRegression())
    texts = ["good film", "bad film"] * 3
    final = unwrap(pipeline.fit(texts, [0, 1] * 3), texts)
    assert isinstance(final.token_encoder, TokenEncoder) and len(final.steps) == 1
    np.testing.assert_array_equal(final.X, pipeline[:-1].transform(texts))
    scaled = make_pipeline(transformer(), make_pipeline(StandardScaler(), StandardScaler()))
    final = unwrap(make_pipeline(scaled, LogisticRegression()).fit(FRAME, Y), FRAME)
    assert final.groups.tolist() == ["colour", "colour", "size"] and len(final.steps) == 3
    np.testing.assert_allclose(final.X, scaled.transform(FRAME))


def test_names_that_do_not_fit():
    model = LogisticRegression().fit(X, Y)
    with pytest.raises(ValueError, match="feature_names must name the 3 columns of X, got 1"):
        unwrap(model, X, ["a"])
    assert unwrap(model, X, ["a", "b", "c"]).feature_names == ["a", "b", "c"]


def test_ends_that_are_no_predictor():
    pipeline = Pipeline([("scale", StandardScaler()), ("end", "passthrough")]).fit(X, Y)
    with pytest.raises(TypeError, match=r"must end in a classifier or regressor, .*'passthrough'"):
        unwrap(pipeline, X)
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, refit=False, cv=2).fit(X, Y)
    with pytest.raises(ValueError, match="kept its best estimator, got one fitted with refit=Fal"):
        unwrap(search, X)
