"""Labels of the outputs of column transformers and of pipelines, against what moves them."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)

from sgt_sklearn.preprocessing import feature_groups
from tests.preprocessing.brute_force import assert_true_groups
from tests.preprocessing.mixed_columns import FRAME, NUMBERS, TARGET, WORDS, mixed


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"remainder": "drop"},
        {"remainder": MinMaxScaler()},
        {"remainder": SplineTransformer(n_knots=3)},
        {"remainder": PCA(2)},
        {"verbose_feature_names_out": False},
        {"verbose_feature_names_out": "{feature_name}<-{transformer_name}"},
        {"verbose_feature_names_out": lambda name, feature: f"{name}{feature}"},
        {"sparse_threshold": 1.0},
        {"transformer_weights": {"words": 2.0}},
    ],
    ids=str,
)
def test_a_column_transformer(options):
    transformer = mixed(**options).fit(FRAME)
    labels = feature_groups(transformer)
    assert_true_groups(labels, transformer, FRAME, list(FRAME))
    assert np.count_nonzero(labels == "a") == FRAME["a"].nunique()


def test_a_column_transformer_that_returns_a_frame():
    transformer = mixed(sparse_threshold=0)
    transformer.set_params(words__sparse_output=False, more__sparse_output=False)
    transformer.set_output(transform="pandas").fit(FRAME)
    labels = feature_groups(transformer)
    assert_true_groups(labels, transformer, FRAME, list(FRAME))
    assert len(labels) == len(transformer.transform(FRAME).columns)


def test_outputs_of_equal_name_need_no_prefix():
    transformer = ColumnTransformer(
        [("one", StandardScaler(), ["x0"]), ("two", PCA(2), NUMBERS), ("three", PCA(1), NUMBERS)],
        verbose_feature_names_out=False,
        remainder=MinMaxScaler(),
    ).fit(FRAME[NUMBERS])
    with pytest.raises(ValueError, match="not unique"):
        transformer.get_feature_names_out()
    labels = feature_groups(transformer)
    assert_true_groups(labels, transformer, FRAME[NUMBERS], NUMBERS)


SELECTIONS = {
    "names": NUMBERS[:2],
    "an index": pd.Index(NUMBERS[:2]),
    "an array of names": np.array(NUMBERS[:2]),
    "a slice of names": slice("n_a", "x1"),
    "a slice to a name": slice(None, "x1"),
    "a slice from a name": slice("x1", None),
    "positions": [0, 1],
    "positions from the end": [-3, -1],
    "an array of positions": np.array([2, 0]),
    "a slice": slice(0, 2),
    "a slice from the end": slice(-2, None),
    "a mask": [True, False, True],
    "a mask array": np.array([False, True, True]),
    "a mask series": pd.Series([True, True, False]),
    "a callable": make_column_selector(pattern="^x"),
    "a callable of a mask": lambda X: np.asarray(X.columns) == "x1",
    "one position": [1],
}


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("remainder", ["drop", "passthrough"])
def test_every_way_to_select_columns(selection, remainder):
    X = FRAME[NUMBERS]
    transformer = ColumnTransformer(
        [("splines", SplineTransformer(n_knots=3), SELECTIONS[selection])], remainder=remainder
    ).fit(X)
    labels = feature_groups(transformer)
    assert_true_groups(labels, transformer, X, NUMBERS)


@pytest.mark.parametrize("selection", ["sentence", 1], ids=["name", "position"])
@pytest.mark.parametrize("vectorizer", [CountVectorizer, TfidfVectorizer, HashingVectorizer])
def test_words_of_a_text_belong_to_the_text(vectorizer, selection):
    X = pd.DataFrame({"other": np.arange(6.0), "sentence": ["red apple", "green pear"] * 3})
    options = {"n_features": 8} if vectorizer is HashingVectorizer else {}
    transformer = make_column_transformer(
        (vectorizer(**options), selection), (StandardScaler(), ["other"])
    ).fit(X)
    labels = feature_groups(transformer)
    assert labels.tolist() == ["sentence"] * (len(labels) - 1) + ["other"]
    assert_true_groups(labels, transformer, X, list(X))


def test_a_vectorizer_alone():
    vectorizer = CountVectorizer().fit(["red apple", "green pear"])
    assert feature_groups(vectorizer, ["sentence"]).tolist() == ["sentence"] * 4
    with pytest.raises(ValueError, match="input_features must name the original columns"):
        feature_groups(vectorizer)


def test_column_transformers_inside_pipelines_and_each_other():
    inner = ColumnTransformer(
        [("words", OneHotEncoder(sparse_output=False), ["a", "a_b"])], remainder="passthrough"
    )
    nested = make_pipeline(
        ColumnTransformer(
            [("inner", inner, ["a", "x0", "a_b"]), ("rest", "passthrough", ["n_a", "x1"])]
        ),
        VarianceThreshold(0.05),
        make_union(StandardScaler(), PolynomialFeatures(2, include_bias=False)),
    )
    X = FRAME[["a", "x0", "a_b", "n_a", "x1"]]
    labels = feature_groups(nested.fit(X))
    assert_true_groups(labels, nested, X, list(X))


def test_frames_between_the_steps_of_a_pipeline():
    pipeline = make_pipeline(
        SimpleImputer(add_indicator=True),
        ColumnTransformer(
            [("splines", SplineTransformer(n_knots=3), ["n_a", "n"])], remainder="passthrough"
        ),
        StandardScaler(),
    ).set_output(transform="pandas")
    X = FRAME[["n", "n_a", "x1"]]
    labels = feature_groups(pipeline.fit(X))
    assert_true_groups(labels, pipeline, X, list(X))
    assert np.count_nonzero(labels == "n") == np.count_nonzero(labels == "n_a") + 1


# hypothesis: random transformers of random columns


FOR_WORDS = [
    lambda draw: OneHotEncoder(
        drop=draw(st.sampled_from([None, "first", "if_binary"])),
        min_frequency=draw(st.sampled_from([None, 5, 10])),
    ),
    lambda draw: OrdinalEncoder(),
    lambda draw: make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()),
    lambda draw: make_pipeline(OneHotEncoder(sparse_output=False), VarianceThreshold(0.05)),
    lambda draw: "passthrough",
    lambda draw: "drop",
]
FOR_NUMBERS = [
    lambda draw: StandardScaler(),
    lambda draw: SimpleImputer(add_indicator=draw(st.booleans())),
    lambda draw: KBinsDiscretizer(
        draw(st.integers(2, 4)),
        encode=draw(st.sampled_from(["onehot", "onehot-dense", "ordinal"])),
    ),
    lambda draw: SplineTransformer(
        n_knots=draw(st.integers(2, 4)), include_bias=draw(st.booleans())
    ),
    lambda draw: PolynomialFeatures(
        2, interaction_only=draw(st.booleans()), include_bias=draw(st.booleans())
    ),
    lambda draw: PCA(1),
    lambda draw: SelectKBest(k=1),
    lambda draw: "passthrough",
    lambda draw: "drop",
]


@st.composite
def parts_for_numbers(draw, depth=0):
    kind = draw(st.sampled_from(["one", "one", "pipeline", "union"] if depth < 2 else ["one"]))
    if kind == "one":
        return draw(st.sampled_from(FOR_NUMBERS))(draw)
    parts = draw(st.lists(parts_for_numbers(depth + 1), min_size=1, max_size=3))
    if kind == "union":
        return make_union(*parts)
    parts = ["passthrough" if isinstance(part, str) else part for part in parts]
    # later steps get zeros and ones too, which some of them cannot cut into bins
    return make_pipeline(SimpleImputer(add_indicator=draw(st.booleans())), *parts)


@st.composite
def column_transformers(draw):
    by_name = draw(st.booleans())
    columns = list(FRAME)

    def choice_of(names):
        chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
        if by_name:
            return chosen
        positions = [columns.index(name) for name in chosen]
        how = draw(st.sampled_from(["positions", "negative", "mask"]))
        if how == "mask":
            return np.isin(np.arange(len(columns)), positions)
        return [i - len(columns) * (how == "negative") for i in positions]

    numbers, parts = ["n_a", "x1", "x0"], []
    for i in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            part, names = draw(st.sampled_from(FOR_WORDS))(draw), WORDS
        else:
            part, names = draw(parts_for_numbers()), numbers
        parts.append((f"part_{i}", part, choice_of(names)))
    remainder = draw(st.sampled_from(["drop", "passthrough", OrdinalEncoder()]))
    return by_name, ColumnTransformer(
        parts, remainder=remainder, verbose_feature_names_out=draw(st.booleans())
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(built=column_transformers())
def test_random_column_transformers(built):
    by_name, transformer = built
    X = FRAME if by_name else FRAME.to_numpy(dtype=object)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            transformer.fit(X, TARGET)
        except (TypeError, ValueError):
            return  # a step cannot be fitted to what the steps before it leave over
        labels = feature_groups(transformer, list(FRAME))
        parts = transformer.get_params().values()
        combined = any(isinstance(part, (PCA, PolynomialFeatures)) for part in parts)
        assert_true_groups(labels, transformer, X, list(FRAME), combined)
