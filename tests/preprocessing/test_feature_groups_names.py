"""Names of columns, transformers of others, and errors."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from sgt_sklearn.preprocessing import feature_groups
from tests.preprocessing.brute_force import assert_true_groups
from tests.preprocessing.mixed_columns import FRAME, NUMBERS, TARGET, mixed


class Doubler(TransformerMixin, BaseEstimator):
    """A transformer of somebody else, whose outputs have names of their own making."""

    def __init__(self, make_name="{}", own_names=False):
        self.make_name = make_name
        self.own_names = own_names

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        self.own_ = list(X.columns)
        return self

    def transform(self, X):
        return np.repeat(np.asarray(X), 2, axis=1)

    def get_feature_names_out(self, input_features=None):
        names = self.own_ if self.own_names or input_features is None else input_features
        made = (self.make_name.format(name) for name in names for _ in range(2))
        return [f"{name}_{j % 2}" for j, name in enumerate(made)]


@pytest.mark.parametrize("own_names", [False, True])
@pytest.mark.parametrize("make_name", ["{}", "made of {}", "<{}>"])
def test_transformers_of_others(make_name, own_names):
    X = FRAME[NUMBERS]
    transformer = Doubler(make_name, own_names).fit(X)
    assert_true_groups(feature_groups(transformer, NUMBERS), transformer, X, NUMBERS)


def test_names_of_others_are_compared_by_words():
    X = FRAME[NUMBERS].set_axis(["n", "men", "nix"], axis=1)
    transformer = Doubler(own_names=True).fit(X)
    assert_true_groups(feature_groups(transformer), transformer, X, list(X))


def test_ambiguous_names_of_others_are_refused():
    X = FRAME[["n_a", "x0"]].set_axis(["n", "n_a"], axis=1)
    labels = feature_groups(Doubler().fit(X), list(X))
    assert labels.tolist() == ["n", "n", "n_a", "n_a"]
    with pytest.raises(ValueError, match="'n_a_0', which may come from 'n' or 'n_a'"):
        feature_groups(Doubler(own_names=True).fit(X), list(X))


def test_categories_that_look_like_the_marks_of_the_helper():
    X = pd.DataFrame({"a": ["sgtinput1end", "sgtinputt0end"] * 5, "b": ["sgtinput0end", "c"] * 5})
    encoder = KeptNames(OneHotEncoder()).fit(X)
    assert feature_groups(encoder).tolist() == ["a", "a", "b", "b"]


class KeptNames(TransformerMixin, BaseEstimator):
    """Hides the structure of a transformer: only names are left."""

    def __init__(self, transformer):
        self.transformer = transformer

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        self.transformer.fit(X.to_numpy(), y)
        return self

    def transform(self, X):
        return self.transformer.transform(X.to_numpy())

    def get_feature_names_out(self, input_features=None):
        own = getattr(self, "feature_names_in_", None)
        if own is not None and input_features is not None and list(own) != list(input_features):
            raise ValueError("other names")
        return self.transformer.get_feature_names_out(own if own is not None else input_features)


def test_labels_of_combined_outputs_are_no_names_of_columns():
    X = FRAME[["x0", "x1"]].set_axis(["pca0", "pca1"], axis=1)
    transformer = PCA().fit(X)
    assert transformer.get_feature_names_out().tolist() == ["pca0", "pca1"]
    assert_true_groups(feature_groups(transformer), transformer, X, list(X))


def test_names_of_the_original_columns():
    array = FRAME[NUMBERS].to_numpy()
    scaler = StandardScaler().fit(array)
    assert feature_groups(scaler).tolist() == ["x0", "x1", "x2"]
    assert feature_groups(scaler, ["u", "v", "w"]).tolist() == ["u", "v", "w"]
    labels = feature_groups(mixed().fit(FRAME), list(FRAME))
    assert labels.tolist() == feature_groups(mixed().fit(FRAME)).tolist()
    assert labels.dtype == object


# bad input


@pytest.mark.parametrize(
    "transformer",
    [
        OneHotEncoder(),
        StandardScaler(),
        mixed(),
        make_pipeline(StandardScaler(), OneHotEncoder()),
        make_union(StandardScaler()),
        make_pipeline(OneHotEncoder(), FunctionTransformer()),
        make_pipeline(StandardScaler(), FunctionTransformer(feature_names_out="one-to-one")),
    ],
)
def test_unfitted(transformer):
    with pytest.raises(NotFittedError):
        feature_groups(transformer, ["a"])


def pipeline_with_a_predictor():
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME[NUMBERS], TARGET)


def scaler():
    return StandardScaler().fit(FRAME[NUMBERS])


def array_scaler():
    return StandardScaler().fit(FRAME[NUMBERS].to_numpy())


def nameless():
    return FunctionTransformer(np.square).fit(FRAME[NUMBERS])


class TwoNames(StandardScaler):
    def get_feature_names_out(self, input_features=None):
        return ["one", "two"]


def too_few_names():
    return TwoNames().fit(FRAME[NUMBERS])


@pytest.mark.parametrize(
    ("make", "input_features", "error", "message"),
    [
        (pipeline_with_a_predictor, None, TypeError, r"pass the steps before it: pipeline\[:-1\]"),
        (lambda: "passthrough", None, TypeError, "not an estimator"),
        (lambda: OneHotEncoder, None, TypeError, "is a class, not an instance"),
        (scaler, ["a", "b", "c"], ValueError, "input_features must equal the names"),
        (scaler, ["a"], ValueError, "must name the 3 columns .* got 1 names"),
        (array_scaler, ["a", "b"], ValueError, "must name the 3 columns .* got 2 names"),
        (array_scaler, [0, 1, 2], ValueError, r"must be a list of column names \(str\)"),
        (array_scaler, "abc", ValueError, r"must be a list of column names \(str\)"),
        (array_scaler, ["a", "b", "a"], ValueError, "must be unique, got .'a'. more than once"),
        (nameless, None, ValueError, "FunctionTransformer has no get_feature_names_out for its 3"),
        (
            lambda: make_column_transformer((nameless(), NUMBERS)).fit(FRAME),
            None,
            ValueError,
            "no get_feature_names_out",
        ),
    ],
)
def test_errors(make, input_features, error, message):
    with pytest.raises(error, match=message):
        feature_groups(make(), input_features)


def test_names_that_do_not_match_the_outputs():
    transformer = make_column_transformer((TwoNames(), NUMBERS)).fit(FRAME)
    with pytest.raises(
        ValueError, match=r"TwoNames 'twonames' returned 3 columns, but .* 2 names"
    ):
        feature_groups(transformer)
    pipeline = Pipeline([("two", TwoNames()), ("next", StandardScaler())]).fit(FRAME[NUMBERS])
    with pytest.raises(ValueError, match="StandardScaler was fitted on 3 columns, but 2 reach"):
        feature_groups(pipeline)
    union = FeatureUnion([("two", TwoNames()), ("next", StandardScaler())]).fit(FRAME[NUMBERS])
    assert len(feature_groups(union)) == 5  # what the union itself names
