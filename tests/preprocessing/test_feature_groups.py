"""Labels of output columns, against what moves them."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.impute import IterativeImputer, MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
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

N_ROWS = 60


def make_frame(seed=0):
    """Numbers and words under names that cannot be told apart by parsing."""
    rng = np.random.default_rng(seed)
    words = ["b", "b_c", "x_y", "infrequent_sklearn", "a_b"]
    frame = pd.DataFrame(
        {
            "a": rng.choice(words, N_ROWS, p=[0.4, 0.3, 0.2, 0.05, 0.05]),
            "a_b": rng.choice(["c", "d"], N_ROWS),
            "home_town": rng.choice(words, N_ROWS),
            "home": rng.choice(["town_x_y", "town_b", "none"], N_ROWS),
            "n": rng.normal(size=N_ROWS),
            "n_a": rng.normal(size=N_ROWS),
            "x1": rng.gamma(2.0, size=N_ROWS),
            "x0": rng.normal(size=N_ROWS),
        }
    )
    frame.loc[rng.random(N_ROWS) < 0.2, "n"] = np.nan
    return frame


FRAME = make_frame()
WORDS = ["a", "a_b", "home_town", "home"]
NUMBERS = ["n_a", "x1", "x0"]
TARGET = np.arange(N_ROWS) % 3
SIGNS = (FRAME["x0"] > 0).to_numpy().astype(int)

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


def fitted(transformer, X, y=TARGET):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # small data: bins fall together, components repeat
        return transformer.fit(X, y)


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


# whole column transformers


def mixed(**options):
    return ColumnTransformer(
        [
            ("words", OneHotEncoder(), ["a", "home_town"]),
            ("more", OneHotEncoder(drop="first"), ["home", "a_b"]),
            ("filled", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["n"]),
            ("nothing", PCA(), []),
            ("dropped", "drop", ["x1"]),
        ],
        **{"remainder": "passthrough"} | options,
    )


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


def test_the_brute_force_sees_what_it_should():
    transformer = make_union(PCA(1), StandardScaler(), PolynomialFeatures(include_bias=True))
    moved = moved_by(transformer.fit(FRAME[["x0", "x1"]]), FRAME[["x0", "x1"]])
    assert moved == [{0, 1}, {0}, {1}, set(), {0}, {1}, {0}, {0, 1}, {1}]


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
