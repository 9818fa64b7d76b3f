"""Labels of the outputs of single transformers, against what moves them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.impute import IterativeImputer, MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.random_projection import GaussianRandomProjection

from sgt_sklearn.preprocessing import feature_groups
from tests.preprocessing.brute_force import assert_true_groups, moved_by
from tests.preprocessing.mixed_columns import FRAME, NUMBERS, SIGNS, WORDS, fitted

ON_WORDS = {
    "one-hot": OneHotEncoder(),
    "one-hot, dense frame": OneHotEncoder(sparse_output=False).set_output(transform="pandas"),
    "drop first": OneHotEncoder(drop="first"),
    "drop if binary": OneHotEncoder(drop="if_binary"),
    "drop chosen": OneHotEncoder(drop=["b", "d", "x_y", "none"]),
    "infrequent": OneHotEncoder(min_frequency=8, handle_unknown="infrequent_if_exist"),
    "infrequent and dropped": OneHotEncoder(max_categories=3, drop="first"),
    "unknown ignored": OneHotEncoder(handle_unknown="ignore"),
    "categories given": OneHotEncoder(
        categories=[["b", "b_c", "x_y", "infrequent_sklearn", "a_b", "never"]]
        + [sorted(set(FRAME[name])) for name in WORDS[1:]]
    ),
    "names without the column": OneHotEncoder(
        feature_name_combiner=lambda feature, category: f"{len(feature)}{category}"
    ),
    "ordinal": OrdinalEncoder(),
    "target": TargetEncoder(shuffle=False),
    "most frequent": make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()),
    "ordinal, then one-hot": make_pipeline(OrdinalEncoder(), OneHotEncoder()),
    "selected categories": make_pipeline(OneHotEncoder(), SelectKBest(k=5)),
    "frozen": OneHotEncoder(),
}
ON_NUMBERS = {
    "standard": StandardScaler(),
    "robust": RobustScaler(),
    "maximum": MaxAbsScaler(),
    "power": PowerTransformer(),
    "quantile": QuantileTransformer(n_quantiles=10),
    "binarizer": Binarizer(),
    "bins, one-hot": KBinsDiscretizer(4, encode="onehot"),
    "bins, dense": KBinsDiscretizer(4, encode="onehot-dense"),
    "bins, ordinal": KBinsDiscretizer(4, encode="ordinal"),
    "splines": SplineTransformer(n_knots=4),
    "splines without bias": SplineTransformer(n_knots=4, include_bias=False, order="F"),
    "products": PolynomialFeatures(2),
    "products only": PolynomialFeatures(3, interaction_only=True, include_bias=False),
    "components": PCA(2),
    "sparse components": TruncatedSVD(2),
    "clusters": KMeans(3, n_init=1, random_state=0),
    "kernels": Nystroem(n_components=4, random_state=0),
    "projections": GaussianRandomProjection(4, random_state=0),
    "best": SelectKBest(k=2),
    "varying": VarianceThreshold(),
    "from a model": SelectFromModel(LogisticRegression(), max_features=1),
    "eliminated": RFE(LogisticRegression(), n_features_to_select=2),
    "function without names": FunctionTransformer(None),
    "function": FunctionTransformer(np.square, feature_names_out="one-to-one"),
    "renamed": FunctionTransformer(
        np.square, feature_names_out=lambda self, names: [f"squared {name}" for name in names]
    ),
    "ratio": FunctionTransformer(
        lambda X: np.asarray(X)[:, :1] / np.asarray(X)[:, 1:2],
        feature_names_out=lambda self, names: ["ratio"],
    ),
    "sum and copy": FunctionTransformer(
        lambda X: np.c_[np.asarray(X).sum(axis=1), X],
        feature_names_out=lambda self, names: ["+".join(names), *names],
    ),
    "union": make_union(StandardScaler(), SplineTransformer(n_knots=3), "passthrough", "drop"),
    "bins of components": make_pipeline(PCA(2), KBinsDiscretizer(3)),
    "components of one column": make_pipeline(
        SelectKBest(k=1), SplineTransformer(), PCA(3), StandardScaler()
    ),
    "components twice": make_pipeline(
        PCA(3).set_output(transform="pandas"), PCA(2).set_output(transform="pandas")
    ),
    "ratio of splines of one column": make_pipeline(
        SelectKBest(k=1),
        SplineTransformer(),
        FunctionTransformer(
            lambda X: X[:, :1] / (1 + X[:, 1:2]), feature_names_out=lambda self, names: ["ratio"]
        ),
    ),
    "function of one column": make_pipeline(
        SelectKBest(k=1), FunctionTransformer(np.square), "passthrough", KBinsDiscretizer(3)
    ),
    "passed": make_pipeline("passthrough", StandardScaler(), "passthrough"),
}


@pytest.mark.parametrize("as_array", [False, True], ids=["frame", "array"])
@pytest.mark.parametrize("kind", ON_WORDS)
def test_words(kind, as_array):
    X = FRAME[WORDS].to_numpy(dtype=object) if as_array else FRAME[WORDS]
    transformer = fitted(ON_WORDS[kind], X)
    if kind == "frozen":
        transformer = FrozenEstimator(transformer)
    labels = feature_groups(transformer, WORDS if as_array else None)
    assert_true_groups(labels, transformer, X, WORDS)


@pytest.mark.parametrize("as_array", [False, True], ids=["frame", "array"])
@pytest.mark.parametrize("kind", ON_NUMBERS)
def test_numbers(kind, as_array):
    X = FRAME[NUMBERS].to_numpy() if as_array else FRAME[NUMBERS]
    transformer = fitted(ON_NUMBERS[kind], X, SIGNS)
    labels = feature_groups(transformer, NUMBERS if as_array else None)
    assert_true_groups(labels, transformer, X, NUMBERS)


MISSING = pd.DataFrame(
    {
        "n": FRAME["n"],
        "empty": np.nan,
        "n_a": FRAME["n_a"].where(FRAME["x0"] > -0.5),
        "whole": FRAME["x1"],
    }
)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("indicator", [False, True])
@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
def test_missing_values(indicator, keep):
    imputer = SimpleImputer(add_indicator=indicator, keep_empty_features=keep).fit(MISSING)
    labels = feature_groups(imputer)
    assert_true_groups(labels, imputer, MISSING, list(MISSING))
    assert ("empty" in labels) == (keep or indicator)
    assert np.count_nonzero(labels == "n") == 1 + indicator


def test_indicators_alone():
    indicator = MissingIndicator().fit(MISSING)
    labels = feature_groups(indicator)
    assert_true_groups(labels, indicator, MISSING, list(MISSING))
    assert labels.tolist() == ["n", "empty", "n_a"]


@pytest.mark.parametrize("transformer", [Normalizer(), IterativeImputer(max_iter=1)])
def test_transformers_that_look_at_other_columns_count_as_column_by_column(transformer):
    fitted(transformer, FRAME[NUMBERS])
    assert feature_groups(transformer).tolist() == NUMBERS


def test_the_brute_force_sees_what_it_should():
    transformer = make_union(PCA(1), StandardScaler(), PolynomialFeatures(include_bias=True))
    moved = moved_by(transformer.fit(FRAME[["x0", "x1"]]), FRAME[["x0", "x1"]])
    assert moved == [{0, 1}, {0}, {1}, set(), {0}, {1}, {0}, {0, 1}, {1}]
